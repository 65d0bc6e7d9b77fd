//! `route` on the log in memory: what was sent again is never too late, and an erasure takes links with it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use support::instances::Scripted;
use trustline::codec::frame::Frame;
use trustline::codec::frame::item::{Item, ItemKind};
use trustline::driver::clock::Clock;
use trustline::driver::dlq::{REPLAYED, SetAside};
use trustline::driver::stages::route::RouteStage;
use trustline::driver::worker::Worker;
use trustline::event::kinds::Topic;
use trustline::identity::{PseudonymKey, PseudonymKind};
use trustline::log::Outgoing;
use trustline::log::memory::{MemoryLog, MemoryPublishers, MemorySource};
use trustline::time::HOUR_MS;

mod support;

const T: i64 = 1_740_960_000_000;
const LINK_PARTITIONS: usize = 3;

struct World {
    log: MemoryLog,
    clock: Scripted,
    worker: Worker<MemorySource, MemoryPublishers, RouteStage, Scripted>,
}

impl World {
    fn new() -> World {
        let assembly = support::assembly(2, 1);
        let own = ["person-events", "brand-partials", "late-events", "dead-letters", "erasure-receipts"];
        let own = own.map(|name| format!("t.{name}"));
        let mut topics: Vec<(&str, usize)> = own.iter().map(|name| (name.as_str(), 2)).collect();
        topics.extend(Topic::ALL.iter().map(|topic| (topic.symbol(), LINK_PARTITIONS)));
        let log = MemoryLog::new(&topics);
        let clock = Scripted::default();
        clock.advance(T);
        let sources: Vec<&str> = Topic::ALL.iter().map(|topic| topic.symbol()).collect();
        let partitions = Topic::ALL.iter().map(|topic| (*topic, LINK_PARTITIONS as u32)).collect();
        let stage = assembly.route_stage(assembly.route(), &partitions, clock.now());
        let source = log.reader("route", &sources);
        let worker = Worker::new(source, log.publishers("route", |_| None), stage, clock.clone());
        World { log, clock, worker }
    }

    fn send(&self, topic: Topic, partition: i32, key: &str, headers: &[&str], line: &Value) {
        let record = Outgoing {
            topic: Arc::from(topic.symbol()),
            partition: Some(partition),
            key: Some(key.into()),
            value: serde_json::to_vec(line).unwrap(),
            headers: headers.iter().map(|name| ((*name).to_owned(), b"1".to_vec())).collect(),
        };
        self.log.append_record(record, T);
    }

    /// Steps until nothing is left to do.
    fn settle(&mut self) {
        for _ in 0..20 {
            self.clock.advance(1);
            self.worker.step(Duration::ZERO).unwrap();
        }
    }

    /// What the log of person events holds: kinds, places, keys.
    fn items(&self) -> Vec<(ItemKind, i64, [u8; 16])> {
        let mut items = Vec::new();
        for record in self.log.records("t.person-events").concat() {
            let mut rest = Frame::read(&record.value).unwrap().items;
            while !rest.is_empty() {
                let (item, after) = Item::split(rest).unwrap();
                items.push((item.kind(), item.place(), item.person()));
                rest = after;
            }
        }
        items
    }

    fn count(&self, topic: &str) -> usize {
        self.log.records(topic).concat().len()
    }
}

fn person(id: &str) -> [u8; 16] {
    PseudonymKey::test_key().pseudonym(PseudonymKind::Person, id.as_bytes()).0
}

fn device(id: &str) -> [u8; 16] {
    PseudonymKey::test_key().pseudonym(PseudonymKind::Device, id.as_bytes()).0
}

#[test]
fn what_was_sent_again_is_never_too_late() {
    let mut world = World::new();
    let event = |id: &str, time: i64| json!({"event_id": id, "event_time": time, "kind": "PAGE_VIEW", "brand_id": "b", "person_id": id});
    world.send(Topic::Clickstream, 0, "k", &[], &event("on time", T));
    world.send(Topic::Clickstream, 0, "k", &["own"], &event("late", T - 3 * HOUR_MS));
    world.settle();
    let frontier = T - 10_000;
    let [late] = &world.log.records("t.late-events").concat()[..] else { panic!("one is late") };
    let aside = SetAside::of(late.clone()).unwrap();
    assert_eq!((&*aside.origin.topic, aside.origin.partition, aside.origin.offset), ("clickstream", 0, 1));
    assert_eq!((aside.timestamp_ms, aside.lateness_ms), (Some(T), Some(3 * HOUR_MS - 10_000)));

    world.log.append_record(aside.again(T, 1), T);
    world.settle();
    assert_eq!(world.count("t.late-events"), 1);
    assert!(world.items().contains(&(ItemKind::Event, frontier, person("late"))));
    // Only that header does it.
    world.send(Topic::Clickstream, 0, "k", &["own"], &event("later", T - 3 * HOUR_MS));
    world.send(Topic::Clickstream, 0, "k", &[REPLAYED], &event("latest", T - 3 * HOUR_MS));
    world.settle();
    assert_eq!(world.count("t.late-events"), 2);
    assert!(world.items().contains(&(ItemKind::Event, frontier, person("latest"))));
}

#[test]
fn an_erasure_removes_links_and_is_receipted() {
    let mut world = World::new();
    let link = |device: &str, person: &str| json!({"device_id": device, "person_id": person, "match": "AUTHENTICATED", "linked_time": T - HOUR_MS});
    world.send(Topic::IdentityLinks, 2, "phone", &[], &link("phone", "ann"));
    world.send(Topic::IdentityLinks, 1, "tv", &[], &link("tv", "bob"));
    world.settle();
    let erasure = json!({"request_id": "r1", "person_id": "ann", "requested_time": T});
    world.send(Topic::Erasures, 0, "r1", &[], &erasure);
    world.settle();

    for key in [person("ann"), device("phone")] {
        assert!(world.items().contains(&(ItemKind::Erasure, T, key)));
    }
    let links = world.log.records("identity-links");
    assert_eq!([0, 1, 2].map(|at: usize| links[at].len()), [0, 1, 2], "a tombstone where the link stands");
    assert_eq!((links[2][1].key.as_deref(), links[2][1].value.len()), (Some(&b"phone"[..]), 0));
    let receipts = world.log.records("t.erasure-receipts").concat();
    let [receipt] = &receipts[..] else { panic!("one receipt") };
    let receipt: Value = serde_json::from_slice(&receipt.value).unwrap();
    let frames = world.log.records("t.person-events");
    let partition = receipt["partition"].as_u64().unwrap() as usize;
    let erased =
        |record: &trustline::log::Record| memchr::memmem::find(&record.value, &person("ann")).is_some();
    assert!(frames[partition].iter().any(erased), "it names the partition that forgets");
    assert_eq!((&receipt["request_id"], &receipt["links_removed"]), (&json!("r1"), &json!(1)));
    assert_eq!((&receipt["pairs_deleted"], &receipt["events_dropped"]), (&Value::Null, &Value::Null));
    assert!(receipt["received_time"].as_i64().unwrap() >= T);

    // Its own tombstone is read back: no dead letter, and the device is nobody's, whatever the event's time.
    assert_eq!(world.count("t.dead-letters"), 0);
    let click = json!({"event_id": "e", "event_time": T - 1, "kind": "PAGE_VIEW", "brand_id": "b", "device_id": "phone"});
    world.send(Topic::Clickstream, 0, "k", &[], &click);
    world.settle();
    assert!(world.items().contains(&(ItemKind::Event, T - 1, device("phone"))));
    // An empty record without a device is still a dead letter.
    world.log.append("identity-links", 0, T, b"");
    world.settle();
    assert_eq!(world.count("t.dead-letters"), 1);
}
