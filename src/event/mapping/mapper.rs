//! A checked mapping at work: one foreign record to canonical records.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::super::kinds::Topic;
use super::super::reject::{Reason, Reject};
use super::fields::{self, FieldType};
use super::file::{ForeignFormat, Otherwise, Transform};
use super::path::{Path, as_text, select};
use super::value::{TimeForm, coerce, transform};

/// A mapping that has been checked; made by [`Mapping::check`](super::Mapping::check).
#[derive(Clone, Debug)]
pub struct Mapper {
    pub(super) name: String,
    pub(super) format: ForeignFormat,
    pub(super) columns: Vec<String>,
    pub(super) json_columns: BTreeSet<String>,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) skip_when: Vec<Test>,
    pub(super) events: Vec<Event>,
}

/// Where a record stands: `$source` and `$row` of the mapping, from which records without an id get one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordAt<'a> {
    /// A name that stays the same when the source is read again: a file name, a topic and partition.
    pub source: &'a str,
    /// The number of the record within its source.
    pub row: u64,
}

/// A canonical record, not yet validated.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapped {
    /// The topic it belongs to.
    pub topic: Topic,
    /// The record in the canonical JSON form.
    pub record: Map<String, Value>,
}

/// What became of a record that could be mapped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It gave this many events; 0 when no event's conditions held.
    Mapped(usize),
    /// The condition of `skip_when` at this position held.
    Skipped(usize),
}

/// A rule of a mapping failed at a record. Never holds a value of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{mapping}: record {row}: event[{event}] ({topic}), field `{field}`, rule `{rule}`: {problem}", topic = topic.symbol())]
pub struct MappingError {
    /// Name of the mapping.
    pub mapping: String,
    /// Number of the record within its source.
    pub row: u64,
    /// Position of the event rule.
    pub event: usize,
    /// Topic of the event.
    pub topic: Topic,
    /// The canonical field.
    pub field: String,
    /// The rule, as it is named in the mapping.
    pub rule: &'static str,
    /// What is wrong.
    pub problem: ValueProblem,
}

impl From<MappingError> for Reject {
    fn from(error: MappingError) -> Reject {
        Reject::new(Reason::Mapping, error.to_string())
    }
}

/// What is wrong with a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ValueProblem {
    /// There is none.
    #[error("there is no value")]
    Missing,
    /// The table does not list it.
    #[error("the table does not list the value")]
    Unlisted,
    /// It cannot be looked up.
    #[error("only text, numbers and booleans can be looked up")]
    NotScalar,
    /// It is not a time of the form given.
    #[error("the value is not a time of this form")]
    NotATime,
    /// It is of another type.
    #[error("expected {0}")]
    WrongType(&'static str),
    /// It is not a symbol of the field.
    #[error("the value is not a symbol of this field")]
    NotASymbol,
    /// `copy` needs an object.
    #[error("the value is not an object")]
    NotAnObject,
}

/// A checked condition.
#[derive(Clone, Debug)]
pub(super) struct Test {
    pub(super) path: Path,
    pub(super) exists: Option<bool>,
    pub(super) any_of: Option<BTreeSet<String>>,
    pub(super) not_equals: Option<String>,
}

/// A checked event rule.
#[derive(Clone, Debug)]
pub(super) struct Event {
    pub(super) topic: Topic,
    pub(super) when: Vec<Test>,
    pub(super) copy: Option<Path>,
    pub(super) skip_nobody: bool,
    pub(super) fields: Vec<Rule>,
}

/// A checked field rule.
#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub(super) field: &'static str,
    pub(super) holds: FieldType,
    pub(super) rule: &'static str,
    pub(super) source: Source,
    pub(super) ignore: BTreeSet<String>,
    pub(super) split: Option<String>,
    pub(super) transforms: Vec<Transform>,
    pub(super) table: Option<BTreeMap<String, Value>>,
    pub(super) otherwise: Otherwise,
    pub(super) time: TimeForm,
    pub(super) default: Option<Value>,
    pub(super) required: bool,
}

/// Where a value comes from.
#[derive(Clone, Debug)]
pub(super) enum Source {
    Constant(Value),
    FirstOf(Vec<Piece>),
    Contains(Path, BTreeSet<String>),
}

/// One way to a value.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    Path(Path),
    Template(Vec<Part>),
}

/// A part of a template.
#[derive(Clone, Debug)]
pub(super) enum Part {
    Text(String),
    Hole(Path, Vec<Transform>),
}

/// What a rule gives: its value or none, or that the event is not wanted.
enum Found {
    Value(Option<Value>),
    SkipEvent,
}

/// A rule that failed, by name.
type Failed = (&'static str, ValueProblem);

impl Mapper {
    /// The name of the mapping.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// How the records are written.
    pub fn format(&self) -> ForeignFormat {
        self.format
    }

    /// The topic of the first event; what concerns a record as a whole is counted there.
    pub fn main_topic(&self) -> Topic {
        self.events.first().expect("a mapping without events is refused").topic
    }

    /// Whether it gives events of such topics.
    pub fn gives(&self, of: impl Fn(Topic) -> bool) -> bool {
        self.events.iter().any(|event| of(event.topic))
    }

    /// Appends the canonical records that `record` gives to `out`.
    ///
    /// # Errors
    /// The first rule that failed; `out` is then as it was.
    pub fn map(
        &self,
        record: &Value,
        at: RecordAt<'_>,
        out: &mut Vec<Mapped>,
    ) -> Result<Outcome, MappingError> {
        let view = View { mapper: self, record, at };
        if let Some(skipped) = self.skip_when.iter().position(|test| view.holds(test)) {
            return Ok(Outcome::Skipped(skipped));
        }
        let before = out.len();
        for (number, event) in self.events.iter().enumerate() {
            if !event.when.iter().all(|test| view.holds(test)) {
                continue;
            }
            match view.event(event) {
                Ok(Some(record)) => out.push(Mapped { topic: event.topic, record }),
                Ok(None) => {}
                Err((field, (rule, problem))) => {
                    out.truncate(before);
                    let (mapping, topic) = (self.name.clone(), event.topic);
                    let field = field.to_owned();
                    return Err(MappingError {
                        mapping,
                        row: at.row,
                        event: number,
                        topic,
                        field,
                        rule,
                        problem,
                    });
                }
            }
        }
        Ok(Outcome::Mapped(out.len() - before))
    }
}

/// One record as the rules see it.
struct View<'a> {
    mapper: &'a Mapper,
    record: &'a Value,
    at: RecordAt<'a>,
}

impl View<'_> {
    fn get(&self, path: &Path) -> Option<Value> {
        match path {
            Path::Record(steps) => select(self.record, steps),
            Path::Row => Some(Value::from(self.at.row)),
            Path::Source => Some(Value::from(self.at.source)),
            Path::Variable(name) => self
                .mapper
                .variables
                .get(name)
                .filter(|text| !text.is_empty())
                .map(|text| text.as_str().into()),
        }
    }

    fn holds(&self, test: &Test) -> bool {
        let value = self.get(&test.path);
        let text = value.as_ref().and_then(as_text);
        let exists = test.exists.is_none_or(|wanted| wanted == value.is_some());
        let listed = match (&test.any_of, &text) {
            (None, _) => true,
            (Some(wanted), Some(text)) => wanted.contains(text),
            (Some(_), None) => false,
        };
        let allowed = test.not_equals.is_none() || test.not_equals != text;
        exists && listed && allowed
    }

    fn event(&self, event: &Event) -> Result<Option<Map<String, Value>>, (&'static str, Failed)> {
        let mut record = match &event.copy {
            Some(path) => self.copied(event, path).map_err(|failed| ("*", failed))?,
            None => Map::new(),
        };
        if event.skip_nobody && self.names_nobody(event, &record)? {
            return Ok(None);
        }
        for rule in &event.fields {
            match self.field(event.topic, rule).map_err(|failed| (rule.field, failed))? {
                Found::Value(Some(value)) => put(&mut record, rule.field, value),
                Found::Value(None) => {}
                Found::SkipEvent => return Ok(None),
            }
        }
        for field in fields::of_topic(event.topic).filter(|field| field.required) {
            if !record.contains_key(field.name) {
                let rule = event.fields.iter().find(|rule| rule.field == field.name);
                return Err((field.name, (rule.map_or("copy", |rule| rule.rule), ValueProblem::Missing)));
            }
        }
        let somebody = |field| record.contains_key(field);
        if fields::names_somebody(event.topic) && !somebody("person_id") && !somebody("device_id") {
            return Err(("person_id or device_id", ("required", ValueProblem::Missing)));
        }
        Ok(Some(record))
    }

    fn names_nobody(
        &self,
        event: &Event,
        copied: &Map<String, Value>,
    ) -> Result<bool, (&'static str, Failed)> {
        let ids = ["person_id", "device_id"];
        for rule in event.fields.iter().filter(|rule| ids.contains(&rule.field)) {
            let found = self.field(event.topic, rule).map_err(|failed| (rule.field, failed))?;
            if let Found::Value(Some(_)) = found {
                return Ok(false);
            }
        }
        Ok(!ids.iter().any(|id| copied.contains_key(*id)))
    }

    /// The known fields of the object at `path`, as they are: their check is that of any canonical record.
    fn copied(&self, event: &Event, path: &Path) -> Result<Map<String, Value>, Failed> {
        let Some(Value::Object(mut object)) = self.get(path) else {
            return Err(("copy", ValueProblem::NotAnObject));
        };
        object.retain(|key, value| {
            let known = |name: &str| name.split('.').next() == Some(key.as_str());
            !value.is_null() && fields::of_topic(event.topic).any(|field| known(field.name))
        });
        Ok(object)
    }

    fn field(&self, topic: Topic, rule: &Rule) -> Result<Found, Failed> {
        let mut value = self.source(rule);
        if let (Some(separator), Some(Value::String(text))) = (&rule.split, &value) {
            let parts = text.split(separator.as_str()).map(str::trim).filter(|part| !part.is_empty());
            value = Some(parts.map(Value::from).collect());
        }
        if !rule.transforms.is_empty() {
            value = value.and_then(|value| each_text(value, &rule.transforms));
        }
        if let Some(table) = &rule.table
            && let Some(found) = value.take()
        {
            value = match look_up(table, found, &rule.otherwise)? {
                Found::Value(value) => value,
                Found::SkipEvent => return Ok(Found::SkipEvent),
            };
        }
        let Some(value) = value.or_else(|| rule.default.clone()).filter(|value| !value.is_null()) else {
            let missing = rule.required.then_some((rule.rule, ValueProblem::Missing));
            return missing.map_or(Ok(Found::Value(None)), Err);
        };
        let value = match rule.holds {
            FieldType::Time => {
                rule.time.read(&value).map(Value::from).ok_or(("time", ValueProblem::NotATime))?
            }
            holds => coerce(value, holds).map_err(|wanted| (rule.rule, ValueProblem::WrongType(wanted)))?,
        };
        if let Value::String(symbol) = &value
            && !fields::allows(topic, rule.holds, symbol)
        {
            return Err((rule.rule, ValueProblem::NotASymbol));
        }
        Ok(Found::Value(Some(value)))
    }

    fn source(&self, rule: &Rule) -> Option<Value> {
        let wanted = |value: &Value| as_text(value).is_none_or(|text| !rule.ignore.contains(&text));
        match &rule.source {
            Source::Constant(value) => Some(value.clone()),
            Source::FirstOf(pieces) => pieces.iter().find_map(|piece| self.piece(piece).filter(wanted)),
            Source::Contains(path, any_of) => {
                let listed = |value: &Value| as_text(value).is_some_and(|text| any_of.contains(&text));
                self.get(path).map(|value| match &value {
                    Value::Array(list) => list.iter().any(listed).into(),
                    single => listed(single).into(),
                })
            }
        }
    }

    fn piece(&self, piece: &Piece) -> Option<Value> {
        let parts = match piece {
            Piece::Path(path) => return self.get(path),
            Piece::Template(parts) => parts,
        };
        let mut text = String::new();
        for part in parts {
            match part {
                Part::Text(fixed) => text.push_str(fixed),
                Part::Hole(path, transforms) => {
                    let value = as_text(&self.get(path)?)?;
                    text.push_str(&transforms.iter().try_fold(value, |text, done| transform(&text, *done))?);
                }
            }
        }
        (!text.is_empty()).then_some(Value::String(text))
    }
}

/// Puts a value at `name` or, for `consent.name`, into the inner object.
fn put(record: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        None => {
            record.insert(name.to_owned(), value);
        }
        Some((outer, inner)) => {
            let slot = record.entry(outer).or_insert_with(|| Value::Object(Map::new()));
            if !slot.is_object() {
                *slot = Value::Object(Map::new());
            }
            if let Some(object) = slot.as_object_mut() {
                object.insert(inner.to_owned(), value);
            }
        }
    }
}

/// Applies the transforms to text, or to every text of a list; other values stay.
fn each_text(value: Value, transforms: &[Transform]) -> Option<Value> {
    let apply = |text: String| transforms.iter().try_fold(text, |text, done| transform(&text, *done));
    match value {
        Value::String(text) => apply(text).map(Value::String),
        Value::Array(list) => {
            let kept: Vec<Value> =
                list.into_iter().filter_map(|element| each_text(element, transforms)).collect();
            (!kept.is_empty()).then_some(Value::Array(kept))
        }
        other => Some(other),
    }
}

/// Looks a value up, or every value of a list.
fn look_up(table: &BTreeMap<String, Value>, value: Value, otherwise: &Otherwise) -> Result<Found, Failed> {
    if let Value::Array(list) = value {
        let mut found = Vec::new();
        for element in list {
            match look_up(table, element, otherwise)? {
                Found::Value(value) => found.extend(value),
                Found::SkipEvent => return Ok(Found::SkipEvent),
            }
        }
        return Ok(Found::Value((!found.is_empty()).then_some(Value::Array(found))));
    }
    let text = as_text(&value).ok_or(("table", ValueProblem::NotScalar))?;
    match (table.get(&text), otherwise) {
        (Some(known), _) => Ok(Found::Value(Some(known.clone()))),
        (None, Otherwise::Error) => Err(("table", ValueProblem::Unlisted)),
        (None, Otherwise::Absent) => Ok(Found::Value(None)),
        (None, Otherwise::SkipEvent) => Ok(Found::SkipEvent),
        (None, Otherwise::Value(value)) => Ok(Found::Value(Some(value.clone()))),
    }
}
