//! The shipped mappings over their samples, compared with what a reader of the data would expect, and over junk.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};
use trustline::config::{Config, Input};
use trustline::event::kinds::Topic;
use trustline::event::mapping::{
    Mapped, Mapper, Mapping, Outcome, PRESETS, RECORD_BYTES_MAX, RecordAt, preset,
};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data")
}

fn mapper(name: &str) -> Mapper {
    Mapping::from_toml(preset(name).expect("a preset")).expect("TOML").check().expect("no problems")
}

/// What a source gave: its records, how many source records gave none, and how many each skip rule took.
#[derive(Default)]
struct Given {
    mapped: Vec<Mapped>,
    without_event: usize,
    skipped: BTreeMap<usize, usize>,
}

fn run(mapper: &Mapper, source: &str, bytes: &[u8]) -> Given {
    let mut given = Given::default();
    let mut records = mapper.read(bytes);
    while let Some(record) = records.next_record().expect("bytes in memory") {
        let at = RecordAt { source, row: record.row };
        let value = record.value.expect("a readable record");
        match mapper.map(&value, at, &mut given.mapped).expect("a record that maps") {
            Outcome::Mapped(0) => given.without_event += 1,
            Outcome::Mapped(_) => {}
            Outcome::Skipped(rule) => *given.skipped.entry(rule).or_default() += 1,
        }
    }
    given
}

fn run_file(name: &str, file: &str) -> Given {
    let path = folder().join(file);
    let source = path.file_name().expect("a name").to_str().expect("UTF-8").to_owned();
    run(&mapper(name), &source, &std::fs::read(&path).expect("a sample"))
}

/// Compares canonical records with `tests/data/mapping/NAME.expected.jsonl`.
fn check_golden(name: &str, given: &Given) {
    let lines: String = given
        .mapped
        .iter()
        .map(|mapped| format!("{}\n", json!({"topic": mapped.topic.symbol(), "record": mapped.record})))
        .collect();
    let path = folder().join(format!("mapping/{name}.expected.jsonl"));
    if std::env::var_os("TRUSTLINE_WRITE_GOLDEN").is_some() {
        std::fs::write(&path, &lines).expect("written");
    }
    let expected = std::fs::read_to_string(&path).expect("expected records");
    for (got, wanted) in lines.lines().zip(expected.lines()) {
        assert_eq!(got, wanted, "{name}");
    }
    assert_eq!(lines.lines().count(), expected.lines().count(), "{name}");
}

fn kinds(given: &Given) -> Vec<&str> {
    given.mapped.iter().filter_map(|mapped| mapped.record.get("kind")?.as_str()).collect()
}

#[test]
fn openrtb_notices_become_ad_deliveries() {
    let given = run_file("openrtb", "mapping/openrtb.jsonl");
    assert_eq!(kinds(&given), ["IMPRESSION", "VIEWABLE", "IMPRESSION", "IMPRESSION"]);
    assert_eq!(given.mapped[0].record["brand_id"], "example.co.uk");
    assert_eq!(given.mapped[0].record["jurisdiction"], "US-CA");
    assert_eq!(given.mapped[2].record["rewarded"], true);
    // A device id of zeros is none; the person is still named.
    assert!(!given.mapped[3].record.contains_key("device_id"));
    assert_eq!(given.mapped[3].record["person_id"], "u-1");
    // The win is no showing, one impression names nobody; the ad without an advertiser belongs to no brand.
    assert_eq!((given.without_event, given.skipped.get(&0)), (2, Some(&1)));
    check_golden("openrtb", &given);
}

#[test]
fn segment_calls_become_clicks_and_links() {
    let given = run_file("segment", "mapping/segment.jsonl");
    assert_eq!(kinds(&given), ["PAGE_VIEW", "PRODUCT_VIEW", "ORDER_COMPLETED"]);
    let links: Vec<&Mapped> =
        given.mapped.iter().filter(|mapped| mapped.topic == Topic::IdentityLinks).collect();
    assert_eq!(links.len(), 1);
    assert_eq!(links[0].record["match"], "AUTHENTICATED");
    assert_eq!(given.without_event, 2);
    check_golden("segment", &given);
}

#[test]
fn ga4_export_becomes_clicks() {
    let given = run_file("ga4", "mapping/ga4.jsonl");
    assert_eq!(kinds(&given), ["PAGE_VIEW", "PRODUCT_VIEW", "ORDER_COMPLETED", "APP_REMOVED"]);
    assert_eq!(given.mapped[2].record["product_ids"], json!(["sku-1", "sku-2"]));
    assert_eq!(given.mapped[2].record["event_time"], json!(1_718_006_500_999_i64));
    assert_eq!(given.mapped[3].record["brand_id"], "com.example.shop");
    // The start of a session is no canonical event; the last page view names nobody.
    assert_eq!(given.without_event, 2);
    check_golden("ga4", &given);
}

#[test]
fn snowplow_events_become_clicks() {
    let given = run_file("snowplow", "mapping/snowplow.tsv");
    assert_eq!(kinds(&given), ["PAGE_VIEW", "CART_ADD", "ORDER_COMPLETED"]);
    assert_eq!(given.mapped[1].record["product_ids"], json!(["sku-1", "sku-2"]));
    assert_eq!(given.mapped[2].record["order_id"], "o-1");
    assert_eq!(given.without_event, 1);
    check_golden("snowplow", &given);
}

#[test]
fn cloudevents_carry_canonical_records() {
    let given = run_file("cloudevents", "mapping/cloudevents.jsonl");
    let topics: Vec<Topic> = given.mapped.iter().map(|mapped| mapped.topic).collect();
    assert_eq!(topics, [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages, Topic::BrandIncidents]);
    assert_eq!(given.mapped[0].record["event_id"], "/shop/ads#1");
    assert!(!given.mapped[0].record.contains_key("colour"));
    check_golden("cloudevents", &given);
}

#[test]
fn breaches_become_incidents_of_their_domain() {
    let given = run_file("breaches", "breaches/breaches.jsonl");
    // Without a domain: two, and a list of spam. Then an invented breach or two, and a list of spam with a domain.
    assert_eq!(given.skipped, BTreeMap::from([(0, 3), (1, 2), (2, 1)]));
    assert_eq!(given.mapped.len(), 13);
    let brand = |id: &str| given.mapped.iter().find(|mapped| mapped.record["incident_id"] == id).expect("it");
    assert_eq!(brand("hibp:Dominos").record["brand_id"], "dominos.be");
    assert_eq!(brand("hibp:SterKinekor").record["brand_id"], "sterkinekor.co.za");
    assert_eq!(brand("hibp:OwnedCore").record["brand_id"], "ownedcore.com");
    assert_eq!(brand("hibp:COMELEC").record["identity_or_health_data"], true);
    assert_eq!(brand("hibp:126").record["identity_or_health_data"], false);
    check_golden("breaches", &given);
}

#[test]
fn open_bandit_rows_are_recommendations_shown_and_used() {
    for (policy, basis) in [("bts", "UNKNOWN"), ("random", "CONTEXTUAL")] {
        for (campaign, rows, clicks) in [("all", 30, 6), ("men", 12, 3), ("women", 12, 3)] {
            let given =
                run_file(&format!("open-bandit-{policy}"), &format!("open-bandit/{policy}-{campaign}.csv"));
            let kinds = kinds(&given);
            let count = |kind| kinds.iter().filter(|have| **have == kind).count();
            assert_eq!((count("RECOMMENDATION_SHOWN"), count("RECOMMENDATION_USED")), (rows, clicks));
            assert!(given.mapped.iter().all(|mapped| mapped.record["basis"] == basis));
            if campaign == "all" {
                check_golden(&format!("open-bandit-{policy}"), &given);
            }
        }
    }
}

#[test]
fn a_click_follows_its_showing_in_the_order_of_events() {
    let given = run_file("open-bandit-bts", "open-bandit/bts-all.csv");
    let used = given.mapped.iter().filter(|mapped| mapped.record["kind"] == "RECOMMENDATION_USED");
    for used in used {
        let shown = given.mapped.iter().find(|mapped| {
            mapped.record["kind"] == "RECOMMENDATION_SHOWN"
                && mapped.record["recommendation_id"] == used.record["recommendation_id"]
        });
        let place = |mapped: &Mapped| {
            let text = |field: &str| mapped.record[field].to_string();
            (mapped.record["event_time"].as_i64(), text("event_id"))
        };
        assert!(place(shown.expect("a showing")) < place(used));
    }
}

#[test]
fn ids_are_the_same_in_every_run_and_occur_once() {
    let ids = || -> Vec<String> {
        let given = run_file("open-bandit-random", "open-bandit/random-all.csv");
        given.mapped.iter().map(|mapped| mapped.record["event_id"].to_string()).collect()
    };
    assert_eq!(ids(), ids());
    let distinct: std::collections::BTreeSet<String> = ids().into_iter().collect();
    assert_eq!(distinct.len(), ids().len());
}

#[test]
fn the_examples_of_the_page_work() {
    let page = include_str!("../docs/mappings.md");
    let mut examples = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let input = examples.next().expect("an input of the configuration");
    assert_eq!(Config::load(&Input::text(input)).expect("no problems").settings.inputs.len(), 1);
    let example = examples.next().expect("a mapping");
    let mapper = Mapping::from_toml(example).expect("TOML").check().expect("no problems");
    // Its format is CSV; the rules themselves do not mind where a record comes from.
    let record = json!({
        "bot": false, "action": "buy", "at": "2024-06-10 08:00:00.25", "user": {"mail_hash": "h"}, "skus": "a,b",
        "headers": {"sec_gpc": "1"},
    });
    let mut out = Vec::new();
    mapper.map(&record, RecordAt { source: "log", row: 3 }, &mut out).expect("a record that maps");
    assert_eq!(
        Value::Object(out.swap_remove(0).record),
        json!({
            "event_id": "log:3", "event_time": 1_718_006_400_250_i64, "brand_id": "example.com", "person_id": "h",
            "kind": "ORDER_COMPLETED", "product_ids": ["a", "b"], "consent": {"gpc": true},
        })
    );
    for (name, _) in PRESETS {
        assert!(page.contains(&format!("`{name}`")), "the page does not mention {name}");
    }
}

/// Every record of a source: its bytes, and its value or what is wrong.
fn read(mapper: &Mapper, bytes: &[u8]) -> Vec<(String, String)> {
    let mut records = mapper.read(bytes);
    let mut all = Vec::new();
    while let Some(record) = records.next_record().expect("bytes in memory") {
        assert_eq!(record.row, all.len() as u64 + 1);
        let shown = record.value.map_or_else(|error| error.to_string(), |value| value.to_string());
        all.push((String::from_utf8_lossy(record.original).into_owned(), shown));
    }
    all
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(original, shown)| ((*original).to_owned(), (*shown).to_owned())).collect()
}

#[test]
fn a_broken_line_is_named_and_the_next_one_is_read() {
    let read = read(&mapper("segment"), b"\xEF\xBB\xBF\n{\"type\": 1}\r\n{secret\n\n{}\n");
    let expected =
        [(r#"{"type": 1}"#, r#"{"type":1}"#), ("{secret", "record 2: not JSON at column 2"), ("{}", "{}")];
    assert_eq!(read, pairs(&expected));
}

#[test]
fn a_row_of_another_width_is_named_and_the_next_one_is_read() {
    let mapper = mapper("open-bandit-bts");
    let read = read(&mapper, b"\xEF\xBB\xBFa,b\r\n1,\"x,\r\ny\"\r\n\r\n1\r\n\xFF,2\r\n3,4");
    let expected = [
        ("1,\"x,\r\ny\"", r#"{"a":"1","b":"x,\r\ny"}"#),
        ("1", "record 2: has 1 cells, not 2"),
        ("\u{FFFD},2", "record 3: column `a` is not UTF-8"),
        ("3,4", r#"{"a":"3","b":"4"}"#),
    ];
    assert_eq!(read, pairs(&expected));
    let twice = mapper.read(&b"a,a\n1,2\n"[..]).next_record().expect_err("refused").to_string();
    assert_eq!(twice, "record 0: the header line names a column twice");
    assert_eq!(mapper.read(&b""[..]).next_record().expect("bytes in memory"), None);
}

#[test]
fn a_record_that_is_too_long_is_cut_and_the_next_line_is_read() {
    let too_long = format!("longer than {RECORD_BYTES_MAX} bytes");
    let x = "x".repeat(2 * RECORD_BYTES_MAX);
    let lines = read(&mapper("segment"), format!("{{}}\n{x}\n{{}}\n").as_bytes());
    assert_eq!((lines.len(), lines[1].0.len()), (3, 4_096));
    assert_eq!(lines[1].1, format!("record 2: {too_long}"));
    assert_eq!(lines[2].1, "{}");
    // A quote that is never closed takes what follows with it, up to the limit.
    let row = "1,2\n".repeat(RECORD_BYTES_MAX / 4 + 10);
    let rows = read(&mapper("open-bandit-bts"), format!("a,b\n1,\"2\n{row}").as_bytes());
    assert_eq!(rows[0].1, format!("record 1: {too_long}"));
    assert!((8..=12).contains(&rows.len()), "{}", rows.len());
    assert!(rows[1..].iter().all(|(_, shown)| shown == r#"{"a":"1","b":"2"}"#));
    let header = mapper("open-bandit-bts").read(x.as_bytes()).next_record().expect_err("refused").to_string();
    assert_eq!(header, "record 0: the header line is too long");
}

/// Any JSON value, with keys of the samples among others.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop_oneof![
            Just("track"),
            Just("billing"),
            Just("identify"),
            Just("page_view"),
            Just("io.trustline.v1.Click"),
            Just("2024-06-10T08:00:00Z"),
            Just("https://a.example.com/"),
        ]
        .prop_map(Value::from),
    ];
    let key = prop_oneof![
        Just("type".to_owned()),
        Just("data".to_owned()),
        Just("event_name".to_owned()),
        Just("timestamp".to_owned()),
        Just("Domain".to_owned()),
        Just("request".to_owned()),
        Just("bid".to_owned()),
        Just("notice".to_owned()),
        Just("adomain".to_owned()),
        "[a-z]{1,4}",
    ];
    leaf.prop_recursive(4, 48, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..8)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// Replaces the value at the `at`-th place of a record, in depth-first order.
fn replace(value: &mut Value, at: &mut usize, with: &Value) {
    if *at == 0 {
        *value = with.clone();
    }
    *at = at.wrapping_sub(1);
    match value {
        Value::Array(list) => list.iter_mut().for_each(|next| replace(next, at, with)),
        Value::Object(object) => object.values_mut().for_each(|next| replace(next, at, with)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Maps a record that may be junk; whatever comes out has the fields no event can do without.
fn map_junk(mapper: &Mapper, record: &Value) {
    let mut out = Vec::new();
    let outcome = mapper.map(record, RecordAt { source: "junk", row: 1 }, &mut out);
    match outcome {
        Ok(Outcome::Mapped(count)) => assert_eq!(count, out.len()),
        Ok(Outcome::Skipped(_)) | Err(_) => assert!(out.is_empty()),
    }
    for mapped in &out {
        let id = if mapped.topic == Topic::BrandIncidents { "incident_id" } else { "event_id" };
        let named = mapped.topic == Topic::IdentityLinks || mapped.record.contains_key(id);
        assert!(named, "{mapped:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn no_record_makes_a_mapping_panic(record in any_json()) {
        for (name, _) in PRESETS {
            map_junk(&mapper(name), &record);
        }
    }

    #[test]
    fn no_damaged_sample_makes_a_mapping_panic(at in 0_usize..60, line in 0_usize..6, with in any_json()) {
        for name in ["openrtb", "segment", "ga4", "cloudevents"] {
            let text = std::fs::read_to_string(folder().join(format!("mapping/{name}.jsonl"))).expect("a sample");
            let Some(line) = text.lines().nth(line) else { continue };
            let mut record = serde_json::from_str(line).expect("JSON");
            replace(&mut record, &mut at.clone(), &with);
            map_junk(&mapper(name), &record);
        }
    }

    #[test]
    fn no_bytes_make_a_reader_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        for name in ["segment", "open-bandit-bts", "snowplow"] {
            let mapper = mapper(name);
            let mut records = mapper.read(bytes.as_slice());
            while let Ok(Some(record)) = records.next_record() {
                if let Ok(value) = record.value {
                    map_junk(&mapper, &value);
                }
            }
        }
    }

    #[test]
    fn no_rule_makes_the_check_panic(text in "[a-z$./\\[\\]{}|*^=é0-9]{0,24}", time in "[%a-zA-Z:.0-9é]{0,8}") {
        let mut mapping = Mapping::from_toml(preset("segment").expect("a preset")).expect("TOML");
        for rule in mapping.events[0].fields.values_mut().filter(|rule| rule.table.is_none()) {
            rule.path = None;
            rule.template = None;
            rule.first_of = Some(vec![text.clone()]);
            if rule.time.is_some() {
                rule.time = Some(time.clone());
            }
        }
        if let Ok(mapper) = mapping.check() {
            map_junk(&mapper, &json!({"type": "track", "event": "Order Completed", "a": text}));
        }
    }
}
