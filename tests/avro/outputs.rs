//! Output records and keys are encoded as apache-avro does.

use apache_avro::Schema;
use apache_avro::types::Value;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json, json};
use trustline::codec::avro::schemas;
use trustline::codec::output::Output;
use trustline::event::output::{BrandTrust, ErasureReceipt, PatternTrust, TrustAlert, TrustMoment};

use crate::random::Random;
use crate::second;

/// A record of random values with the fields of a schema.
fn random_record<T: DeserializeOwned>(random: &mut Random, schema: &str) -> T {
    let schema: Json = serde_json::from_str(schema).unwrap();
    let mut record = Map::new();
    for field in schema["fields"].as_array().unwrap() {
        let name = field["name"].as_str().unwrap().to_owned();
        let of = match &field["type"] {
            Json::Array(branches) if random.flag() => {
                assert_eq!(branches[0], "null");
                record.insert(name, Json::Null);
                continue;
            }
            Json::Array(branches) => branches[1].clone(),
            of => of.clone(),
        };
        let of = of.get("type").cloned().unwrap_or(of);
        let value = match of.as_str().unwrap() {
            "string" => json!(random.text()),
            "int" => json!(random.long() as i32),
            "long" => json!(random.long()),
            "double" => json!(random.long() as f64 / 8.0),
            "boolean" => json!(random.flag()),
            other => panic!("{name} is no scalar but {other}"),
        };
        record.insert(name, value);
    }
    serde_json::from_value(Json::Object(record)).unwrap()
}

type Encode<T> = fn(&T, &mut Vec<u8>);

fn check<T: Output + Serialize + DeserializeOwned>(schema_json: &str, keys: &[(&str, Encode<T>)]) {
    let schema = Schema::parse_str(schema_json).unwrap();
    for seed in 0..200 {
        let record: T = random_record(&mut Random::new(seed), schema_json);
        let mut ours = Vec::new();
        record.encode(&mut ours);
        let value = apache_avro::to_value(&record).unwrap();
        assert!(ours == second::encode(&schema, value.clone().resolve(&schema).unwrap()), "seed {seed}");

        let Value::Record(fields) = value else { panic!("no record") };
        for (key_json, encode) in keys {
            let key_schema = Schema::parse_str(key_json).unwrap();
            let mut ours = Vec::new();
            encode(&record, &mut ours);
            let names: Json = serde_json::from_str(key_json).unwrap();
            let key = names["fields"].as_array().unwrap().iter().map(|field| {
                let name = field["name"].as_str().unwrap();
                fields.iter().find(|(field, _)| field == name).unwrap().clone()
            });
            let key = Value::Record(key.collect()).resolve(&key_schema).unwrap();
            assert!(ours == second::encode(&key_schema, key), "seed {seed} {key_json}");
        }
    }
}

#[test]
fn records_and_keys_are_encoded_as_another_library_does() {
    check::<TrustMoment>(
        schemas::TRUST_MOMENT,
        &[(schemas::TRUST_MOMENT_KEY, |record, out| record.key().encode(out))],
    );
    check::<BrandTrust>(
        schemas::BRAND_TRUST,
        &[
            (schemas::BRAND_TRUST_KEY, |record, out| record.key().encode(out)),
            (schemas::BRAND_TRUST_LATEST_KEY, |record, out| record.latest_key().encode(out)),
        ],
    );
    check::<PatternTrust>(
        schemas::PATTERN_TRUST,
        &[(schemas::PATTERN_TRUST_KEY, |record, out| record.key().encode(out))],
    );
    check::<TrustAlert>(
        schemas::TRUST_ALERT,
        &[(schemas::TRUST_ALERT_KEY, |record, out| record.key().encode(out))],
    );
    check::<ErasureReceipt>(
        schemas::ERASURE_RECEIPT,
        &[(schemas::ERASURE_RECEIPT_KEY, |record, out| record.key().encode(out))],
    );
}
