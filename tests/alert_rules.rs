//! The alert rules: Prometheus' own tool reads them and runs their tests, and the metrics they name exist.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use prometheus::Registry;
use trustline::driver::clock::SystemClock;
use trustline::driver::health::{Health, Limits};
use trustline::driver::replay::ledger::Account;
use trustline::driver::status::{Gauges, PartitionStatus, SnapshotGauges, SourceGauges, Status};
use trustline::event::kinds::Topic;
use trustline::log::TopicPartition;
use trustline::telemetry::metrics::Metrics;
use trustline::telemetry::occurrence;
use trustline::telemetry::pipeline::Pipeline;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus").join(name)
}

fn promtool(arguments: &[&str], name: &str) {
    let run = Command::new("promtool").args(arguments).arg(file(name)).output();
    let output = run.expect("promtool is there; on Debian: apt-get install -y prometheus");
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&said));
}

#[test]
fn the_rules_are_valid_and_fire_on_what_they_are_for() {
    promtool(&["check", "rules"], "trustline.rules.yml");
    promtool(&["test", "rules"], "trustline.rules.test.yml");
}

#[test]
fn the_rules_name_metrics_that_exist() {
    let rules = std::fs::read_to_string(file("trustline.rules.yml")).unwrap();
    let of_rules = words(&rules);
    assert!(of_rules.len() > 10);
    let exposed = exposed();
    let unknown: Vec<&&str> = of_rules.iter().filter(|name| !exposed.contains(**name)).collect();
    assert!(unknown.is_empty(), "{unknown:?} are not among {exposed:?}");
}

#[test]
fn each_rule_has_a_test() {
    let rules = std::fs::read_to_string(file("trustline.rules.yml")).unwrap();
    let tests = std::fs::read_to_string(file("trustline.rules.test.yml")).unwrap();
    for name in rules.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(tests.contains(&format!("alertname=\"{name}\"")), "{name}");
    }
}

fn words(text: &str) -> BTreeSet<&str> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.split(|c| !is_word(c)).filter(|word| word.starts_with("trustline_")).collect()
}

/// The names that an instance with a partition exposes.
fn exposed() -> BTreeSet<String> {
    let clock = SystemClock::new();
    let limits = Limits { stalled_after: Duration::from_secs(1), exit_after: Duration::from_secs(2) };
    let health = Arc::new(Health::new(clock, limits));
    let status = Arc::new(Status::new("detect", 0, 1, clock));
    let partition = PartitionStatus {
        position: Some(1),
        lag: Some(1),
        gauges: Gauges {
            frontier: Some(1),
            accounts: vec![(Topic::Clickstream, Account::default())],
            snapshot: Some(SnapshotGauges { taken_at: Some(1), ..SnapshotGauges::default() }),
            source: Some(SourceGauges::default()),
            ..Gauges::default()
        },
        ..PartitionStatus::default()
    };
    let of = TopicPartition { topic: "person-events".into(), partition: 0 };
    status.shown().partitions.insert(of, partition);
    status.shown().last_commit = Some(Instant::now());
    health.runs(vec![status]);
    let registry = Registry::new();
    drop(Metrics::register(&registry).unwrap());
    registry.register(Box::new(Pipeline(health))).unwrap();
    registry.register(Box::new(occurrence::counters())).unwrap();
    registry.gather().iter().map(|family| family.name().to_owned()).collect()
}
