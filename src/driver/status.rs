//! What each worker shows of itself to whoever watches the process: one lock per worker, taken a few times a step.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::clock::{Clock, SystemClock, WallTime};
use super::replay::ledger::Account;
use crate::event::kinds::Topic;
use crate::log::{Commit, LogError, Outgoing, Publisher, Publishers, Source, TopicPartition};
use crate::telemetry::occurrence::StepNotCommitted;

/// What a stage tells of a partition, as of the last committed step.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Its frontier, milliseconds of event time.
    pub frontier: Option<i64>,
    /// The newest event time that it has seen, milliseconds.
    pub newest_event: Option<i64>,
    /// What became of its records, by source topic, since this process took it over.
    pub accounts: Vec<(Topic, Account)>,
    /// Its last snapshot.
    pub snapshot: Option<SnapshotGauges>,
    /// Whether it is read, if it is a source.
    pub source: Option<SourceGauges>,
}

/// Why a source is not read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SourceGauges {
    /// Since when its breaker is tripped.
    pub tripped: Option<WallTime>,
    /// Since when time goes on without it.
    pub suspended: Option<WallTime>,
}

/// What is known of the snapshots of a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SnapshotGauges {
    /// When the newest restorable one was taken, milliseconds of wall time.
    pub taken_at: Option<i64>,
    /// Its size, bytes.
    pub bytes: u64,
    /// Snapshots that could not be written.
    pub failures: u64,
}

/// A partition of a worker.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PartitionStatus {
    /// The committed position: the offset of the next record.
    pub position: Option<i64>,
    /// Records up to the end of the log that were not handed out, as last heard.
    pub lag: Option<i64>,
    /// Records to fold again before new ones, and since when; nothing once its state is complete.
    pub restoring: Option<(WallTime, i64)>,
    /// Since when the stage does not want its records.
    pub paused: Option<WallTime>,
    /// Since when records are there and none is processed.
    pub stalled: Option<WallTime>,
    /// What the stage tells.
    pub gauges: Gauges,
}

/// Why a transaction was not committed, or may not have been.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum NotCommitted {
    /// Aborted.
    Aborted,
    /// Of an earlier membership of the group.
    Stale,
    /// Fenced by another publisher of its name.
    Fenced,
    /// Nobody knows.
    Unknown,
}

impl NotCommitted {
    /// All kinds.
    pub const ALL: [NotCommitted; 4] =
        [NotCommitted::Aborted, NotCommitted::Stale, NotCommitted::Fenced, NotCommitted::Unknown];

    /// Its name in metrics and log lines.
    pub fn name(self) -> &'static str {
        match self {
            NotCommitted::Aborted => "aborted",
            NotCommitted::Stale => "stale",
            NotCommitted::Fenced => "fenced",
            NotCommitted::Unknown => "unknown",
        }
    }

    fn of(error: &LogError) -> Option<(NotCommitted, &str)> {
        match error {
            LogError::Aborted { cause } => Some((NotCommitted::Aborted, cause)),
            LogError::Stale { cause } => Some((NotCommitted::Stale, cause)),
            LogError::Fenced { cause } => Some((NotCommitted::Fenced, cause)),
            LogError::Unknown { cause } => Some((NotCommitted::Unknown, cause)),
            _ => None,
        }
    }
}

/// Steps fail, and the same is tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failing {
    /// Since when.
    pub since: WallTime,
    /// Why the last one failed.
    pub cause: String,
}

/// What a worker shows.
#[derive(Clone, Debug, Default)]
pub struct Shown {
    /// Steps that came back, well or not.
    pub steps: u64,
    /// Whether one came back well.
    pub has_begun: bool,
    /// Steps that were committed.
    pub commits: u64,
    /// When the last one was.
    pub last_commit: Option<Instant>,
    /// Steps that were not committed, or may not have been, in the order of [`NotCommitted::ALL`].
    pub not_committed: [u64; NotCommitted::ALL.len()],
    /// Whether steps fail at the moment.
    pub failing: Option<Failing>,
    /// The assigned partitions.
    pub partitions: BTreeMap<TopicPartition, PartitionStatus>,
    /// Whether any was ever assigned.
    pub had_partitions: bool,
    /// Since when it has not come back from a step, if that is longer than steps take.
    pub still: Option<WallTime>,
    /// Whether that is so long that it will not come back.
    pub is_stuck: bool,
}

/// One worker's status.
#[derive(Debug)]
pub struct Status {
    /// Its stage.
    pub stage: &'static str,
    /// Its number within the stage.
    pub worker: usize,
    /// Partitions that all workers of the stage share, on all instances.
    pub in_all: u64,
    /// When it was made.
    pub since: WallTime,
    clock: SystemClock,
    shown: Mutex<Shown>,
}

impl Status {
    /// Of a worker that has not begun.
    pub fn new(stage: &'static str, worker: usize, in_all: u64, clock: SystemClock) -> Status {
        Status { stage, worker, in_all, since: clock.now(), clock, shown: Mutex::default() }
    }

    /// What it shows; locked until dropped.
    pub fn shown(&self) -> MutexGuard<'_, Shown> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wall time now.
    pub fn now(&self) -> WallTime {
        self.clock.now()
    }
}

/// Publishers of which each transaction is counted.
#[derive(Debug)]
pub struct Counted<P> {
    inner: P,
    status: Arc<Status>,
}

impl<P> Counted<P> {
    /// Counts what comes of the publishers of a worker.
    pub fn new(inner: P, status: Arc<Status>) -> Counted<P> {
        Counted { inner, status }
    }
}

impl<S: Source, P: Publishers<S>> Publishers<S> for Counted<P> {
    type Publisher = Counted<P::Publisher>;

    fn publisher(&mut self) -> Result<Self::Publisher, LogError> {
        Ok(Counted::new(self.inner.publisher()?, Arc::clone(&self.status)))
    }
}

impl<S: Source, P: Publisher<S>> Publisher<S> for Counted<P> {
    fn publish(&mut self, source: &S, outputs: &[&Outgoing], commits: &[Commit]) -> Result<(), LogError> {
        let outcome = self.inner.publish(source, outputs, commits);
        let mut shown = self.status.shown();
        match &outcome {
            Ok(()) => {
                shown.commits += 1;
                shown.last_commit = Some(Instant::now());
            }
            Err(error) => {
                if let Some((kind, cause)) = NotCommitted::of(error) {
                    shown.not_committed[kind as usize] += 1;
                    let Status { stage, worker, .. } = &*self.status;
                    StepNotCommitted { stage, worker, kind: &kind.name(), cause: &cause }.note();
                }
            }
        }
        outcome
    }
}
