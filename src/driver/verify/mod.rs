//! Folding the retained log again and comparing with what was published, bit for bit: the same stages, beginning
//! as early as the log allows, under the configurations that held.

mod compare;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::partial::Partial;
use crate::fold::counts::Counts;
use crate::fold::detect::{Taken, WindowCounts};
use crate::log::{LogError, Outgoing, Position, Record, RecordRef, Records, TopicPartition};
use crate::time::WindowLength;

use super::assembly::Assembly;
use super::stages::brand_partition;
use super::stages::recovery::{configs_held, earliest};
use super::worker::{Stage, StageError};

pub use compare::{Difference, PublishedRecords, differences};

/// The window of a brand that is verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Meant {
    /// The brand.
    pub brand: String,
    /// The window's length.
    pub length: WindowLength,
    /// Its start, milliseconds.
    pub start: i64,
}

impl Meant {
    fn end(&self) -> i64 {
        self.start + self.length.ms()
    }

    fn is(&self, window: &WindowCounts) -> bool {
        *window.brand == *self.brand && window.length == self.length && window.start == self.start
    }
}

/// A log as it stands: where each partition begins and how far its stage has come.
#[derive(Clone, Debug)]
pub struct Extent {
    /// The partition.
    pub of: TopicPartition,
    /// Its oldest record.
    pub oldest: i64,
    /// The committed position of the stage that reads it, if it has one.
    pub position: Option<Position>,
}

/// Nothing can be said about the window.
#[derive(Debug, thiserror::Error)]
pub enum VerifyError {
    /// The log cannot be read.
    #[error(transparent)]
    Log(#[from] LogError),
    /// The log cannot be folded.
    #[error(transparent)]
    Stage(#[from] StageError),
    /// The system has no thread to give.
    #[error("no thread for a stage")]
    Thread(#[from] std::io::Error),
    /// What it rests on is gone.
    #[error(
        "{of}: the log begins at offset {oldest}, and no snapshot that the position names stands there or after it: no window can be verified"
    )]
    Gone {
        /// The partition.
        of: String,
        /// Where its log begins.
        oldest: i64,
    },
    /// It was closed before what is left of the log.
    #[error(
        "{of}: the log begins at offset {oldest}, and the window was closed in the state that is folded from instead; the oldest window that can be verified ends after {first_end}"
    )]
    TooOld {
        /// The partition.
        of: String,
        /// Where its log begins.
        oldest: i64,
        /// Windows that end after this can be verified, as text.
        first_end: String,
    },
    /// It is still open.
    #[error("{0}: the window is not closed yet, or its stage has not come so far")]
    Open(String),
    /// A configuration that held is not known any more.
    #[error(
        "{of}: the configuration {hash} that held from offset {from} on is neither on the topic of configurations nor the present one"
    )]
    Configuration {
        /// The partition.
        of: String,
        /// Its hash, or `before it` where even that is forgotten.
        hash: String,
        /// From where it held.
        from: i64,
    },
}

impl VerifyError {
    /// Whether the window could have been verified at another time.
    pub fn is_gone(&self) -> bool {
        !matches!(self, VerifyError::Log(_) | VerifyError::Stage(_) | VerifyError::Thread(_))
    }
}

/// Reads the records of a partition between two offsets, until it is told that they are enough.
pub type Read<'a> = &'a dyn Fn(
    &TopicPartition,
    (i64, i64),
    &mut dyn FnMut(Record) -> Result<bool, VerifyError>,
) -> Result<(), VerifyError>;

/// What the folds say of a window.
#[derive(Debug, Default)]
pub struct Refolded {
    /// Partitions of the person events whose counts were compared with those in the log of brand partials.
    pub counts: usize,
    /// Where these differ.
    pub differences: Vec<Difference>,
    /// What is to be published, as JSON, in order: topic, key and value.
    pub outputs: Vec<Outgoing>,
}

/// Folds a window again: the person events to counts, which are compared with those of the log, and these to what
/// must have been published.
///
/// # Errors
/// When the logs cannot be read or folded, or no longer reach back so far.
pub fn refold(
    assembly: &Assembly,
    meant: &Meant,
    persons: &[Extent],
    brands: &Extent,
    read: Read<'_>,
) -> Result<Refolded, VerifyError> {
    let mut refolded = Refolded::default();
    let own = assembly.config().settings.own_topics.brand_partitions;
    let partials = assembly.names().own("brand-partials");
    let mut computed: BTreeMap<u32, Vec<Counts>> = BTreeMap::new();
    for extent in persons {
        let stage = assembly.detect_stage()?;
        let of_brand = Some(brand_partition(&meant.brand, own));
        fold(assembly, stage, extent, meant, read, &mut |output| {
            if output.topic == partials && output.partition == of_brand {
                closed(&mut computed, meant, &output.value);
            }
        })?;
    }
    let outputs = &mut refolded.outputs;
    fold(assembly, assembly.score_stage()?, brands, meant, read, &mut |output| {
        if compare::is_of(meant, &output) {
            outputs.push(output);
        }
    })?;
    let mut logged: BTreeMap<u32, Vec<Counts>> = BTreeMap::new();
    let end = brands.position.as_ref().map_or(brands.oldest, |position| position.next);
    read(&brands.of, (brands.oldest, end), &mut |record| {
        closed(&mut logged, meant, &record.value);
        Ok(true)
    })?;
    for partition in persons.iter().map(|extent| extent.of.partition.unsigned_abs()) {
        let (computed, logged) = (computed.get(&partition), logged.get(&partition));
        // What retention has removed from this log too is in the state that was folded from.
        if logged.is_none() && brands.oldest > 0 {
            continue;
        }
        refolded.counts += usize::from(computed.is_some());
        if computed != logged {
            let shown = |counts: Option<&Vec<Counts>>| {
                counts.map_or_else(|| "none".to_owned(), |counts| format!("{counts:?}"))
            };
            refolded.differences.push(Difference {
                topic: partials.to_string(),
                record: format!("counts of person partition {partition}"),
                field: "counts".to_owned(),
                published: shown(logged),
                computed: shown(computed),
            });
        }
    }
    Ok(refolded)
}

/// Adds the counts of the window at its close that a record of the log of brand partials holds.
fn closed(into: &mut BTreeMap<u32, Vec<Counts>>, meant: &Meant, value: &[u8]) {
    if let Ok(Partial::Windows { partition, windows, .. }) = Partial::decode(value) {
        let closed = windows.into_iter().filter(|one| one.taken == Taken::Closed && meant.is(one));
        let closed: Vec<Counts> = closed.map(|one| one.counts).collect();
        if !closed.is_empty() {
            into.entry(partition).or_default().extend(closed);
        }
    }
}

/// Folds a partition until the window is closed, and hands over all outputs.
fn fold<S: Stage>(
    assembly: &Assembly,
    mut stage: S,
    extent: &Extent,
    meant: &Meant,
    read: Read<'_>,
    each: &mut dyn FnMut(Outgoing),
) -> Result<(), VerifyError> {
    let Extent { of, oldest, position } = extent;
    let place = format!("{} {}", of.topic, of.partition);
    let Some(position) = position else { return Err(VerifyError::Open(place)) };
    let gone = || VerifyError::Gone { of: place.clone(), oldest: *oldest };
    let (metadata, from) = earliest(&position.metadata, *oldest).ok_or_else(gone)?;
    configurations_are_known(assembly, &place, &position.metadata, from)?;
    let next = position.next;
    let start = stage.assigned(of, Some(&Position { next, metadata }))?.unwrap_or(0);
    if start < *oldest {
        return Err(gone());
    }
    let frontier = |stage: &S| stage.gauges(of).frontier;
    if let Some(frontier) = frontier(&stage).filter(|frontier| *frontier >= meant.end()) {
        let first_end = jiff::Timestamp::from_millisecond(frontier)
            .map_or_else(|_| frontier.to_string(), |at| at.to_string());
        return Err(VerifyError::TooOld { of: place, oldest: *oldest, first_end });
    }
    let (mut outputs, mut is_closed) = (Vec::new(), false);
    read(of, (start, next), &mut |record| {
        stage.absorb(of, &mut One { record, is_taken: false }, &mut outputs)?;
        outputs.drain(..).for_each(&mut *each);
        is_closed = frontier(&stage).is_some_and(|frontier| frontier >= meant.end());
        Ok(!is_closed)
    })?;
    if is_closed { Ok(()) } else { Err(VerifyError::Open(place)) }
}

fn configurations_are_known(
    assembly: &Assembly,
    place: &str,
    metadata: &str,
    from: i64,
) -> Result<(), VerifyError> {
    let held = configs_held(metadata);
    let unknown = |hash: String, from| VerifyError::Configuration { of: place.to_owned(), hash, from };
    if held.first().is_none_or(|(first, _)| *first > from) {
        return Err(unknown("before it".to_owned(), from));
    }
    let is_known = |hash| hash == assembly.config().hash() || assembly.configs.contains_key(&hash);
    // Of those that held before the start only the last counts.
    let first = held.iter().rposition(|(since, _)| *since <= from).unwrap_or(0);
    match held.iter().skip(first).find(|(_, hash)| !is_known(*hash)) {
        Some((since, hash)) => Err(unknown(hash.to_string(), *since)),
        None => Ok(()),
    }
}

/// One record as a batch.
struct One {
    record: Record,
    is_taken: bool,
}

impl Records for One {
    fn peek(&self) -> Option<i64> {
        (!self.is_taken).then_some(self.record.offset)
    }

    fn peek_value(&self) -> Option<&[u8]> {
        (!self.is_taken).then_some(&self.record.value)
    }

    fn next(&mut self) -> Option<RecordRef<'_>> {
        (!std::mem::replace(&mut self.is_taken, true)).then(|| self.record.as_ref())
    }
}

/// The topics whose records are compared, without the prefix.
pub const COMPARED: [&str; 2] = ["brand-trust", "pattern-trust"];

/// Names of the compared topics.
pub fn compared(assembly: &Assembly) -> [Arc<str>; 2] {
    COMPARED.map(|name| assembly.names().own(name))
}
