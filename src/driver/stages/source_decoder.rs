//! Records of a source topic, in Avro under the schemas of a registry or in JSON.

use std::collections::BTreeMap;

use crate::codec::avro::{self, PlanError};
use crate::codec::confluent::{MAGIC, SchemaId, split};
use crate::codec::json;
use crate::config::sections::Format;
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::event::reject::{Reason, Reject};
use crate::registry::{Look, Schemas};

/// Decodes and validates the records of one source topic.
pub struct SourceDecoder {
    topic: Topic,
    format: Format,
    schemas: Option<Schemas>,
    json: json::Decoder,
    /// A schema that cannot be read as the topic's records refuses all of them.
    avro: BTreeMap<SchemaId, Result<avro::Decoder, Reject>>,
}

impl SourceDecoder {
    /// A decoder of a topic's records. Without schemas, records in Avro are refused.
    pub fn new(topic: Topic, format: Format, schemas: Option<Schemas>) -> SourceDecoder {
        SourceDecoder { topic, format, schemas, json: json::Decoder::new(topic), avro: BTreeMap::new() }
    }

    /// The schema that must be waited for before a record can be decoded.
    pub fn waits_for(&mut self, record: &[u8]) -> Option<SchemaId> {
        let schemas = self.schemas.as_ref().filter(|_| is_avro(self.format, record))?;
        let (id, _) = split(record).ok()?;
        if self.avro.contains_key(&id) {
            return None;
        }
        match schemas.look(id) {
            Look::Known(schema) => {
                let compiled = avro::Decoder::compile(&schema, self.topic);
                self.avro.insert(id, compiled.map_err(|error| unreadable(id, &error)));
                None
            }
            Look::NotYet => Some(id),
            Look::Missing => None,
        }
    }

    /// Decodes and validates a record that waits for nothing.
    ///
    /// # Errors
    /// When it is no record of the topic, or its schema is unknown.
    pub fn decode<'a>(&'a mut self, record: &'a [u8]) -> Result<RawRecord<'a>, Reject> {
        if !is_avro(self.format, record) {
            return self.json.decode(record);
        }
        let (id, datum) = split(record)?;
        match self.avro.get(&id) {
            Some(Ok(decoder)) => decoder.decode(datum),
            Some(Err(reject)) => Err(reject.clone()),
            None if self.schemas.is_none() => {
                Err(Reject::new(Reason::UnknownSchema, "no schema registry is configured"))
            }
            None => Err(Reject::new(Reason::UnknownSchema, format!("schema {}", id.0))),
        }
    }
}

fn is_avro(format: Format, record: &[u8]) -> bool {
    match format {
        Format::Auto => record.first() == Some(&MAGIC),
        Format::Avro => true,
        Format::Json => false,
    }
}

fn unreadable(id: SchemaId, error: &PlanError) -> Reject {
    let reason = match error {
        PlanError::MissingField { .. } => Reason::MissingField,
        PlanError::WrongType { .. } => Reason::WrongType,
        _ => Reason::Undecodable,
    };
    Reject::new(reason, format!("schema {}: {error}", id.0))
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::{Duration, Instant};

    use super::*;
    use crate::codec::avro::schemas::{AD_DELIVERY, ERASURE};
    use crate::codec::canonical::encode_erasure;
    use crate::codec::confluent::put_frame;
    use crate::event::raw::RawErasure;
    use crate::registry::{Folder, Limits};

    const LINE: &[u8] = br#"{"request_id":"r","person_id":"p","requested_time":1740960000000}"#;

    fn framed(id: u32) -> Vec<u8> {
        let (request_id, person_id) = ("r".to_owned(), Some("p".to_owned()));
        let erasure =
            RawErasure { request_id, person_id, device_id: None, requested_time: 1_740_960_000_000 };
        let mut record = Vec::new();
        put_frame(SchemaId(id), &mut record);
        encode_erasure(&erasure, &mut record);
        record
    }

    fn reason(decoder: &mut SourceDecoder, record: &[u8]) -> Result<(), Reason> {
        decoder.decode(record).map(|_| ()).map_err(|reject| reject.reason)
    }

    /// Schemas of a registry that knows 1, an erasure, and 2, something else, once it is told to answer.
    fn schemas(answers: &Arc<Mutex<bool>>) -> Schemas {
        let (answers, folder) = (Arc::clone(answers), tempfile::tempdir().unwrap());
        let fetch = move |id: SchemaId| {
            while !*answers.lock().unwrap() {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(match id.0 {
                1 => Some(ERASURE.to_owned()),
                2 => Some(AD_DELIVERY.to_owned()),
                _ => None,
            })
        };
        let (short, long) = (Duration::ZERO, Duration::from_secs(60));
        let limits = Limits { missing_after: short, ask_every_max: short, missing_for: long };
        Schemas::new(fetch, Folder::of(folder.path(), "http://x"), limits)
    }

    #[test]
    fn without_a_registry_json_is_read_and_avro_refused() {
        let mut auto = SourceDecoder::new(Topic::Erasures, Format::Auto, None);
        assert_eq!(auto.waits_for(&framed(1)), None);
        assert_eq!(reason(&mut auto, &framed(1)), Err(Reason::UnknownSchema));
        assert_eq!(reason(&mut auto, LINE), Ok(()));
        let mut json = SourceDecoder::new(Topic::Erasures, Format::Json, None);
        assert_eq!(reason(&mut json, LINE), Ok(()));
        assert_eq!(reason(&mut json, &framed(1)), Err(Reason::Undecodable));
        let mut avro = SourceDecoder::new(Topic::Erasures, Format::Avro, None);
        assert_eq!(reason(&mut avro, LINE), Err(Reason::WrongMagic));
    }

    #[test]
    fn a_record_waits_for_its_schema_and_json_waits_for_nothing() {
        let answers = Arc::new(Mutex::new(false));
        let mut decoder = SourceDecoder::new(Topic::Erasures, Format::Auto, Some(schemas(&answers)));
        assert_eq!(decoder.waits_for(&framed(1)), Some(SchemaId(1)));
        assert_eq!(decoder.waits_for(LINE), None);
        *answers.lock().unwrap() = true;
        let start = Instant::now();
        for id in [1, 2, 3] {
            while decoder.waits_for(&framed(id)).is_some() {
                assert!(start.elapsed() < Duration::from_secs(20));
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        let mut decoded = |record: &[u8]| match decoder.decode(record) {
            Ok(RawRecord::Erasure(erasure)) => erasure,
            _ => panic!("it is an erasure"),
        };
        assert!(decoded(&framed(1)) == decoded(LINE));
        // A schema of another record lacks what is required, and so refuses every record.
        assert_eq!(reason(&mut decoder, &framed(2)), Err(Reason::MissingField));
        assert_eq!(reason(&mut decoder, &framed(3)), Err(Reason::UnknownSchema));
        assert_eq!(reason(&mut decoder, &[0, 0, 0]), Err(Reason::Undecodable));
    }
}
