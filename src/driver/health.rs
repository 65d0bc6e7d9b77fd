//! Whether the process is ready, and if not: what is wrong, since when, and what to do.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use super::clock::{Clock, SystemClock, WallTime};
use super::owners::Owners;
use super::status::{PartitionStatus, Shown, SourceGauges, Status};
use crate::log::TopicPartition;
use crate::telemetry::occurrence::WorkerStuck;

/// How long steps may fail, or one may last, before the process is not ready.
const FAILING_AFTER: Duration = Duration::from_secs(10);
/// How long a worker may be without a partition before it counts as one that stands by.
const JOINING_MS: i64 = 10_000;
/// Sources that wait for slower ones are paused again and again: what does not last is in order.
const PAUSED_AFTER_MS: i64 = 60_000;
/// What one tick may add to the time in which a worker did not come back: see the observer's.
const TICK_MAX: Duration = Duration::from_secs(2);

/// Why the process is not ready.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Reason {
    /// Its name, for programs.
    pub code: &'static str,
    /// What is wrong.
    pub what: String,
    /// Since when, milliseconds since the epoch.
    pub since: i64,
    /// What to do.
    pub todo: &'static str,
}

enum Phase {
    Waiting { since: WallTime, cause: String },
    Running,
    Stopping { since: WallTime },
}

/// When a partition or worker counts as stalled.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Reported after so long.
    pub stalled_after: Duration,
    /// The process ends after so long.
    pub exit_after: Duration,
}

/// The health of the process.
pub struct Health {
    clock: SystemClock,
    limits: Limits,
    phase: Mutex<Phase>,
    workers: Mutex<Vec<Watched>>,
    owners: Mutex<Owners>,
}

struct Watched {
    status: Arc<Status>,
    steps: u64,
    still: Duration,
}

impl Health {
    /// Of a process that has not begun.
    pub fn new(clock: SystemClock, limits: Limits) -> Health {
        let cause = "the brokers have not told yet which topics there are".to_owned();
        let phase = Mutex::new(Phase::Waiting { since: clock.now(), cause });
        Health { clock, limits, phase, workers: Mutex::default(), owners: Mutex::default() }
    }

    /// Why it cannot begin yet.
    pub fn waits_for(&self, why: &str) {
        if let Phase::Waiting { cause, .. } = &mut *lock(&self.phase) {
            why.clone_into(cause);
        }
    }

    /// It runs with these workers.
    pub fn runs(&self, workers: Vec<Arc<Status>>) {
        let watched = |status| Watched { status, steps: 0, still: Duration::ZERO };
        *lock(&self.workers) = workers.into_iter().map(watched).collect();
        *lock(&self.phase) = Phase::Running;
    }

    /// The group of `route` tells which of all sources are read, or does not answer.
    pub fn owned(&self, all: &BTreeSet<TopicPartition>, owned: Option<&BTreeSet<TopicPartition>>) {
        match owned {
            Some(owned) => lock(&self.owners).told(all, owned, self.clock.now()),
            None => lock(&self.owners).unknown(),
        }
    }

    /// Whether it still waits for the log: nothing has begun that would have to end.
    pub fn is_waiting(&self) -> bool {
        matches!(*lock(&self.phase), Phase::Waiting { .. })
    }

    /// It ends.
    pub fn stops(&self) {
        *lock(&self.phase) = Phase::Stopping { since: self.clock.now() };
    }

    /// The workers' statuses.
    pub fn workers(&self) -> Vec<Arc<Status>> {
        lock(&self.workers).iter().map(|watched| Arc::clone(&watched.status)).collect()
    }

    /// Wall time now.
    pub fn now(&self) -> WallTime {
        self.clock.now()
    }

    /// Why the process is not ready; nothing if it is.
    pub fn reasons(&self) -> Vec<Reason> {
        match &*lock(&self.phase) {
            Phase::Waiting { since, cause } => {
                return vec![Reason {
                    code: "starting",
                    what: format!("the stages have not begun: {cause}"),
                    since: since.0,
                    todo: "if it lasts, see that the brokers are up and that kafka.brokers and the security settings are right",
                }];
            }
            Phase::Stopping { since } => {
                return vec![Reason {
                    code: "stopping",
                    what: "the process was told to stop".to_owned(),
                    since: since.0,
                    todo: "nothing",
                }];
            }
            Phase::Running => {}
        }
        let now = self.clock.now();
        let mut reasons: Vec<Reason> =
            self.workers().iter().flat_map(|status| of_worker(status, now)).collect();
        if let Some((sources, since)) = lock(&self.owners).without(now) {
            reasons.push(Reason {
                code: "sources_without_owner",
                what: format!("{} read by no instance: time stands still for all", listed(&sources)),
                since: since.0,
                todo: "see that instances that run route are up, and how their group is (kafka-consumer-groups.sh)",
            });
        }
        reasons
    }

    /// Watches over the workers; called about once a second, `passed` after the time before. Returns why the
    /// process must end, if it must.
    pub fn watch(&self, passed: Duration) -> Option<String> {
        let now = self.clock.now();
        let since = |lasts: Duration| WallTime(now.0 - i64::try_from(lasts.as_millis()).unwrap_or(i64::MAX));
        let grace = self.limits.exit_after.saturating_sub(self.limits.stalled_after).as_millis();
        let grace = i64::try_from(grace).unwrap_or(i64::MAX);
        for watched in lock(&self.workers).iter_mut() {
            let Status { stage, worker, .. } = &*watched.status;
            let mut shown = watched.status.shown();
            watched.still = if watched.steps == shown.steps && shown.has_begun {
                watched.still + passed.min(TICK_MAX)
            } else {
                Duration::ZERO
            };
            watched.steps = shown.steps;
            let is_slow = watched.still >= FAILING_AFTER;
            shown.still = is_slow.then(|| shown.still.unwrap_or(since(watched.still)));
            let was_stuck = shown.is_stuck;
            shown.is_stuck = watched.still >= self.limits.stalled_after;
            if shown.is_stuck && !was_stuck {
                WorkerStuck { stage, worker, for_s: &watched.still.as_secs() }.note();
            }
            if watched.still >= self.limits.exit_after {
                return Some(format!("worker {worker} of {stage} does not come back from its step"));
            }
            let lasting = |status: &&PartitionStatus| status.stalled.is_some_and(|at| now.0 - at.0 >= grace);
            let stalled = shown.partitions.iter().find(|(_, status)| lasting(status));
            if let Some((of, _)) = stalled {
                return Some(format!(
                    "{} {} holds records of which none is processed",
                    of.topic, of.partition
                ));
            }
        }
        None
    }
}

fn lock<T>(of: &Mutex<T>) -> MutexGuard<'_, T> {
    of.lock().unwrap_or_else(PoisonError::into_inner)
}

fn of_worker(status: &Status, now: WallTime) -> Vec<Reason> {
    let shown = status.shown();
    let name = format!("worker {} of {}", status.worker, status.stage);
    let mut reasons = Vec::new();
    let mut push = |code, what, since: WallTime, todo| {
        reasons.push(Reason { code, what, since: since.0, todo });
    };
    let failing = shown
        .failing
        .as_ref()
        .filter(|failing| !shown.has_begun || now.0 - failing.since.0 >= FAILING_AFTER.as_millis() as i64);
    if let Some(failing) = failing {
        push(
            "log_failing",
            format!("{name} cannot use the log: {}", failing.cause),
            failing.since,
            "see that the brokers are up and reachable; nothing is lost, and the same is tried again",
        );
    } else if !shown.has_begun || !shown.had_partitions && now.0 - status.since.0 < JOINING_MS {
        push("joining", format!("{name} joins its group"), status.since, "wait: it takes seconds");
    }
    if let Some(since) = shown.still.filter(|_| failing.is_none()) {
        push(
            if shown.is_stuck { "worker_stuck" } else { "log_failing" },
            format!("{name} has not come back from its step, which waits for the log"),
            since,
            "see that the brokers are up; if it lasts for run.stalled_exit_after_ms the process ends by itself",
        );
    }
    let mut of_partitions = |code, words, todo, since: fn(&PartitionStatus) -> Option<WallTime>| {
        let is_passing = |since: WallTime| code == "paused" && now.0 - since.0 < PAUSED_AFTER_MS;
        if let Some((what, since)) = partitions(&shown, since)
            && !is_passing(since)
        {
            push(code, format!("{what} {words}"), since, todo);
        }
    };
    of_partitions(
        "restoring",
        "restored: their state is folded again up to the committed position",
        "wait; trustline_restore_left_records tells how far it is",
        |partition| partition.restoring.map(|(since, _)| since),
    );
    of_partitions(
        "stalled",
        "stalled: records are there and none is processed",
        "see the log; if it lasts for run.stalled_exit_after_ms the process ends by itself",
        |partition| partition.stalled,
    );
    of_partitions(
        "paused",
        "paused: they wait for slower sources, or for a schema",
        "see trustline_paused_partitions and the log for why",
        |partition| partition.paused.filter(|_| source(partition).tripped.is_none()),
    );
    of_partitions(
        "breaker_tripped",
        "paused: they brought too many dead letters",
        "see why in the topic of dead letters (`trustline dlq inspect`) and mend the producer; the first good record goes on \
         by itself, breaker.enabled = false lets the rest become dead letters",
        |partition| source(partition).tripped,
    );
    of_partitions(
        "suspended",
        "given up: time goes on without them, and windows are incomplete",
        "see that every partition of the source topics has a leader, and that no breaker is tripped",
        |partition| source(partition).suspended,
    );
    reasons
}

fn source(partition: &PartitionStatus) -> SourceGauges {
    partition.gauges.source.unwrap_or_default()
}

/// Names the partitions of which something has been so, and since when.
fn partitions(shown: &Shown, since: fn(&PartitionStatus) -> Option<WallTime>) -> Option<(String, WallTime)> {
    let all: Vec<_> = shown.partitions.iter().filter_map(|(of, status)| Some((of, since(status)?))).collect();
    let oldest = all.iter().map(|(_, since)| *since).min()?;
    Some((listed(&all.into_iter().map(|(of, _)| of).collect::<Vec<_>>()), oldest))
}

/// The first of some partitions, how many more there are, and the verb that goes with them.
fn listed(all: &[&TopicPartition]) -> String {
    let some: Vec<String> = all.iter().take(5).map(|of| format!("{} {}", of.topic, of.partition)).collect();
    let more = all.len() - some.len();
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let verb = if all.len() > 1 { "are" } else { "is" };
    format!("{}{more} {verb}", some.join(", "))
}

impl std::fmt::Debug for Health {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Health").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::status::Gauges;

    const SECOND: Duration = Duration::from_secs(1);

    fn health() -> (Health, Arc<Status>) {
        let limits = Limits { stalled_after: 12 * SECOND, exit_after: 14 * SECOND };
        let health = Health::new(SystemClock::new(), limits);
        let status = Arc::new(Status::new("detect", 0, 1, SystemClock::new()));
        health.runs(vec![Arc::clone(&status)]);
        (health, status)
    }

    fn codes(health: &Health) -> Vec<&'static str> {
        health.reasons().into_iter().map(|reason| reason.code).collect()
    }

    fn at_work(status: &Status, partition: PartitionStatus) {
        let mut shown = status.shown();
        (shown.has_begun, shown.had_partitions) = (true, true);
        shown.partitions.insert(TopicPartition { topic: "t".into(), partition: 3 }, partition);
    }

    #[test]
    fn it_is_ready_from_the_first_step_with_a_partition_on() {
        let waiting = Health::new(SystemClock::new(), health().0.limits);
        assert_eq!((codes(&waiting), waiting.is_waiting()), (vec!["starting"], true));
        let (health, status) = health();
        assert_eq!((codes(&health), health.is_waiting()), (vec!["joining"], false));
        at_work(&status, PartitionStatus::default());
        assert!(codes(&health).is_empty());
        health.stops();
        assert_eq!(codes(&health), ["stopping"]);
    }

    #[test]
    fn a_log_that_fails_for_long_is_a_reason_until_it_works_again() {
        let (health, status) = health();
        at_work(&status, PartitionStatus::default());
        let fails = |for_ms: i64| {
            let since = WallTime(status.now().0 - for_ms);
            status.shown().failing =
                Some(super::super::status::Failing { since, cause: "no broker".to_owned() });
        };
        fails(5_000);
        assert!(codes(&health).is_empty());
        fails(11_000);
        assert_eq!(codes(&health), ["log_failing"]);
        assert!(health.reasons()[0].what.ends_with("cannot use the log: no broker"));
        status.shown().failing = None;
        assert!(codes(&health).is_empty());
    }

    #[test]
    fn partitions_that_are_not_processed_are_named() {
        let (health, status) = health();
        let restoring = Some((WallTime(5), 7));
        at_work(
            &status,
            PartitionStatus { restoring, paused: Some(WallTime(6)), ..PartitionStatus::default() },
        );
        assert_eq!(codes(&health), ["restoring", "paused"]);
        let restoring = &health.reasons()[0];
        assert_eq!(
            (restoring.since, restoring.what.starts_with("t 3 is restored")),
            (5, true),
            "{restoring:?}"
        );
    }

    #[test]
    fn a_tripped_breaker_and_a_source_that_is_given_up_are_reasons() {
        let (health, status) = health();
        let source = SourceGauges { tripped: Some(WallTime(5)), suspended: None };
        let of = |source| PartitionStatus {
            paused: Some(WallTime(6)),
            gauges: Gauges { source: Some(source), ..Gauges::default() },
            ..PartitionStatus::default()
        };
        at_work(&status, of(source));
        assert_eq!(codes(&health), ["breaker_tripped"]);
        assert_eq!(health.reasons()[0].since, 5);
        at_work(&status, of(SourceGauges { suspended: Some(WallTime(7)), ..source }));
        assert_eq!(codes(&health), ["breaker_tripped", "suspended"]);
        at_work(&status, of(SourceGauges::default()));
        assert_eq!(codes(&health), ["paused"], "something else holds it");
    }

    #[test]
    fn sources_that_nobody_reads_are_named_after_a_minute() {
        let (health, status) = health();
        at_work(&status, PartitionStatus::default());
        let all = BTreeSet::from([TopicPartition { topic: "clickstream".into(), partition: 3 }]);
        health.owned(&all, Some(&BTreeSet::new()));
        assert!(codes(&health).is_empty(), "it may be changing hands");
        let before = WallTime(health.clock.now().0 - 61_000);
        lock(&health.owners).told(&BTreeSet::new(), &BTreeSet::new(), before);
        lock(&health.owners).told(&all, &BTreeSet::new(), before);
        assert_eq!(codes(&health), ["sources_without_owner"]);
        assert!(health.reasons()[0].what.starts_with("clickstream 3 is read by no instance"));
        health.owned(&all, None);
        assert!(codes(&health).is_empty(), "nobody knows");
    }

    #[test]
    fn a_worker_that_does_not_come_back_is_reported_and_ends_the_process() {
        let (health, status) = health();
        at_work(&status, PartitionStatus::default());
        let mut seen = Vec::new();
        for _ in 0..5 {
            status.shown().steps += 1;
            assert_eq!(health.watch(SECOND), None);
        }
        // A process that was paused for an hour was not stuck for an hour.
        assert_eq!(health.watch(3_600 * SECOND), None);
        assert!(codes(&health).is_empty());
        for _ in 0..12 {
            seen.push((health.watch(SECOND).is_some(), codes(&health).first().copied()));
        }
        let expected = [None; 7].map(|code| (false, code)).into_iter().chain([
            (false, Some("log_failing")),
            (false, Some("log_failing")),
            (false, Some("worker_stuck")),
            (false, Some("worker_stuck")),
            (true, Some("worker_stuck")),
        ]);
        assert_eq!(seen, expected.collect::<Vec<_>>());
        status.shown().steps += 1;
        assert_eq!((health.watch(SECOND), codes(&health)), (None, vec![]));
    }

    #[test]
    fn a_partition_that_stays_stalled_ends_the_process() {
        let (health, status) = health();
        let stalled = |for_ms: i64| PartitionStatus {
            stalled: Some(WallTime(status.now().0 - for_ms)),
            ..PartitionStatus::default()
        };
        at_work(&status, stalled(0));
        assert_eq!((health.watch(SECOND), codes(&health)), (None, vec!["stalled"]));
        at_work(&status, stalled(2_500));
        assert_eq!(health.watch(SECOND).as_deref(), Some("t 3 holds records of which none is processed"));
    }
}
