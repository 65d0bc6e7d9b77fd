//! Dead letters and late events on a real broker: looked at, sent again, applied once.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::broker::{Broker, Instance, count, free_port, topic, wait_for};
use trustline::event::kinds::Topic;
use trustline::log::kafka::admin::{TopicPlan, create_topics, read_topic};
use trustline::log::kafka::{Connection, KafkaPublisher, KafkaPublishers};
use trustline::log::{Outgoing, Publishers, Record};
use trustline::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

mod support;

/// Where the test's traffic begins: the middle of an hour, lately, since brokers delete what is old.
fn start() -> i64 {
    static START: OnceLock<i64> = OnceLock::new();
    *START.get_or_init(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64;
        now / HOUR_MS * HOUR_MS - HOUR_MS + 30 * MINUTE_MS
    })
}

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
        world.configure(300_000);
        assert!(world.trustline(&["topics", "apply"]).status.success());
        world
    }

    /// Writes the configuration; events may be so far in the future.
    fn configure(&self, max_future_skew_ms: i64) {
        let key = support::test_key(self.config.parent().unwrap());
        let text = format!(
            "{}max_future_skew_ms = {max_future_skew_ms}\n[run]\nworker_threads = 1\n[kafka]\nbrokers = [\"{}\"]\n[privacy]\nkey_file = \"{}\"\n",
            support::text(2, 1).replace("127.0.0.1:0", &format!("127.0.0.1:{}", self.port)),
            self.broker.bootstrap(),
            key.display()
        );
        std::fs::write(&self.config, text).unwrap();
    }

    fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
        command.args(args).arg("--config").arg(&self.config);
        command
    }

    fn trustline(&self, args: &[&str]) -> Output {
        self.command(args).output().unwrap()
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
            let (_, line) = support::end(source, time - 2 * DAY_MS);
            self.send(source, time, &serde_json::from_str(&line).unwrap());
        }
    }

    fn records(&self, topic: &str) -> Vec<Record> {
        read_topic(&self.connection, topic).unwrap().concat()
    }

    /// How many events `detect` has put into a class, as `/metrics` says: since its worker, the only one, has taken
    /// the partitions over.
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

fn event(id: &str, kind: &str, brand: &str, time: i64) -> Value {
    json!({"event_id": id, "event_time": time, "kind": kind, "brand_id": brand, "person_id": id})
}

/// Numbers that `dlq` says.
fn numbers<const N: usize>(said: &Value, names: [&str; N]) -> [u64; N] {
    names.map(|name| said[name].as_u64().unwrap())
}

const SENT: [&str; 3] = ["dead_letters", "late_events", "sent_before"];

fn header<'r>(record: &'r Record, name: &str) -> Option<&'r [u8]> {
    record.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_slice())
}

fn stop(instance: Instance) {
    assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
}

#[test]
fn what_was_set_aside_is_sent_again_and_applied_once() {
    let mut world = World::new();
    let late_time = start() - 3 * HOUR_MS;

    // Clicks are ahead of a limit that is too strict, an ad comes three hours late, and one click is no event at all.
    world.configure(0);
    world.send(Topic::AdDeliveries, start(), &event("on-time", "IMPRESSION", "acme", start()));
    world.send(Topic::AdDeliveries, start() + 1, &event("late", "IMPRESSION", "acme", late_time));
    for (id, brand) in [("c1", "acme"), ("c2", "acme"), ("c3", "other")] {
        world.send(Topic::Clickstream, start(), &event(id, "PAGE_VIEW", brand, start() + MINUTE_MS));
    }
    world.send(Topic::Clickstream, start() + 2, &json!({"brand_id": "acme"}));
    let instance = Instance::start(&world.config, "a");
    wait_for("what is set aside", || {
        count(&world.connection, "t.dead-letters") == 4 && count(&world.connection, "t.late-events") == 1
    });
    stop(instance);
    inspects(&world);

    // The cause is mended.
    world.configure(300_000);
    let instance = Instance::start(&world.config, "a");
    world.advance(start() + MINUTE_MS);
    wait_for("the event that was on time", || world.detected("applied") == 1);
    dry_run(&world);
    assert_eq!(count(&world.connection, "t.replayed"), 0);
    assert_eq!(count(&world.connection, "clickstream"), 5, "four and test traffic");

    let curable = ["replay", "--reason", "future,too_late", "--yes"];
    let acme = [&curable[..], &["--brand", "acme"]].concat();
    let (sent, _) = world.dlq(&acme);
    assert_eq!((&sent["sent"], numbers(&sent, SENT)), (&json!(true), [2, 1, 0]));
    // Two at a time: the later one ends the other, or finds its work done.
    let two = [
        world.command(&[&["dlq"], &curable[..]].concat()),
        world.command(&[&["dlq"], &curable[..]].concat()),
    ];
    let two = two.map(|mut command| command.stdout(Stdio::null()).spawn().unwrap());
    assert!(two.map(|mut child| child.wait().unwrap().success()).contains(&true));
    restored(&world, late_time);
    world.advance(start() + 2 * MINUTE_MS);
    wait_for("all events", || world.detected("applied") == 5);
    assert_eq!(count(&world.connection, "t.late-events"), 1, "what was sent again is never too late");

    // Nothing is left to send; told to send again, copies are dropped.
    assert_eq!(numbers(&world.dlq(&curable).0, SENT), [0, 0, 4]);
    assert_eq!(numbers(&world.dlq(&[&acme[..], &["--again"]].concat()).0, SENT), [2, 1, 0]);
    world.advance(start() + 3 * MINUTE_MS);
    wait_for("copies", || world.detected("duplicate") == 3);
    assert_eq!(world.detected("applied"), 5);

    loop_guard(&world);
    stop(instance);
}

fn inspects(world: &World) {
    let (found, _) = world.dlq(&["inspect"]);
    assert_eq!(numbers(&found, ["dead_letters", "late_events", "foreign"]), [4, 1, 0]);
    let counts = json!([
        {"reason": "future", "topic": "clickstream", "records": 3},
        {"reason": "missing_field", "topic": "clickstream", "records": 1},
        {"reason": "too_late", "topic": "ad-deliveries", "records": 1},
    ]);
    assert_eq!(found["counts"], counts);
    let records = found["records"].as_array().unwrap();
    let late = records.iter().find(|record| record["reason"] == "too_late").unwrap();
    let origin = [&late["topic"], &late["partition"], &late["offset"], &late["timestamp"], &late["brand"]];
    assert_eq!(origin, [&json!("ad-deliveries"), &json!(0), &json!(2), &json!(start() + 1), &json!("acme")]);
    // Less what the frontier stays behind.
    assert_eq!(late["lateness_ms"], json!(3 * HOUR_MS - 10 * SECOND_MS));

    let listed = |args: &[&str]| {
        let (found, _) = world.dlq(&[&["inspect"], args].concat());
        let [dead_letters, late_events] = numbers(&found, ["dead_letters", "late_events"]);
        (dead_letters + late_events, found["records"].as_array().unwrap().len())
    };
    assert_eq!(listed(&["--brand", "other", "--topic", "clickstream"]), (1, 1));
    assert_eq!(listed(&["--topic", "clickstream", "--limit", "2"]), (4, 2));
    let from = jiff::Timestamp::from_millisecond(start() + 1).unwrap().to_string();
    assert_eq!(listed(&["--from", &from]), (2, 2));
    assert_eq!(listed(&["--to", &from, "--reason", "too_late"]), (0, 0));
    let text = String::from_utf8(world.trustline(&["dlq", "inspect"]).stdout).unwrap();
    assert!(text.starts_with("4 dead letters, 1 late event\n"), "{text}");
}

fn dry_run(world: &World) {
    let (plan, _) = world.dlq(&["replay"]);
    assert_eq!((&plan["sent"], numbers(&plan, SENT)), (&json!(false), [4, 1, 0]));
    assert_eq!(plan["would_be_refused"], json!({"missing_field": 1}));
    // The late event counts where the frontier is now, which is the hour of the others.
    let hour = start() / HOUR_MS * HOUR_MS;
    let windows = plan["windows"].as_array().unwrap();
    let hours: Vec<&Value> = windows.iter().filter(|window| window["window"] == "1h").collect();
    let window = |brand: &str, records: u64| json!({"brand": brand, "window": "1h", "start": hour, "records": records});
    assert_eq!(hours, [&window("acme", 3), &window("other", 1)]);
    let text = String::from_utf8(world.trustline(&["dlq", "replay"]).stdout).unwrap();
    let expected = "dry run: 4 dead letters and 1 late event would be sent again; --yes sends them\n";
    assert!(text.starts_with(expected), "{text}");
}

/// What was sent again is what was sent first.
fn restored(world: &World, late_time: i64) {
    for (source, expected) in [("ad-deliveries", 1), ("clickstream", 3)] {
        let records = world.records(source);
        let is_again = |record: &&Record| header(record, "trustline.replayed").is_some();
        assert_eq!(records.iter().filter(is_again).count(), expected, "{source}");
        for record in records.iter().filter(is_again) {
            let names: Vec<&str> = record.headers.iter().map(|(name, _)| name.as_str()).collect();
            assert_eq!(names, ["own", "trustline.replayed", "trustline.replays"]);
            assert_eq!(header(record, "trustline.replays"), Some(&b"1"[..]));
            let first = records.iter().find(|first| first.value == record.value).unwrap();
            let original =
                |record: &Record| (record.key.clone(), record.timestamp_ms, record.headers[0].clone());
            assert!(first.offset < record.offset);
            assert_eq!(original(first), original(record));
            assert_eq!(record.key.as_deref(), Some(&b"own key"[..]));
        }
    }
    let ads = world.records("ad-deliveries");
    let late = |ad: &&Record| serde_json::from_slice::<Value>(&ad.value).unwrap()["event_time"] == late_time;
    assert_eq!(ads.iter().filter(late).count(), 2);
}

/// A record that comes back over and over is refused in the end.
fn loop_guard(world: &World) {
    let args = ["replay", "--reason", "missing_field", "--yes", "--max-replays", "1"];
    let (sent, went_well) = world.dlq(&args);
    assert_eq!((numbers(&sent, SENT), went_well), ([1, 0, 0], true));
    wait_for("its second refusal", || count(&world.connection, "t.dead-letters") == 5);
    let output = world.trustline(&[&["dlq"], &args[..]].concat());
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(
        said.contains("1 record left out: sent again 1 times") && said.contains("--max-replays"),
        "{said}"
    );
    let (plan, went_well) = world.dlq(&["replay", "--reason", "missing_field"]);
    assert_eq!((numbers(&plan, SENT), went_well), ([1, 0, 1], true));
}

#[test]
fn times_are_instants() {
    let output =
        Command::new(env!("CARGO_BIN_EXE_trustline")).args(["dlq", "inspect", "--from", "noon"]).output();
    assert_eq!(output.unwrap().status.code(), Some(2));
}
