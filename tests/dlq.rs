//! Dead letters and late events on a real broker: looked at, sent again, applied once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;

use serde_json::{Value, json};
use support::broker::{Broker, Instance, count, free_port, topic, wait_for};
use trustline::event::kinds::Topic;
use trustline::log::kafka::admin::{TopicPlan, create_topics, read_topic};
use trustline::log::kafka::{Connection, KafkaPublisher, KafkaPublishers};
use trustline::log::{Outgoing, Publishers, Record};
use trustline::time::{HOUR_MS, MINUTE_MS, SECOND_MS};

mod support;

/// Where the test's traffic begins: the middle of an hour.
const T: i64 = 1_772_000_000_000 / HOUR_MS * HOUR_MS + 30 * MINUTE_MS;

struct World {
    broker: Broker,
    connection: Connection,
    producer: KafkaPublisher,
    config: PathBuf,
    port: u16,
    _folder: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let broker = Broker::start();
        let connection = Connection::plain(&broker.bootstrap(), "test");
        let sources: Vec<TopicPlan> = Topic::ALL.iter().map(|source| topic(source.symbol(), 1)).collect();
        create_topics(&connection, &sources).unwrap();
        let producer = KafkaPublishers::new(&connection, "source").publisher().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("trustline.toml");
        let world = World { broker, connection, producer, config, port: free_port(), _folder: folder };
        world.configure("auto");
        assert!(world.trustline(&["topics", "apply"]).status.success());
        world
    }

    /// Writes the configuration, with this format of clicks.
    fn configure(&self, clicks: &str) {
        let key = self.config.with_extension("key");
        std::fs::write(&key, blake3::hash(b"trustline-demo").as_bytes()).unwrap();
        let text = format!(
            "{}[kafka]\nbrokers = [\"{}\"]\n[privacy]\nkey_file = \"{}\"\n[topics.clickstream]\nformat = \"{clicks}\"\n",
            support::text(2, 1).replace("127.0.0.1:0", &format!("127.0.0.1:{}", self.port)),
            self.broker.bootstrap(),
            key.display()
        );
        std::fs::write(&self.config, text).unwrap();
    }

    fn trustline(&self, args: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
        command.args(args).arg("--config").arg(&self.config).output().unwrap()
    }

    /// What `dlq` says as JSON, and whether it succeeded.
    fn dlq(&self, args: &[&str]) -> (Value, bool) {
        let output = self.trustline(&[&["dlq"], args, &["--json"]].concat());
        let said = String::from_utf8_lossy(&output.stderr);
        (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")), output.status.success())
    }

    fn send(&mut self, source: Topic, timestamp_ms: i64, line: &Value) {
        let record = Outgoing {
            topic: Arc::from(source.symbol()),
            partition: Some(0),
            key: Some(b"own key".to_vec()),
            value: serde_json::to_vec(line).unwrap(),
            headers: vec![("own".to_owned(), b"kept".to_vec())],
        };
        self.producer.publish_records(&[(record, Some(timestamp_ms))]).unwrap();
    }

    /// Lets the frontiers of all sources come to 10 s before this time, by test traffic.
    fn advance(&mut self, time: i64) {
        for source in support::EVENTS {
            let (_, line) = support::end(source, time - 2 * support_day());
            self.send(source, time, &serde_json::from_str(&line).unwrap());
        }
    }

    fn records(&self, topic: &str) -> Vec<Record> {
        read_topic(&self.connection, topic).unwrap().concat()
    }

    /// How many events `detect` has put into a class, as `/metrics` says.
    fn detected(&self, class: &str) -> u64 {
        let mut answer = String::new();
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else { return 0 };
        write!(stream, "GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        stream.read_to_string(&mut answer).unwrap();
        let is_meant = |line: &&str| {
            line.starts_with("trustline_ledger_records_total{")
                && line.contains("stage=\"detect\"")
                && line.contains(&format!("class=\"{class}\""))
        };
        let value = |line: &str| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap() as u64;
        answer.lines().filter(is_meant).map(value).sum()
    }
}

fn support_day() -> i64 {
    24 * HOUR_MS
}

fn event(id: &str, kind: &str, brand: &str, time: i64) -> Value {
    json!({"event_id": id, "event_time": time, "kind": kind, "brand_id": brand, "person_id": id})
}

fn header<'r>(record: &'r Record, name: &str) -> Option<&'r [u8]> {
    record.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
}

fn stop(instance: Instance) {
    assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
}

#[test]
fn what_was_set_aside_is_sent_again_and_applied_once() {
    let mut world = World::new();
    let late_time = T - 3 * HOUR_MS;

    // Clicks are taken for Avro by mistake, an ad comes three hours late, and one click is no event at all.
    world.configure("avro");
    world.send(Topic::AdDeliveries, T, &event("on-time", "IMPRESSION", "acme", T));
    world.send(Topic::AdDeliveries, T + 1, &event("late", "IMPRESSION", "acme", late_time));
    for (id, brand) in [("c1", "acme"), ("c2", "acme"), ("c3", "other")] {
        world.send(Topic::Clickstream, T, &event(id, "PAGE_VIEW", brand, T));
    }
    world.send(Topic::Clickstream, T + 2, &json!({"brand_id": "acme"}));
    let instance = Instance::start(&world.config, "a");
    wait_for("what is set aside", || {
        count(&world.connection, "t.dead-letters") == 4 && count(&world.connection, "t.late-events") == 1
    });
    stop(instance);

    inspects(&world);

    // The cause is mended.
    world.configure("auto");
    let instance = Instance::start(&world.config, "a");
    world.advance(T + MINUTE_MS);
    wait_for("the event that was on time", || world.detected("applied") == 1);

    dry_run(&world);
    assert_eq!((count(&world.connection, "clickstream"), count(&world.connection, "t.replayed")), (5, 0));

    let curable = ["replay", "--reason", "wrong_magic,too_late", "--max-replays", "9"];
    let acme = [&curable[..], &["--brand", "acme", "--yes"]].concat();
    let (sent, _) = world.dlq(&acme);
    // The record without its fields failed for the same reason while clicks were taken for Avro.
    assert_eq!(
        (&sent["sent"], &sent["dead_letters"], &sent["late_events"]),
        (&json!(true), &json!(3), &json!(1))
    );
    let (rest, _) = world.dlq(&[&curable[..], &["--yes"]].concat());
    assert_eq!(
        (&rest["dead_letters"], &rest["late_events"], &rest["sent_before"]),
        (&json!(1), &json!(0), &json!(4))
    );
    restored(&world, late_time);

    wait_for("the one that is refused again", || count(&world.connection, "t.dead-letters") == 5);
    world.advance(T + 2 * MINUTE_MS);
    wait_for("all four events", || world.detected("applied") == 5);
    assert_eq!(count(&world.connection, "t.late-events"), 1, "what was sent again is never too late");

    // Again: nothing is left to send; told to, copies are dropped.
    let (none, _) = world.dlq(&[&curable[..], &["--yes"]].concat());
    assert_eq!(
        (&none["dead_letters"], &none["late_events"], &none["sent_before"]),
        (&json!(0), &json!(0), &json!(5))
    );
    let (again, _) = world.dlq(&[&acme[..], &["--reason", "too_late", "--again"]].concat());
    assert_eq!((&again["dead_letters"], &again["late_events"]), (&json!(3), &json!(1)));
    wait_for("another refusal", || count(&world.connection, "t.dead-letters") == 6);
    world.advance(T + 3 * MINUTE_MS);
    wait_for("copies", || world.detected("duplicate") == 3);
    assert_eq!(world.detected("applied"), 5);

    loop_guard(&world);
    stop(instance);
}

fn inspects(world: &World) {
    let (found, _) = world.dlq(&["inspect"]);
    assert_eq!(
        (&found["dead_letters"], &found["late_events"], &found["foreign"]),
        (&json!(4), &json!(1), &json!(0))
    );
    let counts = json!([
        {"reason": "too_late", "topic": "ad-deliveries", "records": 1},
        {"reason": "wrong_magic", "topic": "clickstream", "records": 4},
    ]);
    assert_eq!(found["counts"], counts);
    let late = found["records"].as_array().unwrap().iter().find(|one| one["reason"] == "too_late").unwrap();
    assert_eq!(
        (&late["topic"], &late["partition"], &late["timestamp"]),
        (&json!("ad-deliveries"), &json!(0), &json!(T + 1))
    );
    // Less what the frontier stays behind.
    assert_eq!(
        (&late["brand"], &late["lateness_ms"]),
        (&json!("acme"), &json!(3 * HOUR_MS - 10 * SECOND_MS))
    );

    let listed = |args: &[&str]| {
        let (found, _) = world.dlq(&[&["inspect"], args].concat());
        let number = |name: &str| found[name].as_u64().unwrap();
        (number("dead_letters") + number("late_events"), found["records"].as_array().unwrap().len())
    };
    assert_eq!(listed(&["--brand", "other"]), (1, 1));
    assert_eq!(listed(&["--topic", "clickstream", "--limit", "2"]), (4, 2));
    let from = jiff::Timestamp::from_millisecond(T + 1).unwrap().to_string();
    assert_eq!(listed(&["--from", &from]), (2, 2));
    assert_eq!(listed(&["--to", &from, "--reason", "too_late"]), (0, 0));
    let text = world.trustline(&["dlq", "inspect"]);
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.starts_with("4 dead letters, 1 late event\n"), "{text}");
}

fn dry_run(world: &World) {
    let (plan, _) = world.dlq(&["replay"]);
    assert_eq!(
        (&plan["sent"], &plan["dead_letters"], &plan["late_events"]),
        (&json!(false), &json!(4), &json!(1))
    );
    assert_eq!(plan["would_be_refused"], json!({"missing_field": 1}));
    // The late event counts where the frontier is now, which is the hour of the others.
    let hour = T / HOUR_MS * HOUR_MS;
    let hours: Vec<&Value> =
        plan["windows"].as_array().unwrap().iter().filter(|window| window["window"] == "1h").collect();
    let window = |brand: &str, records: u64| json!({"brand": brand, "window": "1h", "start": hour, "records": records});
    assert_eq!(hours, [&window("acme", 3), &window("other", 1)]);
    let text = String::from_utf8(world.trustline(&["dlq", "replay"]).stdout).unwrap();
    assert!(
        text.starts_with("dry run: 4 dead letters and 1 late event would be sent again; --yes sends them\n"),
        "{text}"
    );
}

/// What was sent again is what was sent first.
fn restored(world: &World, late_time: i64) {
    for (source, from, expected) in [("ad-deliveries", 3, 1), ("clickstream", 5, 4)] {
        let records = world.records(source);
        let again: Vec<&Record> =
            records.iter().filter(|record| header(record, "trustline.replayed").is_some()).collect();
        assert_eq!(again.len(), expected, "{source}");
        for record in again {
            assert!(record.offset >= from);
            let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["own", "trustline.replayed", "trustline.replays"]);
            assert_eq!(header(record, "trustline.replays"), Some(&b"1"[..]));
            let first = records.iter().find(|first| first.value == record.value).unwrap();
            let original = |record: &Record| (record.key.clone(), record.timestamp_ms);
            assert!(first.offset < record.offset && original(first) == original(record));
        }
    }
    let ads = world.records("ad-deliveries");
    let late = ads
        .iter()
        .filter(|ad| serde_json::from_slice::<Value>(&ad.value).unwrap()["event_time"] == late_time);
    assert_eq!(late.count(), 2);
}

/// A record that comes back over and over is refused in the end.
fn loop_guard(world: &World) {
    let guarded = ["replay", "--reason", "missing_field", "--yes"];
    let (_, went_well) = world.dlq(&[&guarded[..], &["--max-replays", "2"]].concat());
    assert!(!went_well, "of two refused ones one was sent twice already");
    wait_for("the third refusal", || count(&world.connection, "t.dead-letters") == 7);
    let output = world.trustline(&[&["dlq"], &guarded[..], &["--max-replays", "2"]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said.contains("2 records were sent again 2 times") && said.contains("--max-replays"), "{said}");
    assert_eq!(count(&world.connection, "t.dead-letters"), 7);
}

#[test]
fn times_are_instants() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_trustline")).args(["dlq", "inspect", "--from", "noon"]).output();
    let output = output.unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(Path::new(env!("CARGO_BIN_EXE_trustline")).exists());
}
