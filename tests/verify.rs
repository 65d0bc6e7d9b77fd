//! `trustline verify` on a real broker: what was published follows from the log, also across a change of the
//! configuration and from a snapshot; what was forged is found; what retention has removed is told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::broker::{Broker, Instance, make_topics, wait_for};
use support::{EVENTS, Input};
use trustline::driver::stages::recovery::named_snapshots;
use trustline::event::kinds::Topic;
use trustline::log::Record;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, positions, read_topic};
use trustline::state::Fold;
use trustline::time::{DAY_MS, HOUR_MS};

mod support;

/// Where the configuration changes: within a day, days after the first that has a score.
const CHANGE: i64 = 1_709_640_000_000;
/// The start of a day with scores before it.
const BEFORE: i64 = 1_709_251_200_000;
/// The start of an hour with a score after it.
const AFTER: i64 = 1_709_708_400_000;

/// What `verify` says, and its exit code; without JSON if it says that on standard error.
fn verify(config: &Path, brand: &str, start: i64, length: &str) -> (Value, String, Option<i32>) {
    let start = jiff::Timestamp::from_millisecond(start).unwrap().to_string();
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
    command.args(["verify", brand, "--window", &start, "--length", length, "--json", "--config"]).arg(config);
    let state = config.with_file_name("state");
    let output = command.env("TRUSTLINE__STATE__URL", format!("file:{}", state.display())).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    (serde_json::from_slice(&output.stdout).unwrap_or_default(), said, output.status.code())
}

/// Says that a window is as it must be.
fn assert_equal(config: &Path, brand: &str, start: i64, length: &str) {
    let (verdict, said, code) = verify(config, brand, start, length);
    assert_eq!(code, Some(0), "{said}{verdict:#}");
    assert_eq!(verdict["differences"], Value::Array(Vec::new()));
    let patterns_too = verdict["records"].as_u64().unwrap() > 1;
    assert!(patterns_too && verdict["counts"].as_u64().unwrap() > 0, "{verdict:#}");
}

/// The published record of a window with a score.
fn scored(connection: &Connection, start: i64, length: &str) -> Option<(Record, Value)> {
    let records = read_topic(connection, "t.brand-trust").ok()?.concat();
    records.into_iter().find_map(|record| {
        let value: Value = serde_json::from_slice(&record.value).unwrap();
        let is_meant = value["window_start"] == start && value["window"] == length;
        (is_meant && value["status"] == "FINAL").then_some((record, value))
    })
}

#[test]
fn what_was_published_follows_from_the_log() {
    let broker = Broker::start();
    let connection = Connection::plain(&broker.bootstrap(), "trustline");
    let folder = tempfile::tempdir().unwrap();
    let write = |score: &str| {
        let text = format!("{}[state]\nsnapshot_every_ms = 600_000\n{score}", support::text(2, 2));
        broker.configure(folder.path(), &text, "").0
    };
    let config = write("");
    make_topics(&connection, &config);

    // The first part under one configuration, the second under another.
    let input = Input::read("as-stream-crowd");
    let feed = |is_wanted: &dyn Fn(i64) -> bool, sources: &[Topic]| {
        let feeder = Feeder::new(&connection).unwrap();
        for source in sources {
            for (time, line) in input.lines[source].iter().filter(|(time, _)| is_wanted(*time)) {
                feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
            }
        }
        feeder.flush().unwrap();
    };
    feed(&|_| true, &[Topic::IdentityLinks, Topic::BrandIncidents]);
    feed(&|time| time < CHANGE, &EVENTS);
    let instance = Instance::start(&config, "a");
    wait_for("a day with a score", || scored(&connection, BEFORE, "1d").is_some());
    assert_eq!(instance.stop(), Some(0));
    write("[score]\nmin_persons = 40\n");
    feed(&|time| time >= CHANGE, &EVENTS);
    let instance = Instance::start(&config, "a");
    wait_for("an hour with a score", || scored(&connection, AFTER, "1h").is_some());
    assert_eq!(instance.stop(), Some(0));

    let (_, before) = scored(&connection, BEFORE, "1d").unwrap();
    let (record, after) = scored(&connection, AFTER, "1h").unwrap();
    assert_ne!(before["config_hash"], after["config_hash"]);
    let (old, new) = (before["brand_id"].as_str().unwrap(), after["brand_id"].as_str().unwrap());
    assert_equal(&config, old, BEFORE, "1d");
    assert_equal(&config, new, AFTER, "1h");
    let (_, said, code) = verify(&config, "nobody", AFTER, "1h");
    assert_eq!(code, Some(2), "{said}");
    let (_, said, code) = verify(&config, new, AFTER + 400 * DAY_MS, "1h");
    assert_eq!((code, said.contains("not closed yet")), (Some(6), true), "{said}");
    assert_eq!(verify(&config, new, AFTER + HOUR_MS / 2, "1h").2, Some(2));

    from_snapshots(&broker, &connection, &config, (old, new));
    forged(&broker, &connection, &config, (record, after));
}

/// Retention removes what came before the older snapshots: from there on windows can still be verified.
fn from_snapshots(broker: &Broker, connection: &Connection, config: &Path, (old, new): (&str, &str)) {
    for (fold, topic) in [(Fold::Detect, "t.person-events"), (Fold::Score, "t.brand-partials")] {
        let group = format!("trustline-{}", fold.name());
        for (of, position) in positions(connection, &group, &[topic]).unwrap() {
            let named = named_snapshots(fold, &of, &position.metadata);
            assert_eq!(named.len(), 2, "one at each end of an instance");
            assert!(named[0].offset > 0);
            broker.remove_before(&of.topic, of.partition, named[0].offset);
        }
    }
    assert_equal(config, new, AFTER, "1h");
    let (_, said, code) = verify(config, old, BEFORE, "1d");
    assert_eq!(code, Some(6), "{said}");
    assert!(said.contains("the oldest window that can be verified ends after 2024-03-05T"), "{said}");
    let kept = config.with_file_name("state").join("detect/0");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 2, "verify deletes no snapshot");
}

/// One published record more, and then another one in its place.
fn forged(broker: &Broker, connection: &Connection, config: &Path, (record, mut value): (Record, Value)) {
    let brand = value["brand_id"].as_str().unwrap().to_owned();
    let trust = value["trust"].as_f64().unwrap();
    value["trust"] = Value::from(trust + 1.0);
    let Record { from, key, .. } = record;
    let forge = || {
        let feeder = Feeder::new(connection).unwrap();
        let bytes = serde_json::to_vec(&value).unwrap();
        let now = i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_millis()).unwrap();
        feeder.send_keyed(&from.topic, from.partition, now, key.as_deref(), &bytes).unwrap();
        feeder.flush().unwrap();
    };
    forge();
    let (verdict, said, code) = verify(config, &brand, AFTER, "1h");
    assert_eq!(code, Some(1), "{said}");
    let [difference] = &verdict["differences"].as_array().unwrap()[..] else { panic!("{verdict:#}") };
    assert_eq!(
        (&difference["record"], &difference["computed"]),
        (&"window, record 2".into(), &"none".into())
    );

    let records = read_topic(connection, &from.topic).unwrap();
    let end = records[usize::try_from(from.partition).unwrap()].last().unwrap().offset + 1;
    broker.remove_before(&from.topic, from.partition, end);
    forge();
    let (verdict, said, code) = verify(config, &brand, AFTER, "1h");
    assert_eq!(code, Some(1), "{said}");
    let [difference] = &verdict["differences"].as_array().unwrap()[..] else { panic!("{verdict:#}") };
    assert_eq!((&difference["topic"], &difference["field"]), (&"t.brand-trust".into(), &"trust".into()));
    assert_eq!(difference["computed"].as_str().unwrap().parse::<f64>().unwrap().to_bits(), trust.to_bits());
}
