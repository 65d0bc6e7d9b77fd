//! A frontier that passes days at once, as after an outage: records stay small enough for Kafka, and what is
//! published is what `replay` computes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;

use serde_json::json;
use support::instances::{Instance, Scripted, log};
use support::{EVENTS, Input, assembly, compare_any, end, text};
use trustline::driver::stages::StageName;
use trustline::event::kinds::Topic;
use trustline::time::HOUR_MS;

mod support;

const START: i64 = 1_740_960_000_000;
const HOURS: i64 = 72;
const BRANDS: usize = 40;
/// Half of what the log takes by default.
const RECORD_BYTES_MAX: usize = 512 << 10;

/// Each brand has a visitor every hour; the other topics have nothing but their end.
fn input() -> Input {
    let mut lines: BTreeMap<Topic, Vec<(i64, String)>> = BTreeMap::new();
    let last = START + (HOURS - 1) * HOUR_MS;
    for hour in 0..HOURS {
        let time = START + hour * HOUR_MS;
        let views = (0..BRANDS).map(|brand| {
            let view = json!({"event_id": format!("{brand}-{hour}"), "event_time": time, "kind": "PAGE_VIEW",
                "brand_id": format!("b{brand}"), "person_id": format!("p{brand}")});
            (time, view.to_string())
        });
        lines.entry(Topic::Clickstream).or_default().extend(views);
    }
    for topic in EVENTS {
        lines.entry(topic).or_default().push(end(topic, last));
    }
    Input::of(lines, last)
}

#[test]
fn windows_of_days_are_told_in_records_that_kafka_takes() {
    let (input, assembly, clock) = (input(), assembly(1, 1), Scripted::default());
    let log = log(&assembly, 1);
    let start = |stage| {
        let publishers = log.publishers("worker", |_| None);
        Instance::start(stage, (&log, &clock, &assembly), assembly.route(), publishers, |source| source)
    };
    let [mut route, mut detect, mut score] = StageName::ALL.map(start);
    // Time stands until the last topic has come to its end.
    for topic in EVENTS.into_iter().rev() {
        for (time, line) in &input.lines[&topic] {
            log.append(topic.symbol(), 0, *time, line.as_bytes());
        }
        // A frontier alone is told once a second.
        clock.advance(1_000);
        while route.step().unwrap() {}
        while detect.step().unwrap() {}
    }
    while score.step().unwrap() {}
    let partials = log.records("t.brand-partials").concat();
    let bytes = partials.iter().map(|record| record.value.len());
    let (most, all) = (bytes.clone().max().unwrap(), bytes.sum::<usize>());
    assert!(all > 2 * most, "{} records of {all} bytes: nothing was divided", partials.len());
    assert!(most <= RECORD_BYTES_MAX, "{most} bytes in a record");

    let expected = input.replay_under(&text(1, 1));
    assert!(expected.score.brand_trust.len() > BRANDS * HOURS as usize);
    compare_any(&input, &expected, "catching up", |name| {
        log.records(&format!("t.{name}")).concat().into_iter().map(|record| record.value).collect()
    });
}
