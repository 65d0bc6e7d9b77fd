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
