//! A reader of committed records in a consumer group.

use std::cell::Cell;
use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, VecDeque};
use std::ffi::c_void;
use std::ops::Bound;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::{Message as _, Offset, TopicPartitionList};

use super::admin::committed_positions;
use super::batch::{KafkaRecords, Message, Queue, Target, cached_extent, forward};
use super::offsets::stable_ends;
use super::{CALL_WAIT, Connection, failure, is_passing, lost, member};
use crate::config::sections::LostOffsets;
use crate::log::{Handed, Inbound, LogError, Position, Source, TopicPartition};

/// Records that are taken from the client at once.
const BATCH_RECORDS: usize = 2_000;
/// How often the broker is asked whether anything is left to read, at most.
const ASK_EVERY: Duration = Duration::from_millis(500);

enum Change {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// Notes rebalances for the loop.
#[derive(Default)]
struct Context {
    changes: Mutex<VecDeque<Change>>,
    /// What the last error was about: the error itself names no topic.
    said: Mutex<Option<String>>,
    /// Handle of the queue that partitions put their records into; 0 where there is none any longer.
    queue: AtomicUsize,
}

impl ClientContext for Context {
    fn error(&self, _error: KafkaError, reason: &str) {
        *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
    }
}

impl ConsumerContext for Context {
    fn pre_rebalance(&self, consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let (list, target) = match rebalance {
            Rebalance::Assign(list) => match self.queue.load(Ordering::Acquire) {
                0 => (list, Target::Consumer),
                own => (list, Target::Queue(own)),
            },
            Rebalance::Revoke(list) => (list, Target::Consumer),
            Rebalance::Error(_) => return,
        };
        for element in list.elements() {
            forward(consumer.client(), element.topic(), element.partition(), target);
        }
    }

    fn post_rebalance(&self, _consumer: &BaseConsumer<Self>, rebalance: &Rebalance<'_>) {
        let change = match rebalance {
            Rebalance::Assign(list) => Change::Assigned(partitions_of(list)),
            Rebalance::Revoke(list) => Change::Revoked(partitions_of(list)),
            Rebalance::Error(_) => return,
        };
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).push_back(change);
    }
}

fn partitions_of(list: &TopicPartitionList) -> Vec<TopicPartition> {
    let elements = list.elements();
    elements
        .iter()
        .map(|e| TopicPartition { topic: Arc::from(e.topic()), partition: e.partition() })
        .collect()
}

/// An assigned partition.
#[derive(Default)]
struct Reading {
    /// Whether records are handed out.
    is_on: bool,
    /// The offset after the last record that was handed out.
    next: Option<i64>,
    /// The same as it was last looked at, with what the client skips.
    reached: Cell<Option<i64>>,
    /// What was fetched and not handed out.
    fetched: VecDeque<Message>,
}

impl Reading {
    fn has_records(&self) -> bool {
        self.is_on && !self.fetched.is_empty()
    }

    /// From where on records are missing before what was fetched because the log holds none before `low` any more:
    /// the client goes on by itself then. What it skips otherwise are marks of transactions and what was compacted.
    fn lost_from(&self, low: i64) -> Option<i64> {
        let first = self.fetched.front()?.offset();
        self.next.max(self.reached.get()).filter(|expected| *expected < low && low <= first)
    }

    /// How many fetched records come before the first gap of that kind.
    fn whole_before(&self, low: i64) -> usize {
        if self.fetched.front().is_none_or(|first| low <= first.offset() + 1) {
            return self.fetched.len();
        }
        let next = self.fetched.iter().skip(1).map(Message::offset);
        let is_gap = |(before, next): (i64, i64)| before + 1 < low && low <= next;
        let gap = self.fetched.iter().map(Message::offset).zip(next).position(is_gap);
        gap.map_or(self.fetched.len(), |before| before + 1)
    }
}

/// A reader of Kafka topics for a group.
pub struct KafkaSource {
    /// Before the consumer, as all that holds messages: it must outlive them.
    taken: VecDeque<Message>,
    reading: BTreeMap<TopicPartition, Reading>,
    queue: Queue,
    consumer: Arc<BaseConsumer<Context>>,
    group: String,
    member: String,
    topics: Vec<String>,
    lost_offsets: LostOffsets,
    /// The partition whose records were handed out last: the next one has its turn.
    last: Option<TopicPartition>,
    /// Names of the client's topic handles.
    names: BTreeMap<*const c_void, Arc<str>>,
    ready: VecDeque<Inbound<KafkaRecords>>,
    connection: Connection,
    /// Asks for positions without waiting for transactions.
    glancing: Option<BaseConsumer>,
    asked: Option<Instant>,
}

impl KafkaSource {
    /// Joins a group that reads these topics, as `member`, which is no other's name in that group. `lost_offsets`: what
    /// to do when a committed position is no longer in the log.
    ///
    /// # Errors
    /// When a setting of the client is wrong.
    pub fn new(
        connection: &Connection,
        group: &str,
        member: &str,
        topics: &[&str],
        lost_offsets: LostOffsets,
    ) -> Result<KafkaSource, LogError> {
        let config = member::reader(connection, group, member);
        let failed = |error: KafkaError| failure(&format!("joining group {group}"), &error);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::default()).map_err(failed)?;
        let queue = Queue::new(consumer.client(), BATCH_RECORDS).ok_or_else(|| LogError::Fatal {
            doing: format!("joining group {group}"),
            cause: "the client makes no queue".to_owned(),
        })?;
        consumer.context().queue.store(queue.handle(), Ordering::Release);
        consumer.subscribe(topics).map_err(failed)?;
        Ok(KafkaSource {
            taken: VecDeque::new(),
            reading: BTreeMap::new(),
            queue,
            consumer: Arc::new(consumer),
            group: group.to_owned(),
            member: member.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            lost_offsets,
            last: None,
            names: BTreeMap::new(),
            ready: VecDeque::new(),
            connection: connection.clone(),
            glancing: None,
            asked: None,
        })
    }

    /// The membership that a transaction of this moment belongs to; none if the group has given its partitions to
    /// others. Brokers take positions from who has not joined yet.
    pub(super) fn membership(&self) -> Option<ConsumerGroupMetadata> {
        if self.reading.is_empty() || self.consumer.assignment_lost() {
            return None;
        }
        self.consumer.group_metadata()
    }

    /// Serves the group and turns rebalances into what the loop is told. One whose positions cannot be read
    /// yet stays for the next time, and nothing is read before.
    fn take_changes(&mut self) -> Result<(), LogError> {
        match self.consumer.poll(Duration::ZERO) {
            None => {}
            Some(Ok(message)) => {
                // Partitions are forwarded before they are fetched, so nothing comes this way.
                let doing = format!("reading {} {}", message.topic(), message.partition());
                let cause = format!("record {} came outside its queue", message.offset());
                return Err(LogError::Fatal { doing, cause });
            }
            Some(Err(error)) if is_passing(&error) => {}
            // Tokens expire: the client asks for one long before the old one expires, and again if it gets none.
            Some(Err(error))
                if self.connection.has_tokens()
                    && error.rdkafka_error_code() == Some(RDKafkaErrorCode::Authentication) =>
            {
                let doing = "asking for a token or logging in with it".to_owned();
                return Err(LogError::Unavailable { doing, cause: error.to_string() });
            }
            // The brokers' protocol lets nobody in under the name of a member that may still live.
            Some(Err(_)) if member::is_name_taken(&self.consumer) => return self.join_anew(),
            Some(Err(error)) => {
                let said = &self.consumer.context().said;
                let said = said.lock().unwrap_or_else(PoisonError::into_inner).take().unwrap_or_default();
                return Err(failure(&format!("reading for group {}: {said}", self.group), &error));
            }
        }
        loop {
            let changes = &self.consumer.context().changes;
            let change = changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match change {
                None => return Ok(()),
                Some(Change::Revoked(gone)) => {
                    self.reading.retain(|of, _| !gone.contains(of));
                    self.ready.push_back(Inbound::Revoked(gone));
                }
                Some(Change::Assigned(new)) => match self.positions(&new) {
                    Ok(positions) => {
                        self.reading.extend(new.iter().map(|of| (of.clone(), Reading::default())));
                        self.ready.push_back(Inbound::Assigned(new.into_iter().zip(positions).collect()));
                    }
                    Err(error) => {
                        let changes = &self.consumer.context().changes;
                        let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
                        changes.push_front(Change::Assigned(new));
                        return Err(error);
                    }
                },
            }
        }
    }

    /// Joins with a new client, since the old one is of no more use, and tells why there is nothing yet.
    fn join_anew(&mut self) -> Result<(), LogError> {
        thread::sleep(member::NAME_WAIT);
        let gone: Vec<TopicPartition> = self.reading.keys().cloned().collect();
        let topics: Vec<&str> = self.topics.iter().map(String::as_str).collect();
        *self = KafkaSource::new(&self.connection, &self.group, &self.member, &topics, self.lost_offsets)?;
        if !gone.is_empty() {
            self.ready.push_back(Inbound::Revoked(gone));
        }
        let cause = format!("it has a member {} that may still live", self.member);
        Err(LogError::Unavailable { doing: format!("joining group {}", self.group), cause })
    }

    fn positions_of<C: ConsumerContext + 'static>(
        &self,
        consumer: &BaseConsumer<C>,
        of: &[TopicPartition],
    ) -> Result<Vec<Option<Position>>, LogError> {
        let mut list = TopicPartitionList::new();
        for partition in of {
            list.add_partition(&partition.topic, partition.partition);
        }
        let mut positions = committed_positions(consumer, &self.group, list)?;
        Ok(of.iter().map(|of| positions.remove(of)).collect())
    }

    /// The committed positions, checked against what the log still holds.
    fn positions(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        let mut positions = self.committed(of)?;
        for (of, position) in of.iter().zip(&mut positions) {
            let Some(position) = position else { continue };
            let doing = format!("going on with {} {} at offset {}", of.topic, of.partition, position.next);
            let (low, high) = self.extent(of, &doing)?;
            if !(low..=high).contains(&position.next) {
                position.next = lost::go_on(self.lost_offsets, of, position.next, (low, high))?;
            }
        }
        Ok(positions)
    }

    /// The oldest offset of a partition and its end, asked now.
    fn extent(&self, of: &TopicPartition, doing: &str) -> Result<(i64, i64), LogError> {
        let watermarks = self.consumer.fetch_watermarks(&of.topic, of.partition, CALL_WAIT);
        watermarks.map_err(|error| failure(doing, &error))
    }

    /// How far partitions were handed out; what the client skips (marks of transactions) counts.
    fn reached(&self) -> impl Fn(&TopicPartition) -> Option<i64> {
        let skipped = self.consumer.position().ok();
        move |of| {
            let reading = self.reading.get(of)?;
            let skipped = skipped.as_ref().filter(|_| reading.is_on && reading.fetched.is_empty());
            let skipped =
                skipped.and_then(|list| list.find_partition(&of.topic, of.partition)?.offset().to_raw());
            let reached = reading.next.max(skipped.filter(|offset| *offset >= 0));
            reading.reached.set(reached);
            reached
        }
    }

    fn partition(&mut self, message: &Message) -> Option<TopicPartition> {
        let topic = match self.names.entry(message.topic_handle()) {
            Entry::Occupied(known) => Arc::clone(known.get()),
            Entry::Vacant(new) => Arc::clone(new.insert(Arc::from(message.topic()?))),
        };
        Some(TopicPartition { topic, partition: message.partition() })
    }

    /// Gives what was taken from the client to its partitions; what stands there instead of records is noted or
    /// returned as error.
    fn distribute(&mut self) -> Result<(), LogError> {
        let mut outcome = Ok(());
        while let Some(first) = self.taken.pop_front() {
            let of = self.partition(&first);
            if let Some(code) = first.error() {
                let error = KafkaError::MessageConsumption(code);
                if is_passing(&error) {
                    continue;
                }
                let doing = of.map_or_else(
                    || format!("reading for group {}", self.group),
                    |of| format!("reading {} {}", of.topic, of.partition),
                );
                outcome = outcome.and(Err(failure(&doing, &error)));
                continue;
            }
            let (handle, partition) = (first.topic_handle(), first.partition());
            let of_same = |next: &mut Message| {
                next.topic_handle() == handle && next.partition() == partition && next.error().is_none()
            };
            let others = std::iter::from_fn(|| self.taken.pop_front_if(of_same));
            let run = std::iter::once(first).chain(others);
            match of.and_then(|of| self.reading.get_mut(&of)) {
                Some(reading) => reading.fetched.extend(run),
                None => run.for_each(drop),
            }
        }
        outcome
    }

    /// The next records of the partition whose turn it is, of those that have some.
    fn next_records(&mut self) -> Result<Option<(TopicPartition, KafkaRecords)>, LogError> {
        let after = self.last.take().map_or(Bound::Unbounded, Bound::Excluded);
        let mut in_turn = self.reading.range((after, Bound::Unbounded)).chain(&self.reading);
        let found = in_turn.find(|(_, reading)| reading.has_records());
        let Some(of) = found.map(|(of, _)| of.clone()) else { return Ok(None) };
        self.last = Some(of.clone());
        let extent = cached_extent(self.consumer.client(), &of.topic, of.partition).unwrap_or_default();
        let Some(reading) = self.reading.get_mut(&of) else { return Ok(None) };
        if let Some(expected) = reading.lost_from(extent.0) {
            let to = lost::go_on(self.lost_offsets, &of, expected, extent)?;
            if reading.fetched.front().is_some_and(|first| first.offset() < to) {
                self.read_from(&of, Some(to))?;
                return Ok(None);
            }
        }
        let later = reading.fetched.split_off(reading.whole_before(extent.0).min(BATCH_RECORDS));
        let messages = std::mem::replace(&mut reading.fetched, later);
        let next = messages.back().map(|last| last.offset() + 1);
        let before = std::mem::replace(&mut reading.next, next);
        Ok(Some((of, KafkaRecords::new(messages, before, Arc::clone(&self.consumer) as _))))
    }

    /// Waits for the client to begin fetching an assigned partition, then sets where.
    fn seek(&self, of: &TopicPartition, offset: Offset) -> Result<(), LogError> {
        let doing = format!("going to a place in {} {}", of.topic, of.partition);
        let deadline = Instant::now() + CALL_WAIT;
        loop {
            let error = match self.consumer.seek(&of.topic, of.partition, offset, CALL_WAIT) {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            let state = error.rdkafka_error_code();
            if state != Some(RDKafkaErrorCode::State) || Instant::now() >= deadline {
                return Err(failure(&doing, &error));
            }
            thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for KafkaSource {
    fn drop(&mut self) {
        // The queue goes before the consumer, which serves what is left of a rebalance while it is closed.
        self.consumer.context().queue.store(0, Ordering::Release);
    }
}

impl Source for KafkaSource {
    type Records = KafkaRecords;

    fn next(&mut self, wait: Duration) -> Result<Inbound<KafkaRecords>, LogError> {
        if self.ready.is_empty() {
            self.take_changes()?;
        }
        if let Some(change) = self.ready.pop_front() {
            return Ok(change);
        }
        if !self.reading.values().any(Reading::has_records) {
            self.queue.take(wait, &mut self.taken);
            self.distribute()?;
        }
        let records = self.next_records()?;
        Ok(records.map_or(Inbound::Nothing, |(of, records)| Inbound::Records(of, records)))
    }

    fn read_from(&mut self, of: &TopicPartition, offset: Option<i64>) -> Result<(), LogError> {
        let Some(reading) = self.reading.get_mut(of) else { return Ok(()) };
        let own = Target::Queue(self.queue.handle());
        if !reading.is_on && offset.is_some() && reading.next == offset {
            reading.is_on = true;
            forward(self.consumer.client(), &of.topic, of.partition, own);
            return Ok(());
        }
        let doing = format!("reading {} {}", of.topic, of.partition);
        let (low, high) = self.extent(of, &doing)?;
        let mut offset = offset.unwrap_or(low);
        if offset < low {
            offset = lost::go_on(self.lost_offsets, of, offset, (low, high))?;
        }
        self.seek(of, Offset::Offset(offset))?;
        forward(self.consumer.client(), &of.topic, of.partition, own);
        let reading = Reading { is_on: true, next: Some(offset), ..Reading::default() };
        self.reading.insert(of.clone(), reading);
        Ok(())
    }

    /// The client goes on fetching as much as it may hold, so that going on costs nothing.
    fn pause(&mut self, of: &TopicPartition, rest: Option<KafkaRecords>) -> Result<(), LogError> {
        let Some(reading) = self.reading.get_mut(of) else { return Ok(()) };
        reading.is_on = false;
        if let Some(rest) = rest {
            let (mut left, next) = rest.left();
            left.append(&mut reading.fetched);
            (reading.fetched, reading.next) = (left, next);
        }
        forward(self.consumer.client(), &of.topic, of.partition, Target::Itself);
        Ok(())
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        self.positions_of(&self.consumer, of)
    }

    fn glance(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        // Only a reader of uncommitted records is told positions that a transaction is about to change.
        if self.glancing.is_none() {
            let mut config = self.connection.config();
            config
                .set("group.id", &self.group)
                .set("isolation.level", "read_uncommitted")
                .set("enable.auto.commit", "false");
            let doing = format!("asking for the positions of group {}", self.group);
            self.glancing = Some(config.create().map_err(|error| failure(&doing, &error))?);
        }
        match &self.glancing {
            Some(glancing) => self.positions_of(glancing, of),
            None => Ok(vec![None; of.len()]),
        }
    }

    fn at_end(&mut self, of: &[TopicPartition]) -> Vec<TopicPartition> {
        let is_read = |of: &&TopicPartition| {
            self.reading.get(*of).is_some_and(|reading| reading.is_on && reading.fetched.is_empty())
        };
        let candidates: Vec<&TopicPartition> = of.iter().filter(is_read).collect();
        if candidates.is_empty() || self.asked.is_some_and(|asked| asked.elapsed() < ASK_EVERY) {
            return Vec::new();
        }
        self.asked = Some(Instant::now());
        let names: Vec<(&str, i32)> = candidates.iter().map(|of| (&*of.topic, of.partition)).collect();
        let Ok(ends) = stable_ends(self.consumer.client(), &names, ASK_EVERY) else { return Vec::new() };
        let reached = self.reached();
        candidates
            .into_iter()
            .zip(ends)
            .filter(|(of, now)| now.is_some_and(|now| reached(of) >= Some(now)))
            .map(|(of, _)| of.clone())
            .collect()
    }

    fn handed(&self, of: &TopicPartition) -> Handed {
        let next = self.reached()(of);
        let extent = cached_extent(self.consumer.client(), &of.topic, of.partition);
        Handed { next, end: extent.map(|(_, end)| end) }
    }

    fn left(&mut self, of: &[TopicPartition]) -> Vec<Option<i64>> {
        let names: Vec<(&str, i32)> = of.iter().map(|of| (&*of.topic, of.partition)).collect();
        let ends = stable_ends(self.consumer.client(), &names, ASK_EVERY).unwrap_or_default();
        let reached = self.reached();
        let left = |(of, end): (&TopicPartition, Option<i64>)| Some((end? - reached(of)?).max(0));
        of.iter().zip(ends.into_iter().chain(std::iter::repeat(None))).map(left).collect()
    }
}
