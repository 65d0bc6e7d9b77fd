//! The schemas themselves: their form, their golden bytes, and that our hand-written encoding follows them.

use std::path::PathBuf;

use apache_avro::Schema;
use apache_avro::types::Value;
use serde_json::Value as Json;
use trustline::codec::avro::{Plan, schemas};
use trustline::codec::canonical;
use trustline::codec::field::{self, Field};
use trustline::event::kinds::Topic;
use trustline::event::raw::{RawConsent, RawEvent};

use crate::random::Random;
use crate::{second, writers};

#[test]
fn every_field_is_documented_and_outputs_are_flat() {
    for (name, schema) in schemas::ALL {
        let parsed: Json = serde_json::from_str(schema).unwrap();
        assert_eq!(parsed["name"], *name);
        assert_eq!(parsed["namespace"], "io.trustline.v1", "{name}");
        let is_output = !Topic::ALL.iter().any(|topic| schemas::input_schema(*topic) == *schema);
        for field in parsed["fields"].as_array().unwrap() {
            let label = format!("{name}.{}", field["name"]);
            assert!(
                field["doc"].as_str().is_some_and(|doc| doc.ends_with('.') || doc.contains(" / ")),
                "{label}"
            );
            let of = match &field["type"] {
                Json::Array(branches) => {
                    assert!(branches.len() == 2 && branches[0] == "null", "{label}");
                    assert!(field.get("default").is_some_and(Json::is_null), "{label}");
                    &branches[1]
                }
                of => of,
            };
            let is_time = of["logicalType"] == "timestamp-millis" && of["type"] == "long";
            if is_output {
                let scalar = ["string", "int", "long", "double", "boolean"].iter().any(|scalar| of == scalar);
                assert!(scalar || is_time, "{label}");
            }
        }
    }
    let files = std::fs::read_dir(folder("schemas")).unwrap().flatten();
    let avsc = files.filter(|file| file.path().extension().is_some_and(|ending| ending == "avsc"));
    assert_eq!(avsc.count(), schemas::ALL.len());
}

#[test]
fn the_field_table_is_the_schema() {
    for topic in [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages] {
        let parsed: Json = serde_json::from_str(schemas::input_schema(topic)).unwrap();
        let names: Vec<&str> = parsed["fields"]
            .as_array()
            .unwrap()
            .iter()
            .map(|field| field["name"].as_str().unwrap())
            .collect();
        assert_eq!(names, field::fields_of(topic).iter().map(|field| field.name()).collect::<Vec<_>>());
        for part in parsed["fields"].as_array().unwrap() {
            let field = Field::from_name(part["name"].as_str().unwrap()).unwrap();
            let of = part["type"].get(1).unwrap_or(&part["type"]);
            if let Some(symbols) = of.get("symbols") {
                assert_eq!(
                    *symbols,
                    Json::from(field::symbols_of(topic, field)),
                    "{topic:?} {}",
                    field.name()
                );
            }
        }
    }
}

/// Random events, encoded by hand, are what another library reads and writes under our schema.
#[test]
fn the_canonical_encoding_is_avros() {
    for seed in 0..600 {
        for topic in [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages] {
            let written = writers::event(&mut Random::new(seed), topic);
            let theirs = written.schema.to_string();
            let datum = second::encode(&Schema::parse_str(&theirs).unwrap(), written.value);
            let mut event = RawEvent::new(topic);
            Plan::compile(&theirs, topic).unwrap().decode(&datum, &mut event).unwrap();

            let schema = Schema::parse_str(schemas::input_schema(topic)).unwrap();
            let mut ours = Vec::new();
            canonical::encode_event(&event, &mut ours);
            let value = second::decode(&schema, &ours, None).unwrap();
            assert!(text(&value, "event_id") == event.event_id, "seed {seed}");
            assert!(text(&value, "brand_id") == event.brand_id, "seed {seed}");
            assert!(second::encode(&schema, value) == ours, "seed {seed}");
            let mut again = RawEvent::new(topic);
            let plan = Plan::compile(schemas::input_schema(topic), topic).unwrap();
            assert_eq!(plan.decode(&ours, &mut again), Ok(ours.len()), "seed {seed}");
            assert!(again == event, "seed {seed}");
        }
    }
}

#[test]
fn a_status_beyond_an_int_is_encoded_as_an_int() {
    let mut event = RawEvent::new(Topic::AdDeliveries);
    event.consent = Some(RawConsent { att_status: Some(i64::MAX), ..RawConsent::default() });
    let mut bytes = Vec::new();
    canonical::encode_event(&event, &mut bytes);
    let schema = Schema::parse_str(schemas::AD_DELIVERY).unwrap();
    assert!(second::decode(&schema, &bytes, None).is_ok());
}

fn text<'v>(value: &'v Value, name: &str) -> &'v str {
    let Value::Record(fields) = value else { panic!("no record") };
    match fields.iter().find(|(field, _)| field == name) {
        Some((_, Value::String(text))) => text,
        _ => panic!("no text {name}"),
    }
}

/// `BLESS=1` writes the files anew.
#[test]
fn golden_bytes_change_with_the_schemas() {
    for (name, schema_json) in schemas::ALL {
        let schema = Schema::parse_str(schema_json).unwrap();
        let json: Json = serde_json::from_str(schema_json).unwrap();
        let bytes = second::encode(&schema, sample(&json, name, 0));
        let golden =
            format!("schema {}\nsample {}\n", blake3::hash(schema_json.as_bytes()).to_hex(), hex(&bytes));
        let path = folder("tests/golden").join(format!("{name}.hex"));
        if std::env::var_os("BLESS").is_some() {
            std::fs::write(&path, &golden).unwrap();
        }
        let kept = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(
            golden, kept,
            "{name}.avsc changed: BLESS=1 writes its golden file anew, see schemas/README.md"
        );
    }
}

/// A value that is made of the schema alone.
fn sample(schema: &Json, name: &str, at: usize) -> Value {
    match schema {
        Json::Array(branches) => Value::Union(1, Box::new(sample(&branches[1], name, at))),
        Json::String(primitive) => match primitive.as_str() {
            "string" => Value::String(name.to_owned()),
            "int" => Value::Int(at as i32),
            "long" => Value::Long(1_000 + at as i64),
            "double" => Value::Double(at as f64 / 4.0),
            "boolean" => Value::Boolean(true),
            other => panic!("{other}"),
        },
        _ if schema["logicalType"] == "timestamp-millis" => {
            Value::TimestampMillis(1_740_960_000_000 + at as i64)
        }
        _ => match schema["type"].as_str().unwrap() {
            "array" => Value::Array(vec![sample(&schema["items"], name, at); 2]),
            "enum" => {
                let symbols = schema["symbols"].as_array().unwrap();
                let last = symbols.len() - 1;
                Value::Enum(last as u32, symbols[last].as_str().unwrap().to_owned())
            }
            _ => {
                let fields = schema["fields"].as_array().unwrap().iter().enumerate().map(|(at, field)| {
                    let name = field["name"].as_str().unwrap();
                    (name.to_owned(), sample(&field["type"], name, at))
                });
                Value::Record(fields.collect())
            }
        },
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}
