//! Events of persons from JSON.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use super::value::{Context, KeySeed, Scalar, ScalarSeed};
use crate::codec::field::{self, Field, FieldSet, Shape};
use crate::event::raw::RawEvent;
use crate::event::reject::{Reason, Reject};
use crate::event::validate::PRODUCTS_MAX;

/// Reads a whole text as one event.
pub(super) fn read<'a>(text: &'a str, context: &Context<'a>, event: &mut RawEvent<'a>) -> Result<(), Reject> {
    let known = field::set_of(event.topic).without(field::CONSENT_SET);
    let mut json = serde_json::Deserializer::from_str(text);
    let object = Object { context, event, known, seen: FieldSet::default() };
    let seen = object.deserialize(&mut json).and_then(|seen| json.end().map(|()| seen));
    let seen = seen.map_err(|_| context.taken())?;
    match FieldSet::REQUIRED.and(known).without(seen).first() {
        Some(missing) => Err(Reject::new(Reason::MissingField, missing.name())),
        None => Ok(()),
    }
}

/// An object whose known fields go into an event; gives the fields that had a value.
struct Object<'c, 'e, 'a> {
    context: &'c Context<'a>,
    event: &'e mut RawEvent<'a>,
    known: FieldSet,
    seen: FieldSet,
}

impl<'a> DeserializeSeed<'a> for Object<'_, '_, 'a> {
    type Value = FieldSet;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<FieldSet, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = FieldSet;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(mut self, mut entries: A) -> Result<FieldSet, A::Error> {
        let known = self.known;
        let lookup = |key: &str| Field::from_name(key).filter(|field| known.has(*field));
        let mut present = FieldSet::default();
        while let Some(field) = entries.next_key_seed(KeySeed(lookup))? {
            let Some(field) = field else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            if !self.seen.add(field) {
                return Err(self.context.refuse(Reason::RepeatedField, field.name()));
            }
            let has_value = match field.shape() {
                Shape::Texts => {
                    entries.next_value_seed(Texts { context: self.context, event: self.event })?
                }
                Shape::Consent => {
                    entries.next_value_seed(Consent { context: self.context, event: self.event })?
                }
                _ => {
                    let value = entries.next_value_seed(ScalarSeed(self.context))?;
                    let set = set(self.event, field, value);
                    set.map_err(|reason| self.context.refuse(reason, field.name()))?
                }
            };
            if has_value {
                present.add(field);
            }
        }
        Ok(present)
    }
}

/// Sets a field; false for null, which means absent or the default.
fn set<'a>(event: &mut RawEvent<'a>, field: Field, value: Scalar<'a>) -> Result<bool, Reason> {
    Ok(match field.shape() {
        Shape::Text => value.text()?.map(|text| field::set_text(event, field, text)),
        Shape::Flag => value.flag()?.map(|flag| field::set_flag(event, field, flag)),
        Shape::Time => value.time()?.map(|time| field::set_integer(event, field, time)),
        // Whatever lies outside 0 to 3 is unknown, however far outside.
        Shape::Status => {
            let status = if value == Scalar::Huge { Some(i64::MAX) } else { value.integer()? };
            status.map(|status| field::set_integer(event, field, status))
        }
        Shape::Share => value.number()?.map(|share| field::set_share(event, field, share)),
        Shape::Symbol => match value.text()? {
            Some(symbol) => Some(field::set_symbol(event, field, symbol).ok_or(Reason::UnknownSymbol)?),
            None => None,
        },
        Shape::Texts | Shape::Consent => return Err(Reason::WrongType),
    }
    .is_some())
}

/// A list of texts, or null.
struct Texts<'c, 'e, 'a> {
    context: &'c Context<'a>,
    event: &'e mut RawEvent<'a>,
}

impl<'a> DeserializeSeed<'a> for Texts<'_, '_, 'a> {
    type Value = bool;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        let context = self.context;
        deserializer.deserialize_any(self).map_err(|error| context.or_wrong_type(error, Field::ProductIds))
    }
}

impl<'a> Visitor<'a> for Texts<'_, '_, 'a> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }
    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
    fn visit_seq<A: SeqAccess<'a>>(self, mut items: A) -> Result<bool, A::Error> {
        let name = Field::ProductIds.name();
        while let Some(item) = items.next_element_seed(ScalarSeed(self.context))? {
            let Scalar::Text(text) = item else { return Err(self.context.refuse(Reason::WrongType, name)) };
            if self.event.product_ids.len() >= PRODUCTS_MAX {
                return Err(self.context.refuse(Reason::Oversized, name));
            }
            self.event.product_ids.push(text);
        }
        Ok(true)
    }
}

/// The nested privacy signals, or null.
struct Consent<'c, 'e, 'a> {
    context: &'c Context<'a>,
    event: &'e mut RawEvent<'a>,
}

impl<'a> DeserializeSeed<'a> for Consent<'_, '_, 'a> {
    type Value = bool;
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<bool, D::Error> {
        let context = self.context;
        deserializer.deserialize_any(self).map_err(|error| context.or_wrong_type(error, Field::Consent))
    }
}

impl<'a> Visitor<'a> for Consent<'_, '_, 'a> {
    type Value = bool;
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_unit<E: Error>(self) -> Result<bool, E> {
        Ok(false)
    }
    fn visit_map<A: MapAccess<'a>>(self, entries: A) -> Result<bool, A::Error> {
        self.event.consent.get_or_insert_default();
        let Consent { context, event } = self;
        Object { context, event, known: field::CONSENT_SET, seen: FieldSet::default() }.visit_map(entries)?;
        Ok(true)
    }
}

impl Context<'_> {
    /// A value of another type than the field's is refused as such; what is no JSON stays undecodable.
    fn or_wrong_type<E: Error>(&self, error: E, field: Field) -> E {
        if error.to_string().starts_with("invalid type") {
            self.refuse(Reason::WrongType, field.name())
        } else {
            error
        }
    }
}
