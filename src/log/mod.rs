//! The seam between the folds and the logs they run on: a source, a publisher, one transaction a step.
//!
//! The same driver runs on Kafka ([`kafka`]), in memory ([`memory`]) and in tests with faults. Calls block;
//! a worker owns its source and its publisher on a thread of its own.

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

/// A record to publish.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outgoing {
    /// The topic's name.
    pub topic: Arc<str>,
    /// The partition; by the key's hash if `None`.
    pub partition: Option<i32>,
    /// Its key.
    pub key: Option<Vec<u8>>,
    /// Its value.
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// Records of assigned partitions, in the order of offsets per partition.
    Records(Vec<Record>),
    /// These partitions are the reader's now, from the committed position on (from the start without one).
    Assigned(Vec<(TopicPartition, Option<Position>)>),
    /// These partitions are the reader's no longer; what was not committed will be processed by others.
    Revoked(Vec<TopicPartition>),
    /// Nothing came within the time.
    Nothing,
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
    /// Trying again will not help.
    #[error("{doing}: {cause}")]
    Fatal {
        /// What was being done.
        doing: String,
        /// Why it failed.
        cause: String,
    },
}

/// Reads the partitions that the group gives to this reader.
///
/// An implementor owes:
/// 1. Only records of committed transactions, each once per assignment, in the order of offsets.
/// 2. `Assigned` before the first record of a partition, `Revoked` after the last; none after that.
/// 3. The position that `Assigned` tells is the committed one, read after every transaction that could still
///    change it has ended.
pub trait Source {
    /// What came next, waiting at most so long.
    ///
    /// # Errors
    /// When the log cannot be read.
    fn next(&mut self, wait: Duration) -> Result<Inbound, LogError>;

    /// All records of a partition from an offset up to another, for recovery; does not move the position.
    ///
    /// # Errors
    /// When the records cannot be read, or are no longer there.
    fn read_back(&mut self, of: &TopicPartition, from: i64, to: i64) -> Result<Vec<Record>, LogError>;

    /// The committed positions of these partitions, read like those of `Assigned`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError>;

    /// Goes on reading these assigned partitions from their committed positions, which it returns.
    ///
    /// # Errors
    /// When the positions cannot be read or set.
    fn rewind(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError>;

    /// Whether every record of an assigned partition that can be read now was handed out.
    fn at_end(&self, of: &TopicPartition) -> bool;

    /// How many partitions a topic has.
    ///
    /// # Errors
    /// When the topic is not there or cannot be asked for.
    fn partitions(&mut self, topic: &str) -> Result<i32, LogError>;
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
