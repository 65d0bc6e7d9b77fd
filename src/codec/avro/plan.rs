//! Events of persons from Avro.

use super::compile::{self, Program, Want};
use super::cursor::Cursor;
use super::step::{self, Sink};
use crate::codec::field::{self, Field, FieldSet, Shape};
use crate::event::kinds::Topic;
use crate::event::raw::RawEvent;
use crate::event::reject::Reject;
use crate::event::validate::PRODUCTS_MAX;

/// A writer's schema cannot be read as records of the topic.
#[derive(Debug, thiserror::Error)]
pub enum PlanError {
    /// It is no Avro schema.
    #[error("not an Avro schema")]
    Schema {
        /// Why.
        source: Box<apache_avro::Error>,
    },
    /// It is no record.
    #[error("the schema is not one of a record")]
    NotARecord,
    /// A required field is missing.
    #[error("the schema has no field {field}")]
    MissingField {
        /// The field.
        field: &'static str,
    },
    /// A field cannot be read as ours.
    #[error("the schema's field {field} has a type that cannot be read")]
    WrongType {
        /// The field.
        field: &'static str,
    },
    /// A part of it is no type.
    #[error("a part of the schema is not a type")]
    NotAType,
    /// It names a type it does not define.
    #[error("the schema does not define {name}")]
    UnknownName {
        /// The name.
        name: String,
    },
    /// It nests too deep.
    #[error("the schema nests too deep")]
    TooDeep,
    /// The plan is one for other topics.
    #[error("records of {} are read by another plan", topic.symbol())]
    OtherTopic {
        /// The topic.
        topic: Topic,
    },
}

/// How to read the events of a writer's schema.
pub struct Plan {
    topic: Topic,
    program: Program<Field>,
}

impl Plan {
    /// Compiles a writer's schema for an event topic.
    ///
    /// # Errors
    /// When it is no schema of a record, lacks a required field, or has a field of a type that cannot be read.
    pub fn compile(writer_schema_json: &str, topic: Topic) -> Result<Plan, PlanError> {
        if !topic.is_person_events() {
            return Err(PlanError::OtherTopic { topic });
        }
        let program = compile::compile(writer_schema_json, &wants(topic, field::fields_of(topic)))?;
        Ok(Plan { topic, program })
    }

    /// Reads an event and gives how many bytes it took. The event is reset first, its topic is set, and
    /// values are not validated. Allocates only to grow `product_ids` or to refuse.
    ///
    /// # Errors
    /// When the datum is damaged, or a value cannot be read as ours; the event is then half filled.
    pub fn decode<'a>(&self, datum: &'a [u8], event: &mut RawEvent<'a>) -> Result<usize, Reject> {
        event.topic = self.topic;
        event.reset();
        let mut cursor = Cursor::new(datum);
        match step::run_fields(&self.program.fields, &self.program.skips, &mut cursor, event) {
            Ok(()) => Ok(datum.len() - cursor.left()),
            Err(fault) => Err(cursor.reject(fault)),
        }
    }

    /// How many bytes the record at the beginning of `datum` takes, whatever its values: where the next one
    /// begins after one that was refused.
    ///
    /// # Errors
    /// When the datum is damaged.
    pub fn length(&self, datum: &[u8]) -> Result<usize, Reject> {
        self.program.length(datum)
    }
}

impl<F> Program<F> {
    /// How many bytes a record takes.
    pub(super) fn length(&self, datum: &[u8]) -> Result<usize, Reject> {
        let mut cursor = Cursor::new(datum);
        match self.skips.skip(&self.record, &mut cursor) {
            Ok(()) => Ok(datum.len() - cursor.left()),
            Err(fault) => Err(cursor.reject(fault)),
        }
    }
}

fn wants(topic: Topic, fields: &[Field]) -> Vec<Want<Field>> {
    let want = |field: &Field| Want {
        field: *field,
        name: field.name(),
        shape: field.shape(),
        required: FieldSet::REQUIRED.has(*field),
        symbols: field::symbols_of(topic, *field),
        parts: if field.shape() == Shape::Consent { wants(topic, field::CONSENT_FIELDS) } else { Vec::new() },
    };
    fields.iter().map(want).collect()
}

impl<'a> Sink<'a> for RawEvent<'a> {
    type Field = Field;

    #[inline]
    fn text(&mut self, field: Field, text: &'a str) {
        field::set_text(self, field, text);
    }
    #[inline]
    fn flag(&mut self, field: Field, flag: bool) {
        field::set_flag(self, field, flag);
    }
    #[inline]
    fn integer(&mut self, field: Field, value: i64) {
        field::set_integer(self, field, value);
    }
    #[inline]
    fn number(&mut self, field: Field, value: f64) {
        field::set_share(self, field, value);
    }
    #[inline]
    fn index(&mut self, field: Field, index: u8) -> Option<()> {
        field::set_index(self, field, index)
    }
    fn symbol(&mut self, field: Field, symbol: &'a str) -> Option<()> {
        field::set_symbol(self, field, symbol)
    }
    fn begin(&mut self, _consent: Field) {
        self.consent.get_or_insert_default();
    }
    fn has_room(&self, _products: Field) -> bool {
        self.product_ids.len() < PRODUCTS_MAX
    }
}

impl std::fmt::Debug for Plan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Plan").field("topic", &self.topic).finish_non_exhaustive()
    }
}
