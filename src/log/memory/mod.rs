//! The log in memory: topics, transactions and one or more groups, in one process.
//!
//! Its rules, which its tests hold:
//! - A step's outputs and positions become visible together, at once, or not at all.
//! - Each publisher has an epoch; a new one under the same name makes the older ones [`LogError::Fenced`].
//! - Readers of a group share a topic's partitions; each change of members makes a new generation. A step
//!   of a reader from an older generation is [`LogError::Stale`].
//! - Faults are injected by the number of the call: a commit fails before it takes effect (`Aborted` or
//!   `Unknown`) or after (`Unknown`), the start of a publisher or a call of a reader fails (`Unavailable`).

mod faults;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use self::faults::CallFaults;
pub use self::faults::{Call, Fault};
use super::{
    Commit, Handed, Inbound, LogError, Outgoing, Position, Publisher, Publishers, Record, RecordRef, Records,
    Source, TopicPartition,
};

#[derive(Default)]
struct Group {
    generation: u64,
    members: Vec<u64>,
    positions: BTreeMap<TopicPartition, Position>,
}

/// The records of a partition that are kept, the oldest of which has offset `first`.
#[derive(Clone, Default)]
struct Partition {
    first: i64,
    records: Vec<Record>,
}

impl Partition {
    /// The offset of the record that comes next.
    fn end(&self) -> i64 {
        self.first + self.records.len() as i64
    }

    /// The records from an offset on that is still kept.
    fn from(&self, offset: i64) -> &[Record] {
        let at = usize::try_from(offset - self.first).unwrap_or(0);
        self.records.get(at..).unwrap_or_default()
    }
}

#[derive(Default)]
struct State {
    topics: BTreeMap<Arc<str>, Vec<Partition>>,
    groups: BTreeMap<String, Group>,
    epochs: BTreeMap<String, u64>,
    leaderless: BTreeSet<TopicPartition>,
    members: u64,
    clock_ms: i64,
}

impl State {
    /// Appends a record to a partition that is there.
    fn append(&mut self, output: Outgoing, partition: usize, timestamp_ms: i64) {
        let Outgoing { topic, key, value, headers, .. } = output;
        let log = self.topics.get_mut(&topic).and_then(|topic| topic.get_mut(partition));
        let log = log.expect("the target was looked up");
        let from = TopicPartition { topic, partition: partition as i32 };
        let (offset, timestamp_ms) = (log.end(), Some(timestamp_ms));
        log.records.push(Record { from, offset, timestamp_ms, key, value, headers });
    }
}

/// A log in memory. Clones are handles on the same log.
#[derive(Clone, Default)]
pub struct MemoryLog {
    state: Arc<Mutex<State>>,
}

impl MemoryLog {
    /// A log with these topics and partition counts.
    pub fn new(topics: &[(&str, usize)]) -> MemoryLog {
        let log = MemoryLog::default();
        for (name, partitions) in topics {
            log.lock().topics.insert(Arc::from(*name), vec![Partition::default(); *partitions]);
        }
        log
    }

    /// Appends a record outside any transaction, as a producer of source records does.
    pub fn append(&self, topic: &str, partition: usize, timestamp_ms: i64, value: &[u8]) {
        let output = Outgoing {
            topic: Arc::from(topic),
            partition: i32::try_from(partition).ok(),
            key: None,
            value: value.to_vec(),
            headers: Vec::new(),
        };
        self.append_record(output, timestamp_ms);
    }

    /// The same for a record with a key, headers, or a partition by its key.
    pub fn append_record(&self, output: Outgoing, timestamp_ms: i64) {
        let mut state = self.lock();
        let partition = target(&state, &output).expect("the topic has this partition");
        state.append(output, partition, timestamp_ms);
    }

    /// All records of a topic that are kept, by partition.
    pub fn records(&self, topic: &str) -> Vec<Vec<Record>> {
        let state = self.lock();
        let partitions = state.topics.get(topic).map(Vec::as_slice).unwrap_or_default();
        partitions.iter().map(|partition| partition.records.clone()).collect()
    }

    /// Forgets all but the newest `keep` records of each partition, as retention does, read or not. A reader
    /// that is behind goes on from the oldest record that is kept; who needs older ones cannot begin.
    pub fn retain(&self, topic: &str, keep: usize) {
        for partition in self.lock().topics.get_mut(topic).into_iter().flatten() {
            let gone = partition.records.len().saturating_sub(keep);
            partition.records.drain(..gone);
            partition.first += gone as i64;
        }
    }

    /// Forgets the records of each partition that a group has processed.
    pub fn forget(&self, topic: &str, group: &str) {
        let mut state = self.lock();
        let State { topics, groups, .. } = &mut *state;
        let (Some((topic, partitions)), Some(group)) = (topics.get_key_value(topic), groups.get(group))
        else {
            return;
        };
        let mut firsts = Vec::new();
        for partition in 0..partitions.len() as i32 {
            let of = TopicPartition { topic: Arc::clone(topic), partition };
            firsts.push(group.positions.get(&of).map_or(0, |position| position.next));
        }
        let topic = Arc::clone(topic);
        for (partition, next) in topics.get_mut(&topic).into_iter().flatten().zip(firsts) {
            let gone = usize::try_from(next - partition.first).unwrap_or(0).min(partition.records.len());
            partition.records.drain(..gone);
            partition.first += gone as i64;
        }
    }

    /// Takes a partition its leader away, or gives it one: without, nobody can read it or tell how far it goes.
    pub fn lead(&self, of: &TopicPartition, has_leader: bool) {
        let leaderless = &mut self.lock().leaderless;
        if has_leader {
            leaderless.remove(of)
        } else {
            leaderless.insert(of.clone())
        };
    }

    /// The committed position of a group.
    pub fn position(&self, group: &str, of: &TopicPartition) -> Option<Position> {
        self.lock().groups.get(group).and_then(|group| group.positions.get(of).cloned())
    }

    /// A reader of topics for a group; it joins at once.
    pub fn reader(&self, group: &str, topics: &[&str]) -> MemorySource {
        let mut state = self.lock();
        state.members += 1;
        let member = state.members;
        let entry = state.groups.entry(group.to_owned()).or_default();
        entry.members.push(member);
        entry.generation += 1;
        MemorySource {
            log: self.clone(),
            group: group.to_owned(),
            member,
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            generation: 0,
            reading: BTreeMap::new(),
            turn: 0,
            faults: CallFaults::default(),
        }
    }

    /// Publishers under a name. `fault` is asked for each step, by its number from 0 over all publishers.
    pub fn publishers(
        &self,
        name: &str,
        fault: impl FnMut(u64) -> Option<Fault> + Send + 'static,
    ) -> MemoryPublishers {
        MemoryPublishers {
            log: self.clone(),
            name: name.to_owned(),
            faults: Arc::new(Mutex::new(Faults { step: 0, fault: Box::new(fault) })),
            calls: CallFaults::default(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl std::fmt::Debug for MemoryLog {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MemoryLog").finish_non_exhaustive()
    }
}

/// A reader of the log in memory.
#[derive(Debug)]
pub struct MemorySource {
    log: MemoryLog,
    group: String,
    member: u64,
    topics: Vec<Arc<str>>,
    generation: u64,
    /// Assigned partitions, and where they are read; nowhere before [`Source::read_from`] and while paused.
    reading: BTreeMap<TopicPartition, Option<i64>>,
    /// Counts the calls, so that each partition has its turn.
    turn: usize,
    faults: CallFaults,
}

/// Records that one call hands out at most.
const FETCH_RECORDS: usize = 500;

/// Records of one partition.
#[derive(Debug, Default)]
pub struct MemoryRecords {
    records: Vec<Record>,
    taken: usize,
}

impl Records for MemoryRecords {
    fn peek(&self) -> Option<i64> {
        self.records.get(self.taken).map(|record| record.offset)
    }

    fn peek_value(&self) -> Option<&[u8]> {
        self.records.get(self.taken).map(|record| record.value.as_slice())
    }

    fn next(&mut self) -> Option<RecordRef<'_>> {
        let record = self.records.get(self.taken)?;
        self.taken += 1;
        Some(record.as_ref())
    }
}

impl MemorySource {
    /// Leaves the group, as a process that ends does.
    pub fn leave(&mut self) {
        let mut state = self.log.lock();
        if let Some(group) = state.groups.get_mut(&self.group) {
            group.members.retain(|member| *member != self.member);
            group.generation += 1;
        }
    }

    /// Makes calls fail for which `fails` says so.
    #[must_use]
    pub fn with_faults(mut self, fails: impl FnMut(Call) -> bool + Send + 'static) -> MemorySource {
        self.faults = CallFaults(Some(Box::new(fails)));
        self
    }

    fn rebalance(&mut self) -> Option<Inbound<MemoryRecords>> {
        let mut state = self.log.lock();
        let all: Vec<TopicPartition> = self
            .topics
            .iter()
            .flat_map(|topic| {
                let partitions = state.topics.get(topic).map_or(0, Vec::len);
                TopicPartition::all(topic, partitions as i32)
            })
            .collect();
        let group = state.groups.entry(self.group.clone()).or_default();
        let rank = group.members.iter().position(|member| *member == self.member)?;
        let count = group.members.len();
        let mine = |of: &TopicPartition| {
            all.iter().position(|known| known == of).is_some_and(|at| at % count == rank)
        };
        let revoked: Vec<TopicPartition> = self.reading.keys().filter(|of| !mine(of)).cloned().collect();
        if !revoked.is_empty() {
            self.reading.retain(|of, _| mine(of));
            return Some(Inbound::Revoked(revoked));
        }
        self.generation = group.generation;
        let new = all.iter().filter(|of| mine(of) && !self.reading.contains_key(*of)).cloned();
        let assigned: Vec<_> = new.map(|of| (of.clone(), group.positions.get(&of).cloned())).collect();
        self.reading.extend(assigned.iter().map(|(of, _)| (of.clone(), None)));
        (!assigned.is_empty()).then_some(Inbound::Assigned(assigned))
    }
}

impl Source for MemorySource {
    type Records = MemoryRecords;

    fn next(&mut self, _wait: Duration) -> Result<Inbound<MemoryRecords>, LogError> {
        self.faults.check(Call::Next)?;
        let current = self.log.lock().groups.get(&self.group).map_or(0, |group| group.generation);
        if current != self.generation
            && self.faults.check(Call::Notice).is_ok()
            && let Some(change) = self.rebalance()
        {
            return Ok(change);
        }
        let state = self.log.lock();
        self.turn = self.turn.wrapping_add(1);
        let first = self.turn % self.reading.len().max(1);
        let mut order: Vec<_> = self.reading.iter_mut().collect();
        order.rotate_left(first);
        for (of, next) in order {
            let (Some(next), Some(topic)) = (next, state.topics.get(&of.topic)) else { continue };
            let log = topic.get(of.partition as usize).filter(|_| !state.leaderless.contains(of));
            let Some(log) = log else { continue };
            let records = log.from(*next);
            let records = &records[..records.len().min(FETCH_RECORDS)];
            if let Some(last) = records.last() {
                *next = last.offset + 1;
                let records = MemoryRecords { records: records.to_vec(), taken: 0 };
                return Ok(Inbound::Records(of.clone(), records));
            }
        }
        Ok(Inbound::Nothing)
    }

    fn read_from(&mut self, of: &TopicPartition, offset: Option<i64>) -> Result<(), LogError> {
        self.faults.check(Call::ReadFrom)?;
        let state = self.log.lock();
        let log = state.topics.get(&of.topic).and_then(|topic| topic.get(of.partition as usize));
        let first = log.map_or(0, |log| log.first);
        if let Some(offset) = offset.filter(|offset| *offset < first) {
            let doing = format!("reading {} {} from {offset}", of.topic, of.partition);
            return Err(LogError::Fatal { doing, cause: format!("the oldest record is {first}") });
        }
        if let Some(next) = self.reading.get_mut(of) {
            *next = Some(offset.unwrap_or(first));
        }
        Ok(())
    }

    fn pause(&mut self, of: &TopicPartition, _rest: Option<MemoryRecords>) -> Result<(), LogError> {
        self.faults.check(Call::Pause)?;
        if let Some(next) = self.reading.get_mut(of) {
            *next = None;
        }
        Ok(())
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        self.faults.check(Call::Committed)?;
        self.glance(of)
    }

    fn glance(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        let state = self.log.lock();
        let group = state.groups.get(&self.group);
        Ok(of.iter().map(|of| group.and_then(|group| group.positions.get(of).cloned())).collect())
    }

    fn at_end(&mut self, of: &[TopicPartition]) -> Vec<TopicPartition> {
        of.iter().zip(self.left(of)).filter(|(_, left)| *left == Some(0)).map(|(of, _)| of.clone()).collect()
    }

    fn handed(&self, of: &TopicPartition) -> Handed {
        let state = self.log.lock();
        let log = state.topics.get(&of.topic).and_then(|topic| topic.get(of.partition as usize));
        Handed { next: self.reading.get(of).copied().flatten(), end: log.map(Partition::end) }
    }

    fn left(&mut self, of: &[TopicPartition]) -> Vec<Option<i64>> {
        let left = |of: &TopicPartition| {
            let handed = self.handed(of);
            let has_leader = !self.log.lock().leaderless.contains(of);
            Some((handed.end.unwrap_or(0) - handed.next?).max(0)).filter(|_| has_leader)
        };
        of.iter().map(left).collect()
    }
}

struct Faults {
    step: u64,
    fault: Box<dyn FnMut(u64) -> Option<Fault> + Send>,
}

/// Makes publishers of the log in memory.
pub struct MemoryPublishers {
    log: MemoryLog,
    name: String,
    faults: Arc<Mutex<Faults>>,
    calls: CallFaults,
}

impl MemoryPublishers {
    /// Makes starts fail for which `fails` says so.
    #[must_use]
    pub fn with_faults(mut self, fails: impl FnMut(Call) -> bool + Send + 'static) -> MemoryPublishers {
        self.calls = CallFaults(Some(Box::new(fails)));
        self
    }
}

/// A publisher of the log in memory.
pub struct MemoryPublisher {
    log: MemoryLog,
    name: String,
    epoch: u64,
    faults: Arc<Mutex<Faults>>,
}

impl Publishers<MemorySource> for MemoryPublishers {
    type Publisher = MemoryPublisher;

    fn publisher(&mut self) -> Result<MemoryPublisher, LogError> {
        self.calls.check(Call::Publisher)?;
        let mut state = self.log.lock();
        let epoch = state.epochs.entry(self.name.clone()).or_default();
        *epoch += 1;
        let epoch = *epoch;
        drop(state);
        Ok(MemoryPublisher {
            log: self.log.clone(),
            name: self.name.clone(),
            epoch,
            faults: Arc::clone(&self.faults),
        })
    }
}

impl Publisher<MemorySource> for MemoryPublisher {
    fn publish(
        &mut self,
        source: &MemorySource,
        outputs: &[&Outgoing],
        commits: &[Commit],
    ) -> Result<(), LogError> {
        let (step, fault) = {
            let mut faults = self.faults.lock().unwrap_or_else(PoisonError::into_inner);
            let step = faults.step;
            faults.step += 1;
            (step, (faults.fault)(step))
        };
        let mut state = self.log.lock();
        if state.epochs.get(&self.name) != Some(&self.epoch) {
            return Err(LogError::Fenced { cause: format!("a newer publisher is called {}", self.name) });
        }
        let group = state.groups.entry(source.group.clone()).or_default();
        if group.generation != source.generation || !group.members.contains(&source.member) {
            return Err(LogError::Stale { cause: "the group has changed".to_owned() });
        }
        match fault {
            Some(Fault::Abort) => return Err(LogError::Aborted { cause: format!("injected at {step}") }),
            Some(Fault::LostBefore) => return Err(LogError::Unknown { cause: "injected".to_owned() }),
            Some(Fault::LostAfter) | None => {}
        }
        let targets = outputs.iter().map(|output| target(&state, output)).collect::<Result<Vec<_>, _>>()?;
        let group = state.groups.entry(source.group.clone()).or_default();
        for commit in commits {
            group.positions.insert(commit.of.clone(), commit.position.clone());
        }
        state.clock_ms += 1;
        let timestamp_ms = state.clock_ms;
        for (output, partition) in outputs.iter().zip(targets) {
            state.append((*output).clone(), partition, timestamp_ms);
        }
        if fault == Some(Fault::LostAfter) {
            return Err(LogError::Unknown { cause: "injected".to_owned() });
        }
        Ok(())
    }
}

/// The partition that a record goes to.
fn target(state: &State, output: &Outgoing) -> Result<usize, LogError> {
    let refused = |cause| LogError::Fatal { doing: format!("publishing to {}", output.topic), cause };
    let topic =
        state.topics.get(&output.topic).ok_or_else(|| refused("there is no such topic".to_owned()))?;
    let by_key =
        || xxhash_rust::xxh3::xxh3_64(output.key.as_deref().unwrap_or_default()) as usize % topic.len();
    let partition = output.partition.map_or_else(by_key, |partition| partition as usize);
    if partition < topic.len() {
        Ok(partition)
    } else {
        Err(refused(format!("it has no partition {partition}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::ZERO;

    fn out(value: &str) -> Outgoing {
        Outgoing {
            topic: Arc::from("out"),
            partition: Some(0),
            key: None,
            value: value.into(),
            headers: Vec::new(),
        }
    }

    fn commit(next: i64) -> Commit {
        let of = TopicPartition { topic: Arc::from("in"), partition: 0 };
        Commit { of, position: Position { next, metadata: format!("m{next}") } }
    }

    fn values(log: &MemoryLog) -> Vec<String> {
        let records = log.records("out").concat();
        records.iter().map(|record| String::from_utf8_lossy(&record.value).into_owned()).collect()
    }

    fn assigned(source: &mut MemorySource) -> usize {
        let Inbound::Assigned(partitions) = source.next(WAIT).unwrap() else { panic!("an assignment") };
        for (of, position) in &partitions {
            source.read_from(of, position.as_ref().map(|position| position.next)).unwrap();
        }
        partitions.len()
    }

    fn taken(source: &mut MemorySource) -> Vec<(i64, Vec<u8>)> {
        let mut taken = Vec::new();
        if let Inbound::Records(_, mut records) = source.next(WAIT).unwrap() {
            while let Some(record) = records.next() {
                taken.push((record.offset, record.value.to_vec()));
            }
        }
        taken
    }

    #[test]
    fn outputs_and_positions_become_visible_together_or_not_at_all() {
        let log = MemoryLog::new(&[("in", 1), ("out", 1)]);
        let mut source = log.reader("g", &["in"]);
        assert_eq!(assigned(&mut source), 1);
        let faults = [Some(Fault::Abort), None, Some(Fault::LostBefore), Some(Fault::LostAfter)];
        let mut publishers = log.publishers("p", move |step| faults[step as usize]);
        let mut publisher = publishers.publisher().unwrap();
        let mut step = |value: &str, next| publisher.publish(&source, &[&out(value)], &[commit(next)]);
        assert!(matches!(step("a", 1), Err(LogError::Aborted { .. })));
        assert_eq!(step("b", 2).map_err(|error| error.to_string()), Ok(()));
        assert!(matches!(step("c", 3), Err(LogError::Unknown { .. })));
        assert_eq!(log.position("g", &commit(0).of), Some(commit(2).position));
        assert!(matches!(step("d", 4), Err(LogError::Unknown { .. })));
        assert_eq!(values(&log), ["b", "d"]);
        assert_eq!(log.position("g", &commit(0).of), Some(commit(4).position));
    }

    #[test]
    fn what_is_not_retained_is_gone_and_offsets_go_on() {
        let log = MemoryLog::new(&[("in", 1)]);
        let mut source = log.reader("g", &["in"]);
        assert_eq!(assigned(&mut source), 1);
        for value in ["a", "b", "c"] {
            log.append("in", 0, 0, value.as_bytes());
        }
        log.retain("in", 1);
        log.append("in", 0, 0, b"d");
        assert_eq!(taken(&mut source), [(2, b"c".to_vec()), (3, b"d".to_vec())]);
        let of = commit(0).of;
        assert_eq!(source.at_end(std::slice::from_ref(&of)), std::slice::from_ref(&of));
        source.read_from(&of, Some(3)).unwrap();
        assert!(source.at_end(std::slice::from_ref(&of)).is_empty());
        assert_eq!(taken(&mut source), [(3, b"d".to_vec())]);
        source.read_from(&of, None).unwrap();
        source.pause(&of, None).unwrap();
        assert!(taken(&mut source).is_empty());
        source.read_from(&of, None).unwrap();
        assert_eq!(taken(&mut source).len(), 2);
    }

    #[test]
    fn a_newer_publisher_fences_the_older() {
        let log = MemoryLog::new(&[("in", 1), ("out", 1)]);
        let mut source = log.reader("g", &["in"]);
        assert_eq!(assigned(&mut source), 1);
        let mut publishers = log.publishers("p", |_| None);
        let mut older = publishers.publisher().unwrap();
        let mut newer = publishers.publisher().unwrap();
        assert!(matches!(older.publish(&source, &[&out("a")], &[]), Err(LogError::Fenced { .. })));
        newer.publish(&source, &[&out("b")], &[]).unwrap();
        assert_eq!(values(&log), ["b"]);
    }

    #[test]
    fn a_step_of_an_older_generation_is_refused_and_partitions_move() {
        let log = MemoryLog::new(&[("in", 2), ("out", 1)]);
        let mut first = log.reader("g", &["in"]);
        assert_eq!(assigned(&mut first), 2);
        let mut publisher = log.publishers("p", |_| None).publisher().unwrap();
        let mut second = log.reader("g", &["in"]);
        assert!(matches!(publisher.publish(&first, &[&out("a")], &[]), Err(LogError::Stale { .. })));
        assert!(matches!(first.next(WAIT).unwrap(), Inbound::Revoked(gone) if gone.len() == 1));
        assert_eq!(assigned(&mut second), 1);
        assert!(matches!(first.next(WAIT).unwrap(), Inbound::Nothing));
        publisher.publish(&first, &[&out("b")], &[]).unwrap();
        first.leave();
        assert_eq!(assigned(&mut second), 1);
        assert!(matches!(publisher.publish(&first, &[&out("c")], &[]), Err(LogError::Stale { .. })));
        assert_eq!(values(&log), ["b"]);
    }
}
