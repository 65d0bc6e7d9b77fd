//! The seam between the folds and the logs they run on: a source, a publisher, one transaction a step.
//!
//! The same driver runs on Kafka ([`kafka`]), in memory ([`memory`]) and in tests with faults. Calls block;
//! a worker owns its source and its publisher on a thread of its own.

pub mod access;
pub mod files;
pub mod kafka;
pub mod memory;

use std::sync::Arc;
use std::time::Duration;

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition.
    pub partition: i32,
}

impl TopicPartition {
    /// All partitions of a topic that has so many.
    pub fn all(topic: &str, count: i32) -> impl Iterator<Item = TopicPartition> + use<> {
        let topic: Arc<str> = Arc::from(topic);
        (0..count).map(move |partition| TopicPartition { topic: Arc::clone(&topic), partition })
    }
}

/// A record that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Where it was read from.
    pub from: TopicPartition,
    /// Its offset there.
    pub offset: i64,
    /// Its timestamp, milliseconds, if it has one.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

impl Record {
    /// The record as one of a batch.
    pub fn as_ref(&self) -> RecordRef<'_> {
        RecordRef {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: self.key.as_deref(),
            value: &self.value,
            headers: self,
        }
    }
}

/// Headers of a record, copied out only by who needs them.
pub trait Headers {
    /// All headers in their order.
    fn headers(&self) -> Vec<(String, Vec<u8>)>;
}

impl Headers for Record {
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        self.headers.clone()
    }
}

/// A record of a batch, borrowed from it.
#[derive(Clone, Copy)]
pub struct RecordRef<'a> {
    /// Its offset.
    pub offset: i64,
    /// Its timestamp, milliseconds, if it has one.
    pub timestamp_ms: Option<i64>,
    /// Its key.
    pub key: Option<&'a [u8]>,
    /// Its value.
    pub value: &'a [u8],
    /// Its headers.
    pub headers: &'a dyn Headers,
}

impl std::fmt::Debug for RecordRef<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RecordRef").field("offset", &self.offset).finish_non_exhaustive()
    }
}

/// Records of one partition in the order of offsets, taken one by one.
pub trait Records {
    /// The offset of the record that comes next.
    fn peek(&self) -> Option<i64>;

    /// The value of the record that comes next.
    fn peek_value(&self) -> Option<&[u8]>;

    /// Takes the next record.
    fn next(&mut self) -> Option<RecordRef<'_>>;
}

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition; by the key's hash if `None`.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value; an empty one is sent as none, which is a tombstone.
    pub value: Vec<u8>,
    /// Its headers.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// How far an input partition has been processed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// The offset of the next record to process.
    pub next: i64,
    /// What the processor needs to go on from there; ASCII, at most 4,096 bytes.
    pub metadata: String,
}

/// The position of one input partition, committed with the outputs it caused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// The input partition.
    pub of: TopicPartition,
    /// Its position.
    pub position: Position,
}

/// What a source has to say.
#[derive(Debug)]
pub enum Inbound<R> {
    /// Records of an assigned partition.
    Records(TopicPartition, R),
    /// These partitions are the reader's now, with their committed positions. Records of one come after
    /// [`Source::read_from`] named it.
    Assigned(Vec<(TopicPartition, Option<Position>)>),
    /// These partitions are the reader's no longer; what was not committed will be processed by others.
    Revoked(Vec<TopicPartition>),
    /// Nothing came within the time.
    Nothing,
}

/// How far a partition has been handed out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Handed {
    /// The offset after the last record that was handed out, or after what stands there instead of records.
    pub next: Option<i64>,
    /// The end of the partition as last heard, open transactions included.
    pub end: Option<i64>,
}

/// What went wrong, and what the loop must do about it.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// The transaction is not committed and will not be. Send the same again.
    #[error("the transaction was aborted: {cause}")]
    Aborted {
        /// Why.
        cause: String,
    },
    /// The transaction is not committed: the group no longer counts this reader as it was. The next call of
    /// the source tells what has changed.
    #[error("the step is of an earlier membership: {cause}")]
    Stale {
        /// Why.
        cause: String,
    },
    /// As [`LogError::Unknown`], because another publisher has this name, or a transaction took too long.
    #[error("another publisher took the name, or the transaction took too long: {cause}")]
    Fenced {
        /// Why.
        cause: String,
    },
    /// Nobody knows whether the transaction is committed. The publisher must be replaced: the new one's
    /// start ends what is in flight, and then the committed position tells.
    #[error("the outcome of the transaction is unknown: {cause}")]
    Unknown {
        /// Why.
        cause: String,
    },
    /// The log cannot be reached or refuses; trying again may help.
    #[error("{doing}: {cause}")]
    Unavailable {
        /// What was being done.
        doing: String,
        /// Why it failed.
        cause: String,
    },
    /// The log refuses this user, its certificate or what it does; trying again will not help.
    #[error("{doing}: refused: {cause}")]
    Refused {
        /// What was being done.
        doing: String,
        /// Why it is refused.
        cause: String,
    },
    /// Trying again will not help.
    #[error("{doing}: {cause}")]
    Fatal {
        /// What was being done.
        doing: String,
        /// Why it failed.
        cause: String,
    },
}

impl LogError {
    /// Whether trying the same again may help; nothing was lost.
    pub fn is_passing(&self) -> bool {
        matches!(self, LogError::Unavailable { .. })
    }
}

/// Reads the partitions that the group gives to this reader.
///
/// An implementor owes:
/// 1. Only records of committed transactions, each once per [`Source::read_from`], in the order of offsets.
/// 2. `Assigned` before the first record of a partition, `Revoked` after the last; none after that. A change
///    is told before any record that came after it.
/// 3. The position that `Assigned` tells is the committed one, read after every transaction that could still
///    change it has ended.
/// 4. A call that fails has lost nothing: what it would have told, the next one tells.
pub trait Source {
    /// Its batches.
    type Records: Records;

    /// What came next, waiting at most so long.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn next(&mut self, wait: Duration) -> Result<Inbound<Self::Records>, LogError>;

    /// Hands out the records of an assigned partition from this offset on, or from the oldest record without
    /// one. Also ends a pause.
    ///
    /// # Errors
    /// When the place cannot be set, or the log does not hold it any longer.
    fn read_from(&mut self, of: &TopicPartition, offset: Option<i64>) -> Result<(), LogError>;

    /// Hands out no records of an assigned partition until [`Source::read_from`] names it again. `rest`: what was
    /// handed out last and not all taken, which then need not be fetched again.
    ///
    /// # Errors
    /// When it cannot be paused; the rest is lost then, and must be read again.
    fn pause(&mut self, of: &TopicPartition, rest: Option<Self::Records>) -> Result<(), LogError>;

    /// The committed positions of these partitions, read like those of `Assigned`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError>;

    /// The positions of these partitions as they stand, assigned or not: does not wait for transactions that
    /// could still change them.
    ///
    /// # Errors
    /// When they cannot be read.
    fn glance(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError>;

    /// Those of these partitions of which every record that can be read, as the log says now, was handed out.
    /// One that it cannot tell about at the moment is not among them.
    fn at_end(&mut self, of: &[TopicPartition]) -> Vec<TopicPartition>;

    /// How far an assigned partition has been handed out, as is known without asking the log.
    fn handed(&self, of: &TopicPartition) -> Handed;

    /// How many records of each of these partitions can be read, as the log says now, and were not handed out;
    /// none where it cannot tell at the moment.
    fn left(&mut self, of: &[TopicPartition]) -> Vec<Option<i64>>;
}

/// Publishes outputs and the positions that caused them, atomically.
///
/// An implementor owes:
/// 1. `Ok`: all outputs are visible to readers of committed records and all positions are committed.
/// 2. [`LogError::Aborted`]: none of either is, nor ever will be.
/// 3. A new publisher under the same name ends what the old one has in flight before its first step; the old
///    one can commit nothing after that.
/// 4. A step of a reader that the group no longer counts is refused.
pub trait Publisher<S: Source> {
    /// Publishes one step.
    ///
    /// # Errors
    /// See [`LogError`]: aborted steps may be sent again, after an unknown outcome the publisher is spent.
    fn publish(&mut self, source: &S, outputs: &[&Outgoing], commits: &[Commit]) -> Result<(), LogError>;
}

/// Makes publishers under one name; each new one fences the one before.
pub trait Publishers<S: Source> {
    /// What it makes.
    type Publisher: Publisher<S>;

    /// A new publisher.
    ///
    /// # Errors
    /// When the log cannot be reached or refuses.
    fn publisher(&mut self) -> Result<Self::Publisher, LogError>;
}
