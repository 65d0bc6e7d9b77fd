//! A real broker and faults, with seeds: instances that kill themselves at every named point of a step, of a snapshot
//! and of a restore, or are killed at random; the broker's restart; a rebalance storm; a transaction that times out; a
//! full disk; damaged snapshots. What is committed is what a calm replay computes, once, and nothing hangs.
//!
//! `TRUSTLINE_KILLS=1000 TRUSTLINE_FAULT_SEED=7 cargo test --test faults kills -- --nocapture` kills more often. The points
//! are not in release builds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::broker::{Broker, Cluster, DEADLINE, Instance, count, make_topics, wait_for};
use support::instances::Choices;
use support::proxy::Proxy;
use support::{EVENTS, Input};
use trustline::driver::replay::Outcome;
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, read_topic};
use trustline::points::KillPoint;

mod support;

/// Kills of instances in CI.
const KILLS: usize = 22;
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);
const TRANSACTION_TIMEOUT: Duration = Duration::from_secs(2);
/// How often the broker looks for transactions that have timed out.
const SWEEP: Duration = Duration::from_secs(10);

/// A number from the environment.
fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// A pipeline on a broker, and what it must come to.
struct Site {
    folder: tempfile::TempDir,
    config: PathBuf,
    input: Input,
    expected: Outcome,
    connection: Connection,
    feeder: Feeder,
    /// Records of each source that were fed.
    fed: usize,
}

impl Site {
    /// With brokers that keep so many replicas.
    fn new(bootstrap: &str, replicas: i32, transaction_timeout: Duration) -> Site {
        let folder = tempfile::tempdir().unwrap();
        let text = format!(
            "{}[kafka]\nbrokers = [\"{}\"]\nsession_timeout_ms = {}\ntransaction_timeout_ms = {}\n\
             [privacy]\nkey_file = \"{}\"\n[state]\nsnapshot_every_ms = 1000\n",
            support::text(4, 2).replace("factor = 1", &format!("factor = {replicas}")),
            bootstrap.replace(',', "\", \""),
            SESSION_TIMEOUT.as_millis(),
            transaction_timeout.as_millis(),
            support::test_key(folder.path()).display()
        );
        let config = folder.path().join("trustline.toml");
        std::fs::write(&config, &text).unwrap();
        let input = Input::read("as-stream-crowd");
        let expected = input.replay_under(&text);
        let connection = Connection::plain(bootstrap, "test");
        make_topics(&connection, &config);
        let feeder = Feeder::new(&connection).unwrap();
        let mut site = Site { folder, config, input, expected, connection, feeder, fed: 0 };
        for source in [Topic::IdentityLinks, Topic::BrandIncidents] {
            site.feed_some(source, 0, usize::MAX);
        }
        site.feeder.flush().unwrap();
        // Links and incidents come first.
        let instance = Instance::start(&site.config, "first");
        let incidents = site.expected.ledger.accounts["brand-incidents"].applied as usize;
        wait_for("the incidents", || count(&site.connection, "t.brand-partials") >= incidents);
        assert_eq!(instance.stop(), Some(0));
        site.feed(1);
        site
    }

    fn feed_some(&self, source: Topic, from: usize, count: usize) {
        let lines = self.input.lines.get(&source).map_or(&[][..], |lines| lines);
        for (time, line) in lines.iter().skip(from).take(count) {
            self.feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
        }
    }

    /// Records of the longest source.
    fn most(&self) -> usize {
        EVENTS.iter().map(|source| self.input.lines[source].len()).max().unwrap()
    }

    /// Feeds so many more records of each source.
    fn feed(&mut self, count: usize) {
        for source in EVENTS {
            self.feed_some(source, self.fed, count);
        }
        self.feeder.flush().unwrap();
        self.fed += count;
    }

    /// Feeds a share of everything in small pieces.
    fn feed_share(&mut self, of: usize) {
        for _ in 0..10 {
            self.feed(self.most() / of / 10 + 1);
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn records(&self, name: &str) -> Vec<Vec<u8>> {
        let partitions = read_topic(&self.connection, &format!("t.{name}")).unwrap();
        partitions.into_iter().flatten().map(|record| record.value).collect()
    }

    fn up_to_last(&self, name: &str, time: &str) -> usize {
        let values = self.records(name).into_iter();
        let parsed = values.map(|value| serde_json::from_slice::<Value>(&value).unwrap());
        parsed.filter(|value| value[time].as_i64().is_some_and(|time| time <= self.input.last)).count()
    }

    /// Feeds the rest, lets the instances end it, and compares.
    fn end(self, instances: Vec<Instance>, what: &str) {
        self.end_with(instances, &[0], what);
    }

    /// The same where instances may end with one of these codes.
    fn end_with(mut self, instances: Vec<Instance>, codes: &[i32], what: &str) {
        self.feed(self.most());
        let last = self.input.last;
        let moments = self.expected.moments.iter().filter(|moment| moment.event_time <= last).count();
        let windows = &self.expected.score.brand_trust;
        let windows = windows.iter().filter(|window| window.window_end <= last).count();
        wait_for("all moments", || self.up_to_last("moments", "event_time") >= moments);
        wait_for("all windows", || self.up_to_last("brand-trust", "window_end") >= windows);
        for instance in instances {
            let code = instance.stop();
            assert!(code.is_some_and(|code| codes.contains(&code)), "SIGTERM ends an instance: {code:?}");
        }
        support::compare(&self.input, &self.expected, what, |name| self.records(name));
    }

    fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }
}

#[test]
fn kills_at_every_point_leave_no_trace_in_the_output() {
    let (seed, kills) = (number("TRUSTLINE_FAULT_SEED", 1), number("TRUSTLINE_KILLS", KILLS as u64) as usize);
    println!("seed {seed}, {kills} kills");
    let mut choices = Choices(seed);
    let broker = Broker::start();
    let mut site = Site::new(&broker.bootstrap(), 1, TRANSACTION_TIMEOUT);
    let (mut killed, mut round) = (0, 0);
    while killed < kills {
        // One comes to a point and dies there, the other is killed at any time.
        let at = KillPoint::ALL[round % KillPoint::ALL.len()];
        let times = 1 + choices.below(if at == KillPoint::DuringRestore { 2 } else { 6 });
        let mut doomed = Instance::start_doomed(&site.config, "a", at, times);
        let other = Instance::start(&site.config, "b");
        let start = Instant::now();
        let life = SESSION_TIMEOUT + Duration::from_millis(choices.below(3_000) as u64);
        let mut other = Some(other);
        let piece = site.most() / (kills * 10) + 1;
        while !doomed.is_killed() || other.is_some() {
            assert!(start.elapsed() < DEADLINE, "seed {seed}: {} was never passed {times} times", at.name());
            if site.fed < site.most() {
                site.feed(piece);
            }
            if start.elapsed() > life {
                other.take().into_iter().for_each(Instance::kill);
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        println!("round {round}: {}:{times}, {} ms", at.name(), start.elapsed().as_millis());
        (killed, round) = (killed + 2, round + 1);
    }
    assert!(round >= KillPoint::ALL.len(), "every point has its turn");
    let instances = ["a", "b"].map(|name| Instance::start(&site.config, name));
    println!("{killed} kills");
    site.end(Vec::from(instances), &format!("{killed} kills with seed {seed}"));
}

#[test]
fn what_happens_to_broker_group_and_disk_leaves_no_trace_in_the_output() {
    let broker = Broker::start();
    let mut site = Site::new(&broker.bootstrap(), 1, TRANSACTION_TIMEOUT);
    let log = site.folder.path().join("log");
    let told = |what: &str| {
        let log = log.clone();
        let what = what.to_owned();
        move || std::fs::read_to_string(&log).unwrap().contains(&what)
    };
    let mut first = Instance::start_logging(&site.config, "a", &log);

    // The broker dies and comes back.
    site.feed_share(8);
    broker.script("kill");
    std::thread::sleep(Duration::from_secs(1));
    broker.go();

    // Instances join and leave in quick order.
    for round in 0..3 {
        let joining = ["b", "c"].map(|name| Instance::start(&site.config, name));
        site.feed_share(40);
        std::thread::sleep(Duration::from_millis(500 * round));
        for instance in joining {
            assert_eq!(instance.stop(), Some(0));
        }
    }

    // The process is paused until the broker has aborted its transaction and given its partitions away.
    first.signal("STOP");
    site.feed_share(8);
    std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
    first.signal("CONT");
    site.feed_share(8);

    // No snapshot can be written.
    let full = FullDisk::at(&site.state());
    let start = Instant::now();
    while !told("a snapshot could not be written")() {
        assert!(start.elapsed() < DEADLINE, "no snapshot failed");
        site.feed(2);
        std::thread::sleep(Duration::from_millis(200));
    }
    drop(full);

    // The newest snapshots are damaged, then all of them.
    for newest_only in [true, false] {
        site.feed_share(16);
        wait_for("two snapshots", || snapshots(&site.state()).iter().any(|files| files.len() >= 2));
        first.kill();
        for files in snapshots(&site.state()) {
            for file in files.iter().rev().take(if newest_only { 1 } else { usize::MAX }) {
                let bytes = std::fs::read(file).unwrap();
                std::fs::write(file, &bytes[..bytes.len() - 1]).unwrap();
            }
        }
        first = Instance::start_logging(&site.config, "a", &log);
        wait_for("a word about the lost snapshot", told("a snapshot is lost"));
    }
    site.end(vec![first], "after faults of broker, group and disk");
}

#[test]
fn each_of_three_nodes_may_die() {
    let cluster = Cluster::start();
    let mut site = Site::new(&cluster.bootstrap(), 3, SWEEP);
    let instances = ["a", "b"].map(|name| Instance::start(&site.config, name));
    for node in 1..=3 {
        site.feed_share(8);
        cluster.kill(node);
        site.feed_share(8);
        cluster.go();
    }
    // A call that began while a node was dead may wait for longer than stopping may take: exit code 5.
    site.end_with(Vec::from(instances), &[0, 5], "after the death of each node");
}

#[test]
fn a_cut_line_and_an_end_that_comes_too_late_leave_no_trace_in_the_output() {
    let mut proxy = Proxy::new();
    let broker = Broker::start_with(&["--proxy", &proxy.port.to_string()]);
    proxy.go(([127, 0, 0, 1], broker.port + 2).into());
    let mut site = Site::new(&broker.bootstrap(), 1, TRANSACTION_TIMEOUT);
    let proxied = site.config.with_file_name("proxied.toml");
    let text = std::fs::read_to_string(&site.config).unwrap();
    std::fs::write(&proxied, text.replace(&broker.bootstrap(), &format!("127.0.0.1:{}", proxy.port)))
        .unwrap();
    let far = Instance::start(&proxied, "far");
    site.feed_share(8);

    // The transaction has timed out when its end arrives.
    proxy.hold_end(TRANSACTION_TIMEOUT + SWEEP + Duration::from_secs(2));
    wait_for("an end that came late", || {
        site.feed(5);
        proxy.held() == 1
    });
    site.feed_share(8);

    // The line is cut for longer than the group waits, and another takes over.
    let near = Instance::start(&site.config, "near");
    site.feed_share(8);
    proxy.cut(true);
    site.feed_share(8);
    std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
    site.feed_share(8);
    proxy.cut(false);
    site.feed_share(8);
    site.end(vec![far, near], "after a cut and a late end");
}

/// The snapshots of each partition, by offset.
fn snapshots(state: &Path) -> Vec<Vec<PathBuf>> {
    let entries = |folder: &Path| -> Vec<PathBuf> {
        std::fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path()).collect()
    };
    let partitions = ["detect", "score"].into_iter().flat_map(|fold| entries(&state.join(fold)));
    let offset = |file: &PathBuf| {
        let name = file.file_name().unwrap().to_string_lossy().into_owned();
        name.split_once('-').unwrap().0.parse::<i64>().unwrap()
    };
    let sorted = |partition: PathBuf| {
        let mut files = entries(&partition);
        files.retain(|file| file.extension().is_some_and(|extension| extension == "snap"));
        files.sort_by_key(offset);
        files
    };
    partitions.map(sorted).collect()
}

/// A small file system without room, mounted over a folder; where that is not permitted, a folder whose partitions
/// cannot be written because files stand in their place.
struct FullDisk {
    at: PathBuf,
    is_mounted: bool,
}

impl FullDisk {
    fn at(state: &Path) -> FullDisk {
        let at = state.to_owned();
        let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64k", "tmpfs"]).arg(&at).status();
        let is_mounted = mount.is_ok_and(|status| status.success());
        println!("a full file system: {is_mounted}");
        if is_mounted {
            assert!(std::fs::write(at.join("filler"), vec![0; 1 << 20]).is_err(), "it has no room");
        } else {
            for fold in ["detect", "score"] {
                std::fs::rename(at.join(fold), at.join(format!("{fold}-aside"))).unwrap();
                std::fs::write(at.join(fold), "").unwrap();
            }
        }
        FullDisk { at, is_mounted }
    }
}

impl Drop for FullDisk {
    fn drop(&mut self) {
        if self.is_mounted {
            assert!(Command::new("umount").arg("-l").arg(&self.at).status().unwrap().success());
            return;
        }
        for fold in ["detect", "score"] {
            std::fs::remove_file(self.at.join(fold)).unwrap();
            std::fs::rename(self.at.join(format!("{fold}-aside")), self.at.join(fold)).unwrap();
        }
    }
}
