//! What can still be read of a dead letter.

use bumpalo::Bump;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::value::{Context, KeySeed, Scalar, ScalarSeed};
use crate::event::validate::ID_BYTES_MAX;
use crate::time::EventTime;

/// The fields of a dead letter that are valid by themselves and given once.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Readable {
    /// The brand.
    pub brand_id: Option<String>,
    /// The event time, milliseconds.
    pub event_time: Option<i64>,
}

/// Reads what can be read of a line; nothing if it is no JSON object.
pub fn readable(line: &[u8]) -> Readable {
    let arena = Bump::new();
    let context = Context::new(&arena);
    let Ok(text) = std::str::from_utf8(line) else { return Readable::default() };
    let mut json = serde_json::Deserializer::from_str(text);
    let read = json.deserialize_map(Both { context: &context });
    match read {
        Ok(readable) if json.end().is_ok() => readable,
        _ => Readable::default(),
    }
}

struct Both<'c, 'a> {
    context: &'c Context<'a>,
}

impl<'a> Visitor<'a> for Both<'_, 'a> {
    type Value = Readable;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Readable, A::Error> {
        let (mut brands, mut times) = (Vec::new(), Vec::new());
        let lookup = |key: &str| match key {
            "brand_id" => Some(true),
            "event_time" => Some(false),
            _ => None,
        };
        while let Some(field) = entries.next_key_seed(KeySeed(lookup))? {
            match field {
                Some(true) => brands.push(entries.next_value_seed(ScalarSeed(self.context))?),
                Some(false) => times.push(entries.next_value_seed(ScalarSeed(self.context))?),
                None => {
                    entries.next_value::<IgnoredAny>()?;
                }
            }
        }
        let brand = only(&brands).and_then(|brand| brand.text().ok().flatten());
        let time = only(&times).and_then(|time| time.time().ok().flatten());
        Ok(Readable {
            brand_id: brand.filter(|id| (1..=ID_BYTES_MAX).contains(&id.len())).map(str::to_owned),
            event_time: time.filter(|time| EventTime(*time).is_plausible()),
        })
    }
}

fn only<'a>(values: &[Scalar<'a>]) -> Option<Scalar<'a>> {
    match values {
        [value] => Some(*value),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(line: &str, brand: Option<&str>, time: Option<i64>) {
        let got = readable(line.as_bytes());
        assert_eq!((got.brand_id.as_deref(), got.event_time), (brand, time), "{line}");
    }

    #[test]
    fn a_field_is_readable_if_it_is_valid_and_given_once() {
        check(r#"{"brand_id":"b","event_time":1740960000000,"kind":7}"#, Some("b"), Some(1_740_960_000_000));
        check(
            r#"{"brand_id":"b","brand_id":"b","event_time":"2025-03-03T00:00:00Z"}"#,
            None,
            Some(1_740_960_000_000),
        );
        check(r#"{"brand_id":"","event_time":7}"#, None, None);
        check(r#"{"brand_id":"b"} {}"#, None, None);
        check(r#"["brand_id"]"#, None, None);
    }
}
