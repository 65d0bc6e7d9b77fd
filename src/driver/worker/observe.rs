//! Looks at a worker between its steps, and watches over its partitions.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Stage, Worker, WorkerError};
use crate::driver::causes;
use crate::driver::clock::{Clock, WallTime};
use crate::driver::status::{Failing, PartitionStatus, Status};
use crate::log::{Publishers, Source, TopicPartition};
use crate::telemetry::occurrence::{
    PartitionStalled, PartitionsChanged, Restored, StallOver, StepFailed, StepsRecovered,
};

/// How often partitions are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(500);
/// What one look may add to the time in which nothing was processed: a process that was paused is not stalled.
const QUIET_STEP: Duration = Duration::from_secs(2);
/// How often the log is asked again about a stalled partition.
const ASK_AGAIN: Duration = Duration::from_secs(5);

/// How long nothing was processed of a partition, and where that was.
#[derive(Clone, Copy, Debug, Default)]
struct Quiet {
    at: (Option<i64>, Option<i64>),
    lasts: Duration,
}

/// Keeps a worker's status.
#[derive(Debug)]
pub struct Observer {
    status: Arc<Status>,
    stalled_after: Duration,
    looked: Instant,
    quiet: BTreeMap<TopicPartition, Quiet>,
}

impl Observer {
    /// An observer that calls a partition stalled when records are there and none was processed for so long.
    pub fn new(status: Arc<Status>, stalled_after: Duration) -> Observer {
        Observer { status, stalled_after, looked: Instant::now(), quiet: BTreeMap::new() }
    }

    /// The status that it keeps.
    pub fn status(&self) -> &Arc<Status> {
        &self.status
    }

    /// Takes the outcome of a step, and looks at the worker if it is time to.
    pub fn stepped<S: Source, P: Publishers<S>, T: Stage, C: Clock>(
        &mut self,
        worker: &mut Worker<S, P, T, C>,
        outcome: &Result<bool, WorkerError>,
    ) {
        match outcome {
            Ok(_) => self.recovered(),
            Err(error) if error.is_passing() => self.failed(causes(error)),
            // It ends the worker, which tells why.
            Err(_) => {}
        }
        let passed = self.looked.elapsed();
        // In between, the stage is ahead of what is committed.
        if outcome.is_ok() && passed >= LOOK_EVERY && is_settled(worker) {
            self.looked = Instant::now();
            self.look(worker, passed.min(QUIET_STEP));
        }
    }

    fn recovered(&mut self) {
        let mut shown = self.status.shown();
        shown.steps += 1;
        shown.has_begun = true;
        if let Some(failing) = shown.failing.take() {
            drop(shown);
            let after_s = (self.status.now().0 - failing.since.0) / 1_000;
            let Status { stage, worker, .. } = &*self.status;
            StepsRecovered { stage, worker, after_s: &after_s }.note();
        }
    }

    /// The log failed, and the same will be tried again.
    pub fn failed(&mut self, cause: String) {
        // What nobody could process is not stalled.
        self.quiet.clear();
        let now = self.status.now();
        let mut shown = self.status.shown();
        shown.steps += 1;
        let before = shown.failing.take();
        let is_new = before.as_ref().is_none_or(|before| before.cause != cause);
        let since = before.map_or(now, |before| before.since);
        shown.failing = Some(Failing { since, cause: cause.clone() });
        drop(shown);
        if is_new {
            let Status { stage, worker, .. } = &*self.status;
            StepFailed { stage, worker, cause: &cause }.note();
        }
    }

    fn look<S: Source, P: Publishers<S>, T: Stage, C: Clock>(
        &mut self,
        worker: &mut Worker<S, P, T, C>,
        passed: Duration,
    ) {
        let now = self.status.now();
        let before = std::mem::take(&mut self.status.shown().partitions);
        let mut partitions = BTreeMap::new();
        let mut suspects = Vec::new();
        for (of, position) in &worker.assigned {
            let old = before.get(of).cloned().unwrap_or_default();
            let (handed, is_held) = (worker.source.handed(of), worker.held.contains(of));
            let position = position.as_ref().map(|position| position.next);
            let to_restore = position.zip(handed.next).map_or(0, |(position, next)| position - next);
            let quiet = self.quiet.entry(of.clone()).or_default();
            let at = (handed.next, position);
            quiet.lasts = if quiet.at == at && !is_held { quiet.lasts + passed } else { Duration::ZERO };
            quiet.at = at;
            if quiet.lasts >= self.stalled_after {
                suspects.push(of.clone());
            }
            let status = PartitionStatus {
                position,
                lag: handed.end.zip(handed.next).map(|(end, next)| (end - next).max(0)),
                restoring: (to_restore > 0)
                    .then(|| (old.restoring.map_or(now, |(since, _)| since), to_restore)),
                paused: is_held.then(|| old.paused.unwrap_or(now)),
                stalled: old.stalled.filter(|_| quiet.lasts > Duration::ZERO),
                gauges: worker.stage.gauges(of),
            };
            self.tell_progress(of, &old, &status, now);
            partitions.insert(of.clone(), status);
        }
        self.quiet.retain(|of, _| partitions.contains_key(of));
        if !suspects.is_empty() {
            let left = worker.source.left(&suspects);
            self.judge(suspects.into_iter().zip(left), &mut partitions, now);
        }
        self.tell_changes(&before.into_keys().collect(), &partitions.keys().cloned().collect());
        let mut shown = self.status.shown();
        shown.had_partitions |= !partitions.is_empty();
        shown.partitions = partitions;
    }

    /// Of partitions that were quiet for long: whether the log holds records for them.
    fn judge(
        &mut self,
        suspects: impl Iterator<Item = (TopicPartition, Option<i64>)>,
        partitions: &mut BTreeMap<TopicPartition, PartitionStatus>,
        now: WallTime,
    ) {
        for (of, left) in suspects {
            let (Some(quiet), Some(status)) = (self.quiet.get_mut(&of), partitions.get_mut(&of)) else {
                continue;
            };
            quiet.lasts = self.stalled_after.saturating_sub(ASK_AGAIN);
            match left {
                Some(left) if left > 0 => {
                    if status.stalled.is_none() {
                        let (topic, partition) = (&of.topic, &of.partition);
                        let stage = &self.status.stage;
                        PartitionStalled { stage, topic, partition, left: &left }.note();
                    }
                    status.stalled = status.stalled.or(Some(now));
                }
                Some(_) => {
                    quiet.lasts = Duration::ZERO;
                    status.stalled = None;
                }
                None => {}
            }
        }
    }

    fn tell_progress(
        &self,
        of: &TopicPartition,
        old: &PartitionStatus,
        new: &PartitionStatus,
        now: WallTime,
    ) {
        let (stage, topic, partition) = (&self.status.stage, &of.topic, &of.partition);
        if let (Some((since, _)), None) = (old.restoring, new.restoring) {
            Restored { stage, topic, partition, after_s: &((now.0 - since.0) / 1_000) }.note();
        }
        if old.stalled.is_some() && new.stalled.is_none() {
            StallOver { stage, topic, partition }.note();
        }
    }

    fn tell_changes(&self, before: &BTreeSet<TopicPartition>, after: &BTreeSet<TopicPartition>) {
        let (gained, lost) = (after.difference(before).count(), before.difference(after).count());
        if gained + lost > 0 {
            let Status { stage, worker, .. } = &*self.status;
            let held = after.len();
            PartitionsChanged { stage, worker, gained: &gained, lost: &lost, held: &held }.note();
        }
    }
}

/// Whether all that was taken in is committed.
pub fn is_settled<S: Source, P: Publishers<S>, T: Stage, C: Clock>(worker: &Worker<S, P, T, C>) -> bool {
    worker.pending.is_empty() && worker.whole.is_empty() && worker.unresolved.is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::clock::SystemClock;
    use crate::driver::worker::StageError;
    use crate::log::memory::MemoryRecords;
    use crate::log::{Commit, Handed, Inbound, LogError, Outgoing, Position, Publisher, Records};

    /// A source of which one partition is assigned and never a record comes, whatever the log holds.
    struct Silent {
        assignment: Vec<(TopicPartition, Option<Position>)>,
        left: Option<i64>,
    }

    impl Source for Silent {
        type Records = MemoryRecords;

        fn next(&mut self, _wait: Duration) -> Result<Inbound<MemoryRecords>, LogError> {
            let new = std::mem::take(&mut self.assignment);
            Ok(if new.is_empty() { Inbound::Nothing } else { Inbound::Assigned(new) })
        }

        fn read_from(&mut self, _of: &TopicPartition, _offset: Option<i64>) -> Result<(), LogError> {
            Ok(())
        }

        fn pause(&mut self, _of: &TopicPartition, _rest: Option<MemoryRecords>) -> Result<(), LogError> {
            Ok(())
        }

        fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
            Ok(vec![None; of.len()])
        }

        fn glance(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
            self.committed(of)
        }

        fn at_end(&mut self, _of: &[TopicPartition]) -> Vec<TopicPartition> {
            Vec::new()
        }

        fn handed(&self, _of: &TopicPartition) -> Handed {
            Handed { next: Some(2), end: Some(9) }
        }

        fn left(&mut self, of: &[TopicPartition]) -> Vec<Option<i64>> {
            vec![self.left; of.len()]
        }
    }

    struct Nowhere;

    impl Publishers<Silent> for Nowhere {
        type Publisher = Nowhere;

        fn publisher(&mut self) -> Result<Nowhere, LogError> {
            Ok(Nowhere)
        }
    }

    impl Publisher<Silent> for Nowhere {
        fn publish(&mut self, _: &Silent, _: &[&Outgoing], _: &[Commit]) -> Result<(), LogError> {
            Ok(())
        }
    }

    struct Idle;

    impl Stage for Idle {
        const WHOLE_STEPS: bool = false;

        fn assigned(
            &mut self,
            _of: &TopicPartition,
            _position: Option<&Position>,
        ) -> Result<Option<i64>, StageError> {
            Ok(None)
        }

        fn revoked(&mut self, _of: &TopicPartition) {}

        fn absorb(
            &mut self,
            _from: &TopicPartition,
            _records: &mut dyn Records,
            _out: &mut Vec<Outgoing>,
        ) -> Result<(), StageError> {
            Ok(())
        }
    }

    const STALLED_AFTER: Duration = Duration::from_secs(60);

    struct Watched {
        worker: Worker<Silent, Nowhere, Idle, SystemClock>,
        observer: Observer,
    }

    impl Watched {
        fn new(position: Option<i64>) -> Watched {
            let of = TopicPartition { topic: "t".into(), partition: 0 };
            let position = position.map(|next| Position { next, metadata: String::new() });
            let source = Silent { assignment: vec![(of, position)], left: Some(0) };
            let status = Arc::new(Status::new("detect", 0, 1, SystemClock::new()));
            let mut worker = Worker::new(source, Nowhere, Idle, SystemClock::new());
            worker.step(Duration::ZERO).unwrap();
            Watched { worker, observer: Observer::new(status, STALLED_AFTER) }
        }

        /// Looks after some time and returns what it sees of the partition.
        fn after(&mut self, passed: Duration) -> PartitionStatus {
            self.observer.look(&mut self.worker, passed);
            self.observer.status.shown().partitions.values().next().unwrap().clone()
        }
    }

    #[test]
    fn a_partition_is_stalled_when_the_log_holds_records_and_none_comes() {
        let mut watched = Watched::new(Some(2));
        watched.after(Duration::ZERO);
        assert_eq!(watched.after(STALLED_AFTER).stalled, None, "nothing is left");
        watched.worker.source.left = None;
        assert_eq!(watched.after(STALLED_AFTER).stalled, None, "nobody knows");
        watched.worker.source.left = Some(7);
        let since = watched.after(STALLED_AFTER).stalled;
        assert!(since.is_some(), "seven are left");
        assert_eq!(watched.after(Duration::from_secs(1)).stalled, since, "it stays so");
        watched.worker.source.left = Some(0);
        assert_eq!(watched.after(STALLED_AFTER).stalled, None, "until nothing is left");
    }

    #[test]
    fn a_log_that_fails_stalls_nothing() {
        let mut watched = Watched::new(Some(2));
        watched.after(Duration::ZERO);
        watched.worker.source.left = Some(7);
        watched.after(STALLED_AFTER - Duration::from_secs(1));
        watched.observer.failed("no broker".to_owned());
        assert_eq!(watched.after(Duration::from_secs(1)).stalled, None);
        let status = Arc::clone(&watched.observer.status);
        assert_eq!(
            status.shown().failing.as_ref().map(|failing| failing.cause.clone()).as_deref(),
            Some("no broker")
        );
        let outcome: Result<bool, WorkerError> = Ok(false);
        watched.observer.stepped(&mut watched.worker, &outcome);
        assert_eq!(status.shown().failing, None);
    }

    #[test]
    fn what_is_left_to_fold_again_and_to_read_is_shown() {
        let status = Watched::new(Some(6)).after(Duration::ZERO);
        assert_eq!((status.position, status.lag), (Some(6), Some(7)));
        assert_eq!(status.restoring.map(|(_, left)| left), Some(4));
        assert_eq!(Watched::new(None).after(Duration::ZERO).restoring, None);
    }
}
