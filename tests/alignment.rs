//! Three hours of backlog, read at very different speeds: the fold holds little of it, and the output is the same as
//! when it holds most of it.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;
use support::instances::{Instance, Scripted, is_routed, log};
use support::{EVENTS, OUTPUTS};
use trustline::driver::stages::StageName;
use trustline::event::kinds::Topic;
use trustline::time::{DAY_MS, HOUR_MS};

mod support;

const START: i64 = 1_740_960_000_000;
/// Milliseconds between two events of each source; every turn of a reader takes equally many of each.
const EVERY_MS: [(Topic, i64); 3] =
    [(Topic::Clickstream, 200), (Topic::AdDeliveries, 1_000), (Topic::Messages, 20_000)];

#[test]
fn a_backlog_of_three_hours_takes_little_memory_and_gives_the_same_output() {
    let (most_alone, alone) = run(1, DAY_MS);
    assert!(most_alone > 6_000, "without alignment much waits: {most_alone}");
    for instances in [1, 2] {
        let (most, aligned) = run(instances, 30_000);
        assert!(most < 2_500, "{instances} instances hold {most} waiting events");
        assert!(aligned == alone, "{instances} instances give the same output");
    }
}

fn line(topic: Topic, number: i64, time: i64) -> String {
    let kind = match topic {
        Topic::Clickstream => "PAGE_VIEW",
        Topic::AdDeliveries => "IMPRESSION",
        _ => "SENT",
    };
    let mut record = json!({
        "event_id": format!("{}-{number}", topic.symbol()), "event_time": time, "kind": kind,
        "brand_id": "brand", "person_id": format!("person-{}", number % 400),
    });
    if topic == Topic::Messages {
        record["channel"] = json!("EMAIL");
    }
    record.to_string()
}

/// The most events that waited in the fold at any time, and the records of all outputs.
fn run(route_instances: usize, max_lead_ms: i64) -> (usize, Vec<Vec<u8>>) {
    let text = format!("{}max_lead_ms = {max_lead_ms}\n", support::text(2, 1));
    let assembly = support::configured(&text);
    let log = log(&assembly, 1);
    for (topic, every) in EVERY_MS {
        for number in 0..3 * HOUR_MS / every {
            let time = START + number * every;
            log.append(topic.symbol(), 0, time, line(topic, number, time).as_bytes());
        }
        let (time, end) = support::end(topic, START + 3 * HOUR_MS);
        log.append(topic.symbol(), 0, time, end.as_bytes());
    }
    assert_eq!(EVERY_MS.len(), EVENTS.len());
    let clock = Scripted::default();
    let mut all = Vec::new();
    for stage in StageName::ALL {
        let count = if stage == StageName::Route { route_instances } else { 1 };
        for number in 0..count {
            let publishers = log.publishers(&format!("{stage:?}-{number}"), |_| None);
            let site = (&log, &clock, &assembly);
            all.push(Instance::start(stage, site, assembly.route(), publishers, |source| source));
        }
    }
    let (mut most, mut idle) = (0, 0);
    while idle < 50 {
        // Less than a source is silent for until it counts as idle.
        clock.advance(500);
        for instance in &mut all {
            instance.step().unwrap();
            if let Instance::Detect(worker) = instance {
                most =
                    most.max(worker.stage().partitions().values().map(|partition| partition.waiting()).sum());
            }
        }
        let records = |topic: Topic| log.records(topic.symbol())[0].len();
        let done = EVENTS.iter().all(|topic| is_routed(&log, *topic, 0, records(*topic)));
        idle = if done { idle + 1 } else { 0 };
    }
    let mut records: Vec<Vec<u8>> = OUTPUTS
        .iter()
        .flat_map(|name| log.records(&format!("t.{name}")).concat())
        .map(|record| record.value)
        .collect();
    records.sort();
    (most, records)
}
