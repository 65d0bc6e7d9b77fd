//! Records of the topics that are not events of persons: incidents, links, erasures.

use super::compile::{self, Program, Want};
use super::cursor::Cursor;
use super::plan::PlanError;
use super::step::{self, Sink};
use crate::codec::field::Shape;
use crate::event::kinds::{IncidentKind, Match, Topic};
use crate::event::raw::{RawErasure, RawIncident, RawLink, RawRecord};
use crate::event::reject::{Reason, Reject};

/// How to read the incidents, links or erasures of a writer's schema.
pub struct KnownPlan {
    topic: Topic,
    program: Program<usize>,
}

/// A field: its name, its shape, and whether it is required.
type Known = (&'static str, Shape, bool);

const INCIDENT: &[Known] = &[
    ("incident_id", Shape::Text, true),
    ("brand_id", Shape::Text, true),
    ("kind", Shape::Symbol, true),
    ("disclosed_time", Shape::Time, true),
    ("updated_time", Shape::Time, false),
    ("occurred_time", Shape::Time, false),
    ("people_affected", Shape::Status, false),
    ("identity_or_health_data", Shape::Flag, false),
    ("severity", Shape::Share, false),
    ("credibility", Shape::Share, false),
];

const LINK: &[Known] = &[
    ("device_id", Shape::Text, true),
    ("person_id", Shape::Text, false),
    ("match", Shape::Symbol, true),
    ("linked_time", Shape::Time, true),
];

const ERASURE: &[Known] = &[
    ("request_id", Shape::Text, true),
    ("person_id", Shape::Text, false),
    ("device_id", Shape::Text, false),
    ("requested_time", Shape::Time, true),
];

impl KnownPlan {
    /// Compiles a writer's schema for a topic without events of persons.
    ///
    /// # Errors
    /// When it is no schema of a record, lacks a required field, or has a field of a type that cannot be read.
    pub fn compile(writer_schema_json: &str, topic: Topic) -> Result<KnownPlan, PlanError> {
        let fields = match topic {
            Topic::BrandIncidents => INCIDENT,
            Topic::IdentityLinks => LINK,
            Topic::Erasures => ERASURE,
            Topic::AdDeliveries | Topic::Clickstream | Topic::Messages => {
                return Err(PlanError::OtherTopic { topic });
            }
        };
        let symbols = symbols_of(topic);
        let want = |(at, (name, shape, required)): (usize, &Known)| Want {
            field: at,
            name,
            shape: *shape,
            required: *required,
            symbols: if *shape == Shape::Symbol { symbols.to_vec() } else { Vec::new() },
            parts: Vec::new(),
        };
        let wants: Vec<Want<usize>> = fields.iter().enumerate().map(want).collect();
        Ok(KnownPlan { topic, program: compile::compile(writer_schema_json, &wants)? })
    }

    /// Reads a record, not validated, and gives how many bytes it took.
    ///
    /// # Errors
    /// When the datum is damaged, or a value cannot be read as ours.
    pub fn decode(&self, datum: &[u8]) -> Result<(RawRecord<'static>, usize), Reject> {
        let mut slots = Slots { symbols: symbols_of(self.topic), values: [Slot::Absent; INCIDENT.len()] };
        let mut cursor = Cursor::new(datum);
        step::run_fields(&self.program.fields, &self.program.skips, &mut cursor, &mut slots)
            .map_err(|fault| cursor.reject(fault))?;
        let record = match self.topic {
            Topic::BrandIncidents => slots.incident().map(RawRecord::Incident),
            Topic::IdentityLinks => slots.link().map(RawRecord::Link),
            _ => slots.erasure().map(RawRecord::Erasure),
        };
        // The plan has a step for every required field, and none of them leaves its slot empty.
        let record = record.ok_or_else(|| Reject::new(Reason::MissingField, "record"))?;
        Ok((record, datum.len() - cursor.left()))
    }

    /// How many bytes the record at the beginning of `datum` takes, whatever its values.
    ///
    /// # Errors
    /// When the datum is damaged.
    pub fn length(&self, datum: &[u8]) -> Result<usize, Reject> {
        self.program.length(datum)
    }
}

/// The symbols of the topic's one enum, by the index of the program's variant.
const fn symbols_of(topic: Topic) -> &'static [&'static str] {
    match topic {
        Topic::BrandIncidents => IncidentKind::SYMBOLS,
        Topic::IdentityLinks => Match::SYMBOLS,
        _ => &[],
    }
}

#[derive(Clone, Copy)]
enum Slot<'a> {
    Absent,
    Text(&'a str),
    Flag(bool),
    Integer(i64),
    Number(f64),
    Symbol(u8),
}

/// The values of a record by the position of their field.
struct Slots<'a> {
    symbols: &'static [&'static str],
    values: [Slot<'a>; INCIDENT.len()],
}

impl<'a> Slots<'a> {
    fn put(&mut self, field: usize, slot: Slot<'a>) {
        if let Some(at) = self.values.get_mut(field) {
            *at = slot;
        }
    }

    fn text(&self, field: usize) -> Option<String> {
        match self.values.get(field) {
            Some(Slot::Text(text)) => Some((*text).to_owned()),
            _ => None,
        }
    }

    fn integer(&self, field: usize) -> Option<i64> {
        match self.values.get(field) {
            Some(Slot::Integer(value)) => Some(*value),
            _ => None,
        }
    }

    fn number(&self, field: usize) -> Option<f64> {
        match self.values.get(field) {
            Some(Slot::Number(value)) => Some(*value),
            _ => None,
        }
    }

    fn symbol(&self, field: usize) -> Option<u8> {
        match self.values.get(field) {
            Some(Slot::Symbol(index)) => Some(*index),
            _ => None,
        }
    }

    fn incident(&self) -> Option<RawIncident> {
        Some(RawIncident {
            incident_id: self.text(0)?,
            brand_id: self.text(1)?,
            kind: IncidentKind::from_index(self.symbol(2)?)?,
            disclosed_time: self.integer(3)?,
            updated_time: self.integer(4),
            occurred_time: self.integer(5),
            people_affected: self.integer(6),
            identity_or_health_data: matches!(self.values.get(7), Some(Slot::Flag(true))),
            severity: self.number(8),
            credibility: self.number(9),
        })
    }

    fn link(&self) -> Option<RawLink> {
        Some(RawLink {
            device_id: self.text(0)?,
            person_id: self.text(1),
            matched: Match::from_index(self.symbol(2)?)?,
            linked_time: self.integer(3)?,
        })
    }

    fn erasure(&self) -> Option<RawErasure> {
        Some(RawErasure {
            request_id: self.text(0)?,
            person_id: self.text(1),
            device_id: self.text(2),
            requested_time: self.integer(3)?,
        })
    }
}

impl<'a> Sink<'a> for Slots<'a> {
    type Field = usize;

    fn text(&mut self, field: usize, text: &'a str) {
        self.put(field, Slot::Text(text));
    }
    fn flag(&mut self, field: usize, flag: bool) {
        self.put(field, Slot::Flag(flag));
    }
    fn integer(&mut self, field: usize, value: i64) {
        self.put(field, Slot::Integer(value));
    }
    fn number(&mut self, field: usize, value: f64) {
        self.put(field, Slot::Number(value));
    }
    fn index(&mut self, field: usize, index: u8) -> Option<()> {
        self.put(field, Slot::Symbol(index));
        Some(())
    }
    fn symbol(&mut self, field: usize, symbol: &'a str) -> Option<()> {
        let at = self.symbols.iter().position(|known| *known == symbol)?;
        let index = u8::try_from(at).ok()?;
        self.put(field, Slot::Symbol(index));
        Some(())
    }
    /// None of these records nests another or holds a list.
    fn begin(&mut self, _field: usize) {}
    fn has_room(&self, _field: usize) -> bool {
        false
    }
}

impl std::fmt::Debug for KnownPlan {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KnownPlan").field("topic", &self.topic).finish_non_exhaustive()
    }
}
