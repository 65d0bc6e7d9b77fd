//! Where the state of a partition comes from when it is taken over, and how it is kept.
//!
//! The state after an offset is a function of the log before it and of which configuration held from where. The
//! metadata of the committed position says both: the last two snapshots, and the configurations since the older
//! one. Only snapshots that are named there are read, so what a fenced instance wrote is never taken.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use backon::ExponentialBuilder;

use crate::config::ConfigHash;
use crate::driver::causes;
use crate::driver::clock::{Clock, SystemClock, WallTime};
use crate::driver::status::SnapshotGauges;
use crate::driver::worker::StageError;
use crate::log::{Position, TopicPartition};
use crate::points::{KillPoint, Probe};
use crate::state::{Fold, Header, Name, QUEUE, SnapshotStore, StoreError, Writer};
use crate::telemetry::occurrence::{SnapshotFailed, SnapshotLost};
use crate::time::HOUR_MS;

/// Snapshots that are named with a position.
const NAMED: usize = 2;
/// How old a snapshot must be that nobody names before it is deleted, milliseconds: far longer than it takes to
/// commit the name of one that was just written.
const LEFT_OVER_MS: i64 = HOUR_MS;
/// Configurations before those that a recovery needs, kept for whoever folds the log from further back.
const CONFIGS_BEFORE: usize = 8;
/// Configurations that fit into a position's metadata, which Kafka limits to 4,096 bytes.
const CONFIGS_MAX: usize = 48;

/// What is remembered with a position: `s1 OFFSET-RANDOM,… OFFSET-CONFIG,…`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Provenance {
    /// Offsets and random parts of the names of the last snapshots, the older first.
    snapshots: Vec<(i64, u64)>,
    /// Which configuration held from which offset on, ascending.
    configs: Vec<(i64, ConfigHash)>,
}

impl Provenance {
    fn parse(metadata: &str) -> Option<Provenance> {
        let mut parts = metadata.split(' ');
        if parts.next() != Some("s1") {
            return None;
        }
        let (snapshots, configs) = (parts.next()?, parts.next()?);
        let split = |text: &str| -> Option<Vec<(i64, String)>> {
            let pairs = text.split(',').filter(|pair| !pair.is_empty()).map(|pair| pair.split_once('-'));
            pairs.map(|pair| pair.and_then(|(at, rest)| Some((at.parse().ok()?, rest.to_owned())))).collect()
        };
        let snapshots = split(snapshots)?
            .into_iter()
            .map(|(offset, random)| Some((offset, u64::from_str_radix(&random, 16).ok()?)))
            .collect::<Option<Vec<_>>>()?;
        let configs = split(configs)?
            .into_iter()
            .map(|(offset, hash)| Some((offset, ConfigHash::parse(&hash)?)))
            .collect::<Option<Vec<_>>>()?;
        Some(Provenance { snapshots, configs })
    }

    /// Names a new snapshot; returns those that are named no longer.
    fn add(&mut self, snapshot: (i64, u64)) -> Vec<(i64, u64)> {
        self.snapshots.push(snapshot);
        self.snapshots.sort_unstable();
        let dropped = self.snapshots.drain(..self.snapshots.len().saturating_sub(NAMED)).collect();
        let oldest = self.snapshots.first().map_or(0, |(offset, _)| *offset);
        let held = self.configs.iter().rposition(|(from, _)| *from <= oldest).unwrap_or(0);
        self.configs.drain(..held.saturating_sub(CONFIGS_BEFORE));
        dropped
    }
}

impl fmt::Display for Provenance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("s1 ")?;
        for (at, (offset, random)) in self.snapshots.iter().enumerate() {
            write!(f, "{}{offset}-{random:x}", if at > 0 { "," } else { "" })?;
        }
        f.write_str(" ")?;
        for (at, (offset, config)) in self.configs.iter().enumerate() {
            write!(f, "{}{offset}-{config}", if at > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

/// Where and how often snapshots are kept.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// The store.
    pub store: Arc<SnapshotStore>,
    /// Wall time between two snapshots of a partition, milliseconds.
    pub every_ms: i64,
    /// Whether they are written by a thread of their own, or at once, for tests that run the same twice.
    pub in_background: bool,
    /// Whether state may be folded from what is left of the log when no snapshot can be read.
    pub rebuild: bool,
}

/// How a partition's state begins.
#[derive(Debug)]
pub struct Start {
    /// The offset to fold from; the oldest record if there is none.
    pub from: Option<i64>,
    /// The state before that offset; empty if there is none.
    pub state: Option<Vec<u8>>,
    /// The configuration that held there.
    pub config: ConfigHash,
}

struct Kept {
    provenance: Provenance,
    /// Changes of the configuration that the fold has still to come to.
    switches: VecDeque<(i64, ConfigHash)>,
    /// When the last snapshot was taken.
    taken: Option<WallTime>,
    /// When the state that is being written was taken, and its size.
    writing: Option<(WallTime, u64)>,
    shown: SnapshotGauges,
    /// Named no longer by this worker; deleted once the names without them are committed.
    dropped: Vec<(i64, u64)>,
}

/// Keeps the states of a stage's partitions.
pub struct Keeper {
    fold: Fold,
    fold_version: u32,
    config: ConfigHash,
    keeping: Option<(Keeping, Option<Writer<TopicPartition>>)>,
    partitions: BTreeMap<TopicPartition, Kept>,
}

impl Keeper {
    /// Keeps states of a fold under a configuration; without `keeping`, states are folded from the log alone.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(
        fold: Fold,
        fold_version: u32,
        config: ConfigHash,
        keeping: Option<Keeping>,
    ) -> std::io::Result<Keeper> {
        let keeping = match keeping {
            None => None,
            Some(keeping) => {
                let writer = keeping
                    .in_background
                    .then(|| Writer::start(Arc::clone(&keeping.store), retry()))
                    .transpose()?;
                Some((keeping, writer))
            }
        };
        Ok(Keeper { fold, fold_version, config, keeping, partitions: BTreeMap::new() })
    }

    /// Finds the state that a partition goes on from.
    ///
    /// # Errors
    /// When a snapshot that is needed cannot be had, now or at all.
    pub fn take(&mut self, of: &TopicPartition, position: Option<&Position>) -> Result<Start, StageError> {
        let committed = position.map_or(0, |position| position.next);
        let mut provenance =
            position.and_then(|position| Provenance::parse(&position.metadata)).unwrap_or_default();
        let (mut from, mut state) = (Some(0), None);
        if let Some((keeping, _)) = &self.keeping {
            let names: Vec<Name> =
                provenance.snapshots.iter().map(|snapshot| self.name(of, *snapshot)).collect();
            let restored = keeping.store.restore(&names, retry()).map_err(|error| StageError::Restore {
                topic: of.topic.to_string(),
                partition: of.partition,
                cause: causes(&error),
            })?;
            for lost in &restored.lost {
                SnapshotLost { topic: &of.topic, partition: &of.partition, cause: &causes(lost) }.note();
            }
            if let Some((name, header, bytes)) = restored.found {
                let older = !restored.lost.is_empty();
                if older { Probe::FromOlderSnapshot } else { Probe::FromSnapshot }.pass();
                KillPoint::DuringRestore.pass();
                self.check(of, &header, committed)?;
                provenance.snapshots.retain(|(offset, _)| *offset <= name.offset);
                (from, state) = (Some(name.offset), Some(bytes));
            } else {
                if !names.is_empty() {
                    Probe::NoSnapshotLeft.pass();
                }
                provenance.snapshots.clear();
                from = (!keeping.rebuild).then_some(0);
            }
            let (store, keep, fold) = (Arc::clone(&keeping.store), names, self.fold);
            let partition = of.partition;
            thread::spawn(move || {
                store.collect(fold, partition, &keep, SystemClock::new().now().0 - LEFT_OVER_MS)
            });
        }
        if provenance.configs.last().is_none_or(|(_, config)| *config != self.config) {
            provenance.configs.push((if provenance.configs.is_empty() { 0 } else { committed }, self.config));
            let too_many = provenance.configs.len().saturating_sub(CONFIGS_MAX);
            provenance.configs.drain(..too_many);
        }
        let start = from.unwrap_or(0);
        let held = provenance.configs.iter().rposition(|(since, _)| *since <= start).unwrap_or(0);
        let config = provenance.configs.get(held).map_or(self.config, |(_, config)| *config);
        let switches = provenance.configs.iter().skip(held + 1).copied().collect();
        let (shown, dropped) = Default::default();
        let kept = Kept { provenance, switches, taken: None, writing: None, shown, dropped };
        self.partitions.insert(of.clone(), kept);
        Ok(Start { from, state, config })
    }

    fn check(&self, of: &TopicPartition, header: &Header, committed: i64) -> Result<(), StageError> {
        let Header { fold_version, offset, .. } = header;
        let cause = if header.topic != *of.topic {
            format!(
                "its snapshot at {offset} is of topic {}: another pipeline keeps its state here",
                header.topic
            )
        } else if *fold_version != self.fold_version {
            format!(
                "its snapshot at {offset} (the position is {committed}) is of fold version {fold_version}, and this \
                 build has version {}: finish with the build that wrote it, or start with --rebuild",
                self.fold_version
            )
        } else {
            return Ok(());
        };
        Err(StageError::Lost { topic: of.topic.to_string(), partition: of.partition, cause })
    }

    /// The configuration that a partition's fold must go on under before it takes in the record at an offset, if
    /// it changes there.
    pub fn switch_at(&mut self, of: &TopicPartition, offset: i64) -> Option<ConfigHash> {
        let switches = &mut self.partitions.get_mut(of)?.switches;
        let due = switches.iter().take_while(|(from, _)| *from <= offset).count();
        switches.drain(..due).next_back().map(|(_, config)| config)
    }

    /// A partition went.
    pub fn release(&mut self, of: &TopicPartition) {
        self.partitions.remove(of);
    }

    /// What is known of the snapshots of a partition that this worker wrote.
    pub fn gauges(&self, of: &TopicPartition) -> Option<SnapshotGauges> {
        self.keeping.as_ref().and_then(|_| self.partitions.get(of)).map(|kept| kept.shown)
    }

    /// What must be remembered with a partition's position.
    pub fn metadata(&self, of: &TopicPartition) -> String {
        match (&self.keeping, self.partitions.get(of)) {
            (Some(_), Some(kept)) => kept.provenance.to_string(),
            _ => String::new(),
        }
    }

    /// A position was committed, and the state is what it is after the records before it. Takes a snapshot when
    /// one is due.
    pub fn committed(
        &mut self,
        of: &TopicPartition,
        next: i64,
        now: WallTime,
        write: impl FnOnce(&mut Vec<u8>),
    ) {
        self.look_for_finished();
        let Some((keeping, _)) = &self.keeping else { return };
        let every_ms = keeping.every_ms;
        let (store, fold) = (Arc::clone(&keeping.store), self.fold);
        let Some(kept) = self.partitions.get_mut(of) else { return };
        let dropped = std::mem::take(&mut kept.dropped);
        if !dropped.is_empty() {
            let names: Vec<Name> = dropped.into_iter().map(|name| named(fold, of, name)).collect();
            // What cannot be deleted now is collected when the partition is next taken over.
            thread::spawn(move || names.iter().for_each(|name| drop(store.delete(name))));
        }
        let taken = *kept.taken.get_or_insert_with(|| {
            // Partitions that are taken over together do not take their snapshots together.
            let share = i64::from(of.partition.unsigned_abs() % 64) * every_ms / 64;
            WallTime(now.0 - share)
        });
        let is_due = now.0 - taken.0 >= every_ms && kept.switches.is_empty() && kept.writing.is_none();
        if is_due && self.partitions.values().filter(|kept| kept.writing.is_some()).count() < QUEUE {
            let mut state = Vec::new();
            write(&mut state);
            self.submit(of, next, now, state);
        }
    }

    /// Takes a snapshot at once and waits for it.
    pub fn finish(&mut self, of: &TopicPartition, next: i64, write: impl FnOnce(&mut Vec<u8>)) {
        let is_whole = self.partitions.get(of).is_some_and(|kept| kept.switches.is_empty());
        if let Some((keeping, _)) = &self.keeping
            && is_whole
        {
            let mut state = Vec::new();
            write(&mut state);
            let written = keeping.store.put(&self.header(of, next), &state);
            self.writes(of, SystemClock::new().now(), &state);
            self.finished(of.clone(), written);
        }
    }

    fn submit(&mut self, of: &TopicPartition, next: i64, now: WallTime, state: Vec<u8>) {
        let header = self.header(of, next);
        self.writes(of, now, &state);
        match &self.keeping {
            Some((_, Some(writer))) => {
                if writer.submit(of.clone(), header, state).is_err()
                    && let Some(kept) = self.partitions.get_mut(of)
                {
                    kept.writing = None;
                }
            }
            Some((keeping, None)) => {
                let written = keeping.store.put(&header, &state);
                self.finished(of.clone(), written);
            }
            None => {}
        }
    }

    fn writes(&mut self, of: &TopicPartition, now: WallTime, state: &[u8]) {
        if let Some(kept) = self.partitions.get_mut(of) {
            (kept.taken, kept.writing) = (Some(now), Some((now, state.len() as u64)));
        }
    }

    fn look_for_finished(&mut self) {
        let finished = match &self.keeping {
            Some((_, Some(writer))) => writer.finished(),
            _ => return,
        };
        for (of, written) in finished {
            self.finished(of, written);
        }
    }

    fn finished(&mut self, of: TopicPartition, written: Result<Name, StoreError>) {
        let Some(kept) = self.partitions.get_mut(&of) else { return };
        let writing = kept.writing.take();
        match written {
            Ok(name) => {
                if let Some((taken, bytes)) = writing {
                    kept.shown = SnapshotGauges { taken_at: Some(taken.0), bytes, ..kept.shown };
                }
                kept.dropped.extend(kept.provenance.add((name.offset, name.random)));
            }
            // It is tried again when the next is due; the ones before it stand.
            Err(error) => {
                kept.shown.failures += 1;
                let (topic, partition) = (&of.topic, &of.partition);
                SnapshotFailed { topic, partition, cause: &causes(&error) }.note();
            }
        }
    }

    fn header(&self, of: &TopicPartition, offset: i64) -> Header {
        Header {
            fold: self.fold,
            fold_version: self.fold_version,
            config: self.config,
            topic: of.topic.to_string(),
            partition: of.partition,
            offset,
        }
    }

    fn name(&self, of: &TopicPartition, snapshot: (i64, u64)) -> Name {
        named(self.fold, of, snapshot)
    }
}

/// Which configuration held from which offset on, as the metadata of a committed position tells it.
pub fn configs_held(metadata: &str) -> Vec<(i64, ConfigHash)> {
    Provenance::parse(metadata).unwrap_or_default().configs
}

/// The metadata with which a state is taken over as early as a log allows that begins at `oldest`: at its start if
/// that is still there, else at the older of the snapshots that the log reaches back to, whose offset comes too.
/// Nothing if there is none.
pub fn earliest(metadata: &str, oldest: i64) -> Option<(String, i64)> {
    let mut provenance = Provenance::parse(metadata).unwrap_or_default();
    provenance.snapshots.retain(|(offset, _)| oldest > 0 && *offset >= oldest);
    provenance.snapshots.truncate(1);
    let from = provenance.snapshots.first().map(|(offset, _)| *offset);
    let from = if oldest > 0 { from? } else { 0 };
    Some((provenance.to_string(), from))
}

/// The snapshots that the metadata of a committed position names, the older first.
pub fn named_snapshots(fold: Fold, of: &TopicPartition, metadata: &str) -> Vec<Name> {
    let provenance = Provenance::parse(metadata).unwrap_or_default();
    provenance.snapshots.into_iter().map(|snapshot| named(fold, of, snapshot)).collect()
}

/// The state of a partition is lost.
pub(super) fn lost(of: &TopicPartition, error: &dyn std::error::Error) -> StageError {
    let (topic, partition) = (of.topic.to_string(), of.partition);
    StageError::Lost { topic, partition, cause: causes(error) }
}

fn named(fold: Fold, of: &TopicPartition, (offset, random): (i64, u64)) -> Name {
    Name { fold, partition: of.partition, offset, random }
}

fn retry() -> ExponentialBuilder {
    ExponentialBuilder::default().with_min_delay(Duration::from_millis(100)).with_max_times(6)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASHES: [ConfigHash; 2] = [ConfigHash([1; 16]), ConfigHash([2; 16])];

    #[test]
    fn what_a_position_remembers_reads_back_and_fits() {
        let mut provenance = Provenance { snapshots: Vec::new(), configs: vec![(0, HASHES[0])] };
        assert_eq!(Provenance::parse(&provenance.to_string()), Some(provenance.clone()));
        provenance.configs.extend((0..CONFIGS_MAX as i64).map(|at| (i64::MAX - at, HASHES[1])));
        provenance.snapshots = vec![(i64::MAX - 1, u64::MAX), (i64::MAX, u64::MAX)];
        assert_eq!(Provenance::parse(&provenance.to_string()), Some(provenance.clone()));
        assert!(provenance.to_string().len() <= 4_096);
        for text in ["", "f1:7", "s1", "s1 ", "s1 x-1 ", "s1 1-zz ", "s1  7-abc"] {
            assert_eq!(Provenance::parse(text), None, "{text:?}");
        }
    }

    #[test]
    fn a_state_is_taken_over_as_early_as_the_log_allows() {
        let provenance =
            Provenance { snapshots: vec![(10, 1), (20, 2)], configs: vec![(0, HASHES[0]), (15, HASHES[1])] };
        let metadata = provenance.to_string();
        let naming = |snapshots| Provenance { snapshots, ..provenance.clone() }.to_string();
        assert_eq!(earliest(&metadata, 0), Some((naming(vec![]), 0)));
        assert_eq!(earliest(&metadata, 10), Some((naming(vec![(10, 1)]), 10)));
        assert_eq!(earliest(&metadata, 11), Some((naming(vec![(20, 2)]), 20)));
        assert_eq!(earliest(&metadata, 21), None);
        assert_eq!(configs_held(&metadata), provenance.configs);
    }

    #[test]
    fn two_snapshots_are_named_and_the_configurations_since_the_older() {
        let mut provenance = Provenance {
            snapshots: Vec::new(),
            configs: vec![(0, HASHES[0]), (15, HASHES[1]), (25, HASHES[0])],
        };
        assert!(provenance.add((10, 1)).is_empty());
        assert!(provenance.add((20, 2)).is_empty());
        assert_eq!(provenance.configs.len(), 3);
        assert_eq!(provenance.add((30, 3)), [(10, 1)]);
        assert_eq!(provenance.configs.len(), 3, "some from before are kept for whoever verifies");
        provenance.configs = (0..20).map(|at| (at, HASHES[0])).collect();
        assert_eq!(provenance.add((35, 3)), [(20, 2)]);
        assert_eq!(provenance.configs.first(), Some(&(19 - CONFIGS_BEFORE as i64, HASHES[0])));
        // A late one, written before the others.
        assert_eq!(provenance.add((5, 4)), [(5, 4)]);
    }
}
