//! What happens in a process that operators must hear of: one struct per occurrence, which owns its log line and
//! counts itself in `trustline_occurrences_total`.
//!
//! No field holds a person, a device or a key.

use std::fmt::Display;
use std::sync::LazyLock;

use prometheus::{IntCounterVec, Opts};

static OCCURRENCES: LazyLock<IntCounterVec> = LazyLock::new(|| {
    let help = "Occurrences that have a log line, by name.";
    IntCounterVec::new(Opts::new("trustline_occurrences_total", help), &["occurrence"])
        .expect("name and label are valid")
});

/// The counters of all occurrences, for a registry.
pub fn counters() -> IntCounterVec {
    OCCURRENCES.clone()
}

macro_rules! occurrences {
    ($($(#[doc = $doc:literal])+ $level:ident $name:ident { $($field:ident),* } $line:literal;)+) => {
        $(
            $(#[doc = $doc])+
            #[derive(Clone, Copy)]
            #[expect(missing_docs, reason = "the fields are those of the log line")]
            pub struct $name<'a> { $(pub $field: &'a dyn Display),* }

            impl $name<'_> {
                /// Counts it and writes its line.
                pub fn note(&self) {
                    OCCURRENCES.with_label_values(&[stringify!($name)]).inc();
                    tracing::$level!(
                        target: "trustline",
                        occurrence = stringify!($name),
                        $($field = %self.$field,)*
                        $line
                    );
                }
            }
        )+
    };
}

occurrences! {
    /// The process begins.
    info Starting { version, instance, stages, listen } "starting";
    /// The log cannot be reached before the stages begin.
    warn StartDelayed { cause } "cannot begin yet, trying again";
    /// A source topic is not as it should be, which loses no records.
    warn TopicDrift { topic, drift, fix } "a source topic is not as it should be";
    /// The stages begin.
    info Running { workers } "running; SIGTERM or SIGINT stops";
    /// A worker's partitions have changed.
    info PartitionsChanged { stage, worker, gained, lost, held } "partitions have changed hands";
    /// A partition's state is complete.
    info Restored { stage, topic, partition, after_s } "a partition is restored";
    /// A step failed; nothing is lost, and the same is tried again.
    warn StepFailed { stage, worker, cause } "the log fails, trying again";
    /// Steps succeed again.
    info StepsRecovered { stage, worker, after_s } "the log works again";
    /// A transaction was not committed, or nobody knows whether it was.
    warn StepNotCommitted { stage, worker, kind, cause } "a step was not committed";
    /// A partition holds records, and none is processed.
    error PartitionStalled { stage, topic, partition, left } "records are there but nothing is processed";
    /// A stalled partition is processed again.
    info StallOver { stage, topic, partition } "a stalled partition goes on";
    /// A source brings too many dead letters.
    error BreakerTripped { topic, partition, offset } "too many dead letters: the source is paused, and one record in a while tries it";
    /// A record of a paused source was good.
    info BreakerClosed { topic, partition, offset } "a good record: the source is read again";
    /// A source has been out of reach for too long.
    error SourceSuspended { topic, partition } "a source is out of reach: time goes on without it, and its windows are incomplete";
    /// A source that was given up can be read again.
    info SourceResumed { topic, partition } "a source that was given up can be read again";
    /// Retention removed records before they were read.
    error RecordsLost { topic, partition, from, to } "records are gone before they were read: going on without them";
    /// A worker does not come back from its step.
    error WorkerStuck { stage, worker, for_s } "a worker does not come back from its step";
    /// The watchdog ends the process.
    error WatchdogEnds { cause } "stalled for too long: ending, so that others take over";
    /// The process became ready, or is so no longer.
    info ReadinessChanged { ready, reasons } "readiness has changed";
    /// A snapshot could not be written.
    warn SnapshotFailed { topic, partition, cause } "a snapshot could not be written; those before it stand";
    /// A snapshot that a position names cannot be read.
    error SnapshotLost { topic, partition, cause } "a snapshot is lost: an older one, or the log, is folded instead";
    /// The schema registry does not answer.
    warn RegistryDown { cause } "the schema registry does not answer, trying again; partitions with new schemas wait";
    /// The schema registry answers again.
    info RegistryBack { after_s } "the schema registry answers again";
    /// The schema registry has not known a schema for too long.
    warn SchemaMissing { id } "the schema registry does not know a schema: its records are dead letters";
    /// Schemas cannot be kept for a start without the registry.
    warn SchemasNotKept { folder, cause } "schemas cannot be kept for a start without the registry";
    /// A worker cannot go on, which ends the process.
    error WorkerFailed { stage, worker, cause } "a worker cannot go on";
    /// Told to stop.
    info Stopping { why } "stopping: what is read is committed, then the groups are left";
    /// The end took longer than it may.
    error StopTooSlow { limit_s } "stopping took longer than run.shutdown_limit_ms: ending at once";
    /// Told to stop once more.
    warn StopForced { signals } "told twice to stop: ending at once";
    /// The process ends well.
    info Stopped { commits } "stopped";
}
