//! Single values of JSON, read into the types of the canonical records.

use std::cell::RefCell;
use std::fmt;

use bumpalo::Bump;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::rfc3339;
use crate::event::reject::{Reason, Reject};

/// Where escaped strings go, and why the record is refused, if it is.
pub(super) struct Context<'a> {
    pub(super) arena: &'a Bump,
    reject: RefCell<Option<Reject>>,
}

impl<'a> Context<'a> {
    pub(super) fn new(arena: &'a Bump) -> Context<'a> {
        Context { arena, reject: RefCell::new(None) }
    }

    /// Notes the reason and gives the error that ends the reading.
    pub(super) fn refuse<E: Error>(&self, reason: Reason, field: &str) -> E {
        self.reject.borrow_mut().get_or_insert_with(|| Reject::new(reason, field));
        E::custom("refused")
    }

    /// The reason that was noted, or that the line is no JSON object.
    pub(super) fn taken(&self) -> Reject {
        let noted = self.reject.borrow_mut().take();
        noted.unwrap_or_else(|| Reject::new(Reason::Undecodable, "not a JSON object"))
    }
}

/// A scalar, as JSON has it.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Scalar<'a> {
    Null,
    Flag(bool),
    Integer(i64),
    /// An integer beyond 64 bits with sign.
    Huge,
    Number(f64),
    Text(&'a str),
    /// An array or object.
    Nested,
}

impl<'a> Scalar<'a> {
    pub(super) fn text(self) -> Result<Option<&'a str>, Reason> {
        match self {
            Scalar::Null => Ok(None),
            Scalar::Text(text) => Ok(Some(text)),
            _ => Err(Reason::WrongType),
        }
    }

    pub(super) fn flag(self) -> Result<Option<bool>, Reason> {
        match self {
            Scalar::Null => Ok(None),
            Scalar::Flag(flag) => Ok(Some(flag)),
            _ => Err(Reason::WrongType),
        }
    }

    pub(super) fn integer(self) -> Result<Option<i64>, Reason> {
        match self {
            Scalar::Null => Ok(None),
            Scalar::Integer(value) => Ok(Some(value)),
            Scalar::Huge => Err(Reason::OutOfRange),
            _ => Err(Reason::WrongType),
        }
    }

    pub(super) fn time(self) -> Result<Option<i64>, Reason> {
        match self {
            Scalar::Text(text) => rfc3339::parse(text).map(Some).ok_or(Reason::WrongType),
            Scalar::Huge => Err(Reason::TimeOutOfRange),
            other => other.integer(),
        }
    }

    pub(super) fn number(self) -> Result<Option<f64>, Reason> {
        match self {
            Scalar::Null => Ok(None),
            Scalar::Integer(value) => Ok(Some(value as f64)),
            Scalar::Number(value) => Ok(Some(value)),
            Scalar::Huge => Err(Reason::OutOfRange),
            _ => Err(Reason::WrongType),
        }
    }
}

/// Reads any value as a scalar.
#[derive(Clone, Copy)]
pub(super) struct ScalarSeed<'c, 'a>(pub(super) &'c Context<'a>);

impl<'a> DeserializeSeed<'a> for ScalarSeed<'_, 'a> {
    type Value = Scalar<'a>;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Scalar<'a>, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'a> Visitor<'a> for ScalarSeed<'_, 'a> {
    type Value = Scalar<'a>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }
    fn visit_unit<E: Error>(self) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Null)
    }
    fn visit_bool<E: Error>(self, flag: bool) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Flag(flag))
    }
    fn visit_i64<E: Error>(self, value: i64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Integer(value))
    }
    fn visit_u64<E: Error>(self, value: u64) -> Result<Scalar<'a>, E> {
        Ok(i64::try_from(value).map_or(Scalar::Huge, Scalar::Integer))
    }
    fn visit_f64<E: Error>(self, value: f64) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Number(value))
    }
    fn visit_borrowed_str<E: Error>(self, text: &'a str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(text))
    }
    fn visit_str<E: Error>(self, text: &str) -> Result<Scalar<'a>, E> {
        Ok(Scalar::Text(self.0.arena.alloc_str(text)))
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<Scalar<'a>, A::Error> {
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Scalar<'a>, A::Error> {
        while entries.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Scalar::Nested)
    }
}

/// Reads a key and looks it up.
pub(super) struct KeySeed<F>(pub(super) F);

impl<'a, T, F: Fn(&str) -> T> DeserializeSeed<'a> for KeySeed<F> {
    type Value = T;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<T, F: Fn(&str) -> T> Visitor<'_> for KeySeed<F> {
    type Value = T;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }
    fn visit_str<E: Error>(self, key: &str) -> Result<T, E> {
        Ok((self.0)(key))
    }
}
