//! Looking at everything.

use std::collections::BTreeMap;
use std::path::Path;
use std::thread;
use std::time::Duration;

use super::ledger;
use super::picture::{Open, Picture, Seen, Snapshot, StageGroup};
use crate::cli::Failure;
use crate::cli::start::{briefly, snapshot_store};
use crate::cli::topics::find;
use crate::config::Config;
use crate::driver::access::needed;
use crate::driver::causes;
use crate::driver::clock::{Clock, SystemClock};
use crate::driver::stages::StageName;
use crate::driver::stages::recovery::named_snapshots;
use crate::driver::topics::wanted;
use crate::event::kinds::Topic;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{positions, topic_settings};
use crate::log::kafka::inquiry::refused;
use crate::log::kafka::picture::{Extent, extents, groups, lacking_copies, timestamp_at};
use crate::log::{LogError, TopicPartition};
use crate::registry::{Client, survey};
use crate::state::Fold;

/// How long an open transaction is watched: the stages' own last for a fraction of that.
const WATCH: Duration = Duration::from_secs(3);
/// How long an instance may take to tell its metrics.
const METRICS_WAIT: Duration = Duration::from_secs(10);
/// How often a ledger that does not balance is read: a step may end while it is told.
const LEDGER_TRIES: usize = 3;

/// Looks at everything.
///
/// # Errors
/// When the cluster cannot be asked.
pub(super) fn collect<'a>(
    config: &'a Config,
    connection: &Connection,
    metrics: &[String],
) -> Result<Picture<'a>, Failure> {
    let mut unchecked = Vec::new();
    let needed = needed(config, &StageName::ALL);
    let asked = briefly(|| {
        let (topics, extents, open) = partitions(config, connection)?;
        let names: Vec<&str> = topics.iter().map(|seen| seen.found.topic.name.as_str()).collect();
        let copies = lacking_copies(connection, &names)?;
        let refused: Vec<String> = refused(connection, &needed)?.iter().map(ToString::to_string).collect();
        let groups = stage_groups(config, connection, &topics)?;
        Ok((topics, extents, open, copies, refused, groups))
    });
    let (topics, extents, open, copies, refused, groups) = asked.map_err(Failure::log)?;
    let (is_local, snapshots) = snapshots(config, &groups, &mut unchecked)?;
    let client = Client::of(&config.settings.registry).map_err(Failure::usage)?;
    let subjects = client.map(|client| survey(&client, config).map_err(|error| causes(&error)));
    if subjects.is_none() {
        unchecked.push("schemas: registry.url is not set".to_owned());
    }
    let ledgers: Vec<_> = metrics.iter().map(|address| (address.clone(), ledger_of(address))).collect();
    if ledgers.is_empty() {
        unchecked.push("the ledger: give --metrics ADDRESS of each running instance".to_owned());
    }
    let now_ms = SystemClock::new().now().0;
    Ok(Picture {
        config,
        now_ms,
        topics,
        copies,
        refused,
        groups,
        extents,
        open,
        is_local,
        snapshots,
        subjects,
        ledgers,
        unchecked,
    })
}

type Partitions = (Vec<Seen>, BTreeMap<TopicPartition, Extent>, Vec<Open>);

/// Topics, their partitions and the transactions that are open on them.
fn partitions(config: &Config, connection: &Connection) -> Result<Partitions, LogError> {
    let found = find(connection, wanted(config))?;
    let there: Vec<&str> = found
        .iter()
        .filter(|found| found.partitions.is_some())
        .map(|found| found.topic.name.as_str())
        .collect();
    let settings = topic_settings(connection, &there)?;
    let mut settings: BTreeMap<String, _> =
        there.iter().map(|name| (*name).to_owned()).zip(settings).collect();
    let mut all = Vec::new();
    let mut topics = Vec::new();
    for found in found {
        let name = &found.topic.name;
        all.extend(TopicPartition::all(name, found.partitions.unwrap_or(0)));
        let settings = settings.remove(name).unwrap_or_default();
        let source = Topic::ALL.iter().find(|source| config.topic(**source).name == *name).copied();
        topics.push(Seen { found, settings, source });
    }
    let before = extents(connection, &all)?;
    let holding = |extents: Vec<Extent>| extents.into_iter().filter(|one| one.stable_end < one.end);
    let held: BTreeMap<TopicPartition, i64> =
        holding(before.clone()).map(|one| (one.of, one.stable_end)).collect();
    let mut open = Vec::new();
    if !held.is_empty() {
        thread::sleep(WATCH);
        let names: Vec<TopicPartition> = held.keys().cloned().collect();
        for Extent { of, stable_end: offset, .. } in holding(extents(connection, &names)?) {
            if held.get(&of) == Some(&offset) {
                // `run` need not be allowed to read what it writes.
                let since_ms = match timestamp_at(connection, &of, offset) {
                    Err(LogError::Refused { .. }) => None,
                    found => found?,
                };
                open.push(Open { of, offset, since_ms });
            }
        }
    }
    Ok((topics, before.into_iter().map(|one| (one.of.clone(), one)).collect(), open))
}

fn stage_groups(
    config: &Config,
    connection: &Connection,
    topics: &[Seen],
) -> Result<Vec<StageGroup>, LogError> {
    let names = StageName::ALL.map(|stage| stage.group(&config.settings.kafka.group_id));
    let found = groups(connection, &names.each_ref().map(String::as_str))?;
    let mut all = Vec::new();
    for ((stage, name), group) in StageName::ALL.into_iter().zip(names).zip(found) {
        let prefix = &config.settings.own_topics.topic_prefix;
        let is_read = |seen: &&Seen| match stage.input() {
            Some(input) => seen.found.topic.name == format!("{prefix}{input}"),
            None => seen.source.is_some(),
        };
        let read: Vec<&Seen> = topics.iter().filter(is_read).collect();
        let read_names: Vec<&str> = read.iter().map(|seen| seen.found.topic.name.as_str()).collect();
        let inputs = read
            .iter()
            .flat_map(|seen| TopicPartition::all(&seen.found.topic.name, seen.found.partitions.unwrap_or(0)))
            .collect();
        let positions = positions(connection, &name, &read_names)?;
        all.push(StageGroup { stage, name, group, positions, inputs });
    }
    Ok(all)
}

/// The snapshots that positions name.
fn snapshots(
    config: &Config,
    groups: &[StageGroup],
    unchecked: &mut Vec<String>,
) -> Result<(bool, Vec<Snapshot>), Failure> {
    let url = &config.settings.state.url;
    let folder = url.strip_prefix("file:").map(|path| Path::new(path.strip_prefix("//").unwrap_or(path)));
    if folder.is_some_and(|folder| !folder.exists()) {
        unchecked.push(format!("snapshots: {url} is not on this machine"));
        return Ok((true, Vec::new()));
    }
    let store = snapshot_store(config).map_err(Failure::usage)?;
    let mut found = Vec::new();
    for (stage, fold) in [(StageName::Detect, Fold::Detect), (StageName::Score, Fold::Score)] {
        for (of, position) in
            groups.iter().filter(|group| group.stage == stage).flat_map(|group| &group.positions)
        {
            let named = named_snapshots(fold, of, &position.metadata);
            if named.is_empty() {
                continue;
            }
            let stored = match store.list(fold, of.partition) {
                Ok(stored) => stored,
                Err(error) => {
                    unchecked.push(format!("snapshots: {}", causes(&error)));
                    return Ok((folder.is_some(), Vec::new()));
                }
            };
            found.extend(named.into_iter().map(|name| {
                let stored = stored.iter().find(|stored| stored.name == name);
                let written_ms = stored.map(|stored| stored.written_ms);
                Snapshot { of: of.clone(), offset: name.offset, written_ms }
            }));
        }
    }
    Ok((folder.is_some(), found))
}

/// The ledger of an instance.
fn ledger_of(address: &str) -> Result<Vec<ledger::Balance>, String> {
    let url = format!("http://{}/metrics", address.trim_start_matches("http://").trim_end_matches('/'));
    let client = reqwest::blocking::Client::builder().timeout(METRICS_WAIT).build();
    let client = client.map_err(|error| causes(&error))?;
    let ask = || client.get(&url).send()?.error_for_status()?.text();
    let mut balances = Vec::new();
    for _ in 0..LEDGER_TRIES {
        balances = ledger::parse(&ask().map_err(|error| causes(&error))?);
        if balances.iter().all(|one| one.read == one.accounted) {
            break;
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(balances)
}
