//! Records of any topic from Avro, validated.

use super::known::KnownPlan;
use super::plan::{Plan, PlanError};
use crate::event::kinds::Topic;
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::event::validate;

/// Reads and validates the records of one writer's schema.
#[derive(Debug)]
pub enum Decoder {
    /// Events of persons.
    Events(Plan),
    /// Incidents, links or erasures.
    Known(KnownPlan),
}

impl Decoder {
    /// Compiles a writer's schema for a topic.
    ///
    /// # Errors
    /// When it is no schema of a record, lacks a required field, or has a field of a type that cannot be read.
    pub fn compile(writer_schema_json: &str, topic: Topic) -> Result<Decoder, PlanError> {
        Ok(if topic.is_person_events() {
            Decoder::Events(Plan::compile(writer_schema_json, topic)?)
        } else {
            Decoder::Known(KnownPlan::compile(writer_schema_json, topic)?)
        })
    }

    /// Reads and validates the one record that `datum` holds.
    ///
    /// # Errors
    /// When the datum is damaged or longer than its record, or a value is not allowed.
    pub fn decode<'a>(&self, datum: &'a [u8]) -> Result<RawRecord<'a>, Reject> {
        let mut record = RawRecord::Event(RawEvent::new(Topic::AdDeliveries));
        let length = self.read(datum, &mut record)?;
        if length != datum.len() {
            return Err(Reject::new(Reason::Undecodable, "longer than its record"));
        }
        check(&record)?;
        Ok(record)
    }

    /// Takes the next record off a block of records into `record`, which is used again for one after the other,
    /// and validates it; returns its bytes, and whether it is refused. After such a one the block goes on.
    ///
    /// # Errors
    /// When the block is damaged, so that no further record can be found in it.
    pub fn next<'a>(
        &self,
        block: &mut &'a [u8],
        record: &mut RawRecord<'a>,
    ) -> Result<(&'a [u8], Result<(), Reject>), Reject> {
        let whole = *block;
        let read = self.read(whole, record);
        let length = match &read {
            Ok(length) => *length,
            Err(_) => self.length(whole)?,
        };
        let (original, rest) = whole.split_at(length);
        *block = rest;
        Ok((original, read.and_then(|_| check(record))))
    }

    fn read<'a>(&self, datum: &'a [u8], record: &mut RawRecord<'a>) -> Result<usize, Reject> {
        match (self, record) {
            (Decoder::Events(plan), RawRecord::Event(event)) => plan.decode(datum, event),
            (Decoder::Events(_), other) => {
                *other = RawRecord::Event(RawEvent::new(Topic::AdDeliveries));
                self.read(datum, other)
            }
            (Decoder::Known(plan), record) => {
                let (known, length) = plan.decode(datum)?;
                *record = known;
                Ok(length)
            }
        }
    }

    fn length(&self, datum: &[u8]) -> Result<usize, Reject> {
        match self {
            Decoder::Events(plan) => plan.length(datum),
            Decoder::Known(plan) => plan.length(datum),
        }
    }
}

fn check(record: &RawRecord<'_>) -> Result<(), Reject> {
    match record {
        RawRecord::Event(event) => validate::event(event),
        RawRecord::Incident(incident) => validate::incident(incident),
        RawRecord::Link(link) => validate::link(link),
        RawRecord::Erasure(erasure) => validate::erasure(erasure),
    }
}
