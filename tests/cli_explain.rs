//! The binary's `explain`, `evaluate` and `replay --what-if` on generated traffic.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

/// Enough people for numbers in some hours, and days enough for every pattern.
const TRAFFIC: [&str; 8] = ["--persons", "1500", "--brands", "2", "--days", "10", "--seed", "21"];

fn trustline(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_trustline")).args(arguments).output().unwrap()
}

/// Runs what must go well; its standard output.
fn run(arguments: &[&str]) -> String {
    let output = trustline(arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Runs what must be refused with exit code 2; its standard error.
fn refused(arguments: &[&str]) -> String {
    let output = trustline(arguments);
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    String::from_utf8(output.stderr).unwrap()
}

fn json(arguments: &[&str]) -> Value {
    serde_json::from_str(&run(arguments)).unwrap()
}

fn records(path: &Path) -> Vec<Value> {
    std::fs::read_to_string(path).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

struct Folder(tempfile::TempDir);

impl Folder {
    /// Traffic in `in`: an ill-behaved brand-000 and a breach at brand-001.
    fn generated() -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        let input = folder.path("in");
        run(&[&["generate", "--out", &input][..], &TRAFFIC].concat());
        folder
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().unwrap().to_owned()
    }
}

#[test]
fn explain_says_what_pulls_and_names_nobody() {
    let folder = Folder::generated();
    let (input, out) = (folder.path("in"), folder.path("out"));
    run(&["replay", &input, "--out", &out]);
    let told = json(&["explain", "brand-000", "--from", &out, "--json"]);
    assert_eq!(told["same_configuration"], true);
    let lengths: Vec<&str> =
        told["windows"].as_array().unwrap().iter().map(|w| w["window"].as_str().unwrap()).collect();
    assert_eq!(lengths, ["1d", "1h"]);

    // The newest day with numbers, as published.
    let windows = records(&Path::new(&out).join("brand-trust.jsonl"));
    let newest = windows
        .iter()
        .filter(|w| w["brand_id"] == "brand-000" && w["window"] == "1d" && w["trust"].is_f64())
        .max_by_key(|w| w["window_start"].as_i64())
        .unwrap();
    let day = &told["windows"][0];
    for (field, value) in newest.as_object().unwrap() {
        assert_eq!(&day[field], value, "{field}");
    }
    // Strongest pull first; a pull is what would be missing, so it has the sign of the contribution.
    let parts: Vec<&Value> =
        day["patterns"].as_array().unwrap().iter().filter(|p| p["evaluated"] == true).collect();
    let pulls: Vec<f64> = parts.iter().map(|part| part["pull"].as_f64().unwrap()).collect();
    assert!(pulls[0] < -1.0, "{pulls:?}");
    assert!(pulls.windows(2).all(|two| two[0].abs() >= two[1].abs() - 1e-9), "{pulls:?}");
    let net: f64 = parts.iter().map(|part| part["contribution"].as_f64().unwrap()).sum();
    let without = net - parts[0]["contribution"].as_f64().unwrap();
    let layer = (newest["brand_layer"].as_f64().unwrap() / 100.0).powf(0.3);
    let trust = |net: f64| (50.0 + 50.0 * f64::tanh(net / 300.0)) * layer;
    assert!((pulls[0] - (trust(net) - trust(without))).abs() < 1e-6, "{pulls:?}");
    assert!(parts.iter().all(|part| part["weight_source"].as_str().unwrap().len() > 8));

    // Nothing names a person, neither for programs nor for readers.
    let text = run(&["explain", "brand-000", "--from", &out]);
    let all = text.clone() + &told.to_string();
    let mut examples = 0;
    for moment in records(&Path::new(&out).join("moments.jsonl")) {
        for field in ["person", "opening_event", "moment_id"] {
            assert!(!all.contains(moment[field].as_str().unwrap()), "{field}");
        }
        if let Some(anchor) = moment["anchor"].as_str().filter(|anchor| anchor.len() == 32) {
            assert!(!all.contains(anchor));
        }
        examples += 1;
    }
    assert!(examples > 100 && told["examples"].as_array().unwrap().len() > 5);
    for wanted in ["relentless_retargeting", "Customary caps", "completeness 1.000", "people reached"] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
    let breached = run(&["explain", "brand-001", "--from", &out]);
    assert!(breached.contains("data breach") && breached.contains("by the brand layer of"), "{breached}");

    // Under constants that are not those of the run no pull is claimed.
    let other = folder.path("other.toml");
    let settings =
        "[score]\nscale_days = 100.0\n[patterns.relentless_retargeting]\nweights = [-0.1, -0.2, -0.3]\n";
    std::fs::write(&other, settings).unwrap();
    let told = json(&["explain", "brand-000", "--from", &out, "--json", "--config", &other]);
    assert_eq!(told["same_configuration"], false);
    assert!(told["windows"][0]["patterns"][0]["pull"].is_null());
    assert!(told["windows"][1]["patterns"][0]["pull"].is_f64());
    assert!(told.to_string().contains("Set by the configuration. The default: Customary caps"), "{told}");
}

#[test]
fn explain_refuses_what_it_does_not_know() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let out = folder.path("out");
    let told = refused(&["explain", "acme", "--from", &out]);
    assert!(told.contains("is no output folder of `trustline replay`") && told.contains(&out), "{told}");
    std::fs::create_dir(&out).unwrap();
    for name in ["brand-trust", "pattern-trust", "moments", "alerts"] {
        std::fs::write(Path::new(&out).join(format!("{name}.jsonl")), "").unwrap();
    }
    assert!(refused(&["explain", "acme", "--from", &out]).contains("names no brand at all"));
    // A brand of which nothing but an alert is known can be explained.
    let alert = r#"{"alert_id":"1","kind":"BRAND_INCIDENT","state":"OPEN","brand_id":"acme.example","since":0,"at":0,"summary":"A \u001b[31mbreach."}"#;
    std::fs::write(Path::new(&out).join("alerts.jsonl"), alert).unwrap();
    let told = refused(&["explain", "acme", "--from", &out]);
    assert!(told.contains("\"acme\"; the nearest that it knows: acme.example"), "{told}");
    let text = run(&["explain", "acme.example", "--from", &out]);
    assert!(
        text.contains("No window has numbers") && text.contains("breach.") && !text.contains('\u{1b}'),
        "{text}"
    );
}

#[test]
fn what_if_compares_what_both_scored_and_leaves_the_outputs_alone() {
    let folder = Folder::generated();
    let (input, out, plain) = (folder.path("in"), folder.path("out"), folder.path("plain"));
    let other = folder.path("other.toml");
    // Fewer windows have numbers, and one weight is stronger.
    std::fs::write(
        &other,
        "[score]\nmin_persons = 56\n[patterns.relentless_retargeting]\nweights = [-0.9, -1.0, -1.0]\n",
    )
    .unwrap();
    run(&["replay", &input, "--out", &plain]);
    let told = json(&["replay", &input, "--out", &out, "--what-if", &other, "--json"]);
    for file in ["brand-trust.jsonl", "pattern-trust.jsonl", "moments.jsonl", "alerts.jsonl", "ledger.json"] {
        let read = |folder: &str| std::fs::read(Path::new(folder).join(file)).unwrap();
        assert!(read(&out) == read(&plain), "{file}");
    }
    let alone = folder.path("alone");
    run(&["replay", &input, "--out", &alone, "--config", &other]);
    let scored = |folder: &str| -> BTreeMap<i64, f64> {
        let mut found = records(&Path::new(folder).join("brand-trust.jsonl"));
        found.retain(|w| w["brand_id"] == "brand-000" && w["window"] == "1h" && w["trust"].is_f64());
        found.iter().map(|w| (w["window_start"].as_i64().unwrap(), w["trust"].as_f64().unwrap())).collect()
    };
    let (before, after) = (scored(&out), scored(&alone));
    let both: BTreeSet<i64> = before.keys().filter(|start| after.contains_key(start)).copied().collect();
    assert!(both.len() > 3 && both.len() < before.len(), "{} of {}", both.len(), before.len());
    let mean = |of: &BTreeMap<i64, f64>| both.iter().map(|start| of[start]).sum::<f64>() / both.len() as f64;
    let row = told
        .as_array()
        .unwrap()
        .iter()
        .find(|row| row["brand_id"] == "brand-000" && row["window"] == "1h")
        .unwrap();
    assert_eq!(row["windows"], both.len());
    assert_eq!(row["only_before"], before.len() - both.len());
    let close = |value: &Value, wanted: f64| (value.as_f64().unwrap() - wanted).abs() < 1e-9;
    assert!(close(&row["before"]["trust"], mean(&before)) && close(&row["after"]["trust"], mean(&after)));
    assert!(close(&row["change"], mean(&after) - mean(&before)) && row["change"].as_f64().unwrap() < -1.0);
    assert_eq!(row["moved_by"][0]["pattern"], "relentless_retargeting");

    // A configuration compared with itself differs in nothing.
    let same = run(&["replay", &input, "--out", &out, "--config", &other, "--what-if", &other]);
    let rows: Vec<&str> = same.lines().filter(|line| line.starts_with("brand-")).collect();
    assert!(rows.len() == 4 && !same.contains("left out"), "{same}");
    let changed =
        |row: &&&str| !row.contains("+0.00  nothing") && !row.contains("no window that both scored");
    assert_eq!(rows.iter().filter(changed).count(), 0, "{same}");
    refused(&["replay", &input, "--out", &out, "--json"]);
    refused(&["replay", &input, "--out", &out, "--what-if", &folder.path("none.toml")]);
}

#[test]
fn evaluate_measures_explains_and_tries_the_weights() {
    let generated = [&["evaluate", "--sensitivity", "--json"][..], &TRAFFIC].concat();
    let told = json(&generated);
    assert_eq!(told["patterns"].as_object().unwrap().len(), 14);
    let (all, number) = (&told["all"], |value: &Value| value.as_f64().unwrap());
    assert!(
        number(&all["recall"]) > 0.9 && number(&all["recall"]) < number(&all["recall_when_complete"]),
        "{all}"
    );
    assert!(number(&all["precision"]) > 0.9, "{all}");
    let missed = told["missed"].as_u64().unwrap();
    assert_eq!(all["planted"].as_u64().unwrap() - all["found"].as_u64().unwrap(), missed);
    let still: u64 =
        told["missed_when_complete"].as_object().unwrap().values().map(|count| count.as_u64().unwrap()).sum();
    assert!(still < missed, "{still} of {missed}");
    let person = told["gaps"].as_array().unwrap().iter().find(|gap| gap["field"] == "person_id").unwrap();
    assert!(number(&person["of_missed"]) > number(&person["of_found"]), "{person}");

    let sensitivity = &told["sensitivity"];
    assert!(sensitivity["reproduced"].as_u64().unwrap() > 50, "{sensitivity}");
    for length in sensitivity["lengths"].as_array().unwrap() {
        let brands = length["ranking"].as_array().unwrap();
        let trusts: Vec<f64> = brands.iter().map(|brand| number(&brand["mean_trust"])).collect();
        assert!(trusts.windows(2).all(|two| two[0] >= two[1]), "{trusts:?}");
        let trials = length["trials"].as_array().unwrap();
        assert_eq!(trials.len(), 20, "nine patterns and all at once, twice each");
        // In no hour are enough people at risk of it.
        if length["window"] == "1h" {
            continue;
        }
        let of = |factor: f64| {
            let fits = |t: &&Value| t["pattern"] == "undisclosed_personalisation" && t["factor"] == factor;
            number(&trials.iter().find(fits).unwrap()["change_max"])
        };
        assert!(of(0.5) > 0.0 && of(1.5) < 0.0, "what erodes less leaves more: {} {}", of(0.5), of(1.5));
    }
    // The same labels and figures from a folder.
    let folder = Folder::generated();
    let from = json(&["evaluate", &folder.path("in"), "--json"]);
    assert_eq!((&from["missed"], &from["all"]["found"]), (&told["missed"], &told["all"]["found"]));
    assert!(from["missed_when_complete"].is_null() && from["sensitivity"].is_null());
    let text = run(&["evaluate", &folder.path("in"), "--sensitivity"]);
    for wanted in ["precision", "planted moments were missed", "to the last bit", "all of these at once"] {
        assert!(text.contains(wanted), "{wanted} is not in\n{text}");
    }
}

#[test]
fn evaluate_refuses_what_has_no_labels() {
    let folder = Folder(tempfile::tempdir().unwrap());
    let told = refused(&["evaluate", &folder.path("none")]);
    assert!(told.contains("labels.jsonl"), "{told}");
    run(&["generate", "--out", &folder.path("bench"), "--mix", "bench", "--persons", "50"]);
    let told = refused(&["evaluate", &folder.path("bench")]);
    assert!(told.contains("holds no labels"), "{told}");
    refused(&["evaluate", &folder.path("bench"), "--seed", "3"]);
    refused(&["evaluate", "--days", "0"]);
}
