//! What `run` tells its operators: probes, metrics, page, log and exit code, with a real broker that comes and goes.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use serde_json::Value;
use support::broker::{Broker, Instance, ask, free_port, make_topics, wait_for};
use support::{EVENTS, Input};
use trustline::driver::replay::ledger::Account;
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::Feeder;

mod support;

/// How long an instance may take to stop, with room for a busy machine.
const STOP_MAX: Duration = Duration::from_secs(15);

/// SIGTERM ends an instance cleanly and soon.
fn stops(instance: Instance, when: &str) {
    let told = Instant::now();
    assert_eq!(instance.stop(), Some(0), "{when}");
    assert!(told.elapsed() < STOP_MAX, "{when}: {:?}", told.elapsed());
}

/// The codes of the reasons for which it is not ready; none if it is.
fn not_ready(port: u16) -> Option<Vec<String>> {
    let (status, body) = ask(port, "/ready")?;
    let answer: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(status == 200, answer["ready"] == true, "{body}");
    let reasons = answer["reasons"].as_array().unwrap();
    for reason in reasons {
        let text = |name: &str| reason[name].as_str().is_some_and(|text| text.len() > 5);
        assert!(text("what") && text("todo") && reason["since"].as_i64() > Some(1_700_000_000_000), "{body}");
    }
    Some(reasons.iter().map(|reason| reason["code"].as_str().unwrap().to_owned()).collect())
}

/// The samples of `/metrics` by name and labels.
fn metrics(port: u16) -> BTreeMap<String, f64> {
    let (status, text) = ask(port, "/metrics").unwrap();
    assert_eq!(status, 200);
    let samples = text.lines().filter(|line| !line.starts_with('#'));
    samples
        .map(|line| line.rsplit_once(' ').unwrap())
        .map(|(name, value)| (name.to_owned(), value.parse().unwrap()))
        .collect()
}

/// The value of a label in a sample's name.
fn label<'a>(sample: &'a str, name: &str) -> &'a str {
    sample.split_once(&format!("{name}=\"")).and_then(|(_, rest)| rest.split_once('"')).map_or("", |(v, _)| v)
}

/// The accounts of a stage by source topic, each of which must balance partition by partition.
fn ledger(metrics: &BTreeMap<String, f64>, stage: &str) -> BTreeMap<String, Account> {
    let mut accounts: BTreeMap<(String, String), Account> = BTreeMap::new();
    for (sample, value) in metrics.iter().filter(|(sample, _)| label(sample, "stage") == stage) {
        let class = match sample.split_once('{').unwrap().0 {
            "trustline_ledger_records_total" => label(sample, "class"),
            "trustline_ledger_waiting" => "waiting",
            _ => continue,
        };
        let of = (label(sample, "source").to_owned(), label(sample, "partition").to_owned());
        let account = accounts.entry(of).or_default();
        *match class {
            "read" => &mut account.read,
            "applied" => &mut account.applied,
            "duplicate" => &mut account.duplicate,
            "too_late" => &mut account.too_late,
            "dead_lettered" => &mut account.dead_lettered,
            "exempt" => &mut account.exempt,
            "erased" => &mut account.erased,
            "waiting" => &mut account.waiting,
            other => panic!("{other} is no class"),
        } += *value as u64;
    }
    let mut sums: BTreeMap<String, Account> = BTreeMap::new();
    for ((source, partition), account) in accounts {
        assert!(account.balances(), "{stage}: {source} {partition}: {account:?}");
        sums.entry(source).or_default().add(&account);
    }
    sums
}

#[test]
fn operators_hear_what_is_wrong_and_see_every_record_accounted_for() {
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let port = free_port();
    let before = format!(
        "{}[run]\nworker_threads = 2\n[telemetry]\nformat = \"json\"\n",
        support::text(4, 2).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
    );
    let (config, text) = broker.configure(folder.path(), &before, "");
    let input = Input::read("as-stream-crowd");
    let expected = input.replay_under(&text);
    let connection = Connection::plain(&broker.bootstrap(), "test");
    make_topics(&connection, &config);

    // The broker is not there yet: alive, not ready, and it says why.
    broker.script("stop");
    let live = || ask(port, "/live").is_some_and(|(status, _)| status == 200);
    let log = folder.path().join("log");
    let instance = Instance::start_logging(&config, "a", &log);
    wait_for("the probe of life", live);
    stops(instance, "before it began");
    let instance = Instance::start_logging(&config, "a", &log);
    wait_for("the probe of life", live);
    assert_eq!(not_ready(port).unwrap(), ["starting"]);
    assert_eq!(metrics(port)["trustline_ready"], 0.0);

    broker.go();
    wait_for("readiness", || not_ready(port).is_some_and(|reasons| reasons.is_empty()));

    let feeder = Feeder::new(&connection).unwrap();
    for source in [Topic::IdentityLinks, Topic::BrandIncidents].into_iter().chain(EVENTS) {
        for (time, line) in &input.lines[&source] {
            feeder.send(source.symbol(), 0, *time, line.as_bytes()).unwrap();
        }
    }
    feeder.flush().unwrap();
    // Copies of an event under another person are known as such within a partition only.
    let done = |of: &Account| of.applied + of.duplicate + of.erased;
    let in_all: u64 = EVENTS.iter().map(|source| done(&expected.ledger.accounts[source.symbol()])).sum();
    let so_far = || -> u64 { ledger(&metrics(port), "detect").values().map(done).sum() };
    wait_for("all events in the metrics", || so_far() >= in_all);
    let found = metrics(port);
    let (route, detect) = (ledger(&found, "route"), ledger(&found, "detect"));
    for source in EVENTS {
        let (name, expected) = (source.symbol(), expected.ledger.accounts[source.symbol()]);
        let (route, detect) = (route[name], detect[name]);
        assert_eq!(route.read, expected.read, "{name}");
        assert_eq!(
            (route.dead_lettered, route.too_late, route.exempt),
            (expected.dead_lettered, expected.too_late, expected.exempt),
            "{name}"
        );
        assert_eq!((done(&detect), detect.waiting), (done(&expected), 0), "{name}");
        assert_eq!(route.applied, detect.read, "{name}: what route hands on is what detect reads");
    }
    let sum = |name: &str, stage: &str| -> f64 {
        let named = found.iter().filter(|(sample, _)| sample.split('{').next() == Some(name));
        named.filter(|(sample, _)| label(sample, "stage") == stage).map(|(_, value)| value).sum()
    };
    assert_eq!(sum("trustline_assigned_partitions", "detect"), 4.0);
    assert_eq!(sum("trustline_assigned_partitions", "score"), 2.0);
    assert_eq!(sum("trustline_lag_records", "route"), 0.0);
    assert_eq!(sum("trustline_stalled_partitions", "detect"), 0.0);
    for stage in ["route", "detect", "score"] {
        assert!(sum("trustline_commits_total", stage) > 0.0 && sum("trustline_position", stage) > 0.0);
    }
    let brands = || -> Value { serde_json::from_str(&ask(port, "/api/brands").unwrap().1).unwrap() };
    wait_for("brands on the page", || brands().as_array().is_some_and(|rows| rows.len() > 1));
    let page = || -> Value { serde_json::from_str(&ask(port, "/api/status").unwrap().1).unwrap() };
    let applied: u64 = detect.values().map(|of| of.applied).sum();
    wait_for("the page to come after the metrics", || page()["progress"]["applied"] == applied);
    assert!(!page()["moments"].as_array().unwrap().is_empty());

    // The broker goes and comes back.
    broker.script("kill");
    let failing = |reasons: Vec<String>| reasons.iter().any(|code| code == "log_failing");
    wait_for("the failing log", || not_ready(port).is_some_and(failing));
    assert!(live());
    broker.go();
    wait_for("readiness again", || not_ready(port).is_some_and(|reasons| reasons.is_empty()));
    stops(instance, "at work");

    let lines = std::fs::read_to_string(&log).unwrap();
    let parsed: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{line}"))).collect();
    assert!(
        parsed.iter().any(|line| line["target"] == "librdkafka"),
        "the client's lines are there: {lines}"
    );
    for occurrence in ["Starting", "ReadinessChanged", "Running", "PartitionsChanged", "Stopping", "Stopped"]
    {
        assert!(parsed.iter().any(|line| line["occurrence"] == occurrence), "{occurrence}: {lines}");
    }
    let people = input.lines[&Topic::Clickstream].iter().filter_map(|(_, line)| {
        serde_json::from_str::<Value>(line).ok()?["person_id"].as_str().map(str::to_owned)
    });
    let people: Vec<String> = people.filter(|id| id.len() > 6).collect();
    assert!(people.len() > 10, "there are people to look for");
    assert!(!people.iter().any(|person| lines.contains(person.as_str())), "the log names nobody");
}
