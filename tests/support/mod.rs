//! What the tests of the whole pipeline share: vectors as sources, instances on the log in memory, the settings,
//! the comparison with `replay`.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(dead_code, unreachable_pub, reason = "each test binary uses a part of it")]

pub mod broker;
pub mod proxy;

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;
use trustline::codec::json::readable;
use trustline::config::{self, Config};
use trustline::driver::assembly::Assembly;
use trustline::driver::replay::Outcome;
use trustline::event::kinds::Topic;
use trustline::identity::PseudonymKey;
use trustline::time::DAY_MS;

pub mod instances;

/// The topics whose records are events of persons.
pub const EVENTS: [Topic; 3] = [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages];

/// The topics whose records are compared.
pub const OUTPUTS: [&str; 6] =
    ["moments", "brand-trust", "pattern-trust", "alerts", "late-events", "dead-letters"];

/// The lines of a folder of vectors, each file one source.
pub struct Input {
    /// Lines with the time that their record carries, in the order of arrival.
    pub lines: BTreeMap<Topic, Vec<(i64, String)>>,
    folder: tempfile::TempDir,
    /// The latest event time before the test traffic at the end.
    pub last: i64,
}

impl Input {
    /// Reads a folder and appends test traffic that lets every frontier pass everything before it.
    pub fn read(name: &str) -> Input {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(name).join("input");
        let mut lines: BTreeMap<Topic, Vec<(i64, String)>> = BTreeMap::new();
        for topic in [Topic::IdentityLinks, Topic::BrandIncidents].into_iter().chain(EVENTS) {
            let mut last = 0;
            for line in read_text(&root, topic).lines().filter(|line| !line.trim().is_empty()) {
                last = readable(line.as_bytes()).event_time.unwrap_or(last);
                lines.entry(topic).or_default().push((last, line.to_owned()));
            }
        }
        let last = EVENTS
            .iter()
            .filter_map(|topic| lines.get(topic))
            .flatten()
            .map(|(time, _)| *time)
            .max()
            .unwrap();
        for topic in EVENTS {
            lines.entry(topic).or_default().push(end(topic, last));
        }
        Input::of(lines, last)
    }

    /// An input of these lines, the latest of which has this time.
    pub fn of(lines: BTreeMap<Topic, Vec<(i64, String)>>, last: i64) -> Input {
        let folder = tempfile::tempdir().unwrap();
        for (topic, lines) in &lines {
            let text: String = lines.iter().map(|(_, line)| format!("{line}\n")).collect();
            std::fs::write(folder.path().join(format!("{}.jsonl", topic.symbol())), text).unwrap();
        }
        Input { lines, folder, last }
    }

    /// What `replay --as-stream` computes.
    pub fn replay(&self) -> Outcome {
        self.replay_under(&text(1, 1))
    }

    /// What `replay --as-stream` computes under a configuration.
    pub fn replay_under(&self, text: &str) -> Outcome {
        self.run(text, true)
    }

    /// What `replay` computes, with or without `--as-stream`.
    pub fn run(&self, text: &str, as_stream: bool) -> Outcome {
        configured(text).replay(as_stream).run(self.folder.path(), &mut ()).unwrap()
    }
}

/// Test traffic that lets the frontier of its source pass everything up to `last`, with its time.
pub fn end(topic: Topic, last: i64) -> (i64, String) {
    let end = last + 2 * DAY_MS;
    let kind = if topic == Topic::Messages { "SENT" } else { "COMPLAINT" };
    let channel = if topic == Topic::Messages { r#","channel":"PUSH""# } else { "" };
    let line = format!(
        r#"{{"event_id":"end","event_time":{end},"kind":"{kind}","brand_id":"end","person_id":"end","test":true{channel}}}"#
    );
    (end, line)
}

/// The lines of a topic, plain or compressed; what is not UTF-8 is replaced.
pub fn read_text(folder: &Path, topic: Topic) -> String {
    let plain = folder.join(format!("{}.jsonl", topic.symbol()));
    let Ok(file) = std::fs::File::open(folder.join(format!("{}.jsonl.gz", topic.symbol()))) else {
        return std::fs::read_to_string(plain).unwrap_or_default();
    };
    let mut bytes = Vec::new();
    flate2::read::MultiGzDecoder::new(file).read_to_end(&mut bytes).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The folds and stages under a configuration for tests: few partitions, sources that are never idle.
pub fn assembly(person_partitions: i32, brand_partitions: i32) -> Assembly {
    configured(&text(person_partitions, brand_partitions))
}

/// The text of that configuration.
pub fn text(person_partitions: i32, brand_partitions: i32) -> String {
    format!(
        "[own_topics]\ntopic_prefix = \"t.\"\nperson_partitions = {person_partitions}\n\
         brand_partitions = {brand_partitions}\nreplication_factor = 1\n\
         [http]\nlisten = \"127.0.0.1:0\"\n\
         [time]\nidle_after_ms = \"never\"\n"
    )
}

/// Writes the published test key, which `replay` uses too, into a folder; gives its file.
pub fn test_key(folder: &Path) -> PathBuf {
    let key = folder.join("key");
    std::fs::write(&key, blake3::hash(b"trustline-demo").as_bytes()).unwrap();
    key
}

/// The folds and stages under the configuration of a text, with the test key.
pub fn configured(text: &str) -> Assembly {
    Assembly::new(Config::load(&config::Input::text(text)).unwrap(), PseudonymKey::test_key())
}

/// Compares the committed records of each output topic with what `replay` computes, which is something.
pub fn compare(input: &Input, expected: &Outcome, what: &str, records: impl Fn(&str) -> Vec<Vec<u8>>) {
    assert!(
        !expected.moments.is_empty() && !expected.score.brand_trust.is_empty(),
        "{what}: nothing to compare"
    );
    compare_any(input, expected, what, records);
}

/// The same where there may be nothing to compare.
pub fn compare_any(input: &Input, expected: &Outcome, what: &str, records: impl Fn(&str) -> Vec<Vec<u8>>) {
    let last = input.last;
    let parsed = |name: &str| -> Vec<Value> {
        records(name).iter().map(|record| serde_json::from_slice(record).unwrap_or_default()).collect()
    };
    let sorted = |values: Vec<Value>, time: &str| {
        let mut lines: Vec<String> = values
            .into_iter()
            .filter(|value| value[time].as_i64().is_some_and(|time| time <= last))
            .map(|mut value| {
                // The frontier's age and a window's revision may differ.
                value["frontier_age_ms"] = Value::Null;
                if time == "window_end" {
                    // A log counts the provisional publications of a window too.
                    value["revision"] = Value::Null;
                }
                value.to_string()
            })
            .collect();
        lines.sort();
        lines
    };
    fn values<T: serde::Serialize>(records: &[T]) -> Vec<Value> {
        records.iter().map(|record| serde_json::to_value(record).unwrap()).collect()
    }
    for (name, time, expected) in [
        ("moments", "event_time", values(&expected.moments)),
        ("brand-trust", "window_end", values(&expected.score.brand_trust)),
        ("pattern-trust", "window_end", values(&expected.score.pattern_trust)),
        ("alerts", "at", values(&expected.score.alerts)),
    ] {
        let (got, expected) = (sorted(parsed(name), time), sorted(expected, time));
        let extra: Vec<&String> = got.iter().filter(|line| !expected.contains(line)).collect();
        let missing: Vec<&String> = expected.iter().filter(|line| !got.contains(line)).collect();
        assert!(
            extra.is_empty() && missing.is_empty(),
            "{what}: {name}: extra {extra:#?}, missing {missing:#?}"
        );
        assert_eq!(got.len(), expected.len(), "{what}: {name}: something was published twice");
    }
    let count = |name: &str| records(name).len();
    assert_eq!(count("late-events"), expected.aside.late_events(), "{what}: late events");
    assert_eq!(count("dead-letters"), expected.aside.dead_letters(), "{what}: dead letters");
}
