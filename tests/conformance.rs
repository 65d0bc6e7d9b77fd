//! Every folder of `tests/conformance` replayed by the binary and compared with what is expected.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Map, Value};

type Record = Map<String, Value>;

const RELATIVE: f64 = 1e-6;
const ABSOLUTE: f64 = 1e-9;
const SHOWN: usize = 3;

const MOMENT: &[&str] =
    &["brand_id", "pattern", "event_time", "opened_time", "severity", "revision", "status", "weight"];
const PUBLIC_ANCHORS: &[&str] =
    &["unpermitted_message", "excessive_messages", "consent_nagging", "timely_notification"];
const WINDOW: &[&str] = &["brand_id", "window", "window_start"];
const WINDOW_FIELDS: &[&str] = &[
    "window_end",
    "status",
    "people_reached",
    "device_key_share",
    "touches",
    "trust",
    "trust_low",
    "trust_high",
    "experience",
    "experience_low",
    "experience_high",
    "brand_layer",
    "net",
    "net_variance",
    "opted_out",
    "consent_prompted",
    "consent_granted",
    "consent_refused",
    "consent_withdrawn",
    "opt_in_rate",
    "consent_known",
    "consent_authorised",
    "addressable_share",
    "completeness",
    "late",
    "dead_lettered",
    "unreadable_share",
    "partitions_incomplete",
];
const PATTERN: &[&str] = &["brand_id", "window", "window_start", "pattern"];
const PATTERN_FIELDS: &[&str] = &[
    "window_end",
    "status",
    "evaluated",
    "at_risk",
    "affected_1",
    "affected_2",
    "affected_3",
    "incidence",
    "incidence_low",
    "incidence_high",
    "weight",
    "contribution",
    "exposed_days",
    "exposed_opt_outs",
    "unexposed_days",
    "unexposed_opt_outs",
    "exposed_days_30d",
    "exposed_opt_outs_30d",
    "unexposed_days_30d",
    "unexposed_opt_outs_30d",
    "rate_ratio",
    "rate_ratio_low",
    "rate_ratio_high",
];
const ALERT: &[&str] = &["kind", "state", "brand_id", "window", "at", "incident_id"];
const ALERT_FIELDS: &[&str] = &["since", "value", "low", "high", "baseline"];

#[test]
fn every_folder_agrees() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(&root)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.join("expected").is_dir())
        .collect();
    folders.sort();
    assert_eq!(folders.len(), 26, "a folder of vectors is missing from {}", root.display());
    let mut report = Vec::new();
    let out = tempfile::tempdir().unwrap();
    for folder in &folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let got = out.path().join(&name);
        replay(folder, &got);
        let problems = compare(&folder.join("expected"), &got);
        for problem in problems.iter().take(SHOWN) {
            report.push(format!("{name}: {problem}"));
        }
        if problems.len() > SHOWN {
            report.push(format!("{name}: and {} more", problems.len() - SHOWN));
        }
    }
    assert!(report.is_empty(), "\n{}", report.join("\n"));
}

#[test]
fn two_runs_are_byte_identical() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/set-c-dirty");
    let out = tempfile::tempdir().unwrap();
    let (first, second) = (out.path().join("first"), out.path().join("second"));
    replay(&folder, &first);
    replay(&folder, &second);
    for entry in std::fs::read_dir(&first).unwrap() {
        let name = entry.unwrap().file_name();
        assert_eq!(
            std::fs::read(first.join(&name)).unwrap(),
            std::fs::read(second.join(&name)).unwrap(),
            "{name:?}"
        );
    }
}

#[test]
fn a_difference_is_found() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance/completeness");
    let out = tempfile::tempdir().unwrap();
    replay(&folder, out.path());
    assert_eq!(compare(&folder.join("expected"), out.path()), Vec::<String>::new());
    let path = out.path().join("brand-trust.jsonl");
    let text = std::fs::read_to_string(&path).unwrap();
    std::fs::write(&path, text.replacen("\"dead_lettered\":2", "\"dead_lettered\":3", 1)).unwrap();
    assert_eq!(compare(&folder.join("expected"), out.path()).len(), 1);
}

fn replay(folder: &Path, out: &Path) {
    let arguments = std::fs::read_to_string(folder.join("arguments")).unwrap_or_default();
    let output = Command::new(env!("CARGO_BIN_EXE_trustline"))
        .arg("replay")
        .args(arguments.split_whitespace())
        .arg(folder.join("input"))
        .arg("--out")
        .arg(out)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}: {}", folder.display(), String::from_utf8_lossy(&output.stderr));
}

fn compare(expected: &Path, got: &Path) -> Vec<String> {
    let mut problems = Vec::new();
    let both = |name: &str| (read(expected, name), read(got, name));
    let (want, have) = both("moments.jsonl");
    compare_moments(&want, &have, &mut problems);
    let (want, have) = both("brand-trust.jsonl");
    compare_joined("window", &want, &have, WINDOW, WINDOW_FIELDS, &mut problems);
    let (want, have) = both("pattern-trust.jsonl");
    compare_joined("pattern of window", &want, &have, PATTERN, PATTERN_FIELDS, &mut problems);
    let (want, have) = both("alerts.jsonl");
    compare_joined("alert", &want, &have, ALERT, ALERT_FIELDS, &mut problems);
    compare_movers(&want, &have, &mut problems);
    compare_alert_ids(&want, &have, &mut problems);
    let ledger = |folder: &Path| -> Value {
        serde_json::from_reader(File::open(folder.join("ledger.json")).unwrap()).unwrap()
    };
    let (want, have) = (ledger(expected), ledger(got));
    for (topic, account) in want.as_object().unwrap() {
        if have.get(topic) != Some(account) {
            problems.push(format!("ledger of {topic}: expected {account}, got {:?}", have.get(topic)));
        }
    }
    for name in ["dead-letters.jsonl", "late-events.jsonl"] {
        let (want, have) = both(name);
        if want.len() != have.len() {
            problems.push(format!("{name}: expected {} records, got {}", want.len(), have.len()));
        }
    }
    problems
}

fn read(folder: &Path, name: &str) -> Vec<Record> {
    let plain = folder.join(name);
    let reader: Box<dyn BufRead> = if plain.exists() {
        Box::new(BufReader::new(File::open(plain).unwrap()))
    } else {
        let file = File::open(folder.join(format!("{name}.gz"))).unwrap();
        Box::new(BufReader::new(flate2::read::MultiGzDecoder::new(file)))
    };
    let records: Vec<Record> = reader
        .lines()
        .map(|line| line.unwrap())
        .filter(|line| !line.trim().is_empty())
        .map(|line| serde_json::from_str(&line).unwrap())
        .collect();
    for record in &records {
        assert!(record.values().all(|value| !value.is_array() && !value.is_object()), "{name} is not flat");
    }
    records
}

fn key(record: &Record, fields: &[&str]) -> String {
    let values: Vec<String> =
        fields.iter().map(|field| record.get(*field).unwrap_or(&Value::Null).to_string()).collect();
    values.join(" ")
}

fn moment_key(record: &Record) -> String {
    let pattern = record["pattern"].as_str().unwrap();
    let anchor = if PUBLIC_ANCHORS.contains(&pattern) { record["anchor"].to_string() } else { String::new() };
    format!("{} {anchor}", key(record, MOMENT))
}

fn compare_moments(want: &[Record], have: &[Record], problems: &mut Vec<String>) {
    let count = |records: &[Record]| {
        let mut counts: BTreeMap<String, i64> = BTreeMap::new();
        for record in records {
            *counts.entry(moment_key(record)).or_default() += 1;
        }
        counts
    };
    let lists = |records: &[Record]| {
        let mut people: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in records {
            people.entry(key(record, &["brand_id", "person"])).or_default().push(moment_key(record));
        }
        let mut lists: Vec<Vec<String>> = people.into_values().collect();
        lists.iter_mut().for_each(|list| list.sort());
        lists.sort();
        lists
    };
    let (wanted, found) = (count(want), count(have));
    for moment in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        let (w, h) = (wanted.get(moment).unwrap_or(&0), found.get(moment).unwrap_or(&0));
        if w != h {
            problems.push(format!("moment {moment}: expected {w} times, got {h}"));
        }
    }
    if wanted == found && lists(want) != lists(have) {
        problems.push("the moments agree, but not whose they are".to_owned());
    }
}

fn compare_joined(
    what: &str,
    want: &[Record],
    have: &[Record],
    on: &[&str],
    fields: &[&str],
    problems: &mut Vec<String>,
) {
    let index = |records: &[Record]| -> BTreeMap<String, Record> {
        records
            .iter()
            .filter(|record| record.get("status").and_then(Value::as_str) != Some("PROVISIONAL"))
            .map(|record| (key(record, on), record.clone()))
            .collect()
    };
    let (wanted, found) = (index(want), index(have));
    for name in wanted.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
        match (wanted.get(name), found.get(name)) {
            (Some(want), Some(have)) => {
                for field in fields {
                    let got = have.get(*field).unwrap_or_else(|| panic!("{what} {name} has no {field}"));
                    if !same(&want[*field], got) {
                        problems
                            .push(format!("{what} {name}: {field}: expected {}, got {got}", want[*field]));
                    }
                }
            }
            (Some(_), None) => problems.push(format!("{what} {name} is missing")),
            _ => problems.push(format!("{what} {name} is not expected")),
        }
    }
}

/// Movers in any order among equal changes; a change between −10⁻⁹ and 0 is none.
fn compare_movers(want: &[Record], have: &[Record], problems: &mut Vec<String>) {
    let movers = |record: &Record| -> Vec<(String, f64)> {
        let mut movers: Vec<(String, f64)> = (1..=3)
            .filter_map(|n| {
                let name = record.get(&format!("mover_{n}"))?.as_str()?.to_owned();
                let change = record.get(&format!("mover_{n}_change"))?.as_f64()?;
                (change < -ABSOLUTE).then_some((name, change))
            })
            .collect();
        movers.sort_by(|a, b| a.0.cmp(&b.0));
        movers
    };
    let found: BTreeMap<String, &Record> = have.iter().map(|record| (key(record, ALERT), record)).collect();
    for alert in want {
        let name = key(alert, ALERT);
        let Some(got) = found.get(&name) else { continue };
        let (w, h) = (movers(alert), movers(got));
        let agree = w.len() == h.len() && w.iter().zip(&h).all(|(w, h)| w.0 == h.0 && near(w.1, h.1));
        if !agree {
            problems.push(format!("alert {name}: movers: expected {w:?}, got {h:?}"));
        }
    }
}

/// Alerts that share an id on one side share one on the other.
fn compare_alert_ids(want: &[Record], have: &[Record], problems: &mut Vec<String>) {
    let groups = |records: &[Record]| -> BTreeSet<BTreeSet<String>> {
        let mut groups: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for record in records {
            groups.entry(record["alert_id"].to_string()).or_default().insert(key(record, ALERT));
        }
        groups.into_values().collect()
    };
    if groups(want) != groups(have) {
        problems.push("alerts share other ids than expected".to_owned());
    }
}

fn same(want: &Value, have: &Value) -> bool {
    match (want, have) {
        (Value::Number(w), Value::Number(h)) => match (w.as_i64(), h.as_i64()) {
            (Some(w), Some(h)) => w == h,
            _ => near(w.as_f64().unwrap(), h.as_f64().unwrap()),
        },
        _ => want == have,
    }
}

fn near(want: f64, have: f64) -> bool {
    (want - have).abs() <= ABSOLUTE.max(RELATIVE * want.abs().max(have.abs()))
}
