//! What `detect` and `route` tell `score`: counts of windows, frontiers, incidents.
//!
//! One record holds what one partition of the person events says to one partition of the brands, in the order
//! in which it is to be taken; little-endian, versioned.

use crate::fold::counts::{Counts, PipelineCounts};
use crate::fold::detect::{Taken, WindowCounts};
use crate::time::WindowLength;

/// The latest version that this build reads. A record has the least version that holds what is in it: 2 where
/// windows are incomplete.
pub const VERSION: u8 = 2;

const WINDOWS: u8 = 0;
const INCIDENT: u8 = 1;

/// A record of the log of brand partials.
#[derive(Clone, Debug, PartialEq)]
pub enum Partial {
    /// What a partition of the person events counted up to its frontier.
    Windows {
        /// The partition of the person events.
        partition: u32,
        /// How many there are.
        partitions: u32,
        /// Its frontier, milliseconds.
        frontier: i64,
        /// Counts, in order.
        windows: Vec<WindowCounts>,
        /// Records of all brands per closed window.
        pipeline: Vec<(WindowLength, i64, PipelineCounts)>,
        /// Closed windows that the partition could not count fully.
        incomplete: Vec<(WindowLength, i64)>,
    },
    /// A brand incident in Avro under this build's schema: another schema is another version of partials.
    Incident(Vec<u8>),
}

/// A record cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartialError {
    /// It was written by a later build.
    #[error(
        "partial version {found} is later than {VERSION}, the latest this build reads: finish the upgrade first"
    )]
    LaterVersion {
        /// The version it has.
        found: u8,
    },
    /// Its bytes are damaged.
    #[error("damaged partial: {0}")]
    Damaged(&'static str),
}

impl Partial {
    /// Appends the record.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Partial::Incident(record) => {
                out.push(1);
                out.push(INCIDENT);
                out.extend_from_slice(record);
            }
            Partial::Windows { partition, partitions, frontier, windows, pipeline, incomplete } => {
                out.push(if incomplete.is_empty() { 1 } else { VERSION });
                out.push(WINDOWS);
                put(out, u64::from(*partition));
                put(out, u64::from(*partitions));
                put(out, *frontier as u64);
                put(out, windows.len() as u64);
                for window in windows {
                    put(out, window.brand.len() as u64);
                    out.extend_from_slice(window.brand.as_bytes());
                    put(out, window.length.ms() as u64);
                    put(out, window.start as u64);
                    put(
                        out,
                        match window.taken {
                            Taken::Provisional(mark) => u64::from(mark),
                            Taken::Closed => 0,
                        },
                    );
                    each(&mut window.counts.clone(), |count| put(out, *count));
                }
                put(out, pipeline.len() as u64);
                for (length, start, counts) in pipeline {
                    for value in [length.ms() as u64, *start as u64, counts.records, counts.unreadable] {
                        put(out, value);
                    }
                }
                if !incomplete.is_empty() {
                    put(out, incomplete.len() as u64);
                }
                for (length, start) in incomplete {
                    put(out, length.ms() as u64);
                    put(out, *start as u64);
                }
            }
        }
    }

    /// Reads a record.
    ///
    /// # Errors
    /// When a later build wrote it or its bytes are damaged.
    pub fn decode(bytes: &[u8]) -> Result<Partial, PartialError> {
        let (&version, rest) = bytes.split_first().ok_or(PartialError::Damaged("empty"))?;
        if version > VERSION {
            return Err(PartialError::LaterVersion { found: version });
        }
        let (&kind, mut rest) = rest.split_first().ok_or(PartialError::Damaged("no kind"))?;
        match kind {
            INCIDENT => Ok(Partial::Incident(rest.to_vec())),
            WINDOWS => windows(version, &mut rest),
            _ => Err(PartialError::Damaged("kind")),
        }
    }
}

fn windows(version: u8, rest: &mut &[u8]) -> Result<Partial, PartialError> {
    let partition = take_u32(rest)?;
    let partitions = take_u32(rest)?;
    let frontier = take(rest)? as i64;
    let mut windows = Vec::new();
    for _ in 0..take(rest)? {
        let length = usize::try_from(take(rest)?).map_err(|_| PartialError::Damaged("length"))?;
        let (name, tail) = rest.split_at_checked(length).ok_or(PartialError::Damaged("brand"))?;
        *rest = tail;
        let brand = std::str::from_utf8(name).map_err(|_| PartialError::Damaged("brand"))?.into();
        let length = window_length(take(rest)?)?;
        let start = take(rest)? as i64;
        let taken = match take_u32(rest)? {
            0 => Taken::Closed,
            mark => Taken::Provisional(mark),
        };
        let mut counts = Counts::default();
        let mut damaged = None;
        each(&mut counts, |count| match take(rest) {
            Ok(value) => *count = value,
            Err(error) => damaged = Some(error),
        });
        if let Some(error) = damaged {
            return Err(error);
        }
        windows.push(WindowCounts { brand, length, start, taken, counts });
    }
    let mut pipeline = Vec::new();
    for _ in 0..take(rest)? {
        let length = window_length(take(rest)?)?;
        let start = take(rest)? as i64;
        pipeline.push((length, start, PipelineCounts { records: take(rest)?, unreadable: take(rest)? }));
    }
    let mut incomplete = Vec::new();
    let count = if version > 1 { take(rest)? } else { 0 };
    for _ in 0..count {
        incomplete.push((window_length(take(rest)?)?, take(rest)? as i64));
    }
    Ok(Partial::Windows { partition, partitions, frontier, windows, pipeline, incomplete })
}

fn window_length(ms: u64) -> Result<WindowLength, PartialError> {
    let hours = ms / crate::time::HOUR_MS as u64;
    let hours = u32::try_from(hours).map_err(|_| PartialError::Damaged("window length"))?;
    WindowLength::from_hours(hours).ok_or(PartialError::Damaged("window length"))
}

/// All counts, in a fixed order.
fn each(counts: &mut Counts, mut of: impl FnMut(&mut u64)) {
    let Counts {
        applied,
        matured,
        people,
        device_keys,
        touches,
        opted_out,
        prompted,
        granted,
        refused,
        withdrawn,
        consent_known,
        consent_authorised,
        late,
        dead_lettered,
        patterns,
    } = counts;
    for count in [
        applied,
        matured,
        people,
        device_keys,
        touches,
        opted_out,
        prompted,
        granted,
        refused,
        withdrawn,
        consent_known,
        consent_authorised,
        late,
        dead_lettered,
    ] {
        of(count);
    }
    for pattern in patterns {
        of(&mut pattern.at_risk);
        pattern.affected.iter_mut().for_each(&mut of);
        of(&mut pattern.days.exposed);
        of(&mut pattern.days.exposed_opt_outs);
        of(&mut pattern.days.unexposed);
        of(&mut pattern.days.unexposed_opt_outs);
    }
}

fn put(out: &mut Vec<u8>, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

fn take(rest: &mut &[u8]) -> Result<u64, PartialError> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, tail) = rest.split_first().ok_or(PartialError::Damaged("too short"))?;
        *rest = tail;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(PartialError::Damaged("number"))
}

fn take_u32(rest: &mut &[u8]) -> Result<u32, PartialError> {
    u32::try_from(take(rest)?).map_err(|_| PartialError::Damaged("number"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn partials_read_back() {
        let mut counts = Counts { applied: 7, late: 300, ..Counts::default() };
        counts.patterns[13].affected[2] = u64::MAX;
        counts.patterns[0].days.unexposed_opt_outs = 1 << 40;
        let window = WindowCounts {
            brand: "brünn".into(),
            length: WindowLength::DAY,
            start: 1_700_006_400_000,
            taken: Taken::Provisional(3),
            counts,
        };
        let closed = WindowCounts { taken: Taken::Closed, ..window.clone() };
        let pipeline = vec![(WindowLength::HOUR, 3_600_000, PipelineCounts { records: 9, unreadable: 1 })];
        let of = |windows, incomplete| {
            let pipeline = pipeline.clone();
            Partial::Windows {
                partition: 3,
                partitions: 64,
                frontier: 1_700_000_000_000,
                windows,
                pipeline,
                incomplete,
            }
        };
        for (partial, version) in [
            (of(vec![window, closed], Vec::new()), 1),
            (of(Vec::new(), vec![(WindowLength::HOUR, 3_600_000), (WindowLength::DAY, 0)]), 2),
            (Partial::Incident(b"{}".to_vec()), 1),
        ] {
            let mut bytes = Vec::new();
            partial.encode(&mut bytes);
            assert_eq!(bytes[0], version, "the least that holds it");
            assert_eq!(Partial::decode(&bytes), Ok(partial));
            bytes[0] = VERSION + 1;
            assert_eq!(Partial::decode(&bytes), Err(PartialError::LaterVersion { found: VERSION + 1 }));
        }
    }

    proptest! {
        #[test]
        fn damaged_partials_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = bytes;
            bytes.splice(0..bytes.len().min(2), [VERSION, WINDOWS]);
            let _refused = Partial::decode(&bytes).is_err();
        }
    }
}
