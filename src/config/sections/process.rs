//! The running process: steps, frames, snapshots, breaker, privacy, HTTP, logs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::section;

section! {
    /// Names of people, devices, orders, carts and events are replaced by keyed pseudonyms. `run` needs a key; `replay` and `demo` fall back to the published test key.
    Privacy {
        /// Name of the key. A new key needs a new name; memory about people starts anew with it.
        #[schemars(length(min = 1))]
        key_name: String = "default".to_owned(),
        /// File that holds the key: 32 random bytes, raw, as 64 hexadecimal digits or as base64.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/run/secrets/trustline-key")]
        key_file: Option<String> = None,
        /// Environment variable that holds the key instead, as text.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"TRUSTLINE_KEY")]
        key_env: Option<String> = None,
    }
}

section! {
    /// The loop of fetching, folding and committing. Wall time.
    Run {
        /// How long a step lasts before it commits, milliseconds. 100 ms; it rises by itself where it would make more than 10,000 records a second.
        #[schemars(range(min = 1, max = 5_000))]
        step_time_ms: i32 = 100,
        /// Threads for `detect` and for `score` each; 0 takes one per core.
        #[schemars(range(min = 0, max = 1_024))]
        worker_threads: i32 = 0,
        /// Share of `kafka.max_poll_interval_ms` in which revoked partitions finish or abort their step. Judgement.
        #[schemars(range(min = 0.01, max = 0.9))]
        revoke_share: f64 = 0.1,
        /// How long records may lie unprocessed in a partition before it is reported as stalled, milliseconds. 1 min; judgement.
        #[schemars(range(min = 1_000, max = 3_600_000))]
        stalled_after_ms: i64 = 60_000,
        /// How long before a stalled partition ends the process, milliseconds. 5 min; judgement.
        #[schemars(range(min = 1_000, max = 86_400_000))]
        stalled_exit_after_ms: i64 = 300_000,
        /// How long a shutdown may take before it is forced, milliseconds. 25 s: Kubernetes kills after 30 s by default.
        #[schemars(range(min = 1_000, max = 3_600_000))]
        shutdown_limit_ms: i64 = 25_000,
        /// What to do when the committed offset is no longer in the log: "stop", or go on from "earliest" or "latest".
        on_lost_offsets: LostOffsets = LostOffsets::Stop,
    }
}

/// What to do when the committed offset is no longer in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LostOffsets {
    /// Stop with an error.
    Stop,
    /// Go on from the earliest record.
    Earliest,
    /// Go on from the latest record.
    Latest,
}

section! {
    /// Frames: many encoded events in one record of an internal topic.
    Frames {
        /// Version that is written at most: 2 tells which windows lack a source that was given up (`time.suspend_after_ms`). A new build reads the next version before it is raised here, so that a rolling upgrade works.
        #[schemars(range(min = 1, max = 2))]
        version: i32 = 2,
        /// Size at which a frame is full, bytes. 512 KiB: half of what Kafka accepts by default.
        #[schemars(range(min = 1_024, max = 67_108_864))]
        frame_bytes: i64 = 524_288,
    }
}

section! {
    /// Snapshots of the folds' state.
    State {
        /// Where they go: `file:FOLDER`, or `s3://`, `gs://`, `az://` when partitions can move between machines.
        #[schemars(length(min = 1))]
        url: String = "file:state".to_owned(),
        /// Wall time between two snapshots of a partition, milliseconds. 1 min: about as long takes the catching up after a crash, at most (judgement).
        #[schemars(range(min = 1_000, max = 86_400_000))]
        snapshot_every_ms: i64 = 60_000,
        /// Snapshots of changes after which a full one is taken. Judgement.
        #[schemars(range(min = 1, max = 10_000))]
        full_every: i32 = 60,
    }
}

section! {
    /// When to stop reading a source rather than drain it into dead letters.
    Breaker {
        /// Whether there is a breaker.
        enabled: bool = true,
        /// Dead letters in a row that trip it. Judgement.
        #[schemars(range(min = 1, max = 1_000_000_000))]
        in_a_row: i64 = 1_000,
        /// Share of dead letters in `window_records` records, one lot of them after the other, that trips it. Judgement.
        dead_letter_share: f64 = 0.5,
        /// Records over which the share is taken. Judgement.
        #[schemars(range(min = 10, max = 1_000_000_000))]
        window_records: i64 = 10_000,
        /// Wall time between two records that try whether it can be closed again, milliseconds. 1 min; judgement.
        #[schemars(range(min = 1_000, max = 86_400_000))]
        probe_every_ms: i64 = 60_000,
    }
}

section! {
    /// Metrics, probes and the live page.
    Http {
        /// Address and port. Loopback unless told otherwise: the page and the API have no log-in.
        #[schemars(length(min = 1))]
        listen: String = "127.0.0.1:9464".to_owned(),
    }
}

section! {
    /// Logs.
    Telemetry {
        /// Least level that is written: "error", "warn", "info", "debug" or "trace".
        level: Level = Level::Info,
        /// "text" or "json".
        format: LogFormat = LogFormat::Text,
    }
}

/// Level of a log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the usual five")]
pub enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// Form of the log lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}
