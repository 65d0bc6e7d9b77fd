//! The bytes of the fold's state, for snapshots: plain data, field after field.
//!
//! Counts and lengths are LEB128, times and other signed numbers eight bytes, all little-endian;
//! floating point numbers keep their bits. A change of any struct needs a new [`VERSION`].

use std::collections::{BTreeMap, BTreeSet};

use super::brand::IncidentRecord;
use super::completeness::IncompleteRun;
use super::drop::{Chart, ScoreDrop};
use super::incidents::{Due, Incident, IncidentAlert, Incidents, Timer};
use super::windows::{BrandWindow, Mark, OpenWindow, Passed, WindowKey};
use crate::event::kinds::IncidentKind;
use crate::fold::counts::{Counts, PatternCounts, PersonDays, PipelineCounts};
use crate::fold::score::{BrandState, Charts, ScoreState};
use crate::time::{EventTime, HOUR_MS, WindowLength};

/// Version of the form below.
pub const VERSION: u8 = 1;

/// Why bytes are no state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PlainError {
    /// They end too early.
    #[error("the state ends too early")]
    Truncated,
    /// They go on after the end.
    #[error("{0} bytes follow the end of the state")]
    Trailing(usize),
    /// Another build wrote them.
    #[error("version {0} of the state is not one this build reads")]
    Version(u8),
    /// A value that does not exist.
    #[error("the state holds a {0} that does not exist")]
    Value(&'static str),
}

impl ScoreState {
    /// Appends the state.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        self.put(out);
    }

    /// Reads a state back.
    ///
    /// # Errors
    /// If the bytes are not exactly what [`ScoreState::encode`] of this version writes.
    pub fn decode(bytes: &[u8]) -> Result<ScoreState, PlainError> {
        let mut input = bytes;
        match u8::take(&mut input)? {
            VERSION => {}
            other => return Err(PlainError::Version(other)),
        }
        let state = ScoreState::take(&mut input)?;
        if input.is_empty() { Ok(state) } else { Err(PlainError::Trailing(input.len())) }
    }
}

/// Data with one binary form.
trait Plain: Sized {
    fn put(&self, out: &mut Vec<u8>);
    fn take(input: &mut &[u8]) -> Result<Self, PlainError>;
}

fn take_bytes<'a>(input: &mut &'a [u8], length: usize) -> Result<&'a [u8], PlainError> {
    let (bytes, rest) = input.split_at_checked(length).ok_or(PlainError::Truncated)?;
    *input = rest;
    Ok(bytes)
}

impl Plain for u8 {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let (first, rest) = input.split_first().ok_or(PlainError::Truncated)?;
        *input = rest;
        Ok(*first)
    }
}

impl Plain for u64 {
    fn put(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        loop {
            let [low, ..] = (rest & 0x7f).to_le_bytes();
            rest >>= 7;
            if rest == 0 {
                return out.push(low);
            }
            out.push(low | 0x80);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = u8::take(input)?;
            let part = u64::from(byte & 0x7f);
            if shift == 63 && part > 1 {
                return Err(PlainError::Value("number"));
            }
            value |= part << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(PlainError::Value("number"))
    }
}

impl Plain for u32 {
    fn put(&self, out: &mut Vec<u8>) {
        u64::from(*self).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        u32::try_from(u64::take(input)?).map_err(|_| PlainError::Value("number"))
    }
}

impl Plain for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let (bytes, rest) = input.split_first_chunk().ok_or(PlainError::Truncated)?;
        *input = rest;
        Ok(i64::from_le_bytes(*bytes))
    }
}

impl Plain for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        i64::from(*self).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        i32::try_from(i64::take(input)?).map_err(|_| PlainError::Value("number"))
    }
}

impl Plain for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bits().to_le_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let (bytes, rest) = input.split_first_chunk().ok_or(PlainError::Truncated)?;
        *input = rest;
        Ok(f64::from_bits(u64::from_le_bytes(*bytes)))
    }
}

impl Plain for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        match u8::take(input)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PlainError::Value("truth value")),
        }
    }
}

fn put_length(length: usize, out: &mut Vec<u8>) {
    u64::try_from(length).unwrap_or(u64::MAX).put(out);
}

fn take_length(input: &mut &[u8]) -> Result<usize, PlainError> {
    usize::try_from(u64::take(input)?).map_err(|_| PlainError::Value("length"))
}

impl Plain for Vec<u8> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let length = take_length(input)?;
        take_bytes(input, length).map(<[u8]>::to_vec)
    }
}

impl Plain for String {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        out.extend_from_slice(self.as_bytes());
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        String::from_utf8(Vec::take(input)?).map_err(|_| PlainError::Value("text"))
    }
}

impl<T: Plain> Plain for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        self.is_some().put(out);
        if let Some(value) = self {
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        if bool::take(input)? { T::take(input).map(Some) } else { Ok(None) }
    }
}

impl<T: Plain, const N: usize> Plain for [T; N] {
    fn put(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let values = (0..N).map(|_| T::take(input)).collect::<Result<Vec<T>, PlainError>>()?;
        values.try_into().map_err(|_| PlainError::Truncated)
    }
}

impl<A: Plain, B: Plain> Plain for (A, B) {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
        self.1.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        Ok((A::take(input)?, B::take(input)?))
    }
}

impl<K: Plain + Ord, V: Plain> Plain for BTreeMap<K, V> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        for (key, value) in self {
            key.put(out);
            value.put(out);
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let length = take_length(input)?;
        (0..length).map(|_| Ok((K::take(input)?, V::take(input)?))).collect()
    }
}

impl<T: Plain + Ord> Plain for BTreeSet<T> {
    fn put(&self, out: &mut Vec<u8>) {
        put_length(self.len(), out);
        self.iter().for_each(|value| value.put(out));
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let length = take_length(input)?;
        (0..length).map(|_| T::take(input)).collect()
    }
}

impl Plain for EventTime {
    fn put(&self, out: &mut Vec<u8>) {
        self.0.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        i64::take(input).map(EventTime)
    }
}

impl Plain for WindowLength {
    fn put(&self, out: &mut Vec<u8>) {
        (self.ms() / HOUR_MS).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        let hours = u32::try_from(i64::take(input)?).ok();
        hours.and_then(WindowLength::from_hours).ok_or(PlainError::Value("window length"))
    }
}

impl Plain for Mark {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            Mark::Provisional(mark) => Some(*mark).put(out),
            Mark::Closed => None::<u32>.put(out),
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        Ok(<Option<u32> as Plain>::take(input)?.map_or(Mark::Closed, Mark::Provisional))
    }
}

impl Plain for IncidentAlert {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            IncidentAlert::Never => out.push(0),
            IncidentAlert::Open(since) => {
                out.push(1);
                since.put(out);
            }
            IncidentAlert::Ended => out.push(2),
        }
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        match u8::take(input)? {
            0 => Ok(IncidentAlert::Never),
            1 => EventTime::take(input).map(IncidentAlert::Open),
            2 => Ok(IncidentAlert::Ended),
            _ => Err(PlainError::Value("state of an alert")),
        }
    }
}

impl Plain for Due {
    fn put(&self, out: &mut Vec<u8>) {
        (*self == Due::InForce).put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        Ok(if bool::take(input)? { Due::InForce } else { Due::Hour })
    }
}

impl Plain for IncidentKind {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(self.index());
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        IncidentKind::from_index(u8::take(input)?).ok_or(PlainError::Value("kind of incident"))
    }
}

impl<C: Plain> Plain for Passed<C> {
    fn put(&self, out: &mut Vec<u8>) {
        self.marks.put(out);
    }

    fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
        Ok(Passed { marks: BTreeMap::take(input)? })
    }
}

/// Gives structs the form of their fields in this order.
macro_rules! fields {
    ($($type:ident { $($field:ident),+ $(,)? })+) => {$(
        impl Plain for $type {
            fn put(&self, out: &mut Vec<u8>) {
                let $type { $($field),+ } = self;
                $($field.put(out);)+
            }

            fn take(input: &mut &[u8]) -> Result<Self, PlainError> {
                Ok($type { $($field: Plain::take(input)?),+ })
            }
        }
    )+};
}

fields! {
    PersonDays { exposed, exposed_opt_outs, unexposed, unexposed_opt_outs }
    PatternCounts { at_risk, affected, days }
    PipelineCounts { records, unreadable }
    Counts {
        applied, matured, people, device_keys, touches, opted_out, prompted, granted, refused,
        withdrawn, consent_known, consent_authorised, late, dead_lettered, patterns,
    }
    WindowKey { end, length }
    BrandWindow { partitions, revision }
    OpenWindow { brands, pipeline, incomplete, next_mark }
    IncompleteRun { windows, since, open }
    Chart { learnt, mean, variance, sum, since, open_for, hours }
    ScoreDrop { chart, means }
    Charts { drop, surge }
    BrandState { outcomes, charts, incomplete, published }
    IncidentRecord {
        kind, disclosed, updated, people_affected, identity_or_health_data, severity, credibility,
    }
    Incident { records, alert }
    Timer { at, due, brand, incident }
    Incidents { brands, timers }
    ScoreState {
        frontiers, partitions, newest, windows, published_until, brands, incidents, pipeline, cleaned,
        stale,
    }
}

#[cfg(test)]
#[path = "plain_tests.rs"]
mod tests;
