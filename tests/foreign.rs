//! Foreign files through the binary: what becomes of their records, and what is said of input that cannot be used.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

/// The outputs that do not say where a record came from.
const RESULTS: [&str; 4] = ["moments.jsonl", "brand-trust.jsonl", "pattern-trust.jsonl", "alerts.jsonl"];

fn samples() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

/// A folder for the inputs, outputs and configuration of a test.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, bytes).unwrap();
        path
    }

    fn replay(&self, input: &Path, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
        command.arg("replay").arg(input).arg("--out").arg(self.path("out")).args(arguments);
        command.current_dir(self.0.path()).output().unwrap()
    }

    /// Replays and gives the accounts that are not empty.
    fn ledger(&self, input: &Path, arguments: &[&str]) -> BTreeMap<String, Value> {
        let output = self.replay(input, arguments);
        assert!(output.status.success(), "{}", err(&output));
        let ledger: BTreeMap<String, BTreeMap<String, u64>> =
            serde_json::from_slice(&std::fs::read(self.path("out/ledger.json")).unwrap()).unwrap();
        let filled = ledger.into_iter().filter(|(_, account)| account["read"] > 0);
        filled
            .map(|(topic, account)| (topic, account.into_iter().filter(|(_, count)| *count > 0).collect()))
            .collect()
    }

    fn lines(&self, name: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.path("out").join(name)).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    fn results(&self) -> Vec<String> {
        RESULTS.iter().map(|name| std::fs::read_to_string(self.path("out").join(name)).unwrap()).collect()
    }

    /// Fails with code 2 and these words.
    fn refused(&self, input: &Path, arguments: &[&str], words: &[&str]) {
        let output = self.replay(input, arguments);
        assert_eq!(output.status.code(), Some(2), "{}", err(&output));
        for word in words {
            assert!(err(&output).contains(word), "{word}\nnot in\n{}", err(&output));
        }
        assert!(!self.path("out").exists(), "nothing is written");
    }
}

fn err(output: &Output) -> &str {
    std::str::from_utf8(&output.stderr).unwrap()
}

/// The open bandit samples as inputs of the configuration.
fn open_bandit() -> String {
    let mut text = String::new();
    for policy in ["bts", "random"] {
        for campaign in ["all", "men", "women"] {
            text.push_str(&format!(
                "[[input]]\nfiles = 'open-bandit/{policy}-{campaign}.csv'\nmapping = 'open-bandit-{policy}'\n\
                 variables = {{ campaign = '{campaign}' }}\n"
            ));
        }
    }
    text
}

#[test]
fn the_samples_of_real_data_are_accounted_for() {
    let place = Place::new();
    let config = place.write("real.toml", open_bandit()).display().to_string();
    let breaches = ["--mapping", "breaches/*.jsonl=breaches"];
    let bandit = json!({"read": 132, "applied": 132});
    let incidents = json!({"read": 19, "applied": 13, "exempt": 6});
    let ledger = place.ledger(&samples(), &[&["--config", &config], &breaches[..]].concat());
    assert_eq!(
        ledger,
        BTreeMap::from([
            ("brand-incidents".to_owned(), incidents.clone()),
            ("clickstream".to_owned(), bandit)
        ])
    );
    assert_eq!(place.lines("dead-letters.jsonl"), [] as [Value; 0]);
    // Nobody knows what the recommendations rest on, so they are no moments.
    assert_eq!(place.lines("moments.jsonl"), [] as [Value; 0]);
    let states: Vec<Value> =
        place.lines("alerts.jsonl").iter().map(|alert| json!([alert["kind"], alert["state"]])).collect();
    let count = |state: &str| states.iter().filter(|have| **have == json!(["BRAND_INCIDENT", state])).count();
    // All thirteen incidents weigh 0.2 or more, and have faded years before the recommendations.
    assert_eq!((states.len(), count("OPEN"), count("RESOLVED")), (26, 13, 13));
    let first = place.results();
    assert_eq!(first, {
        place.ledger(&samples(), &[&["--config", &config], &breaches[..]].concat());
        place.results()
    });
    let alone = place.ledger(&samples(), &breaches);
    assert_eq!(alone, BTreeMap::from([("brand-incidents".to_owned(), incidents)]));
    assert_eq!(place.results(), [""; 4], "time stands still where nobody does anything");
}

/// A table in which sixty people each have one row at noon of 6 February 2016.
fn at_noon(kind: &str) -> String {
    let rows: String = (0..60).map(|who| format!("1454760000,p{who},{kind},0,\n")).collect();
    format!("at,who,kind,bot,device\n{rows}")
}

#[test]
fn a_breach_weighs_on_the_brand_that_people_visit() {
    let place = Place::new();
    place.write("shop.toml", SHOP);
    std::fs::create_dir(place.path("in")).unwrap();
    std::fs::copy(samples().join("breaches/breaches.jsonl"), place.path("in/breaches.jsonl")).unwrap();
    place.write("in/visits.csv", at_noon("recap"));
    let arguments =
        ["--mapping", "breaches.jsonl=breaches", "--mapping", "visits.csv=shop.toml,brand=ownedcore.com"];
    place.ledger(&place.path("in"), &arguments);
    let windows = place.lines("brand-trust.jsonl");
    let hour = windows.iter().find(|window| window["window"] == "1h").unwrap();
    assert_eq!((&hour["people_reached"], &hour["window_end"]), (&json!(60), &json!(1_454_763_600_000_i64)));
    // 880,331 accounts, disclosed on that day at 02:53:13; a breach weighs half after 90 days.
    let severity = 0.25 * (1.0 + 880_331.0 / 1e4_f64).log10();
    let days = (1_454_763_600 - 1_454_727_193) as f64 / 86_400.0;
    let expected = 100.0 * (-severity * (-days / 90.0).exp2()).exp();
    let layer = hour["brand_layer"].as_f64().unwrap();
    assert!((layer - expected).abs() < 1e-9, "{layer} is not {expected}");
}

#[test]
fn records_that_only_their_content_tells_apart_come_in_one_order_whatever_file_they_are_in() {
    let mapping = SHOP.replace("{$source}:{$row}", "{who}").replace(
        "kind = { path = \"kind\", table = { view = \"PAGE_VIEW\",",
        "prompt_type = { constant = \"COOKIES\" }\n\
         kind = { path = \"kind\", table = { yes = \"CONSENT_GRANTED\", no = \"CONSENT_REFUSED\",",
    );
    let windows = |first, second| {
        let place = Place::new();
        place.write("ids.toml", &mapping);
        place.write("shop.toml", SHOP);
        place.write("in/a.csv", at_noon(first));
        place.write("in/b.csv", at_noon(second));
        place.write("in/touches.csv", at_noon("recap"));
        let arguments = ["--mapping", "touches.csv=shop.toml,brand=b", "--mapping", "*.csv=ids.toml,brand=b"];
        let ledger = place.ledger(&place.path("in"), &arguments);
        assert_eq!(ledger["clickstream"], json!({"read": 180, "applied": 120, "duplicate": 60}));
        place.lines("brand-trust.jsonl")
    };
    let yes_first = windows("yes", "no");
    // The symbols are encoded in the order of the schema, in which a refusal comes after.
    let first = &yes_first[0];
    assert_eq!((&first["consent_granted"], &first["consent_refused"]), (&json!(60), &json!(0)));
    assert_eq!(yes_first, windows("no", "yes"));
}

#[test]
fn a_mapped_file_gives_what_its_canonical_records_give() {
    for name in ["breaches", "cloudevents", "ga4", "open-bandit-bts", "openrtb", "segment", "snowplow"] {
        let file = match name {
            "breaches" => "breaches/breaches.jsonl".to_owned(),
            "open-bandit-bts" => "open-bandit/bts-all.csv".to_owned(),
            "snowplow" => "mapping/snowplow.tsv".to_owned(),
            name => format!("mapping/{name}.jsonl"),
        };
        let place = Place::new();
        let mapped = place.ledger(&samples(), &["--mapping", &format!("{file}={name}")]);
        let results = place.results();
        let expected =
            std::fs::read_to_string(samples().join(format!("mapping/{name}.expected.jsonl"))).unwrap();
        let mut topics: BTreeMap<String, String> = BTreeMap::new();
        for line in expected.lines() {
            let line: Value = serde_json::from_str(line).unwrap();
            let topic = line["topic"].as_str().unwrap().to_owned();
            topics.entry(topic).or_default().push_str(&format!("{}\n", line["record"]));
        }
        for (topic, lines) in &topics {
            place.write(&format!("canonical/{topic}.jsonl"), lines);
        }
        let canonical = place.ledger(&place.path("canonical"), &[]);
        for (topic, account) in &canonical {
            assert_eq!(mapped[topic]["applied"], account["applied"], "{name}");
        }
        assert_eq!(results, place.results(), "{name}");
    }
}

const SHOP: &str = r#"
name = "shop"
format = "csv"
[variables]
brand = ""
[[skip_when]]
path = "bot"
equals = 1
[[event]]
topic = "clickstream"
when = [{ path = "kind", exists = true }]
[event.fields]
event_id = { template = "{$source}:{$row}" }
event_time = { path = "at", time = "epoch_s" }
brand_id = { path = "$brand" }
person_id = { path = "who" }
kind = { path = "kind", table = { view = "PAGE_VIEW", recap = "RECAP_VIEWED" } }
[[event]]
topic = "identity-links"
when = [{ path = "device", exists = true }]
[event.fields]
device_id = { path = "device" }
person_id = { path = "who" }
match = { constant = "AUTHENTICATED" }
linked_time = { path = "at", time = "epoch_s" }
"#;

#[test]
fn every_record_is_accounted_for_and_what_fails_keeps_its_bytes() {
    let place = Place::new();
    place.write("shop.toml", SHOP);
    let rows = "at,who,kind,bot,device\r\n\
                1700000000,p1,view,0,d1\r\n\
                1700000001,p1,view,1,\r\n\
                1700000002,p1,,0,\r\n\
                1700000003,p1,order,0,d2\r\n\
                1700000004,\"p\r\n1\",view\r\n\
                5000000000,p1,view,0,d3\r\n";
    let plain = place.write("plain/log.csv", rows);
    let arguments = ["--mapping", "log.csv*=shop.toml,brand=b"];
    let ledger = place.ledger(plain.parent().unwrap(), &arguments);
    // Read for the events: applied; a bot; no event; an order that the table does not list; a row of another width;
    // a time after 2100. Two rows link a device.
    let clicks = json!({"read": 6, "applied": 1, "exempt": 2, "dead_lettered": 3});
    let links = json!({"read": 2, "applied": 1, "dead_lettered": 1});
    assert_eq!(
        ledger,
        BTreeMap::from([("clickstream".to_owned(), clicks), ("identity-links".to_owned(), links)])
    );
    let told = |line: &Value| {
        let text = |key: &str| line[key].as_str().unwrap().to_owned();
        (text("topic"), line["offset"].as_u64().unwrap(), text("reason"), text("value"))
    };
    let dead = place.lines("dead-letters.jsonl");
    let line =
        |topic: &str, offset, reason: &str, value: &str| (topic.into(), offset, reason.into(), value.into());
    let late = "5000000000,p1,view,0,d3";
    assert_eq!(
        dead.iter().map(told).collect::<Vec<_>>(),
        [
            line("identity-links", 5, "time_out_of_range", late),
            line("clickstream", 3, "mapping", "1700000003,p1,order,0,d2"),
            line("clickstream", 4, "undecodable", "1700000004,\"p\r\n1\",view"),
            line("clickstream", 5, "time_out_of_range", late),
        ]
    );
    assert!(dead.iter().all(|line| line["source"] == "log.csv"), "{dead:?}");
    assert_eq!(
        dead[1]["detail"],
        "shop: record 4: event[0] (clickstream), field `kind`, rule `table`: the table does not list the value"
    );
    // Compressed it is the same source, and its ids are the same.
    let plain = (place.results(), dead);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    std::io::Write::write_all(&mut gzip, rows.as_bytes()).unwrap();
    place.write("gzip/log.csv.gz", gzip.finish().unwrap());
    place.ledger(&place.path("gzip"), &arguments);
    assert_eq!((place.results(), place.lines("dead-letters.jsonl")), plain);
}

#[test]
fn as_a_stream_each_file_is_a_source_of_its_own() {
    let place = Place::new();
    place.write("shop.toml", SHOP);
    let (early, late) = ("1700000000,p1,view,0,\n", "1700009000,p1,view,0,\n");
    let head = "at,who,kind,bot,device\n";
    place.write("two/a.csv", format!("{head}{late}"));
    place.write("two/b.csv", format!("{head}{early}"));
    place.write("one/a.csv", format!("{head}{late}{early}"));
    let arguments = ["--as-stream", "--mapping", "*.csv=shop.toml,brand=b"];
    let of_clicks = |account: Value| BTreeMap::from([("clickstream".to_owned(), account)]);
    assert_eq!(place.ledger(&place.path("two"), &arguments), of_clicks(json!({"read": 2, "applied": 2})));
    let ledger = place.ledger(&place.path("one"), &arguments);
    assert_eq!(ledger, of_clicks(json!({"read": 2, "applied": 1, "too_late": 1})));
    let lines = place.lines("late-events.jsonl");
    assert_eq!((&lines[0]["value"], &lines[0]["offset"]), (&json!(early.trim()), &json!(1)));
}

#[test]
fn foreign_files_stand_beside_those_of_topics() {
    let place = Place::new();
    place.write("shop.toml", SHOP);
    place.write("in/log.csv", "at,who,kind,bot,device\n1700000000,p1,view,0,d1\n");
    let click = json!({"event_id": "e", "event_time": 1_700_000_001_000_i64, "kind": "PAGE_VIEW", "brand_id": "b", "device_id": "d1"});
    place.write("in/clickstream.jsonl", format!("{click}\n"));
    // The pattern fits the topic's own file as well, which stays the topic's.
    let ledger = place.ledger(&place.path("in"), &["--mapping", "*=shop.toml,brand=b"]);
    assert_eq!(ledger["clickstream"], json!({"read": 2, "applied": 2}));
    assert_eq!(ledger["identity-links"], json!({"read": 1, "applied": 1}));
}

#[test]
fn input_that_cannot_be_used_is_told_with_its_path_or_key() {
    let place = Place::new();
    place.write("in/log.csv", "at,at\n1,2\n");
    place.write("in/other/log.csv.gz", "");
    place.write("in/torn.jsonl.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03torn");
    place.write("shop.toml", SHOP);
    place.write("open.toml", SHOP.replace("brand = \"\"", ""));
    place.write("broken.toml", "name = ");
    let input = place.path("in");
    let cases: &[(&str, &[&str])] = &[
        ("log.csv=segmnt", &["input log.csv with mapping segmnt", "mapping: must be a file", "segment"]),
        ("log.csv=none.toml", &["cannot read the mapping none.toml"]),
        ("log.csv=broken.toml", &["mapping broken.toml has problems"]),
        (
            "log.csv=open.toml",
            &[
                "mapping open.toml",
                "event[0].fields.brand_id.path: `$brand` is unknown: no variable `brand` is set",
            ],
        ),
        (
            "log.csv=shop.toml,colour=x",
            &["variables.colour: the mapping has no such variable; allowed: brand"],
        ),
        ("log.csv=shop.toml,brand", &["must be FILES=MAPPING"]),
        ("log.csv", &["must be FILES=MAPPING"]),
        ("a**=segment", &["input a** with mapping segment", "files: is no pattern"]),
        ("*.tsv=snowplow", &["no file in", "fits *.tsv"]),
        ("log.csv=shop.toml", &["in/log.csv", "the header line names a column twice"]),
        ("**/log.csv*=shop.toml", &["in/log.csv and", "in/other/log.csv.gz have the same name"]),
        ("torn*=segment", &["cannot read", "in/torn.jsonl.gz after record 0"]),
    ];
    for (mapping, words) in cases {
        place.refused(&input, &["--mapping", mapping], words);
    }
    place.refused(
        &place.path("none"),
        &["--mapping", "*=segment"],
        &["cannot read the input folder", "none"],
    );
    place.refused(&input, &[], &["holds no file of a topic", "--mapping"]);
    let config =
        place.write("t.toml", "[[input]]\nfiles = 'x'\nmapping = 'segment'\nvariables = { shop = 'x' }\n");
    let arguments = ["--config", config.to_str().unwrap()];
    place.refused(
        &input,
        &arguments,
        &["t.toml:4:22: input[0].variables.shop = \"x\": the mapping has no such"],
    );
}
