//! A source of dead letters on a real broker: paused, given up, and read again, with a `kill -9` in between.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{Read, Write};
use std::net::TcpStream;

use support::broker::{Broker, Instance, count, free_port, make_topics, wait_for};
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, positions};

mod support;

fn ask(port: u16, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    Some(answer)
}

#[test]
fn a_source_of_dead_letters_is_paused_and_read_again_after_a_kill() {
    let folder = tempfile::tempdir().unwrap();
    let (broker, port) = (Broker::start(), free_port());
    let before = format!(
        "{}suspend_after_ms = 8000\n[breaker]\nin_a_row = 3\nprobe_every_ms = 4000\n",
        support::text(2, 1).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
    );
    let (config, _) = broker.configure(folder.path(), &before, "session_timeout_ms = 6000");
    let connection = Connection::plain(&broker.bootstrap(), "trustline");
    make_topics(&connection, &config);

    let feeder = Feeder::new(&connection).unwrap();
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        i64::try_from(since.as_millis()).unwrap()
    };
    let send = |line: &str| feeder.send(Topic::Clickstream.symbol(), 0, now(), line.as_bytes()).unwrap();
    let good = |id: &str| {
        send(&format!(
            r#"{{"event_id":"{id}","event_time":{},"kind":"PAGE_VIEW","brand_id":"b","person_id":"p"}}"#,
            now()
        ));
    };
    good("first");
    (0..9).for_each(|_| send("junk"));
    good("last");
    feeder.flush().unwrap();

    let says = |what: &str| ask(port, "/ready").is_some_and(|answer| answer.contains(what));
    let dead_letters = || count(&connection, "t.dead-letters");
    let instance = Instance::start(&config, "one");
    wait_for("the breaker to trip", || says("breaker_tripped"));
    assert_eq!(dead_letters(), 3);
    let metrics = ask(port, "/metrics").unwrap();
    let gauge = r#"trustline_breaker_tripped{partition="0",stage="route",topic="clickstream"} 1"#;
    assert!(metrics.contains(gauge), "{metrics}");
    wait_for("a record to try it", || dead_letters() > 3);
    instance.kill();

    let instance = Instance::start(&config, "two");
    wait_for("the next one to know it", || says("breaker_tripped"));
    assert!(dead_letters() < 9, "it was not drained");
    wait_for("the source to be given up", || says("suspended"));
    wait_for("a good record to close it", || {
        dead_letters() == 9 && !says("breaker_tripped") && !says("suspended")
    });
    let metrics = ask(port, "/metrics").unwrap();
    assert!(metrics.contains(&gauge.replace("} 1", "} 0")), "{metrics}");
    let position = || {
        let all = positions(&connection, "trustline-route", &[Topic::Clickstream.symbol()]).unwrap();
        all.into_values().map(|position| position.next).collect::<Vec<_>>()
    };
    wait_for("every record to be read", || position() == [11]);
    assert_eq!(instance.stop(), Some(0));
    assert_eq!(dead_letters(), 9, "each once");
}
