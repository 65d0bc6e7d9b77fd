//! What must hold on the cluster before `run` begins: each problem names its fix.

use std::collections::BTreeMap;
use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::topics::{Found, find, mend, other_count};
use crate::config::Config;
use crate::driver::access::needed;
use crate::driver::causes;
use crate::driver::stages::StageName;
use crate::driver::topics::wanted;
use crate::event::kinds::Topic;
use crate::log::LogError;
use crate::log::access::{Permission, Resource};
use crate::log::kafka::Connection;
use crate::log::kafka::inquiry::refused;
use crate::state::{SnapshotStore, StoreError};
use crate::telemetry::occurrence::TopicDrift;

/// How long to wait before a call that failed is made again.
pub(super) const RETRY: Duration = Duration::from_millis(500);

/// Asks until there is an answer, or an error that waiting does not mend; nothing if told to stop before. Each
/// new cause is told once. The waits begin with [`RETRY`] and double up to `wait_max`.
pub(super) fn patiently<T, E: Error + 'static>(
    stop: &AtomicBool,
    wait_max: Duration,
    is_passing: impl Fn(&E) -> bool,
    mut ask: impl FnMut() -> Result<T, E>,
    mut delayed: impl FnMut(&str),
) -> Result<Option<T>, E> {
    let mut told = String::new();
    let mut wait = RETRY;
    while !stop.load(Ordering::Relaxed) {
        match ask() {
            Ok(answer) => return Ok(Some(answer)),
            Err(error) if is_passing(&error) => {
                let cause = causes(&error);
                if told != cause {
                    delayed(&cause);
                    told = cause;
                }
                thread::sleep(wait);
                wait = (wait * 2).min(wait_max);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// Opens the store of snapshots.
///
/// # Errors
/// When there can be none at its URL.
pub(super) fn snapshot_store(config: &Config) -> Result<SnapshotStore, StoreError> {
    let variables: Vec<(String, String)> = std::env::vars().collect();
    SnapshotStore::open(&config.settings.state.url, &variables)
}

/// How long commands that only look ask again.
const BRIEF: Duration = Duration::from_secs(10);

/// Asks again for some seconds while there is no answer: brokers that have just started, or topics that were just
/// made, cannot be told about at once.
pub(super) fn briefly<T>(ask: impl Fn() -> Result<T, LogError>) -> Result<T, LogError> {
    let started = Instant::now();
    loop {
        match ask() {
            Err(LogError::Unavailable { .. }) if started.elapsed() < BRIEF => thread::sleep(RETRY),
            outcome => return outcome,
        }
    }
}

/// `run` cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum StartError {
    #[error("the topics {0} are missing; `trustline topics apply` makes them")]
    Missing(String),
    #[error("{topic} has {found} partitions where {configured} are configured; {fix}")]
    Partitions { topic: String, found: i32, configured: i32, fix: String },
    #[error("{topic} is not as it must be: {drift}; mend it with `{fix}`, or change own_topics")]
    Settings { topic: String, drift: String, fix: String },
    #[error("none of the source topics {0} is there")]
    NoSource(String),
}

/// Looks what the stages may do and which topics they find.
///
/// # Errors
/// When the cluster cannot be asked, or refuses something that they need.
pub(super) fn look(
    config: &Config,
    stages: &[StageName],
    connection: &Connection,
) -> Result<Vec<Found>, LogError> {
    let needed = needed(config, stages);
    let refused = refused(connection, &needed)?;
    if !refused.is_empty() {
        return Err(refusal(&refused));
    }
    let is_used = |name: &str| needed.iter().any(|one| one.resource == Resource::Topic && one.name == name);
    find(connection, wanted(config).into_iter().filter(|topic| is_used(&topic.name)).collect())
}

/// Checks the topics of the stages; returns the source topics and their partition counts.
///
/// # Errors
/// When one is missing, or such that records would be lost.
pub(super) fn check(
    config: &Config,
    stages: &[StageName],
    found: Vec<Found>,
) -> Result<BTreeMap<Topic, u32>, StartError> {
    let mut sources = BTreeMap::new();
    let mut missing = Vec::new();
    for Found { topic, partitions, drift } in found {
        let source = Topic::ALL.iter().find(|source| config.topic(**source).name == topic.name);
        let fix = || mend(config, &topic.name, &drift);
        let listed = || drift.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        match (source, partitions) {
            (Some(source), Some(count)) => {
                sources.insert(*source, u32::try_from(count).unwrap_or(0));
                if !drift.is_empty() {
                    TopicDrift { topic: &topic.name, drift: &listed(), fix: &fix() }.note();
                }
            }
            (Some(_), None) => {}
            (None, None) => missing.push(topic.name),
            (None, Some(found)) if topic.fixed && found != topic.partitions => {
                let (fix, configured, topic) = (other_count(found), topic.partitions, topic.name);
                return Err(StartError::Partitions { topic, found, configured, fix });
            }
            (None, Some(_)) if !drift.is_empty() => {
                let (drift, fix) = (listed(), fix());
                return Err(StartError::Settings { topic: topic.name, drift, fix });
            }
            (None, Some(_)) => {}
        }
    }
    if !missing.is_empty() {
        return Err(StartError::Missing(missing.join(", ")));
    }
    if stages.contains(&StageName::Route) && !sources.keys().any(|topic| topic.is_person_events()) {
        let names: Vec<&str> = Topic::ALL.iter().map(|topic| config.topic(*topic).name.as_str()).collect();
        return Err(StartError::NoSource(names.join(", ")));
    }
    Ok(sources)
}

fn refusal(refused: &[&Permission]) -> LogError {
    let list: Vec<String> = refused.iter().map(ToString::to_string).collect();
    let cause = format!("it needs {}; `trustline topics acls` prints what to allow", list.join(", "));
    LogError::Refused { doing: "checking what this user may do".to_owned(), cause }
}
