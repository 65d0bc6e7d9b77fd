//! The pipeline on a real Kafka broker, exactly once, with instances killed by -9 while they work.
//!
//! The broker is started by the script that serves users too; one that cannot be started is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use support::broker::{Broker, Instance, count, make_topics, wait_for};
use support::{EVENTS, Input};
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, read_topic};

mod support;

const KILLS: usize = 6;
const SESSION_TIMEOUT: Duration = Duration::from_secs(6);

fn write_config(folder: &Path, text: &str) -> PathBuf {
    let config = folder.join("trustline.toml");
    std::fs::write(&config, text).unwrap();
    config
}

#[test]
fn killed_instances_publish_what_a_calm_replay_computes_once() {
    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let key = support::test_key(folder.path());
    let text = format!(
        "{}[kafka]\nbrokers = [\"{}\"]\nsession_timeout_ms = {}\n[privacy]\nkey_file = \"{}\"\n",
        support::text(4, 2),
        broker.bootstrap(),
        SESSION_TIMEOUT.as_millis(),
        key.display()
    );
    let config = write_config(folder.path(), &text);
    let input = Input::read("as-stream-crowd");
    let expected = input.replay_under(&text);

    let connection = Connection::plain(&broker.bootstrap(), "test");
    make_topics(&connection, &config);

    let feeder = Feeder::new(&connection).unwrap();
    let feed = |source: Topic, from: usize, count: usize| {
        let lines = input.lines.get(&source).map_or(&[][..], |lines| lines);
        for (time, line) in lines.iter().skip(from).take(count) {
            feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
        }
    };
    for source in [Topic::IdentityLinks, Topic::BrandIncidents] {
        feed(source, 0, usize::MAX);
    }
    feeder.flush().unwrap();

    let mut instances = vec![Instance::start(&config, "a")];
    let incidents = expected.ledger.accounts["brand-incidents"].applied as usize;
    wait_for("the incidents in the log", || count(&connection, "t.brand-partials") >= incidents);

    // Records come in while instances are killed and started again; from the middle on there are two.
    let most = EVENTS.iter().map(|source| input.lines[source].len()).max().unwrap();
    let chunk = most / (KILLS * 4) + 1;
    for (round, from) in (0..most).step_by(chunk).enumerate() {
        for source in EVENTS {
            feed(source, from, chunk);
        }
        feeder.flush().unwrap();
        std::thread::sleep(Duration::from_millis(200 + (round as u64 * 137) % 300));
        if round == KILLS * 2 {
            instances.push(Instance::start(&config, "b"));
        }
        if round == KILLS * 2 + 1 {
            // The broker dies in the middle of transactions and comes back.
            broker.script("kill");
            std::thread::sleep(Duration::from_secs(1));
            broker.go();
        }
        if round == KILLS * 3 {
            // An instance is paused for longer than the group waits, and wakes up as a zombie.
            instances[0].signal("STOP");
            std::thread::sleep(SESSION_TIMEOUT + Duration::from_secs(2));
            instances[0].signal("CONT");
        }
        if round % 4 == 3 {
            let name = if instances.len() > 1 && round % 8 == 7 { "b" } else { "a" };
            let at = usize::from(name == "b");
            let killed = std::mem::replace(&mut instances[at], Instance::start(&config, name));
            killed.kill();
        }
    }
    let records = |name: &str| -> Vec<Vec<u8>> {
        read_topic(&connection, &format!("t.{name}"))
            .unwrap()
            .into_iter()
            .flatten()
            .map(|record| record.value)
            .collect()
    };
    let last = input.last;
    let up_to = |name: &str, time: &str| {
        let values = records(name).into_iter().map(|value| serde_json::from_slice::<Value>(&value).unwrap());
        values.filter(|value| value[time].as_i64().is_some_and(|time| time <= last)).count()
    };
    let moments = expected.moments.iter().filter(|moment| moment.event_time <= last).count();
    let windows = expected.score.brand_trust.iter().filter(|window| window.window_end <= last).count();
    wait_for("all moments", || up_to("moments", "event_time") >= moments);
    wait_for("all windows", || up_to("brand-trust", "window_end") >= windows);
    for instance in instances {
        assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
    }
    support::compare(&input, &expected, "on Kafka", records);
    assert!(count(&connection, "t.brand-trust-live") > 0, "open windows publish provisional records");
}
