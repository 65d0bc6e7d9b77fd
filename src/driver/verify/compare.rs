//! What was published of a window, beside what must have been.

use std::collections::BTreeMap;
use std::sync::Arc;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::Meant;
use crate::codec::avro::schemas;
use crate::codec::confluent::split;
use crate::codec::output::Output;
use crate::event::output::{BrandTrust, BrandTrustKey, PatternTrust};
use crate::log::{Outgoing, Record};

/// Something that was published is not what must have been.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The topic.
    pub topic: String,
    /// Which record of it.
    pub record: String,
    /// The field.
    pub field: String,
    /// What it is.
    pub published: String,
    /// What it must be.
    pub computed: String,
}

/// The key as JSON of the window's records: that of `brand-trust`, and what those of `pattern-trust` begin with.
fn key(meant: &Meant) -> (String, BrandTrustKey<'_>, [String; 2]) {
    let window = meant.length.to_string();
    let key = BrandTrustKey { brand_id: &meant.brand, window: "", window_start: meant.start };
    let json = |window: &str| serde_json::to_string(&BrandTrustKey { window, ..key }).unwrap_or_default();
    let whole = json(&window);
    let begin = format!("{},", whole.trim_end_matches('}'));
    (window, key, [whole, begin])
}

/// Whether an output, written as JSON, is a record of the window in a compared topic.
pub(super) fn is_of(meant: &Meant, output: &Outgoing) -> bool {
    let (_, _, [whole, begin]) = key(meant);
    let key = output.key.as_deref().unwrap_or_default();
    let is_whole = output.topic.ends_with("brand-trust") && key == whole.as_bytes();
    is_whole || (output.topic.ends_with("pattern-trust") && key.starts_with(begin.as_bytes()))
}

/// The published records of a window, by their topics and what is left of their keys, in order.
#[derive(Debug, Default)]
pub struct PublishedRecords(BTreeMap<(Arc<str>, String), Vec<Vec<u8>>>);

impl PublishedRecords {
    /// Takes a record of a compared topic; those of other windows are passed over.
    pub fn take(&mut self, meant: &Meant, record: Record) {
        let (window, key, [whole, begin]) = key(meant);
        let mut avro = Vec::new();
        BrandTrustKey { window: &window, ..key }.encode(&mut avro);
        let found = record.key.unwrap_or_default();
        let pattern = match split(&found) {
            Ok((_, datum)) => datum.strip_prefix(&avro[..]).map(|rest| {
                // What follows is the pattern's name after its length, or nothing.
                String::from_utf8_lossy(rest.get(1..).unwrap_or_default()).into_owned()
            }),
            Err(_) if found == whole.as_bytes() => Some(String::new()),
            Err(_) if found.starts_with(begin.as_bytes()) => Some(pattern_of(&found)),
            Err(_) => None,
        };
        if let Some(pattern) = pattern {
            self.0.entry((record.from.topic, pattern)).or_default().push(record.value);
        }
    }
}

fn pattern_of(key: &[u8]) -> String {
    let key: Value = serde_json::from_slice(key).unwrap_or_default();
    key.get("pattern").and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// Compares what was published of a window with what must have been; also how many records were compared.
pub fn differences(computed: &[Outgoing], published: PublishedRecords) -> (usize, Vec<Difference>) {
    let mut expected: BTreeMap<(Arc<str>, String), Vec<&[u8]>> = BTreeMap::new();
    for output in computed {
        let pattern = pattern_of(output.key.as_deref().unwrap_or_default());
        expected.entry((Arc::clone(&output.topic), pattern)).or_default().push(&output.value);
    }
    let mut published = published.0;
    let (mut count, mut found) = (0, Vec::new());
    for (of, values) in &expected {
        let others = published.remove(of).unwrap_or_default();
        count += values.len();
        let mut add = |at: usize, computed: Option<&[u8]>, published: Option<&[u8]>| {
            let (topic, pattern) = of;
            let number = if at > 0 { format!(", record {}", at + 1) } else { String::new() };
            let record = if pattern.is_empty() { "window" } else { pattern };
            let fields = fields(topic.ends_with("pattern-trust"), computed, published);
            found.extend(fields.into_iter().map(|(field, published, computed)| Difference {
                topic: topic.to_string(),
                record: format!("{record}{number}"),
                field,
                published,
                computed,
            }));
        };
        for at in 0..values.len().max(others.len()) {
            add(at, values.get(at).copied(), others.get(at).map(Vec::as_slice));
        }
    }
    for ((topic, pattern), values) in published {
        let fields =
            values.iter().flat_map(|value| fields(topic.ends_with("pattern-trust"), None, Some(value)));
        let record = if pattern.is_empty() { "window".to_owned() } else { pattern };
        found.extend(fields.map(|(field, published, computed)| Difference {
            topic: topic.to_string(),
            record: record.clone(),
            field,
            published,
            computed,
        }));
    }
    (count, found)
}

type Field = (String, String, String);

/// The fields in which two records differ; none if they are the same bytes.
fn fields(is_pattern: bool, computed: Option<&[u8]>, published: Option<&[u8]>) -> Vec<Field> {
    let (Some(expected), Some(found)) = (computed, published) else {
        let shown = |one: Option<&[u8]>| if one.is_some() { "a record" } else { "none" }.to_owned();
        return vec![("record".to_owned(), shown(published), shown(computed))];
    };
    if is_pattern {
        of_type::<PatternTrust>(schemas::PATTERN_TRUST, expected, found)
    } else {
        of_type::<BrandTrust>(schemas::BRAND_TRUST, expected, found)
    }
}

fn of_type<T: Output + Serialize + DeserializeOwned>(
    schema: &str,
    expected: &[u8],
    found: &[u8],
) -> Vec<Field> {
    let Ok(computed) = serde_json::from_slice::<T>(expected) else { return Vec::new() };
    let (is_same, read) = match split(found) {
        Ok((_, datum)) => {
            let mut bytes = Vec::new();
            computed.encode(&mut bytes);
            (bytes == datum, decoded::<T>(schema, datum))
        }
        Err(_) => (expected == found, serde_json::from_slice::<Value>(found).ok()),
    };
    if is_same {
        return Vec::new();
    }
    let of = |value: Option<Value>| match value {
        Some(Value::Object(fields)) => fields,
        _ => Map::new(),
    };
    let (computed, published) = (of(serde_json::to_value(&computed).ok()), of(read));
    let names = computed.keys().chain(published.keys().filter(|name| !computed.contains_key(*name)));
    let shown = |value: Option<&Value>| value.map_or_else(|| "missing".to_owned(), Value::to_string);
    let mut found: Vec<Field> = names
        .filter(|name| computed.get(*name) != published.get(*name))
        .map(|name| (name.clone(), shown(published.get(name)), shown(computed.get(name))))
        .collect();
    if found.is_empty() {
        found.push(("bytes".to_owned(), "the same values otherwise written".to_owned(), String::new()));
    }
    found
}

fn decoded<T: Serialize + DeserializeOwned>(schema: &str, mut datum: &[u8]) -> Option<Value> {
    let schema = Schema::parse_str(schema).ok()?;
    let value = GenericDatumReader::builder(&schema).build().ok()?.read_value(&mut datum).ok()?;
    serde_json::to_value(apache_avro::from_value::<T>(&value).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::confluent::{SchemaId, put_frame};
    use crate::event::output::PatternTrustKey;
    use crate::log::TopicPartition;
    use crate::time::WindowLength;

    fn meant() -> Meant {
        Meant { brand: "acme".to_owned(), length: WindowLength::HOUR, start: 3_600_000 }
    }

    /// A record of `pattern-trust` for two windows of a brand.
    fn pattern(start: i64, weight: f64) -> PatternTrust {
        let value = serde_json::json!({
            "brand_id": "acme", "window_start": start, "window_end": start + 3_600_000, "window": "1h",
            "status": "FINAL", "revision": 1, "pattern": "consent_nagging", "evaluated": true, "at_risk": 60,
            "weight": weight, "contribution": 0.1, "config_hash": "00",
        });
        serde_json::from_value(value).unwrap()
    }

    fn outgoing(of: &PatternTrust) -> Outgoing {
        Outgoing {
            topic: "t.pattern-trust".into(),
            partition: None,
            key: Some(serde_json::to_vec(&of.key()).unwrap()),
            value: serde_json::to_vec(of).unwrap(),
            headers: Vec::new(),
        }
    }

    fn published(key: Vec<u8>, value: Vec<u8>) -> Record {
        let from = TopicPartition { topic: "t.pattern-trust".into(), partition: 0 };
        Record { from, offset: 0, timestamp_ms: None, key: Some(key), value, headers: Vec::new() }
    }

    fn json(of: &PatternTrust) -> Record {
        let Outgoing { key, value, .. } = outgoing(of);
        published(key.unwrap(), value)
    }

    fn avro(of: &PatternTrust) -> Record {
        let framed = |record: &dyn Output| {
            let mut bytes = Vec::new();
            put_frame(SchemaId(7), &mut bytes);
            record.encode(&mut bytes);
            bytes
        };
        let key: PatternTrustKey<'_> = of.key();
        published(framed(&key), framed(of))
    }

    fn compared(records: Vec<Record>) -> (usize, Vec<(String, String, String)>) {
        let computed = [outgoing(&pattern(3_600_000, 0.25))];
        assert!(is_of(&meant(), &computed[0]) && !is_of(&meant(), &outgoing(&pattern(0, 0.25))));
        let mut all = PublishedRecords::default();
        records.into_iter().for_each(|record| all.take(&meant(), record));
        let (count, found) = differences(&computed, all);
        (count, found.into_iter().map(|one| (one.field, one.published, one.computed)).collect())
    }

    fn field(field: &str, published: &str, computed: &str) -> (String, String, String) {
        (field.to_owned(), published.to_owned(), computed.to_owned())
    }

    #[test]
    fn equal_records_are_equal_in_either_format_and_a_field_that_differs_is_named() {
        let of_other_window = pattern(0, 0.5);
        for write in [json, avro] {
            let (same, other) = (pattern(3_600_000, 0.25), pattern(3_600_000, 0.5));
            assert_eq!(compared(vec![write(&of_other_window), write(&same)]), (1, vec![]));
            assert_eq!(compared(vec![write(&other)]), (1, vec![field("weight", "0.5", "0.25")]));
            assert_eq!(compared(vec![]), (1, vec![field("record", "none", "a record")]));
            let twice = vec![write(&same), write(&other)];
            assert_eq!(compared(twice), (1, vec![field("record", "a record", "none")]));
        }
        let mut spaced = json(&pattern(3_600_000, 0.25));
        spaced.value.push(b' ');
        assert_eq!(compared(vec![spaced]).1[0].0, "bytes");
    }
}
