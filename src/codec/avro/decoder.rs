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
        let (record, length) = self.read(datum)?;
        if length != datum.len() {
            return Err(Reject::new(Reason::Undecodable, "longer than its record"));
        }
        check(&record)?;
        Ok(record)
    }

    /// Takes the next record off a block of records: its bytes, and what they hold, validated. After a record
    /// that is refused the block goes on.
    ///
    /// # Errors
    /// When the block is damaged, so that no further record can be found in it.
    pub fn next<'a>(
        &self,
        block: &mut &'a [u8],
    ) -> Result<(&'a [u8], Result<RawRecord<'a>, Reject>), Reject> {
        let whole = *block;
        let read = self.read(whole);
        let length = match &read {
            Ok((_, length)) => *length,
            Err(_) => self.length(whole)?,
        };
        let (record, rest) = whole.split_at(length);
        *block = rest;
        Ok((record, read.and_then(|(record, _)| check(&record).map(|()| record))))
    }

    fn read<'a>(&self, datum: &'a [u8]) -> Result<(RawRecord<'a>, usize), Reject> {
        match self {
            Decoder::Events(plan) => {
                let mut event = RawEvent::new(Topic::AdDeliveries);
                let length = plan.decode(datum, &mut event)?;
                Ok((RawRecord::Event(event), length))
            }
            Decoder::Known(plan) => plan.decode(datum),
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
