//! What is committed is a function of the sources: the same for 1, 2 and 4 instances of each stage, any batching
//! and any interleaving of the sources, with late events, copies and dead letters. When every event keeps up with
//! its source, it is what `replay` computes.
//!
//! That holds on conditions, which the tests keep: identity links are loaded before the first event, and no source
//! goes idle before its last event. Compared are all moments, closed windows with their patterns, alerts, late
//! events and dead letters, with keys and headers.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::cell::RefCell;
use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};
use support::instances::{Choices, Instance, Scripted, is_routed, log};
use support::{EVENTS, Input, OUTPUTS};
use trustline::driver::stages::StageName;
use trustline::event::kinds::{Match, Topic};
use trustline::event::raw::RawLink;
use trustline::fold::route::Route;
use trustline::time::{DAY_MS, MINUTE_MS};

mod support;

/// Partitions of each topic of events: six sources.
const PARTITIONS: usize = 2;
const SOURCES: usize = EVENTS.len() * PARTITIONS;
const START: i64 = 1_740_960_000_000;
const CASES: u32 = 24;

#[test]
fn instances_batches_and_interleavings_change_nothing() {
    let seen = RefCell::new(Seen::default());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(events(true), any::<[u64; 3]>()), |(events, seeds)| {
        let sources = sources(&events);
        let calm = run(&sources, 1, None);
        seen.borrow_mut().add(&calm);
        for (instances, seed) in [1, 2, 4].into_iter().zip(seeds) {
            let got = run(&sources, instances, Some(seed));
            for (name, calm) in &calm {
                prop_assert_eq!(&got[name], calm, "{}: {} instances", name, instances);
            }
        }
        Ok(())
    });
    outcome.unwrap();
    seen.take().hold(&[("moments", 20), ("brand-trust", 500), ("late-events", 50), ("dead-letters", 50)]);
}

#[test]
fn without_late_events_the_log_is_what_replay_computes() {
    let seen = RefCell::new(Seen::default());
    let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
    let outcome = runner.run(&(events(false), 0..3_usize, any::<u64>()), |(events, instances, seed)| {
        let sources = sources(&events);
        let got = run(&sources, 1 << instances, Some(seed));
        assert!(got["late-events"].is_empty() && got["dead-letters"].is_empty());
        seen.borrow_mut().add(&got);
        let mut lines: BTreeMap<Topic, Vec<(i64, String)>> = BTreeMap::new();
        for (number, source) in sources.iter().enumerate() {
            lines.entry(EVENTS[number / PARTITIONS]).or_default().extend(source.iter().cloned());
        }
        let links = LINKS.iter().map(|(device, person)| (START, link_line(device, person)));
        lines.insert(Topic::IdentityLinks, links.collect());
        let last = sources.iter().flatten().map(|(time, _)| *time).max().unwrap() - 2 * DAY_MS;
        let input = Input::of(lines, last);
        let expected = input.run(&text(), false);
        let values = |name: &str| got[name].iter().map(|record| record.value.clone()).collect();
        support::compare_any(&input, &expected, "replay", values);
        Ok(())
    });
    outcome.unwrap();
    seen.take().hold(&[("moments", 20), ("brand-trust", 500)]);
}

/// How much there was to compare in all cases.
#[derive(Debug, Default)]
struct Seen(BTreeMap<&'static str, usize>);

impl Seen {
    fn add(&mut self, records: &Records) {
        for (name, records) in records {
            *self.0.entry(name).or_default() += records.len();
        }
    }

    fn hold(self, least: &[(&str, usize)]) {
        for (name, least) in least {
            assert!(self.0[name] >= *least, "too few {name} to compare: {self:?}");
        }
    }
}

/// One record of a source.
#[derive(Clone, Copy, Debug)]
struct Event {
    source: usize,
    /// Minutes after the record before it.
    gap_minutes: i64,
    /// How far it is behind the clock of its source, milliseconds.
    behind_ms: i64,
    what: usize,
    brand: usize,
    person: usize,
    by_device: bool,
    flaw: Flaw,
}

#[derive(Clone, Copy, Debug)]
enum Flaw {
    None,
    Copied,
    Malformed,
    NoBrand,
    Future,
}

fn events(late: bool) -> impl Strategy<Value = Vec<Event>> {
    let behind = if late {
        prop_oneof![6 => 0..10_000_i64, 2 => 0..60 * MINUTE_MS, 1 => 60 * MINUTE_MS..300 * MINUTE_MS].boxed()
    } else {
        (0..=10_000_i64).boxed()
    };
    let flaw = if late {
        prop_oneof![
            20 => Just(Flaw::None),
            2 => Just(Flaw::Copied),
            1 => Just(Flaw::Malformed),
            1 => Just(Flaw::NoBrand),
            1 => Just(Flaw::Future),
        ]
        .boxed()
    } else {
        prop_oneof![9 => Just(Flaw::None), 1 => Just(Flaw::Copied)].boxed()
    };
    let gap = prop_oneof![3 => 0..10_i64, 3 => 0..60_i64, 1 => 60..400_i64];
    let event = (0..SOURCES, gap, behind, 0..100_usize, 0..2_usize, 0..4_usize, any::<bool>(), flaw);
    let event = event.prop_map(|(source, gap_minutes, behind_ms, what, brand, person, by_device, flaw)| {
        Event { source, gap_minutes, behind_ms, what, brand, person, by_device, flaw }
    });
    prop::collection::vec(event, 100..250)
}

/// Every source: lines with the timestamps of their records. The last lets its frontier pass all others.
fn sources(events: &[Event]) -> Vec<Vec<(i64, String)>> {
    let mut sources = vec![Vec::new(); SOURCES];
    let mut clocks = [START; SOURCES];
    for (number, event) in events.iter().enumerate() {
        let clock = &mut clocks[event.source];
        *clock += event.gap_minutes * MINUTE_MS;
        let line = line(number, event, *clock - event.behind_ms);
        let copies = if matches!(event.flaw, Flaw::Copied) { 2 } else { 1 };
        sources[event.source].extend(vec![(*clock, line); copies]);
    }
    let last = clocks.into_iter().max().unwrap_or(START);
    for (number, source) in sources.iter_mut().enumerate() {
        source.push(support::end(EVENTS[number / PARTITIONS], last));
    }
    sources
}

/// What a record of a topic may say.
fn kinds(topic: Topic) -> Vec<Value> {
    let parts = match topic {
        Topic::AdDeliveries => json!([
            {"kind": "IMPRESSION", "retargeting": true, "creative_id": "c1", "basis": "THIRD_PARTY"},
            {"kind": "IMPRESSION", "retargeting": true, "product_ids": ["p1", "p2"], "disclosed": true},
            {"kind": "IMPRESSION", "consent": {"gpc": true}, "jurisdiction": "US-CA", "category": "shoes"},
            {"kind": "CLICK"},
        ]),
        Topic::Clickstream => json!([
            {"kind": "PAGE_VIEW"},
            {"kind": "PRODUCT_VIEW", "product_ids": ["p1"]},
            {"kind": "CART_ADD", "cart_id": "k1", "product_ids": ["p2"]},
            {"kind": "ORDER_COMPLETED", "order_id": "o1", "product_ids": ["p1"]},
            {"kind": "RECOMMENDATION_SHOWN", "recommendation_id": "r1", "disclosed": true},
            {"kind": "RECOMMENDATION_USED", "recommendation_id": "r1"},
            {"kind": "CONSENT_PROMPT", "prompt_type": "TRACKING"},
            {"kind": "CONSENT_REFUSED", "prompt_type": "TRACKING"},
            {"kind": "CONSENT_GRANTED", "prompt_type": "TRACKING"},
        ]),
        _ => json!([
            {"kind": "SENT", "channel": "EMAIL", "message_id": "m1"},
            {"kind": "SENT", "channel": "PUSH", "class": "CART_REMINDER", "cart_id": "k1"},
            {"kind": "OPENED", "channel": "EMAIL", "message_id": "m1"},
            {"kind": "UNSUBSCRIBED", "channel": "EMAIL"},
            {"kind": "SUBSCRIBED", "channel": "EMAIL"},
        ]),
    };
    parts.as_array().unwrap().clone()
}

fn line(number: usize, event: &Event, time: i64) -> String {
    let topic = EVENTS[event.source / PARTITIONS];
    let kinds = kinds(topic);
    let mut record = kinds[event.what % kinds.len()].clone();
    record["event_id"] = json!(format!("e{number}"));
    record["event_time"] = json!(time);
    record["brand_id"] = json!(format!("brand-{}", event.brand));
    let who = if event.by_device { "device_id" } else { "person_id" };
    record[who] = json!(format!("{}-{}", who, event.person));
    match event.flaw {
        Flaw::None | Flaw::Copied => {}
        Flaw::Malformed => record["kind"] = json!("NO_SUCH_KIND"),
        Flaw::NoBrand => record["brand_id"] = json!(""),
        Flaw::Future => record["event_time"] = json!(time + DAY_MS),
    }
    record.to_string()
}

/// Devices and the persons they belong to.
const LINKS: [(&str, &str); 2] = [("device_id-0", "person_id-0"), ("device_id-1", "person_id-3")];

fn link_line(device: &str, person: &str) -> String {
    let link =
        json!({"device_id": device, "person_id": person, "match": "AUTHENTICATED", "linked_time": START});
    link.to_string()
}

fn load_links(route: &mut Route) {
    for (device, person) in LINKS {
        route.links.insert(RawLink {
            device_id: device.to_owned(),
            person_id: Some(person.to_owned()),
            matched: Match::Authenticated,
            linked_time: START,
        });
    }
}

/// The test's settings, where a few people are enough for numbers.
fn text() -> String {
    support::text(4, 2) + "[score]\nmin_persons = 1\n"
}

/// The committed records of the output topics, in an order of their own.
type Records = BTreeMap<&'static str, Vec<Committed>>;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Committed {
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

/// Runs the stages over the sources, with so many instances of each. Without a seed everything is there before
/// they start; with one it is fed piece by piece between their steps.
fn run(sources: &[Vec<(i64, String)>], instances: usize, seed: Option<u64>) -> Records {
    let assembly = support::configured(&text());
    let log = log(&assembly, PARTITIONS);
    let clock = Scripted::default();
    let mut all = Vec::new();
    for stage in StageName::ALL {
        for number in 0..instances {
            let mut route = assembly.route();
            load_links(&mut route);
            let publishers = log.publishers(&format!("{stage:?}-{number}"), |_| None);
            let site = (&log, &clock, &assembly);
            all.push(Instance::start(stage, site, route, publishers, |source| source));
        }
    }
    let mut fed = [0; SOURCES];
    let mut feed = |source: usize, records: usize| {
        for (timestamp, line) in sources[source].iter().skip(fed[source]).take(records) {
            log.append(
                EVENTS[source / PARTITIONS].symbol(),
                source % PARTITIONS,
                *timestamp,
                line.as_bytes(),
            );
            fed[source] += 1;
        }
        fed.iter().zip(sources).any(|(fed, source)| *fed < source.len())
    };
    if let Some(seed) = seed {
        let mut choices = Choices(seed);
        let batch = 1 + choices.below(40);
        while feed(choices.below(SOURCES), 1 + choices.below(batch)) {
            clock.advance(choices.below(400) as i64);
            for _ in 0..choices.below(4) {
                let at = choices.below(all.len());
                all[at].step().unwrap();
            }
        }
    } else {
        (0..SOURCES).for_each(|source| {
            feed(source, usize::MAX);
        });
    }
    // Sources that wait for others look at them once a second.
    let is_read = |source: usize| {
        let (topic, partition) = (EVENTS[source / PARTITIONS], (source % PARTITIONS) as i32);
        is_routed(&log, topic, partition, sources[source].len())
    };
    while !(0..SOURCES).all(is_read) {
        for instance in &mut all {
            instance.step().unwrap();
        }
        clock.advance(500);
    }
    // When everything is read, every partition hears of the last frontiers.
    for _ in 0..2 {
        while all.iter_mut().fold(false, |busy, instance| instance.step().unwrap() | busy) {}
        clock.advance(2_000);
    }
    let records = |name: &&'static str| (*name, committed(&log.records(&format!("t.{name}")).concat()));
    OUTPUTS.iter().map(records).collect()
}

fn committed(records: &[trustline::log::Record]) -> Vec<Committed> {
    let mut committed: Vec<Committed> = records
        .iter()
        .map(|record| {
            let mut value: Value = serde_json::from_slice(&record.value).unwrap_or_default();
            // How far the frontier had come when a window was found closed is not a property of the window.
            if value.get("frontier_age_ms").is_some() {
                value["frontier_age_ms"] = Value::Null;
            }
            let readable = !value.is_null();
            let value = if readable { value.to_string().into_bytes() } else { record.value.clone() };
            Committed { key: record.key.clone(), value, headers: record.headers.clone() }
        })
        .collect();
    committed.sort();
    committed
}
