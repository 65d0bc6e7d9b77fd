//! What `/metrics` tells of the workers of `run`: made anew from their statuses each time it is asked, so that
//! a partition that has gone leaves nothing behind.

use std::sync::Arc;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{GaugeVec, IntCounterVec, IntGaugeVec, Opts, Registry};

use crate::driver::health::Health;
use crate::driver::status::{NotCommitted, PartitionStatus, Status};
use crate::log::TopicPartition;

/// Exposes the health of the process.
#[derive(Debug)]
pub struct Pipeline(pub Arc<Health>);

impl Collector for Pipeline {
    fn desc(&self) -> Vec<&Desc> {
        Vec::new()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        let registry = Registry::new();
        // Only a name that stands here twice could fail, which the test of the names would show.
        if let Ok(families) = Families::register(&registry) {
            families.fill(&self.0);
        }
        registry.gather()
    }
}

const WORKER: [&str; 2] = ["stage", "worker"];
const PARTITION: [&str; 3] = ["stage", "topic", "partition"];
const LEDGER: [&str; 4] = ["stage", "partition", "source", "class"];

struct Families {
    ready: IntGaugeVec,
    not_ready: IntGaugeVec,
    steps: IntCounterVec,
    commits: IntCounterVec,
    not_committed: IntCounterVec,
    since_commit: GaugeVec,
    failing: GaugeVec,
    in_all: IntGaugeVec,
    assigned: IntGaugeVec,
    paused: IntGaugeVec,
    restoring: IntGaugeVec,
    stalled: IntGaugeVec,
    position: IntGaugeVec,
    lag: IntGaugeVec,
    restore_left: IntGaugeVec,
    frontier: GaugeVec,
    frontier_lag: GaugeVec,
    ledger: IntCounterVec,
    waiting: IntGaugeVec,
    breaker_tripped: IntGaugeVec,
    suspended: IntGaugeVec,
    snapshot_age: GaugeVec,
    snapshot_bytes: IntGaugeVec,
    snapshot_failures: IntCounterVec,
}

impl Families {
    fn register(registry: &Registry) -> Result<Families, prometheus::Error> {
        fn known<T: Collector + Clone + 'static>(
            registry: &Registry,
            family: prometheus::Result<T>,
        ) -> prometheus::Result<T> {
            let family = family?;
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        }
        let opts = |name: &str, help: &str| Opts::new(format!("trustline_{name}"), help);
        let count = |name: &str, labels: &[&str], help: &str| {
            known(registry, IntCounterVec::new(opts(name, help), labels))
        };
        let whole = |name: &str, labels: &[&str], help: &str| {
            known(registry, IntGaugeVec::new(opts(name, help), labels))
        };
        let real = |name: &str, labels: &[&str], help: &str| {
            known(registry, GaugeVec::new(opts(name, help), labels))
        };
        Ok(Families {
            ready: whole("ready", &[], "1 if the process is ready, else 0.")?,
            not_ready: whole("not_ready_reasons", &["code"], "Reasons for which it is not, by code.")?,
            steps: count("steps_total", &WORKER, "Steps that came back, well or not.")?,
            commits: count("commits_total", &WORKER, "Steps that were committed.")?,
            not_committed: count(
                "steps_not_committed_total",
                &["stage", "worker", "kind"],
                "Steps that were aborted, stale or fenced, or whose outcome was unknown at first.",
            )?,
            since_commit: real("since_commit_seconds", &WORKER, "Time since the last committed step.")?,
            failing: real("failing_seconds", &WORKER, "How long every step has failed; 0 if none does.")?,
            in_all: whole(
                "stage_partitions",
                &["stage"],
                "Partitions that all workers of a stage share, on all instances.",
            )?,
            assigned: whole("assigned_partitions", &WORKER, "Partitions of the worker.")?,
            paused: whole("paused_partitions", &WORKER, "Partitions whose records the stage does not take.")?,
            restoring: whole("restoring_partitions", &WORKER, "Partitions whose state is not complete yet.")?,
            stalled: whole(
                "stalled_partitions",
                &WORKER,
                "Partitions with records of which none is processed, and all of a worker that does not come back.",
            )?,
            position: whole("position", &PARTITION, "Committed position: offset of the next record.")?,
            lag: whole(
                "lag_records",
                &PARTITION,
                "Offsets up to the end of the log, as the client last heard, that were not read.",
            )?,
            restore_left: whole(
                "restore_left_records",
                &PARTITION,
                "Offsets to fold again before new ones.",
            )?,
            frontier: real(
                "partition_frontier_seconds",
                &PARTITION,
                "Event time up to which everything is applied, seconds since the epoch.",
            )?,
            frontier_lag: real("partition_frontier_lag_seconds", &PARTITION, "Wall time less the frontier.")?,
            ledger: count(
                "ledger_records_total",
                &LEDGER,
                "Records by what became of them, committed, since this process took the partition over. \
                 read is the sum of all other classes and of trustline_ledger_waiting.",
            )?,
            waiting: whole("ledger_waiting", &LEDGER[..3], "Records that wait for the frontier.")?,
            breaker_tripped: whole(
                "breaker_tripped",
                &PARTITION,
                "1 if a source is paused because of its dead letters, else 0.",
            )?,
            suspended: whole(
                "source_suspended",
                &PARTITION,
                "1 if a source cannot be read and time goes on without it, else 0.",
            )?,
            snapshot_age: real("snapshot_age_seconds", &PARTITION, "Age of the newest snapshot.")?,
            snapshot_bytes: whole("snapshot_bytes", &PARTITION, "Size of the newest snapshot.")?,
            snapshot_failures: count(
                "snapshot_failures_total",
                &PARTITION,
                "Snapshots that could not be written.",
            )?,
        })
    }

    fn fill(&self, health: &Health) {
        let reasons = health.reasons();
        self.ready.with_label_values::<&str>(&[]).set(i64::from(reasons.is_empty()));
        for reason in &reasons {
            self.not_ready.with_label_values(&[reason.code]).inc();
        }
        for status in health.workers() {
            self.worker(&status);
        }
    }

    fn worker(&self, status: &Status) {
        let shown = status.shown();
        let labels = [status.stage, &status.worker.to_string()];
        let now = status.now().0;
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        self.steps.with_label_values(&labels).inc_by(shown.steps);
        self.commits.with_label_values(&labels).inc_by(shown.commits);
        for kind in NotCommitted::ALL {
            let labels = [labels[0], labels[1], kind.name()];
            self.not_committed.with_label_values(&labels).inc_by(shown.not_committed[kind as usize]);
        }
        if let Some(at) = shown.last_commit {
            self.since_commit.with_label_values(&labels).set(at.elapsed().as_secs_f64());
        }
        let failing = shown.failing.as_ref().map_or(0, |failing| now - failing.since.0);
        self.failing.with_label_values(&labels).set(seconds(failing));
        self.in_all.with_label_values(&[status.stage]).set(status.in_all as i64);
        let all = shown.partitions.len();
        let of = |is: fn(&PartitionStatus) -> bool| shown.partitions.values().filter(|p| is(p)).count();
        let stalled = if shown.is_stuck { all } else { of(|p| p.stalled.is_some()) };
        for (family, count) in [
            (&self.assigned, all),
            (&self.paused, of(|p| p.paused.is_some())),
            (&self.restoring, of(|p| p.restoring.is_some())),
            (&self.stalled, stalled),
        ] {
            family.with_label_values(&labels).set(count as i64);
        }
        for (of, partition) in &shown.partitions {
            self.partition(status.stage, of, partition, now);
        }
    }

    fn partition(&self, stage: &str, of: &TopicPartition, status: &PartitionStatus, now: i64) {
        let number = of.partition.to_string();
        let labels = [stage, &*of.topic, &number];
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        let gauges = &status.gauges;
        let set = |family: &IntGaugeVec, value: Option<i64>| {
            if let Some(value) = value {
                family.with_label_values(&labels).set(value);
            }
        };
        set(&self.position, status.position);
        set(&self.lag, status.lag);
        set(&self.restore_left, Some(status.restoring.map_or(0, |(_, left)| left)));
        if let Some(frontier) = gauges.frontier {
            self.frontier.with_label_values(&labels).set(seconds(frontier));
            self.frontier_lag.with_label_values(&labels).set(seconds(now - frontier));
        }
        for (topic, account) in &gauges.accounts {
            let source = topic.symbol();
            for (class, count) in account.counters() {
                self.ledger.with_label_values(&[stage, &number, source, class]).inc_by(count);
            }
            self.waiting.with_label_values(&[stage, &number, source]).set(account.waiting as i64);
        }
        if let Some(source) = gauges.source {
            set(&self.breaker_tripped, Some(i64::from(source.tripped.is_some())));
            set(&self.suspended, Some(i64::from(source.suspended.is_some())));
        }
        if let Some(snapshot) = gauges.snapshot {
            if let Some(taken_at) = snapshot.taken_at {
                self.snapshot_age.with_label_values(&labels).set(seconds(now - taken_at));
            }
            set(&self.snapshot_bytes, i64::try_from(snapshot.bytes).ok());
            self.snapshot_failures.with_label_values(&labels).inc_by(snapshot.failures);
        }
    }
}
