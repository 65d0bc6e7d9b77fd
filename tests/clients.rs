//! What `run` publishes, read by clients that others wrote: kcat, Kafka's own console consumer, and Python with
//! confluent-kafka and fastavro. They find the records that our own reader finds.
//!
//! `tests/run` installs them; one that is missing is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use support::broker::{Broker, Instance, Registry, count, topic, wait_for};
use support::{EVENTS, Input, OUTPUTS};
use trustline::event::kinds::Topic;
use trustline::log::Record;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, TopicPlan, create_topics, read_topic};

mod support;

/// The topics whose records an Avro schema describes, with what tells their time.
const TIMED: [(&str, &str); 4] = [
    ("moments", "event_time"),
    ("brand-trust", "window_end"),
    ("pattern-trust", "window_end"),
    ("alerts", "at"),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What a command writes to standard output; it must end well.
fn said(command: &mut Command) -> String {
    let program = command.get_program().to_owned();
    let output = command.stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program:?}: {error}; tests/run installs it"));
    assert!(output.status.success(), "{program:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// A record as all clients can tell of it. A client that shows no headers finds none.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Seen {
    partition: i64,
    offset: i64,
    key: Option<Vec<u8>>,
    value: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

fn ours(connection: &Connection, topic: &str) -> Vec<Seen> {
    let seen = |record: Record| Seen {
        partition: record.from.partition.into(),
        offset: record.offset,
        key: record.key,
        value: record.value,
        headers: record.headers,
    };
    sorted(read_topic(connection, topic).unwrap().into_iter().flatten().map(seen))
}

fn sorted(seen: impl Iterator<Item = Seen>) -> Vec<Seen> {
    let mut seen: Vec<Seen> = seen.collect();
    seen.sort();
    seen
}

fn kcat(bootstrap: &str, topic: &str) -> Vec<Seen> {
    let text = |value: &Value| value.as_str().map(|text| text.as_bytes().to_vec());
    let seen = |line: &str| {
        let record: Value = serde_json::from_str(line).unwrap();
        let headers = record["headers"].as_array().map_or(&[][..], Vec::as_slice);
        let header = |pair: &[Value]| (pair[0].as_str().unwrap().to_owned(), text(&pair[1]).unwrap());
        Seen {
            partition: record["partition"].as_i64().unwrap(),
            offset: record["offset"].as_i64().unwrap(),
            key: text(&record["key"]),
            value: text(&record["payload"]).unwrap(),
            headers: headers.chunks(2).map(header).collect(),
        }
    };
    let isolation = "isolation.level=read_committed";
    let mut run = Command::new("kcat");
    run.args(["-C", "-b", bootstrap, "-t", topic, "-o", "beginning", "-e", "-q", "-J", "-X", isolation]);
    sorted(said(&mut run).lines().map(seen))
}

/// Kafka's own consumer would wait for more: it is told how many there are.
fn console(port: u16, topic: &str, records: usize) -> Vec<Seen> {
    let mut run = Command::new(root().join("deploy/kafka/broker"));
    run.args(["consume", topic, "--port", &port.to_string(), "--max-messages", &records.to_string()]);
    run.args(["--timeout-ms", "20000"]);
    for property in ["print.partition=true", "print.offset=true", "print.key=true"] {
        run.args(["--formatter-property", property]);
    }
    let seen = |line: &str| {
        let mut parts = line.splitn(4, '\t');
        let mut part = || parts.next().unwrap_or_else(|| panic!("{line}"));
        let number = |part: &str, name| part.strip_prefix(name).unwrap().parse().unwrap();
        Seen {
            partition: number(part(), "Partition:"),
            offset: number(part(), "Offset:"),
            key: Some(part()).filter(|key| *key != "null").map(|key| key.as_bytes().to_vec()),
            value: part().as_bytes().to_vec(),
            headers: Vec::new(),
        }
    };
    sorted(said(&mut run).lines().map(seen))
}

/// A record with what Avro says of it, if it is in Avro.
struct Decoded {
    seen: Seen,
    key: Value,
    value: Value,
}

/// The records of each topic.
fn python(bootstrap: &str, registry: &str, topics: &[String]) -> BTreeMap<String, Vec<Decoded>> {
    let bytes = |value: &Value| value.as_str().map(|text| STANDARD.decode(text).unwrap());
    let mut run = Command::new(root().join("target/clients/bin/python"));
    run.arg(root().join("tests/clients.py")).args([bootstrap, registry]).args(topics);
    let mut found: BTreeMap<String, Vec<Decoded>> =
        topics.iter().map(|topic| (topic.clone(), Vec::new())).collect();
    for line in said(&mut run).lines() {
        let record: Value = serde_json::from_str(line).unwrap();
        let headers = record["headers"].as_array().unwrap().iter();
        let seen = Seen {
            partition: record["partition"].as_i64().unwrap(),
            offset: record["offset"].as_i64().unwrap(),
            key: bytes(&record["key"]),
            value: bytes(&record["value"]).unwrap(),
            headers: headers
                .map(|pair| (pair[0].as_str().unwrap().to_owned(), bytes(&pair[1]).unwrap()))
                .collect(),
        };
        let (key, value) = (record["avro_key"].clone(), record["avro"].clone());
        found.get_mut(record["topic"].as_str().unwrap()).unwrap().push(Decoded { seen, key, value });
    }
    found
}

/// Records up to a time, without what two runs over the same sources may differ in.
fn told(values: impl Iterator<Item = Value>, time: &str, last: i64) -> Vec<String> {
    let in_time = values.filter(|value| value[time].as_i64().is_some_and(|time| time <= last));
    let mut lines: Vec<String> = in_time
        .map(|mut value| {
            let fields = value.as_object_mut().unwrap();
            fields.retain(|name, value| !value.is_null() && name != "frontier_age_ms");
            if time == "window_end" {
                fields.remove("revision");
            }
            value.to_string()
        })
        .collect();
    lines.sort();
    lines
}

fn trustline(config: &Path, arguments: &[&str]) {
    said(Command::new(env!("CARGO_BIN_EXE_trustline")).args(arguments).arg("--config").arg(config));
}

/// Both configurations read the same sources; one publishes JSON under `t.`, the other Avro under `a.`.
fn configurations(folder: &Path, broker: &Broker, registry: &Registry) -> [PathBuf; 2] {
    let key = support::test_key(folder);
    ["json", "avro"].map(|name| {
        let state = folder.join(name);
        let mut text = format!(
            "{}[kafka]\nbrokers = [\"{}\"]\ngroup_id = \"{name}\"\n[privacy]\nkey_file = \"{}\"\n[state]\nurl = \"file:{}\"\n",
            support::text(2, 1),
            broker.bootstrap(),
            key.display(),
            state.display(),
        );
        if name == "avro" {
            let schemas = folder.join("schemas");
            text = text.replace("\"t.\"", "\"a.\"");
            text += &format!("[registry]\nurl = \"{}\"\nschemas_folder = \"{}\"\n", registry.url(), schemas.display());
        }
        let path = folder.join(format!("{name}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    })
}

#[test]
fn clients_that_others_wrote_read_what_ours_reads() {
    let (broker, registry) = std::thread::scope(|scope| {
        let registry = scope.spawn(Registry::start);
        (Broker::start(), registry.join().unwrap())
    });
    let folder = tempfile::tempdir().unwrap();
    let bootstrap = broker.bootstrap();
    let [json, avro] = configurations(folder.path(), &broker, &registry);
    let connection = Connection::plain(&bootstrap, "test");
    let sources: Vec<TopicPlan> = Topic::ALL.iter().map(|source| topic(source.symbol(), 1)).collect();
    create_topics(&connection, &sources).unwrap();
    trustline(&json, &["topics", "apply"]);
    trustline(&avro, &["topics", "apply"]);
    trustline(&avro, &["schemas", "register"]);

    let input = Input::read("as-stream-crowd");
    let feeder = Feeder::new(&connection).unwrap();
    for source in [Topic::IdentityLinks, Topic::BrandIncidents].into_iter().chain(EVENTS) {
        for (time, line) in &input.lines[&source] {
            feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
        }
    }
    feeder.flush().unwrap();
    let expected = input.replay_under(&std::fs::read_to_string(&json).unwrap());
    let moments = expected.moments.iter().filter(|moment| moment.event_time <= input.last).count();
    let windows = expected.score.brand_trust.iter().filter(|window| window.window_end <= input.last).count();
    let instances = [Instance::start(&json, "json"), Instance::start(&avro, "avro")];
    for prefix in ["t.", "a."] {
        wait_for("all moments", || count(&connection, &format!("{prefix}moments")) >= moments);
        wait_for("all windows", || count(&connection, &format!("{prefix}brand-trust")) >= windows);
    }
    wait_for("the same from both", || {
        TIMED.iter().all(|(name, _)| {
            count(&connection, &format!("a.{name}")) == count(&connection, &format!("t.{name}"))
        })
    });
    for instance in instances {
        assert_eq!(instance.stop(), Some(0));
    }

    let names: Vec<&str> = OUTPUTS.into_iter().chain(["brand-trust-latest"]).collect();
    let topics: Vec<String> = ["t.", "a."]
        .iter()
        .flat_map(|prefix| names.iter().map(move |name| format!("{prefix}{name}")))
        .collect();
    let ours: BTreeMap<&str, Vec<Seen>> =
        topics.iter().map(|topic| (topic.as_str(), ours(&connection, topic))).collect();
    let read_by_python = std::thread::scope(|scope| {
        let (ours, bootstrap) = (&ours, &bootstrap);
        for topic in ["t.moments", "t.brand-trust-latest"] {
            let (port, expected) = (broker.port, &ours[topic]);
            scope.spawn(move || {
                let seen = console(port, topic, expected.len());
                assert_eq!(&seen, expected, "{topic} by Kafka's own consumer");
            });
        }
        for topic in topics.iter().filter(|topic| topic.starts_with("t.")) {
            scope.spawn(move || assert_eq!(kcat(bootstrap, topic), ours[topic.as_str()], "{topic} by kcat"));
        }
        python(bootstrap, &registry.url(), &topics)
    });
    for topic in &topics {
        let seen = sorted(read_by_python[topic].iter().map(|one| one.seen.clone()));
        assert!(!seen.is_empty(), "{topic} is empty");
        assert_eq!(seen, ours[topic.as_str()], "{topic} by Python");
    }

    // What fastavro decodes is what the JSON says.
    for (name, time) in TIMED {
        let json = read_by_python[&format!("t.{name}")].iter();
        let json = told(json.map(|one| serde_json::from_slice(&one.seen.value).unwrap()), time, input.last);
        let avro =
            told(read_by_python[&format!("a.{name}")].iter().map(|one| one.value.clone()), time, input.last);
        assert!(!json.is_empty(), "{name}: nothing to compare");
        assert_eq!(avro, json, "{name}");
    }
    assert!(
        read_by_python["a.brand-trust-latest"].iter().all(|one| one.key.is_object()),
        "keys are Avro too"
    );
}
