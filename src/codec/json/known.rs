//! Records of the topics that are read whole before or beside the events: incidents, links, erasures.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};

use super::value::{Context, KeySeed, Scalar, ScalarSeed};
use crate::event::kinds::{IncidentKind, Match};
use crate::event::raw::{RawErasure, RawIncident, RawLink};
use crate::event::reject::{Reason, Reject};
use crate::event::validate;

pub(super) fn incident(text: &str, context: &Context<'_>) -> Result<RawIncident, Reject> {
    const NAMES: [&str; 10] = [
        "incident_id",
        "brand_id",
        "kind",
        "disclosed_time",
        "updated_time",
        "occurred_time",
        "people_affected",
        "identity_or_health_data",
        "severity",
        "credibility",
    ];
    let fields = Fields::read(text, context, &NAMES)?;
    let incident = RawIncident {
        incident_id: fields.required(0, Scalar::text)?.to_owned(),
        brand_id: fields.required(1, Scalar::text)?.to_owned(),
        kind: fields.symbol(2, IncidentKind::from_symbol)?,
        disclosed_time: fields.required(3, Scalar::time)?,
        updated_time: fields.optional(4, Scalar::time)?,
        occurred_time: fields.optional(5, Scalar::time)?,
        people_affected: fields.optional(6, Scalar::integer)?,
        identity_or_health_data: fields.optional(7, Scalar::flag)?.unwrap_or(false),
        severity: fields.optional(8, Scalar::number)?,
        credibility: fields.optional(9, Scalar::number)?,
    };
    validate::incident(&incident).map(|()| incident)
}

pub(super) fn link(text: &str, context: &Context<'_>) -> Result<RawLink, Reject> {
    let fields = Fields::read(text, context, &["device_id", "person_id", "match", "linked_time"])?;
    let link = RawLink {
        device_id: fields.required(0, Scalar::text)?.to_owned(),
        person_id: fields.optional(1, Scalar::text)?.map(str::to_owned),
        matched: fields.symbol(2, Match::from_symbol)?,
        linked_time: fields.required(3, Scalar::time)?,
    };
    validate::link(&link).map(|()| link)
}

pub(super) fn erasure(text: &str, context: &Context<'_>) -> Result<RawErasure, Reject> {
    let fields = Fields::read(text, context, &["request_id", "person_id", "device_id", "requested_time"])?;
    let erasure = RawErasure {
        request_id: fields.required(0, Scalar::text)?.to_owned(),
        person_id: fields.optional(1, Scalar::text)?.map(str::to_owned),
        device_id: fields.optional(2, Scalar::text)?.map(str::to_owned),
        requested_time: fields.required(3, Scalar::time)?,
    };
    validate::erasure(&erasure).map(|()| erasure)
}

/// The values of an object's known fields, by their position in a list of names.
struct Fields<'n, 'a> {
    names: &'n [&'static str],
    values: [Scalar<'a>; 10],
}

impl<'n, 'a> Fields<'n, 'a> {
    fn read(
        text: &'a str,
        context: &Context<'a>,
        names: &'n [&'static str],
    ) -> Result<Fields<'n, 'a>, Reject> {
        let mut json = serde_json::Deserializer::from_str(text);
        let values = Object { context, names }.deserialize(&mut json);
        let values = values.and_then(|values| json.end().map(|()| values)).map_err(|_| context.taken())?;
        Ok(Fields { names, values })
    }

    fn optional<T>(
        &self,
        at: usize,
        read: fn(Scalar<'a>) -> Result<Option<T>, Reason>,
    ) -> Result<Option<T>, Reject> {
        read(self.values[at]).map_err(|reason| Reject::new(reason, self.names[at]))
    }

    fn required<T>(&self, at: usize, read: fn(Scalar<'a>) -> Result<Option<T>, Reason>) -> Result<T, Reject> {
        self.optional(at, read)?.ok_or_else(|| Reject::new(Reason::MissingField, self.names[at]))
    }

    fn symbol<T>(&self, at: usize, read: fn(&str) -> Option<T>) -> Result<T, Reject> {
        let symbol = self.required(at, Scalar::text)?;
        read(symbol).ok_or_else(|| Reject::new(Reason::UnknownSymbol, self.names[at]))
    }
}

struct Object<'c, 'n, 'a> {
    context: &'c Context<'a>,
    names: &'n [&'static str],
}

impl<'a> DeserializeSeed<'a> for Object<'_, '_, 'a> {
    type Value = [Scalar<'a>; 10];
    fn deserialize<D: Deserializer<'a>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Object<'_, '_, 'a> {
    type Value = [Scalar<'a>; 10];

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'a>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut values = [None; 10];
        let lookup = |key: &str| self.names.iter().position(|name| *name == key);
        while let Some(at) = entries.next_key_seed(KeySeed(lookup))? {
            let Some(at) = at else {
                entries.next_value::<IgnoredAny>()?;
                continue;
            };
            if values[at].is_some() {
                return Err(self.context.refuse(Reason::RepeatedField, self.names[at]));
            }
            values[at] = Some(entries.next_value_seed(ScalarSeed(self.context))?);
        }
        Ok(values.map(|value| value.unwrap_or(Scalar::Null)))
    }
}
