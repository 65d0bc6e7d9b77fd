//! The step loop: take what was read, fold it, publish outputs and positions in one transaction.
//!
//! After an abort nothing is undone: the outputs of each input partition are kept and sent again, until they
//! are committed or the partition goes. A stage whose outputs belong to several sources at once drops its step
//! when it loses one of them, and all go on from their committed positions. After an unknown outcome a new
//! publisher ends what is in flight, and the committed positions tell what became of the step.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::log::{
    Commit, Inbound, LogError, Outgoing, Position, Publisher, Publishers, Record, Source, TopicPartition,
};

use super::clock::{Clock, WallTime};

/// How often the same step may be aborted before the worker gives up.
pub const ABORTS_MAX: u32 = 30;

/// A fold as the step loop sees it.
pub trait Stage {
    /// Whether outputs belong to the step as a whole rather than to one input partition.
    const WHOLE_STEPS: bool;

    /// A partition is this worker's, from a committed position on. `history` reads its records from an offset
    /// to another again, for stages whose state is a function of them.
    ///
    /// # Errors
    /// When the state before the position cannot be had.
    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
        history: &mut dyn FnMut(i64, i64) -> Result<Vec<Record>, LogError>,
    ) -> Result<(), StageError>;

    /// A partition is this worker's no longer: its state goes.
    fn revoked(&mut self, of: &TopicPartition);

    /// Takes a record in; outputs are those of its partition.
    ///
    /// # Errors
    /// When the record cannot be processed by this build.
    fn absorb(&mut self, record: &Record, out: &mut Vec<Outgoing>) -> Result<(), StageError>;

    /// Ends a step. `at_end`: the assigned partitions of which nothing is left to read. Returns outputs of the
    /// step as a whole, and the partitions whose standing position must be committed with them; none by default.
    fn finish(
        &mut self,
        _now: WallTime,
        _at_end: &[TopicPartition],
        _out: &mut Vec<Outgoing>,
    ) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// What must be remembered with a partition's position; nothing by default.
    fn metadata(&self, _of: &TopicPartition) -> String {
        String::new()
    }
}

/// A stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// Records are needed that cannot be read.
    #[error("the records before the committed position cannot be read again")]
    History(#[source] LogError),
    /// A record of an internal log cannot be read.
    #[error("record {offset} of {topic} {partition} cannot be read: {cause}")]
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// Why.
        cause: String,
    },
}

/// The loop must end.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log cannot be used.
    #[error("the log failed")]
    Log(#[from] LogError),
    /// The stage cannot go on.
    #[error("the stage cannot go on")]
    Stage(#[from] StageError),
    /// The same step was aborted over and over.
    #[error("a step was aborted {times} times in a row: {cause}")]
    Aborts {
        /// How often.
        times: u32,
        /// Why the last time.
        cause: String,
    },
}

#[derive(Default)]
struct Pending {
    next: Option<i64>,
    outputs: Vec<Outgoing>,
}

/// One stage on one thread: its source, its publisher and what is not committed yet.
pub struct Worker<S: Source, P: Publishers<S>, T: Stage, C: Clock> {
    source: S,
    publishers: P,
    publisher: Option<P::Publisher>,
    stage: T,
    clock: C,
    assigned: BTreeMap<TopicPartition, i64>,
    pending: BTreeMap<TopicPartition, Pending>,
    whole: Vec<Outgoing>,
    aborts: u32,
}

impl<S: Source, P: Publishers<S>, T: Stage, C: Clock> Worker<S, P, T, C> {
    /// A worker that has not begun.
    pub fn new(source: S, publishers: P, stage: T, clock: C) -> Self {
        Worker {
            source,
            publishers,
            publisher: None,
            stage,
            clock,
            assigned: BTreeMap::new(),
            pending: BTreeMap::new(),
            whole: Vec::new(),
            aborts: 0,
        }
    }

    /// The stage.
    pub fn stage(&self) -> &T {
        &self.stage
    }

    /// The source.
    pub fn source_mut(&mut self) -> &mut S {
        &mut self.source
    }

    /// One step: reads for at most so long, folds, publishes. Returns whether anything happened.
    ///
    /// # Errors
    /// When the loop must end; what was not committed will be processed again by whoever comes next.
    pub fn step(&mut self, wait: Duration) -> Result<bool, WorkerError> {
        if self.publisher.is_none() {
            // Before anything is read: what an earlier process of this name left in flight would hold back
            // the committed positions.
            self.publisher = Some(self.publishers.publisher()?);
        }
        let inbound = self.source.next(wait)?;
        let nothing = inbound == Inbound::Nothing;
        match inbound {
            Inbound::Assigned(partitions) => self.assign(partitions)?,
            Inbound::Revoked(partitions) => self.revoke(&partitions)?,
            Inbound::Records(records) => self.absorb(&records)?,
            Inbound::Nothing => {}
        }
        self.finish();
        Ok(self.publish()? || !nothing)
    }

    fn assign(
        &mut self,
        partitions: impl IntoIterator<Item = (TopicPartition, Option<Position>)>,
    ) -> Result<(), WorkerError> {
        for (of, position) in partitions {
            let source = &mut self.source;
            let mut history = |from, to| source.read_back(&of, from, to);
            self.stage.assigned(&of, position.as_ref(), &mut history)?;
            self.assigned.insert(of, position.map_or(0, |position| position.next));
        }
        Ok(())
    }

    fn revoke(&mut self, partitions: &[TopicPartition]) -> Result<(), WorkerError> {
        let mut lost_part_of_a_step = false;
        for of in partitions {
            lost_part_of_a_step |= self.pending.remove(of).is_some();
            self.assigned.remove(of);
            self.stage.revoked(of);
        }
        if T::WHOLE_STEPS && (lost_part_of_a_step || !self.whole.is_empty()) {
            self.drop_step()?;
        }
        Ok(())
    }

    /// Drops a step of several sources: each goes on from its committed position.
    fn drop_step(&mut self) -> Result<(), WorkerError> {
        self.whole.clear();
        self.pending.clear();
        let all: Vec<TopicPartition> = self.assigned.keys().cloned().collect();
        let positions = self.source.rewind(&all)?;
        for of in &all {
            self.stage.revoked(of);
        }
        self.assign(all.into_iter().zip(positions))
    }

    fn absorb(&mut self, records: &[Record]) -> Result<(), WorkerError> {
        for record in records {
            if !self.pending.contains_key(&record.from) {
                self.pending.insert(record.from.clone(), Pending::default());
            }
            if let Some(pending) = self.pending.get_mut(&record.from) {
                self.stage.absorb(record, &mut pending.outputs)?;
                // A position names the next record to process.
                pending.next = Some(record.offset + 1);
            }
        }
        Ok(())
    }

    fn finish(&mut self) {
        let at_end: Vec<TopicPartition> =
            self.assigned.keys().filter(|of| self.source.at_end(of)).cloned().collect();
        let standing = self.stage.finish(self.clock.now(), &at_end, &mut self.whole);
        for of in standing {
            self.pending.entry(of).or_default();
        }
    }

    /// Publishes what is pending; returns whether there was anything.
    fn publish(&mut self) -> Result<bool, WorkerError> {
        if self.pending.is_empty() && self.whole.is_empty() {
            return Ok(false);
        }
        let mut outputs: Vec<&Outgoing> = self.whole.iter().collect();
        let mut commits = Vec::new();
        for (of, pending) in &self.pending {
            outputs.extend(&pending.outputs);
            let standing = self.assigned.get(of).copied().unwrap_or(0);
            let next = pending.next.unwrap_or(standing);
            commits.push(Commit {
                of: of.clone(),
                position: Position { next, metadata: self.stage.metadata(of) },
            });
        }
        let Some(publisher) = &mut self.publisher else { return Ok(true) };
        match publisher.publish(&self.source, &outputs, &commits) {
            Ok(()) => {
                self.settle(&commits);
                Ok(true)
            }
            Err(LogError::Aborted { cause }) => {
                self.aborts += 1;
                let times = self.aborts;
                if times < ABORTS_MAX { Ok(true) } else { Err(WorkerError::Aborts { times, cause }) }
            }
            Err(LogError::Unknown { .. }) => {
                self.publisher = None;
                self.resolve(&commits)?;
                Ok(true)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// After an unknown outcome: a new publisher ends what is in flight, then the committed positions tell.
    fn resolve(&mut self, commits: &[Commit]) -> Result<(), WorkerError> {
        self.publisher = Some(self.publishers.publisher()?);
        let of: Vec<TopicPartition> = commits.iter().map(|commit| commit.of.clone()).collect();
        let committed = self.source.committed(&of)?;
        let done = commits.iter().zip(&committed).all(|(commit, now)| now.as_ref() == Some(&commit.position));
        if done {
            self.settle(commits);
        }
        Ok(())
    }

    fn settle(&mut self, commits: &[Commit]) {
        self.aborts = 0;
        for commit in commits {
            self.assigned.insert(commit.of.clone(), commit.position.next);
        }
        self.pending.clear();
        self.whole.clear();
    }
}

impl<S: Source, P: Publishers<S>, T: Stage, C: Clock> std::fmt::Debug for Worker<S, P, T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}
