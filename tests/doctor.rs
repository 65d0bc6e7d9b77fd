//! `trustline doctor` on a real broker: a healthy pipeline, and one with three things wrong.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use support::broker::{Broker, Instance, free_port, make_topics, wait_for};
use trustline::config::ConfigHash;
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, positions, read_topic};

mod support;

/// What `doctor` says, and its exit code.
fn doctor(config: &Path, more: &[&str]) -> (Value, Option<i32>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
    command.args(["doctor", "--json", "--config"]).arg(config).args(more);
    let output = command
        .env("TRUSTLINE__STATE__URL", format!("file:{}", config.with_file_name("state").display()))
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    (serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}")), output.status.code())
}

/// The places of errors, by check.
fn errors(report: &Value) -> Vec<(&str, &str)> {
    let findings = report["findings"].as_array().unwrap().iter();
    let errors = findings.filter(|finding| finding["severity"] == "error");
    errors.map(|one| (one["check"].as_str().unwrap(), one["place"].as_str().unwrap())).collect()
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as i64
}

fn feed(connection: &Connection, from: usize, count: usize) {
    let feeder = Feeder::new(connection).unwrap();
    for number in from..from + count {
        let time = now();
        let line = format!(
            r#"{{"event_id":"{number}","event_time":{time},"kind":"VIEW","brand_id":"acme","person_id":"p"}}"#
        );
        feeder.send(Topic::Clickstream.symbol(), 0, time, line.as_bytes()).unwrap();
    }
    feeder.flush().unwrap();
}

#[test]
fn a_healthy_pipeline_has_no_errors_and_what_is_wrong_is_found() {
    let broker = Broker::start();
    let connection = Connection::plain(&broker.bootstrap(), "trustline");
    let folder = tempfile::tempdir().unwrap();
    let address = format!("127.0.0.1:{}", free_port());
    let write = |person_partitions| {
        let text = support::text(person_partitions, 1).replace("127.0.0.1:0", &address);
        broker.configure(folder.path(), &text, "").0
    };
    let config = write(2);
    make_topics(&connection, &config);

    let instance = Instance::start(&config, "a");
    feed(&connection, 0, 5);
    let routed = || {
        let positions = positions(&connection, "trustline-route", &["clickstream"]).unwrap();
        positions.into_values().map(|position| position.next).sum::<i64>()
    };
    wait_for("five events", || routed() == 5);
    wait_for("groups that stand still", || {
        let (report, _) = doctor(&config, &[]);
        report["groups"].as_array().unwrap().iter().all(|group| group["state"] == "Stable")
    });
    let (report, code) = doctor(&config, &["--metrics", &address]);
    assert_eq!((errors(&report), code), (vec![], Some(0)), "{report:#}");
    let warned =
        report["findings"].as_array().unwrap().iter().any(|finding| finding["check"] == "timestamps");
    assert!(warned, "the source topics have CreateTime: {report:#}");
    let unowned = |group: &Value| group["unowned"].as_i64().unwrap();
    assert!(report["groups"].as_array().unwrap().iter().all(|group| unowned(group) == 0));

    // The configuration was published under its hash.
    let configs = read_topic(&connection, "t.config").unwrap().concat();
    let key = String::from_utf8(configs[0].key.clone().unwrap()).unwrap();
    assert!(ConfigHash::parse(&key).is_some());
    assert!(String::from_utf8_lossy(&configs[0].value).contains("topic_prefix = \"t.\""));

    // Nobody runs, records go that were not processed, a transaction is left open, and the counts differ.
    assert_eq!(instance.stop(), Some(0));
    feed(&connection, 5, 5);
    broker.remove_before("clickstream", 0, 8);
    let mut producer = ClientConfig::new();
    producer.set("bootstrap.servers", broker.bootstrap());
    producer.set("transactional.id", "gone").set("transaction.timeout.ms", "600000");
    let producer: BaseProducer = producer.create().unwrap();
    let wait = Duration::from_secs(30);
    producer.init_transactions(wait).unwrap();
    producer.begin_transaction().unwrap();
    let record = BaseRecord::<[u8], [u8]>::to("t.person-events").partition(1).payload(b"x");
    producer.send(record.timestamp(now() - 60_000)).unwrap();
    producer.flush(wait).unwrap();
    write(3);

    let (report, code) = doctor(&config, &[]);
    let found = errors(&report);
    let expected = [
        ("offsets", "trustline-route, clickstream 0"),
        ("topics", "t.person-events"),
        ("transactions", "t.person-events 1"),
    ];
    assert_eq!((found, code), (expected.to_vec(), Some(1)), "{report:#}");
    let words = report.to_string();
    for word in ["set own_topics to 2", "--start-offset", "no instance runs route", "position 5 lies before"]
    {
        assert!(words.contains(word), "{word:?} is not in {report:#}");
    }
}
