//! States of folds as bytes, for snapshots.
//!
//! `version of the fold, then every field in its order`. Numbers are varints, what is fixed in width is
//! little-endian. The form is canonical: what a fold keeps in hash tables is sorted, so the same state always
//! gives the same bytes. No length that is read is believed before the bytes that it speaks of are there.

mod score;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::event::kinds::Topic;
use crate::fold::counts::{Counts, PatternCounts, PersonDays, PipelineCounts};
use crate::time::{EventTime, HOUR_MS, WindowLength};

/// A fold cannot go on from these bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StateError {
    /// Another version of the fold wrote them.
    #[error("the state is of version {found} of the fold, and this build has version {known}")]
    OtherVersion {
        /// The version it has.
        found: u32,
        /// The version of this build.
        known: u32,
    },
    /// They were written under settings that gave the state another form.
    #[error("the state was written under other settings: {0}")]
    OtherSettings(&'static str),
    /// They are damaged.
    #[error("damaged state: {0}")]
    Damaged(&'static str),
}

/// What is left to read of a state.
pub(crate) struct Reader<'a> {
    /// The bytes.
    pub(crate) rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Starts reading a state that must be of this version of its fold.
    pub(crate) fn start(bytes: &'a [u8], known: u32) -> Result<Reader<'a>, StateError> {
        let mut reader = Reader { rest: bytes };
        match u32::load(&mut reader)? {
            found if found == known => Ok(reader),
            found => Err(StateError::OtherVersion { found, known }),
        }
    }

    /// Ends reading.
    pub(crate) fn end(self) -> Result<(), StateError> {
        if self.rest.is_empty() { Ok(()) } else { Err(StateError::Damaged("bytes after the end")) }
    }

    /// The next bytes.
    pub(crate) fn take(&mut self, count: usize) -> Result<&'a [u8], StateError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(StateError::Damaged("too short"))?;
        self.rest = tail;
        Ok(head)
    }

    /// The next bytes, as many as an array holds.
    pub(crate) fn array<const N: usize>(&mut self) -> Result<[u8; N], StateError> {
        self.take(N)?.try_into().map_err(|_| StateError::Damaged("too short"))
    }

    /// A text.
    pub(crate) fn text(&mut self) -> Result<&'a str, StateError> {
        let length = usize::load(self)?;
        std::str::from_utf8(self.take(length)?).map_err(|_| StateError::Damaged("text"))
    }
}

/// Part of a state. Every value takes at least one byte, so a damaged count runs into the end of the bytes.
pub(crate) trait Saved: Sized {
    /// Appends it.
    fn save(&self, out: &mut Vec<u8>);
    /// Reads it.
    fn load(from: &mut Reader<'_>) -> Result<Self, StateError>;
}

/// Structs that are saved field by field; a field that is left out does not compile.
macro_rules! saved {
    ($($type:ty { $($field:ident),+ $(,)? })+) => {$(
        impl $crate::fold::saved::Saved for $type {
            fn save(&self, out: &mut Vec<u8>) {
                let Self { $($field),+ } = self;
                $($crate::fold::saved::Saved::save($field, out);)+
            }

            fn load(
                from: &mut $crate::fold::saved::Reader<'_>,
            ) -> Result<Self, $crate::fold::saved::StateError> {
                Ok(Self { $($field: $crate::fold::saved::Saved::load(from)?),+ })
            }
        }
    )+};
}
pub(crate) use saved;

saved! {
    PersonDays { exposed, exposed_opt_outs, unexposed, unexposed_opt_outs }
    PatternCounts { at_risk, affected, days }
    PipelineCounts { records, unreadable }
    Counts {
        applied, matured, people, device_keys, touches, opted_out, prompted, granted, refused, withdrawn,
        consent_known, consent_authorised, late, dead_lettered, patterns,
    }
}

impl Saved for u64 {
    fn save(&self, out: &mut Vec<u8>) {
        let mut rest = *self;
        while rest >= 0x80 {
            out.push(rest as u8 | 0x80);
            rest >>= 7;
        }
        out.push(rest as u8);
    }

    fn load(from: &mut Reader<'_>) -> Result<u64, StateError> {
        let mut value = 0;
        for shift in (0..64).step_by(7) {
            let [byte] = from.array()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(StateError::Damaged("number"))
    }
}

/// Numbers that are saved as another type of number.
macro_rules! saved_as_u64 {
    ($($type:ty),+) => {$(
        impl Saved for $type {
            fn save(&self, out: &mut Vec<u8>) {
                (*self as u64).save(out);
            }

            fn load(from: &mut Reader<'_>) -> Result<$type, StateError> {
                <$type>::try_from(u64::load(from)?).map_err(|_| StateError::Damaged("number"))
            }
        }
    )+};
}
saved_as_u64!(u32, usize);

/// Numbers near zero are short, whatever their sign.
impl Saved for i64 {
    fn save(&self, out: &mut Vec<u8>) {
        ((self << 1) ^ (self >> 63)).cast_unsigned().save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<i64, StateError> {
        let bits = u64::load(from)?;
        Ok((bits >> 1).cast_signed() ^ -(bits & 1).cast_signed())
    }
}

impl Saved for i32 {
    fn save(&self, out: &mut Vec<u8>) {
        i64::from(*self).save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<i32, StateError> {
        i32::try_from(i64::load(from)?).map_err(|_| StateError::Damaged("number"))
    }
}

impl Saved for u8 {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(*self);
    }

    fn load(from: &mut Reader<'_>) -> Result<u8, StateError> {
        let [byte] = from.array()?;
        Ok(byte)
    }
}

impl Saved for bool {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }

    fn load(from: &mut Reader<'_>) -> Result<bool, StateError> {
        match u8::load(from)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(StateError::Damaged("flag")),
        }
    }
}

impl Saved for f64 {
    fn save(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_bits().to_le_bytes());
    }

    fn load(from: &mut Reader<'_>) -> Result<f64, StateError> {
        Ok(f64::from_bits(u64::from_le_bytes(from.array()?)))
    }
}

impl Saved for String {
    fn save(&self, out: &mut Vec<u8>) {
        save_text(self, out);
    }

    fn load(from: &mut Reader<'_>) -> Result<String, StateError> {
        from.text().map(str::to_owned)
    }
}

impl Saved for Arc<str> {
    fn save(&self, out: &mut Vec<u8>) {
        save_text(self, out);
    }

    fn load(from: &mut Reader<'_>) -> Result<Arc<str>, StateError> {
        from.text().map(Arc::from)
    }
}

fn save_text(text: &str, out: &mut Vec<u8>) {
    text.len().save(out);
    out.extend_from_slice(text.as_bytes());
}

impl Saved for EventTime {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<EventTime, StateError> {
        i64::load(from).map(EventTime)
    }
}

impl Saved for WindowLength {
    fn save(&self, out: &mut Vec<u8>) {
        (self.ms() / HOUR_MS).save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<WindowLength, StateError> {
        let hours = u32::try_from(i64::load(from)?).ok();
        hours.and_then(WindowLength::from_hours).ok_or(StateError::Damaged("length of a window"))
    }
}

impl Saved for Topic {
    fn save(&self, out: &mut Vec<u8>) {
        out.push(self.index());
    }

    fn load(from: &mut Reader<'_>) -> Result<Topic, StateError> {
        Topic::from_index(u8::load(from)?).ok_or(StateError::Damaged("topic"))
    }
}

impl<T: Saved> Saved for Option<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.is_some().save(out);
        if let Some(value) = self {
            value.save(out);
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<Option<T>, StateError> {
        if bool::load(from)? { T::load(from).map(Some) } else { Ok(None) }
    }
}

impl<A: Saved, B: Saved> Saved for (A, B) {
    fn save(&self, out: &mut Vec<u8>) {
        self.0.save(out);
        self.1.save(out);
    }

    fn load(from: &mut Reader<'_>) -> Result<(A, B), StateError> {
        Ok((A::load(from)?, B::load(from)?))
    }
}

impl<T: Saved + Copy + Default, const N: usize> Saved for [T; N] {
    fn save(&self, out: &mut Vec<u8>) {
        self.iter().for_each(|one| one.save(out));
    }

    fn load(from: &mut Reader<'_>) -> Result<[T; N], StateError> {
        let mut all = [T::default(); N];
        for one in &mut all {
            *one = T::load(from)?;
        }
        Ok(all)
    }
}

impl<T: Saved> Saved for Vec<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.len().save(out);
        self.iter().for_each(|one| one.save(out));
    }

    fn load(from: &mut Reader<'_>) -> Result<Vec<T>, StateError> {
        // No capacity is reserved: the count may be damaged.
        let mut all = Vec::new();
        for _ in 0..usize::load(from)? {
            all.push(T::load(from)?);
        }
        Ok(all)
    }
}

impl<K: Saved + Ord, V: Saved> Saved for BTreeMap<K, V> {
    fn save(&self, out: &mut Vec<u8>) {
        self.len().save(out);
        for (key, value) in self {
            key.save(out);
            value.save(out);
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<BTreeMap<K, V>, StateError> {
        let mut all = BTreeMap::new();
        for _ in 0..usize::load(from)? {
            let key = K::load(from)?;
            if all.last_key_value().is_some_and(|(last, _)| *last >= key) {
                return Err(StateError::Damaged("order of keys"));
            }
            all.insert(key, V::load(from)?);
        }
        Ok(all)
    }
}

impl<T: Saved + Ord> Saved for BTreeSet<T> {
    fn save(&self, out: &mut Vec<u8>) {
        self.len().save(out);
        self.iter().for_each(|one| one.save(out));
    }

    fn load(from: &mut Reader<'_>) -> Result<BTreeSet<T>, StateError> {
        let all = Vec::<T>::load(from)?;
        if !all.is_sorted_by(|a, b| a < b) {
            return Err(StateError::Damaged("order of keys"));
        }
        Ok(all.into_iter().collect())
    }
}
