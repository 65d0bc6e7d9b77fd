//! The step loop: take what was read, fold it, publish outputs and positions in one transaction.
//!
//! After an abort nothing is undone: the outputs of each input partition are kept and sent again, until they
//! are committed or the partition goes. A stage whose outputs belong to several sources at once drops its step
//! when it loses one of them, and all go on from their committed positions. After an unknown outcome a new
//! publisher ends what is in flight, and the committed positions tell what became of the step.
//!
//! Whatever fails half-way (the question what became of a step, going back, taking a partition over) stays due
//! and is done before anything else is read. State that a stage lost is folded again from the log; outputs up
//! to the committed position are dropped meanwhile.

pub mod observe;
mod stage;
mod taken;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use crate::log::{
    Commit, Inbound, LogError, Outgoing, Position, Publisher, Publishers, Records, Source, TopicPartition,
};

use super::clock::{Clock, WallTime};
use crate::points::{KillPoint, Probe};
pub use stage::{Stage, StageError};
use taken::Taken;

/// How often in a row steps may be aborted for the same cause before the worker gives up.
pub const ABORTS_MAX: u32 = 3;
/// How often within [`FENCED_WITHIN_MS`] a publisher may be fenced before the worker gives up: a process that
/// was paused is fenced once, two instances of one name fence each other without end.
pub const FENCED_MAX: usize = 3;
/// See [`FENCED_MAX`]; milliseconds of wall time.
pub const FENCED_WITHIN_MS: i64 = 300_000;

/// After how many records the stage is asked again which partitions must wait.
const HOLD_EVERY: i64 = 2_000;

/// The loop must end, or, where [`WorkerError::is_passing`] says so, its next step may go on.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// The log cannot be used.
    #[error("the log failed")]
    Log(#[from] LogError),
    /// The system has no thread to give.
    #[error("the stage cannot be started")]
    Start(#[from] std::io::Error),
    /// The stage cannot go on.
    #[error("the stage cannot go on")]
    Stage(#[from] StageError),
    /// Steps were aborted over and over.
    #[error("a step was aborted {times} times in a row: {cause}")]
    Aborts {
        /// How often.
        times: u32,
        /// Why the last time.
        cause: String,
    },
    /// Publishers were fenced over and over.
    #[error(
        "fenced {times} times within {} s: another instance uses this one's name; give each its own kafka.instance_id ({cause})",
        FENCED_WITHIN_MS / 1_000
    )]
    Fenced {
        /// How often.
        times: usize,
        /// Why the last time.
        cause: String,
    },
}

impl WorkerError {
    /// Whether the same may work later; nothing was lost.
    pub fn is_passing(&self) -> bool {
        match self {
            WorkerError::Log(error) => error.is_passing(),
            other => matches!(other, WorkerError::Stage(StageError::Restore { .. })),
        }
    }
}

/// What must be done before more is read.
enum Due {
    /// The stage must take the partition over.
    Take(TopicPartition, Option<Position>),
    /// The partition must be read from here.
    Read(TopicPartition, Option<i64>),
}

impl Due {
    fn of(&self) -> &TopicPartition {
        match self {
            Due::Take(of, _) | Due::Read(of, _) => of,
        }
    }
}

/// One stage on one thread: its source, its publisher and what is not committed yet.
pub struct Worker<S: Source, P: Publishers<S>, T: Stage, C: Clock> {
    source: S,
    publishers: P,
    publisher: Option<P::Publisher>,
    stage: T,
    clock: C,
    /// Assigned partitions and their committed positions.
    assigned: BTreeMap<TopicPartition, Option<Position>>,
    due: VecDeque<Due>,
    /// All assigned partitions must go back to their committed positions.
    rewind: bool,
    held: BTreeSet<TopicPartition>,
    /// Records taken in since the stage was asked which partitions must wait.
    since_held: i64,
    /// Where the state of each partition stands: the offset of the record to take in next.
    taken: BTreeMap<TopicPartition, i64>,
    /// What was read and not taken in, because the step was full.
    rest: Option<(TopicPartition, S::Records)>,
    /// Partitions whose positions are to be committed, with the outputs of what was taken in of them.
    pending: BTreeMap<TopicPartition, Vec<Outgoing>>,
    whole: Vec<Outgoing>,
    /// A step of which nobody knows whether it was committed.
    unresolved: Option<Vec<Commit>>,
    aborts: (String, u32),
    fenced: VecDeque<WallTime>,
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
            due: VecDeque::new(),
            rewind: false,
            held: BTreeSet::new(),
            since_held: 0,
            taken: BTreeMap::new(),
            rest: None,
            pending: BTreeMap::new(),
            whole: Vec::new(),
            unresolved: None,
            aborts: (String::new(), 0),
            fenced: VecDeque::new(),
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
    /// When the loop must end, or wait; what was not committed will be processed again by whoever comes next.
    pub fn step(&mut self, wait: Duration) -> Result<bool, WorkerError> {
        self.do_what_is_due()?;
        let end = Instant::now() + wait;
        let mut busy = self.absorb_rest()?;
        while self.rest.is_none() && !self.stage.is_full() {
            match self.source.next(end.saturating_duration_since(Instant::now()))? {
                Inbound::Nothing => break,
                Inbound::Records(from, records) => {
                    self.rest = Some((from, records));
                    self.absorb_rest()?;
                    if self.since_held >= HOLD_EVERY {
                        self.hold()?;
                    }
                }
                Inbound::Assigned(partitions) => {
                    self.due.extend(partitions.into_iter().map(|(of, at)| Due::Take(of, at)));
                    self.take_partitions()?;
                }
                Inbound::Revoked(partitions) => self.revoke(&partitions),
            }
            busy = true;
            if self.rewind || !self.due.is_empty() || Instant::now() >= end {
                break;
            }
        }
        if self.rewind {
            return Ok(true);
        }
        self.finish()?;
        Ok(self.publish()? || busy || !self.due.is_empty())
    }

    /// Ends in good order: publishes what is pending, takes snapshots and commits their names.
    ///
    /// # Errors
    /// When what is pending cannot be published; whoever comes next processes it again.
    pub fn finish_work(&mut self) -> Result<(), WorkerError> {
        self.do_what_is_due()?;
        self.finish()?;
        self.publish()?;
        if self.unresolved.is_some() || !self.pending.is_empty() || !self.whole.is_empty() {
            return Ok(());
        }
        let positions: Vec<(TopicPartition, i64)> = self
            .assigned
            .iter()
            .filter_map(|(of, position)| Some((of.clone(), position.as_ref()?.next)))
            .filter(|(of, next)| self.taken.get(of) == Some(next))
            .collect();
        for (of, next) in positions {
            self.stage.finish_snapshot(&of, next);
            self.pending.entry(of).or_default();
        }
        self.publish()?;
        Ok(())
    }

    fn do_what_is_due(&mut self) -> Result<(), WorkerError> {
        if self.publisher.is_none() {
            // Before anything is read: what an earlier process of this name left in flight would hold back
            // the committed positions.
            self.publisher = Some(self.publishers.publisher()?);
        }
        if let Some(commits) = &self.unresolved {
            let of: Vec<TopicPartition> = commits.iter().map(|commit| commit.of.clone()).collect();
            let now = self.source.committed(&of).inspect_err(|_| Probe::OutcomeUnasked.pass())?;
            // All positions of a step are committed or none; one that the step did not move tells nothing,
            // and one that another owner has moved on since may not tell.
            let committed = commits.iter().zip(&now).any(|(commit, now)| {
                now.as_ref() == Some(&commit.position) && self.assigned.get(&commit.of) != Some(now)
            });
            if let Some(commits) = self.unresolved.take()
                && committed
            {
                Probe::WasCommitted.pass();
                self.settle(commits);
            } else {
                Probe::WasNotCommitted.pass();
            }
        }
        if self.rewind {
            let all: Vec<TopicPartition> = self.assigned.keys().cloned().collect();
            let positions = self.source.committed(&all).inspect_err(|_| Probe::RewindPutOff.pass())?;
            self.due.retain(|due| !self.assigned.contains_key(due.of()));
            for (of, position) in all.into_iter().zip(positions) {
                self.stage.revoked(&of);
                self.due.push_back(Due::Take(of, position));
            }
            self.rewind = false;
            Probe::Rewound.pass();
        }
        self.take_partitions().inspect_err(|_| Probe::StillDue.pass())
    }

    fn take_partitions(&mut self) -> Result<(), WorkerError> {
        while let Some(due) = self.due.front() {
            let next = match due {
                Due::Take(of, position) => {
                    let from = self.stage.assigned(of, position.as_ref())?;
                    self.assigned.insert(of.clone(), position.clone());
                    match from {
                        Some(from) => drop(self.taken.insert(of.clone(), from)),
                        None => drop(self.taken.remove(of)),
                    }
                    Some(Due::Read(of.clone(), from))
                }
                Due::Read(of, from) => {
                    match self.source.read_from(of, *from) {
                        Err(LogError::Fatal { doing, cause }) => {
                            let (topic, partition) = (of.topic.to_string(), of.partition);
                            let cause = format!("{doing}: {cause}");
                            return Err(StageError::Lost { topic, partition, cause }.into());
                        }
                        outcome => outcome?,
                    }
                    None
                }
            };
            self.due.pop_front();
            if let Some(next) = next {
                self.due.push_front(next);
            }
        }
        Ok(())
    }

    fn revoke(&mut self, partitions: &[TopicPartition]) {
        let mut lost_part_of_a_step = false;
        for of in partitions {
            self.due.retain(|due| due.of() != of);
            if self.pending.remove(of).is_some() {
                Probe::RevokedWithOutputs.pass();
                lost_part_of_a_step = true;
            }
            self.assigned.remove(of);
            self.taken.remove(of);
            self.held.remove(of);
            self.rest.take_if(|(from, _)| from == of);
            self.stage.revoked(of);
        }
        if T::WHOLE_STEPS && (lost_part_of_a_step || !self.whole.is_empty()) {
            Probe::StepDropped.pass();
            // The step goes, and each source goes on from its committed position.
            self.whole.clear();
            self.pending.clear();
            self.rest = None;
            self.held.clear();
            self.rewind = true;
        }
    }

    /// The committed position of a partition.
    fn committed(&self, of: &TopicPartition) -> i64 {
        self.assigned.get(of).and_then(Option::as_ref).map_or(0, |position| position.next)
    }

    fn absorb_rest(&mut self) -> Result<bool, WorkerError> {
        let Some((from, mut records)) = self.rest.take() else { return Ok(false) };
        // What was taken in before is never taken in again, whatever the source does.
        let expected = self.taken.get(&from).copied().unwrap_or(0);
        while records.peek().is_some_and(|offset| offset < expected) {
            records.next();
        }
        let committed = self.committed(&from);
        let first = records.peek();
        if records.peek().is_some_and(|offset| offset < committed) {
            // Only the state is wanted of records that were processed before.
            Probe::FoldedAgain.pass();
            KillPoint::DuringRestore.pass();
            let mut again = Taken { records: &mut records, before: committed, next: None };
            self.stage.absorb(&from, &mut again, &mut Vec::new())?;
            if let Some(next) = again.next {
                self.taken.insert(from.clone(), next);
            }
        }
        if records.peek().is_some_and(|offset| offset >= committed) {
            let mut taken = Taken { records: &mut records, before: i64::MAX, next: None };
            let is_new = !self.pending.contains_key(&from);
            let outputs = self.pending.entry(from.clone()).or_default();
            self.stage.absorb(&from, &mut taken, outputs)?;
            match taken.next {
                Some(next) => drop(self.taken.insert(from.clone(), next)),
                None if is_new && outputs.is_empty() => drop(self.pending.remove(&from)),
                None => {}
            }
        }
        let next = self.taken.get(&from).copied();
        self.since_held += next.zip(first).map_or(0, |(next, first)| (next - first).max(0));
        if records.peek().is_some() {
            self.rest = Some((from, records));
        }
        Ok(true)
    }

    /// Lets partitions wait, or go on, as the stage says.
    fn hold(&mut self) -> Result<(), WorkerError> {
        self.since_held = 0;
        let held = self.stage.held(self.clock.now());
        let is_new = |of: &&TopicPartition| self.assigned.contains_key(*of) && !self.held.contains(*of);
        let new: Vec<TopicPartition> = held.iter().filter(is_new).cloned().collect();
        for of in new {
            let rest = self.rest.take_if(|(from, _)| *from == of).map(|(_, rest)| rest);
            if rest.is_some() {
                Probe::HeldWithRest.pass();
            }
            let outcome = self.source.pause(&of, rest);
            if outcome.is_err() {
                let next = self.taken.get(&of).copied();
                self.due.push_back(Due::Read(of, next));
                return Ok(outcome?);
            }
            // At once: where pausing the next one fails, this one must be read again one day.
            self.held.insert(of);
        }
        for of in self.held.extract_if(.., |of| !held.contains(of)) {
            Probe::LetGo.pass();
            let next = self.taken.get(&of).copied();
            self.due.push_back(Due::Read(of, next));
        }
        self.take_partitions()
    }

    fn finish(&mut self) -> Result<(), WorkerError> {
        let now = self.clock.now();
        let peers = self.stage.peers(now);
        if !peers.is_empty()
            && let Ok(positions) = self.source.glance(&peers)
        {
            self.stage.glimpsed(now, peers.into_iter().zip(positions).collect());
        }
        self.hold()?;
        let asked = self.stage.asks_for_end(now);
        let at_end = if asked.is_empty() { asked } else { self.source.at_end(&asked) };
        let doubts = self.stage.doubts(now);
        if !doubts.is_empty() {
            let left = self.source.left(&doubts);
            self.stage.left(now, doubts.into_iter().zip(left).collect());
        }
        let standing = self.stage.finish(now, &at_end, &mut self.whole);
        for of in standing {
            self.pending.entry(of).or_default();
        }
        Ok(())
    }

    /// Publishes what is pending; returns whether there was anything.
    fn publish(&mut self) -> Result<bool, WorkerError> {
        if self.pending.is_empty() && self.whole.is_empty() {
            return Ok(false);
        }
        let mut outputs: Vec<&Outgoing> = self.whole.iter().collect();
        let mut commits = Vec::new();
        for (of, pending) in &self.pending {
            outputs.extend(pending);
            let committed = self.committed(of);
            // A position names the next record to process. Where state is restored, that is ahead of the state.
            let next = self.taken.get(of).map_or(committed, |taken| committed.max(*taken));
            commits.push(Commit {
                of: of.clone(),
                position: Position { next, metadata: self.stage.metadata(of) },
            });
        }
        let Some(publisher) = &mut self.publisher else { return Ok(true) };
        match publisher.publish(&self.source, &outputs, &commits) {
            Ok(()) => self.settle(commits),
            Err(LogError::Aborted { cause }) => {
                let times = if self.aborts.0 == cause { self.aborts.1 + 1 } else { 1 };
                if times >= ABORTS_MAX {
                    return Err(WorkerError::Aborts { times, cause });
                }
                Probe::Aborted.pass();
                self.aborts = (cause, times);
            }
            Err(LogError::Stale { .. }) => Probe::Stale.pass(),
            Err(LogError::Unknown { .. }) => self.doubt(commits),
            Err(LogError::Fenced { cause }) => {
                Probe::Fenced.pass();
                self.doubt(commits);
                let now = self.clock.now();
                self.fenced.retain(|then| now.0 - then.0 < FENCED_WITHIN_MS);
                self.fenced.push_back(now);
                let times = self.fenced.len();
                if times >= FENCED_MAX {
                    return Err(WorkerError::Fenced { times, cause });
                }
            }
            Err(error) => return Err(error.into()),
        }
        Ok(true)
    }

    /// After an unknown outcome a new publisher ends what is in flight, then the committed positions tell.
    fn doubt(&mut self, commits: Vec<Commit>) {
        self.publisher = None;
        self.unresolved = Some(commits);
    }

    fn settle(&mut self, commits: Vec<Commit>) {
        self.aborts = (String::new(), 0);
        self.pending.clear();
        self.whole.clear();
        let now = self.clock.now();
        for Commit { of, position } in commits {
            if self.taken.get(&of) == Some(&position.next) {
                self.stage.committed(&of, position.next, now);
            } else {
                Probe::StateBehind.pass();
            }
            self.assigned.insert(of, Some(position));
        }
    }
}

impl<S: Source, P: Publishers<S>, T: Stage, C: Clock> std::fmt::Debug for Worker<S, P, T, C> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Worker").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}
