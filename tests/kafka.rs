//! The pipeline on a real Kafka broker, exactly once, with instances killed by -9 while they work.
//!
//! The broker is started by the script that serves users too; one that cannot be started is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::PathBuf;
use std::time::Duration;

use serde_json::Value;
use support::broker::{Broker, Instance, count, make_topics, wait_for};
use support::{EVENTS, Input};
use trustline::driver::replay::Outcome;
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, read_topic};
use trustline::log::kafka::picture::{Group, groups};

mod support;

const KILLS: usize = 6;
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

/// A broker with topics, what is fed to it and what must come of it.
struct World {
    broker: Broker,
    config: PathBuf,
    connection: Connection,
    feeder: Feeder,
    input: Input,
    expected: Outcome,
    _folder: tempfile::TempDir,
}

impl World {
    /// One whose instances have these settings of Kafka, after links and incidents.
    fn new(kafka: &str) -> World {
        let broker = Broker::start();
        let folder = tempfile::tempdir().unwrap();
        let (config, text) = broker.configure(folder.path(), &support::text(4, 2), kafka);
        let input = Input::read("as-stream-crowd");
        let expected = input.replay_under(&text);
        let connection = Connection::plain(&broker.bootstrap(), "test");
        make_topics(&connection, &config);
        let feeder = Feeder::new(&connection).unwrap();
        let world = World { broker, config, connection, feeder, input, expected, _folder: folder };
        world.feed(&[Topic::IdentityLinks, Topic::BrandIncidents], 0, usize::MAX);
        world
    }

    /// An instance that has read the incidents.
    fn first(&self) -> Instance {
        let first = Instance::start(&self.config, "a");
        let incidents = self.expected.ledger.accounts["brand-incidents"].applied as usize;
        wait_for("the incidents in the log", || count(&self.connection, "t.brand-partials") >= incidents);
        first
    }

    fn feed(&self, sources: &[Topic], from: usize, count: usize) {
        for source in sources {
            let lines = self.input.lines.get(source).map_or(&[][..], |lines| lines);
            for (time, line) in lines.iter().skip(from).take(count) {
                self.feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
            }
        }
        self.feeder.flush().unwrap();
    }

    /// The most records that a source of events has.
    fn most(&self) -> usize {
        EVENTS.iter().map(|source| self.input.lines[source].len()).max().unwrap()
    }

    fn records(&self, name: &str) -> Vec<Vec<u8>> {
        let partitions = read_topic(&self.connection, &format!("t.{name}")).unwrap();
        partitions.into_iter().flatten().map(|record| record.value).collect()
    }

    /// Waits until all is published, ends the instances and compares.
    fn end(&self, instances: Vec<Instance>) {
        let last = self.input.last;
        let up_to = |name: &str, time: &str| {
            let values = self.records(name).into_iter();
            let values = values.map(|value| serde_json::from_slice::<Value>(&value).unwrap());
            values.filter(|value| value[time].as_i64().is_some_and(|time| time <= last)).count()
        };
        let moments = self.expected.moments.iter().filter(|moment| moment.event_time <= last).count();
        let windows = self.expected.score.brand_trust.iter();
        let windows = windows.filter(|window| window.window_end <= last).count();
        wait_for("all moments", || up_to("moments", "event_time") >= moments);
        wait_for("all windows", || up_to("brand-trust", "window_end") >= windows);
        for instance in instances {
            assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
        }
        support::compare(&self.input, &self.expected, "on Kafka", |name| self.records(name));
    }
}

#[test]
fn killed_instances_publish_what_a_calm_replay_computes_once() {
    let world = World::new(&format!("session_timeout_ms = {}", SESSION_TIMEOUT.as_millis()));
    let mut instances = vec![world.first()];
    // Records come in while instances are killed and started again; from the middle on there are two.
    let chunk = world.most() / (KILLS * 4) + 1;
    for (round, from) in (0..world.most()).step_by(chunk).enumerate() {
        world.feed(&EVENTS, from, chunk);
        std::thread::sleep(Duration::from_millis(200 + (round as u64 * 137) % 300));
        if round == KILLS * 2 {
            instances.push(Instance::start(&world.config, "b"));
        }
        if round == KILLS * 2 + 1 {
            // The broker dies in the middle of transactions and comes back.
            world.broker.script("kill");
            std::thread::sleep(Duration::from_secs(1));
            world.broker.go();
        }
        if round == KILLS * 3 {
            // An instance is paused for longer than the group waits, and wakes up as a zombie.
            instances[0].signal("STOP");
            std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
            instances[0].signal("CONT");
        }
        if round % 4 == 3 {
            let name = if instances.len() > 1 && round % 8 == 7 { "b" } else { "a" };
            let at = usize::from(name == "b");
            let killed = std::mem::replace(&mut instances[at], Instance::start(&world.config, name));
            killed.kill();
        }
    }
    world.end(instances);
    assert!(count(&world.connection, "t.brand-trust-live") > 0, "open windows publish provisional records");
}

/// The same in short, for other kinds of membership. The restart of a static member moves no partitions.
fn killed_members_of_a_group(kafka: &str, is_static: bool) {
    let world = World::new(&format!("{kafka}\nstatic_membership = {is_static}"));
    let log = |name: &str| world.config.with_file_name(format!("{name}.log"));
    let start = |name: &str| Instance::start_logging(&world.config, name, &log(name));
    let mut instances = vec![world.first(), start("b")];
    let rounds = 8;
    let chunk = world.most() / rounds + 1;
    for (round, from) in (0..world.most()).step_by(chunk).enumerate() {
        world.feed(&EVENTS, from, chunk);
        std::thread::sleep(Duration::from_millis(500 + (round as u64 * 137) % 300));
        if round == rounds / 2 {
            instances[0].signal("STOP");
            std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
            instances[0].signal("CONT");
        } else if round % 2 == 1 {
            let at = round / 2 % 2;
            let name = ["a", "b"][at];
            instances.remove(at).kill();
            instances.insert(at, start(name));
        }
    }
    // As the groups tell, which `doctor` and readiness go by: `route` and `detect` have a worker for equal shares.
    wait_for("equal shares", || {
        let groups = groups(&world.connection, &["trustline-route", "trustline-detect"]).unwrap();
        let sizes = |group: &Group| group.members.iter().map(|member| member.partitions.len()).collect();
        let sizes: Vec<Vec<usize>> = groups.iter().map(sizes).collect();
        sizes == [vec![Topic::ALL.len() / 2; 2], vec![1; 4]]
    });
    if is_static {
        let text = |name: &str| std::fs::read_to_string(log(name)).unwrap();
        let changes = |name: &str| text(name).matches("PartitionsChanged").count();
        // A static member has its partitions before it is back: `route` and two of `detect` at least.
        wait_for("all of b", || changes("b") >= 3);
        std::thread::sleep(Duration::from_secs(2));
        let before = changes("b");
        assert_eq!(instances.remove(0).stop(), Some(0));
        instances.insert(0, start("a"));
        wait_for("partitions of the one that was started again", || changes("a") >= 3);
        assert_eq!(changes("b"), before, "the restart moves partitions: {}", text("b"));
    }
    world.end(instances);
}

#[test]
fn killed_members_that_the_brokers_balance_publish_the_same() {
    killed_members_of_a_group("group_protocol = \"consumer\"", false);
}

#[test]
fn killed_static_members_publish_the_same() {
    killed_members_of_a_group(&format!("session_timeout_ms = {}", SESSION_TIMEOUT.as_millis()), true);
}

#[test]
fn killed_static_members_that_the_brokers_balance_publish_the_same() {
    killed_members_of_a_group("group_protocol = \"consumer\"", true);
}
