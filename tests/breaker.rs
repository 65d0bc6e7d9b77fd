//! Sources that bring dead letters only, or cannot be read: one is paused and tried again, over a restart too, time
//! goes on without it in the end, and the windows that lack it say so.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use serde_json::{Value, json};
use support::instances::{Instance, Scripted, log};
use trustline::driver::assembly::Assembly;
use trustline::driver::stages::StageName;
use trustline::driver::stages::recovery::Keeping;
use trustline::driver::status::Gauges;
use trustline::driver::worker::Stage;
use trustline::event::kinds::Topic;
use trustline::log::TopicPartition;
use trustline::log::memory::MemoryLog;
use trustline::state::SnapshotStore;
use trustline::time::{HOUR_MS, MINUTE_MS};

mod support;

const START: i64 = 1_740_960_000_000;
const SECOND_MS: i64 = 1_000;
/// The source that suffers; the others are well.
const BAD: Topic = Topic::Clickstream;

struct World {
    assembly: Assembly,
    log: MemoryLog,
    clock: Scripted,
    instances: Vec<Instance>,
    started: u32,
    sent: u32,
}

impl World {
    fn new() -> World {
        let text = format!(
            "{}suspend_after_ms = 120000\n[breaker]\nin_a_row = 3\n",
            support::text(2, 1).replace("\"never\"", "5000")
        );
        let mut assembly = support::configured(&text);
        assembly.keeping = Some(Keeping {
            store: Arc::new(SnapshotStore::open("memory:", &[]).unwrap()),
            every_ms: MINUTE_MS,
            in_background: false,
            rebuild: false,
        });
        let log = log(&assembly, 1);
        let clock = Scripted::default();
        clock.advance(START);
        let mut world = World { assembly, log, clock, instances: Vec::new(), started: 0, sent: 0 };
        for stage in StageName::ALL {
            world.start(stage);
        }
        world
    }

    fn start(&mut self, stage: StageName) {
        self.started += 1;
        let publishers = self.log.publishers(&format!("instance-{}", self.started), |_| None);
        let site = (&self.log, &self.clock, &self.assembly);
        let instance = Instance::start(stage, site, self.assembly.route(), publishers, |source| source);
        self.instances.push(instance);
    }

    /// The instance of a stage ends without a word, and another one takes its place.
    fn restart(&mut self, stage: StageName) {
        let at = StageName::ALL.iter().position(|one| *one == stage).unwrap();
        self.instances[at].leave();
        self.start(stage);
        self.instances.swap_remove(at);
    }

    fn now(&self) -> i64 {
        use trustline::driver::clock::Clock;
        self.clock.now().0
    }

    /// Two people do something, now.
    fn send(&mut self, topic: Topic) {
        for person in ["ann", "bob", "cid", "dot"] {
            self.sent += 1;
            let kind = if topic == Topic::Clickstream { "PAGE_VIEW" } else { "IMPRESSION" };
            let line = json!({"event_id": format!("e{}", self.sent), "event_time": self.now(), "kind": kind,
                "brand_id": "b", "person_id": person});
            self.log.append(topic.symbol(), 0, self.now(), line.to_string().as_bytes());
        }
    }

    fn send_junk(&self, count: usize) {
        (0..count).for_each(|_| self.log.append(BAD.symbol(), 0, self.now(), b"junk"));
    }

    /// Time goes on, second by second, until so many milliseconds after the start.
    fn run_until(&mut self, after_start: i64) {
        while self.now() < START + after_start {
            self.clock.advance(SECOND_MS);
            for _ in 0..2 {
                for instance in &mut self.instances {
                    instance.step().unwrap();
                }
            }
        }
    }

    fn gauges(&self) -> Gauges {
        let route = self.instances.iter().find_map(|one| match one {
            Instance::Route(route) => Some(route.stage()),
            _ => None,
        });
        route.unwrap().gauges(&bad())
    }

    /// Whether the breaker is tripped, and whether the source is given up.
    fn is_out(&self) -> (bool, bool) {
        let source = self.gauges().source.unwrap();
        (source.tripped.is_some(), source.suspended.is_some())
    }

    fn dead_letters(&self) -> usize {
        self.log.records("t.dead-letters").concat().len()
    }

    /// How far the frontier of the bad source is behind the clock, as it is committed.
    fn behind(&self) -> i64 {
        let metadata = self.log.position("route", &bad()).unwrap().metadata;
        self.now() - metadata.strip_prefix("f1:").unwrap().parse::<i64>().unwrap()
    }

    /// Of each published window of an hour: which one it is, detect partitions that lack something, completeness.
    fn windows(&self) -> Vec<(i64, i64, f64)> {
        let windows = self.log.records("t.brand-trust").concat().into_iter().filter_map(|record| {
            let record: Value = serde_json::from_slice(&record.value).unwrap();
            let (start, lacking) =
                (record["window_start"].as_i64()?, record["partitions_incomplete"].as_i64()?);
            let share = record["completeness"].as_f64()?;
            (record["window"] == "1h").then_some(((start - START) / HOUR_MS, lacking, share))
        });
        let mut windows: Vec<_> = windows.collect();
        windows.sort_by_key(|(hour, ..)| *hour);
        windows
    }
}

fn bad() -> TopicPartition {
    TopicPartition { topic: BAD.symbol().into(), partition: 0 }
}

#[test]
fn a_source_of_dead_letters_is_paused_over_a_restart_until_a_record_is_good() {
    let mut world = World::new();
    world.send(BAD);
    world.send_junk(9);
    world.send(BAD);
    world.run_until(5 * SECOND_MS);
    assert_eq!((world.dead_letters(), world.is_out()), (3, (true, false)));
    world.run_until(60 * SECOND_MS);
    assert_eq!(world.dead_letters(), 3, "nothing is read for a minute");
    world.run_until(70 * SECOND_MS);
    assert_eq!(world.dead_letters(), 4, "then one record tries it");

    world.restart(StageName::Route);
    world.run_until(110 * SECOND_MS);
    assert_eq!((world.dead_letters(), world.is_out()), (4, (true, false)), "the new one knows it");
    world.run_until(140 * SECOND_MS);
    assert_eq!(world.dead_letters(), 5);
    world.run_until(8 * MINUTE_MS);
    assert_eq!((world.dead_letters(), world.is_out()), (9, (false, false)), "a good record closes it");
    let account = world.gauges().accounts[0].1;
    // Eight good records and nine bad ones, of which the first owner read four and four.
    assert_eq!((account.read, account.dead_lettered, account.applied), (9, 5, 4));
    let position = world.log.position("route", &bad()).unwrap();
    assert_eq!(position.next, 17, "every record was read");
}

#[test]
fn time_goes_on_without_a_tripped_source_and_its_windows_say_so() {
    let mut world = World::new();
    for minute in 0..5 * 60 {
        world.run_until(minute * MINUTE_MS);
        // The third hour brings the source back.
        let (from, until) = (30, 130);
        if !(from..until).contains(&minute) {
            world.send(BAD);
        }
        if minute == from {
            // One a minute tries the source.
            world.send_junk(3 + 100);
        }
        world.send(Topic::AdDeliveries);
        match minute {
            32 => assert!(world.is_out() == (true, false) && world.behind() > 70 * SECOND_MS),
            34 => assert!(world.is_out() == (true, true) && world.behind() < 13 * SECOND_MS),
            80 => {
                world.restart(StageName::Route);
                world.run_until(minute * MINUTE_MS + 10 * SECOND_MS);
                assert!(
                    world.is_out() == (true, true) && world.behind() < 13 * SECOND_MS,
                    "it stays given up"
                );
            }
            145 => assert_eq!(world.is_out(), (false, false)),
            150 => {
                // The last minutes of the log hold nothing of the gap any more, a snapshot does.
                world.log.retain("t.person-events", 300);
                world.restart(StageName::Detect);
            }
            _ => {}
        }
    }
    let windows = world.windows();
    assert_eq!(windows, [(0, 2, 0.0), (1, 2, 0.0), (2, 2, 0.0), (3, 0, 1.0)]);
}

#[test]
fn time_goes_on_without_a_source_that_has_no_leader() {
    let mut world = World::new();
    for minute in 0..4 * 60 {
        world.run_until(minute * MINUTE_MS);
        world.send(BAD);
        world.send(Topic::AdDeliveries);
        match minute {
            61 => world.log.lead(&bad(), false),
            62 => assert!(world.is_out() == (false, false) && world.behind() > 50 * SECOND_MS),
            64 => assert!(world.is_out() == (false, true) && world.behind() < 13 * SECOND_MS),
            110 => world.log.lead(&bad(), true),
            112 => assert_eq!(world.is_out(), (false, false)),
            _ => {}
        }
    }
    // What came meanwhile is late by less than an hour, and counts where it comes.
    assert_eq!(world.windows(), [(0, 0, 1.0), (1, 2, 0.0), (2, 0, 1.0)]);
    assert_eq!(world.log.records("t.late-events").concat().len(), 0);
}
