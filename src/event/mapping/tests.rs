use serde_json::{Value, json};

use super::super::kinds::Topic;
use super::*;

fn problems(text: &str) -> Vec<String> {
    let mapping = Mapping::from_toml(text).expect("TOML");
    mapping.check().expect_err("problems").iter().map(ToString::to_string).collect()
}

fn mapper(fields: &str) -> Mapper {
    let text = format!(
        "name = \"t\"\n[variables]\nbrand = \"b\"\n[[event]]\ntopic = \"clickstream\"\n[event.fields]\n{fields}"
    );
    Mapping::from_toml(&text).expect("TOML").check().expect("no problems")
}

const BASE: &str = r#"
event_id = { path = "id" }
event_time = { path = "t", time = "epoch_s" }
brand_id = { path = "$brand" }
person_id = { path = "p" }
"#;

fn map(mapper: &Mapper, record: &Value) -> Result<Vec<Mapped>, MappingError> {
    let mut out = Vec::new();
    mapper.map(record, RecordAt { source: "s", row: 7 }, &mut out).map(|_| out)
}

#[test]
fn every_preset_is_free_of_problems() {
    for (name, text) in PRESETS {
        let mapping = Mapping::from_toml(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
        assert!(name.starts_with(&mapping.name), "{name}");
        if let Err(problems) = mapping.check() {
            panic!("{name}: {problems:?}");
        }
    }
}

#[test]
fn all_problems_are_reported_at_once_with_their_place() {
    let found = problems(
        r#"
        name = ""
        columns = ["a"]
        skip_when = [{ path = "a..b", exists = true }, { path = "a" }]
        [[event]]
        topic = "clicks"
        [[event]]
        topic = "clickstream"
        [event.fields]
        kind = { constant = "SENT" }
        basis = { path = "x", table = { a = "GUESS" } }
        event_time = { path = "t", time = "iso" }
        brand_id = { path = "$nobody" }
        device_type = { path = "a", constant = "PHONE" }
        colour = { path = "c" }
        "#,
    );
    for start in [
        "name: ",
        "columns: ",
        "skip_when[0].path: ",
        "skip_when[1]: ",
        "event[0].topic: `clicks` is unknown; allowed: ad-deliveries",
        "event[1].fields.kind.constant: `SENT` is not allowed; allowed: PAGE_VIEW",
        "event[1].fields.basis.table.a: `GUESS` is not allowed; allowed: CONTEXTUAL",
        "event[1].fields.event_time.time: allowed: `epoch_s`",
        "event[1].fields.brand_id.path: `$nobody` is unknown",
        "event[1].fields.device_type: needs exactly one",
        "event[1].fields.colour: not a field of clickstream",
        "event[1].fields.event_id: is missing",
        "event[1].fields: at least one of",
    ] {
        assert!(found.iter().any(|problem| problem.starts_with(start)), "{start} not in {found:#?}");
    }
    assert_eq!(found.len(), 13, "{found:#?}");
}

#[test]
fn unknown_keys_are_refused() {
    let text = "name = \"t\"\ncolour = 1\nevent = []";
    assert!(Mapping::from_toml(text).expect_err("unknown key").problem.contains("colour"));
}

#[test]
fn errors_name_record_field_and_rule_but_no_value() {
    let fields = format!("{BASE}kind = {{ path = \"k\", table = {{ view = \"PAGE_VIEW\" }} }}");
    let mapper = mapper(&fields);
    let check = |record: Value, expected: &str| {
        let error = map(&mapper, &record).expect_err("an error").to_string();
        assert_eq!(error, format!("t: record 7: event[0] (clickstream), {expected}"));
    };
    check(
        json!({"id": "1", "t": "secret", "p": "x", "k": "view"}),
        "field `event_time`, rule `time`: the value is not a time of this form",
    );
    check(
        json!({"id": "1", "t": 1_600_000_000, "p": "x", "k": "secret"}),
        "field `kind`, rule `table`: the table does not list the value",
    );
    check(
        json!({"t": 1_600_000_000, "p": "x", "k": "view"}),
        "field `event_id`, rule `path`: there is no value",
    );
    check(
        json!({"id": {"a": 1}, "t": 1_600_000_000, "p": "x", "k": "view"}),
        "field `event_id`, rule `path`: expected text, a number or a boolean",
    );
    check(
        json!({"id": "1", "t": 1_600_000_000, "k": "view"}),
        "field `person_id or device_id`, rule `required`: there is no value",
    );
}

#[test]
fn rules_shape_values() {
    let fields = format!(
        r#"{BASE}
kind = {{ constant = "PRODUCT_VIEW" }}
product_ids = {{ path = "items", split = ",", transforms = ["lower"] }}
category = {{ first_of = ["none", "{{a|upper}}/{{b}}", "c"] }}
basis = {{ path = "none", default = "DECLARED" }}
test = {{ path = "test" }}
disclosed = {{ contains = {{ path = "tags", any_of = ["ad"] }} }}
"consent.gpc" = {{ path = "gpc" }}
"#
    );
    let mapper = mapper(&fields);
    let record = json!({
        "id": 5, "t": "1600000000.5", "p": "x", "items": "A, b,,C", "a": "q", "b": 2, "test": "0", "gpc": 1,
        "tags": ["x", "ad"],
    });
    let mapped = map(&mapper, &record).expect("mapped");
    assert_eq!(
        Value::Object(mapped[0].record.clone()),
        json!({
            "event_id": "5", "event_time": 1_600_000_000_500_i64, "brand_id": "b", "person_id": "x",
            "kind": "PRODUCT_VIEW", "product_ids": ["a", "b", "c"], "category": "Q/2", "basis": "DECLARED",
            "test": false, "disclosed": true, "consent": {"gpc": true},
        })
    );
}

#[test]
fn a_failing_second_event_takes_the_first_back() {
    let text = format!(
        "name = \"t\"\n[variables]\nbrand = \"b\"\n{event}kind = {{ constant = \"PAGE_VIEW\" }}\n{event}kind = {{ path = \"k\" }}\n",
        event = format_args!("[[event]]\ntopic = \"clickstream\"\n[event.fields]\n{BASE}")
    );
    let mapper = Mapping::from_toml(&text).expect("TOML").check().expect("no problems");
    let mut out = Vec::new();
    let record = json!({"id": "1", "t": 1, "p": "x", "k": "SENT"});
    let error = mapper.map(&record, RecordAt { source: "s", row: 1 }, &mut out).expect_err("no symbol");
    assert_eq!((error.event, error.problem), (1, ValueProblem::NotASymbol));
    assert!(out.is_empty());
}

#[test]
fn a_mapping_takes_the_variables_that_it_knows() {
    let set = |name: &str| std::collections::BTreeMap::from([(name.to_owned(), "men".to_owned())]);
    let mapping = Mapping::from_toml(preset("open-bandit-bts").expect("a preset")).expect("TOML");
    let mapper = mapping.check_with(&set("campaign")).expect("no problems");
    assert_eq!(mapper.variables["campaign"], "men");
    assert_eq!(mapper.variables["brand"], "ZOZOTOWN");
    let unknown = mapping.check_with(&set("colour")).expect_err("unknown variable");
    assert_eq!(
        unknown[0].to_string(),
        "variables.colour: the mapping has no such variable; allowed: basis, brand, campaign"
    );
}

#[test]
fn a_variable_that_is_left_open_must_be_given() {
    let fields = format!("{BASE}kind = {{ constant = \"PAGE_VIEW\" }}\ncategory = {{ path = \"$shop\" }}");
    let mapping = Mapping::from_toml(&format!(
        "name = \"t\"\n[[event]]\ntopic = \"clickstream\"\n[event.fields]\n{fields}"
    ))
    .expect("TOML");
    let set = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), "x".to_owned())).collect();
    assert_eq!(
        mapping.check_with(&set(&["shop"])).expect_err("brand is missing")[0].to_string(),
        "event[0].fields.brand_id.path: `$brand` is unknown: no variable `brand` is set; known: `$row`, `$source`, `$shop`"
    );
    let mapper = mapping.check_with(&set(&["shop", "brand"])).expect("no problems");
    assert_eq!(mapper.main_topic(), Topic::Clickstream);
    let mapped = map(&mapper, &json!({"id": "1", "t": 1, "p": "x"})).expect("an event");
    assert_eq!(mapped[0].record["category"], "x");
}
