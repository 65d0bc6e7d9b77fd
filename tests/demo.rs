//! `trustline demo` as a person runs it: scores, metrics and the planted campaign within seconds, a clean end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use support::broker::{Broker, count};
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{TopicState, topic_states};

mod support;

/// The demo, killed when the test ends before it.
struct Running {
    child: Child,
    address: String,
    started: Instant,
}

impl Running {
    fn start(options: &[&str]) -> Running {
        let started = Instant::now();
        let mut child = Command::new(env!("CARGO_BIN_EXE_trustline"))
            .args(["demo", "--listen", "127.0.0.1:0"])
            .args(options)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("http://").unwrap().trim_end_matches('/').to_owned();
        Running { child, address, started }
    }

    fn get(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        write!(stream, "GET {path} HTTP/1.0\r\nhost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    fn json(&self, path: &str) -> Value {
        serde_json::from_str(&self.get(path)).unwrap()
    }

    /// Asks until there is an answer; returns it and the time since the start.
    fn until<T>(&self, limit: Duration, what: &str, ask: impl Fn() -> Option<T>) -> (T, Duration) {
        loop {
            if let Some(answer) = ask() {
                return (answer, self.started.elapsed());
            }
            assert!(self.started.elapsed() < limit, "{what}: not within {limit:?}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn tell(&self, signal: &str) {
        let status = Command::new("kill").args([signal, &self.child.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn end(mut self) -> ExitStatus {
        self.child.wait().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.child.kill().ok();
    }
}

#[test]
fn it_scores_and_finds_the_planted_campaign_and_stops_when_told() {
    let demo = Running::start(&["--persons", "4000", "--for", "120s"]);
    let scored = || {
        let brands = demo.json("/api/brands?window=1h");
        let first = brands.as_array()?.iter().find(|brand| brand["closed"]["trust"].is_f64())?.clone();
        Some(first)
    };
    let (first, after) = demo.until(Duration::from_secs(10), "a score", scored);
    println!("the first score came after {after:?}");
    assert!(first["closed"]["trust_low"].as_f64() < first["closed"]["trust_high"].as_f64(), "{first}");
    let found = || {
        let status = demo.json("/api/status");
        let texts: Vec<&str> = status["banners"].as_array()?.iter().filter_map(Value::as_str).collect();
        let is_found = texts.last()?.starts_with("Found: ");
        is_found.then(|| texts.join(" "))
    };
    let (banner, after) = demo.until(Duration::from_secs(90), "the campaign", found);
    println!("found after {after:?}: {banner}");
    assert!(banner.contains("campaign brand-000-c4 of brand-000 from 2025-03-12 09:00 UTC"), "{banner}");
    let moments = demo.json("/api/status")["moments"].to_string();
    assert!(moments.contains("undisclosed_personalisation") || moments.contains("relentless_retargeting"));
    let metrics = demo.get("/metrics");
    let value = |name: &str| -> f64 {
        let line = metrics
            .lines()
            .find(|line| line.starts_with(name))
            .unwrap_or_else(|| panic!("{name}: {metrics}"));
        line.rsplit(' ').next().unwrap().parse().unwrap()
    };
    assert!(value(r#"trustline_records_total{class="applied",topic="clickstream"}"#) > 1_000.0);
    assert!(value(r#"trustline_records_total{class="dead_lettered",topic="clickstream"}"#) > 0.0);
    assert!(value(r#"trustline_windows_total{status="FINAL",window="1h"}"#) > 0.0);
    assert!(demo.json("/ready")["ready"] == true);
    demo.tell("-INT");
    assert_eq!(demo.end().code(), Some(0));
}

#[test]
fn on_kafka_the_stages_of_run_score_the_story_and_what_it_made_can_be_deleted() {
    let broker = Broker::start();
    let bootstrap = broker.bootstrap();
    let connection = Connection::plain(&bootstrap, "test");
    let options = ["--kafka", &bootstrap, "--persons", "3000"];
    let demo = Running::start(&options);
    let scored = || {
        let brands = demo.json("/api/brands?window=1h");
        let first = brands.as_array()?.iter().find(|brand| brand["closed"]["trust"].is_f64())?.clone();
        Some(first)
    };
    let (_, after) = demo.until(Duration::from_secs(60), "a score", scored);
    println!("the first score came after {after:?}");
    let banners = || demo.json("/api/status")["banners"].clone();
    assert!(
        banners()[0].as_str().unwrap().starts_with("Planted bad: campaign brand-000-c4"),
        "{}",
        banners()
    );
    let ready = || (demo.json("/ready")["ready"] == true).then_some(());
    demo.until(Duration::from_secs(90), "readiness", ready);
    let status = demo.json("/api/status");
    assert!(status["progress"]["late"].as_u64() < Some(status["progress"]["read"].as_u64().unwrap() / 100));
    demo.tell("-INT");
    assert_eq!(demo.end().code(), Some(0));
    assert!(count(&connection, "trustline-demo.moments") > 0, "moments stand in their topic");

    // A second story cannot go on from the first one's time.
    let again = trustline(&options);
    assert_eq!(again.status.code(), Some(2));
    let told = String::from_utf8(again.stderr).unwrap();
    assert!(told.contains(&format!("`trustline demo --kafka {bootstrap} --delete` deletes them")), "{told}");

    assert!(trustline(&["--kafka", &bootstrap, "--delete"]).status.success());
    let states =
        || topic_states(&connection, &["trustline-demo.moments", "trustline-demo.clickstream"]).unwrap();
    assert!(states().iter().all(|state| *state == TopicState::Missing), "{:?}", states());
    assert!(
        trustline(&["--kafka", &bootstrap, "--delete"]).status.success(),
        "nothing to delete is no failure"
    );
}

fn trustline(options: &[&str]) -> Output {
    let mut run = Command::new(env!("CARGO_BIN_EXE_trustline"));
    run.args(["demo", "--listen", "127.0.0.1:0"]).args(options).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn it_ends_by_itself_or_on_a_termination_with_code_0() {
    let short = Running::start(&["--persons", "500", "--for", "1s"]);
    let long = Running::start(&["--persons", "500"]);
    long.tell("-TERM");
    assert_eq!(long.end().code(), Some(0));
    assert_eq!(short.end().code(), Some(0));
}

#[test]
fn an_address_in_use_is_wrong_usage() {
    let demo = Running::start(&["--persons", "500"]);
    let second = Command::new(env!("CARGO_BIN_EXE_trustline"))
        .args(["demo", "--persons", "500", "--for", "5s", "--listen", &demo.address])
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2));
    let told = String::from_utf8(second.stderr).unwrap();
    assert!(told.contains(&format!("cannot listen on {}", demo.address)), "{told}");
    demo.tell("-INT");
    assert_eq!(demo.end().code(), Some(0));
}
