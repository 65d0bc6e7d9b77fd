//! A reader of committed records in a consumer group.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext, ConsumerGroupMetadata, Rebalance};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::{CALL_WAIT, Connection};
use crate::log::{Inbound, LogError, Position, Record, Source, TopicPartition};

/// Records that one call hands out at most, so that a step stays small.
const BATCH_RECORDS: usize = 10_000;

enum Change {
    Assigned(Vec<TopicPartition>),
    Revoked(Vec<TopicPartition>),
}

/// Notes rebalances for the loop.
#[derive(Default)]
struct Context {
    changes: Mutex<VecDeque<Change>>,
}

impl ClientContext for Context {}

impl ConsumerContext for Context {
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

/// A reader of Kafka topics for a group.
pub struct KafkaSource {
    connection: Connection,
    consumer: BaseConsumer<Context>,
    /// Assigned partitions, and whether the end was reached since the last record.
    reading: BTreeMap<TopicPartition, bool>,
    names: BTreeMap<String, Arc<str>>,
    ready: VecDeque<Inbound>,
}

impl KafkaSource {
    /// Joins a group that reads these topics.
    ///
    /// Membership is dynamic. A static member that is killed between the two rounds of a cooperative rebalance
    /// and comes back under its name gets its old assignment without another round, and the partitions that it
    /// had to give up stay without an owner: seen in the test that kills instances.
    ///
    /// # Errors
    /// When a setting of the client is wrong.
    pub fn new(connection: &Connection, group: &str, topics: &[&str]) -> Result<KafkaSource, LogError> {
        let mut config = connection.config();
        config
            .set("group.id", group)
            .set("partition.assignment.strategy", "cooperative-sticky")
            .set("session.timeout.ms", connection.session_timeout_ms.to_string())
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .set("fetch.wait.max.ms", "50");
        let failed = |error: KafkaError| unavailable("joining the group", &error);
        let consumer: BaseConsumer<Context> =
            config.create_with_context(Context::default()).map_err(failed)?;
        consumer.subscribe(topics).map_err(failed)?;
        Ok(KafkaSource {
            connection: connection.clone(),
            consumer,
            reading: BTreeMap::new(),
            names: BTreeMap::new(),
            ready: VecDeque::new(),
        })
    }

    /// The membership that a transaction of this moment belongs to.
    pub(super) fn membership(&self) -> Option<ConsumerGroupMetadata> {
        self.consumer.group_metadata()
    }

    /// Turns rebalances into what the loop is told. One whose positions cannot be read yet stays for the next time.
    fn take_changes(&mut self) -> Result<(), LogError> {
        loop {
            let changes = &self.consumer.context().changes;
            let change = changes.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            match change {
                None => return Ok(()),
                Some(Change::Revoked(gone)) => {
                    self.reading.retain(|of, _| !gone.contains(of));
                    self.ready.push_back(Inbound::Revoked(gone));
                }
                Some(Change::Assigned(new)) => match self.committed(&new) {
                    Ok(positions) => {
                        self.reading.extend(new.iter().map(|of| (of.clone(), false)));
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

    fn name(&mut self, topic: &str) -> Arc<str> {
        if let Some(name) = self.names.get(topic) {
            return Arc::clone(name);
        }
        let name: Arc<str> = Arc::from(topic);
        self.names.insert(topic.to_owned(), Arc::clone(&name));
        name
    }
}

impl Source for KafkaSource {
    fn next(&mut self, wait: Duration) -> Result<Inbound, LogError> {
        let deadline = Instant::now() + wait;
        let mut records = Vec::new();
        while self.ready.is_empty() && records.len() < BATCH_RECORDS {
            let left = if records.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            let polled = self.consumer.poll(left).map(|polled| polled.map(|message| owned(&message)));
            self.take_changes()?;
            match polled {
                None => break,
                Some(Ok((topic, mut record))) => {
                    record.from.topic = self.name(&topic);
                    if let Some(at_end) = self.reading.get_mut(&record.from) {
                        *at_end = false;
                    }
                    records.push(record);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    // The event names no topic: of each topic's partition ask where the reader stands.
                    self.mark_ends(partition);
                }
                Some(Err(error)) => return Err(unavailable("reading", &error)),
            }
        }
        if !records.is_empty() {
            // Partitions whose revocation came with these records are somebody else's now.
            records.retain(|record| self.reading.contains_key(&record.from));
            self.ready.push_back(Inbound::Records(records));
        }
        Ok(self.ready.pop_front().unwrap_or(Inbound::Nothing))
    }

    fn read_back(&mut self, of: &TopicPartition, from: i64, to: i64) -> Result<Vec<Record>, LogError> {
        let mut config = self.connection.config();
        config
            .set("group.id", format!("{}-recovery", self.connection.instance))
            .set("isolation.level", "read_committed")
            .set("enable.auto.commit", "false")
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "error");
        let doing = format!("reading {} {} from {from} to {to}", of.topic, of.partition);
        let failed = |error: KafkaError| unavailable(&doing, &error);
        let consumer: BaseConsumer = config.create().map_err(failed)?;
        {
            let mut list = TopicPartitionList::new();
            list.add_partition_offset(&of.topic, of.partition, Offset::Offset(from)).map_err(failed)?;
            consumer.assign(&list).map_err(failed)?;
        }
        let mut records = Vec::new();
        let deadline = Instant::now() + CALL_WAIT * 10;
        while Instant::now() < deadline {
            match consumer.poll(Duration::from_millis(200)) {
                None => {}
                Some(Err(KafkaError::PartitionEOF(_))) => return Ok(records),
                Some(Err(error)) => return Err(failed(error)),
                Some(Ok(message)) if message.offset() >= to => return Ok(records),
                Some(Ok(message)) => {
                    let (_, mut record) = owned(&message);
                    record.from.topic = Arc::clone(&of.topic);
                    records.push(record);
                }
            }
        }
        Err(LogError::Unavailable { doing, cause: "it took too long".to_owned() })
    }

    fn committed(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        let failed = |error: KafkaError| unavailable("asking for committed positions", &error);
        let mut list = TopicPartitionList::new();
        for partition in of {
            list.add_partition(&partition.topic, partition.partition);
        }
        let committed = self.consumer.committed_offsets(list, CALL_WAIT).map_err(failed)?;
        Ok(of
            .iter()
            .map(|of| {
                let element = committed.find_partition(&of.topic, of.partition)?;
                match element.offset() {
                    Offset::Offset(next) => Some(Position { next, metadata: element.metadata().to_owned() }),
                    _ => None,
                }
            })
            .collect())
    }

    fn rewind(&mut self, of: &[TopicPartition]) -> Result<Vec<Option<Position>>, LogError> {
        let positions = self.committed(of)?;
        for (of, position) in of.iter().zip(&positions) {
            let offset =
                position.as_ref().map_or(Offset::Beginning, |position| Offset::Offset(position.next));
            let failed = |error: KafkaError| unavailable("going back to a committed position", &error);
            self.consumer.seek(&of.topic, of.partition, offset, CALL_WAIT).map_err(failed)?;
        }
        Ok(positions)
    }

    fn at_end(&self, of: &TopicPartition) -> bool {
        self.reading.get(of).copied().unwrap_or(false)
    }

    fn partitions(&mut self, topic: &str) -> Result<i32, LogError> {
        let doing = format!("asking for topic {topic}");
        let metadata = self
            .consumer
            .fetch_metadata(Some(topic), CALL_WAIT)
            .map_err(|error| unavailable(&doing, &error))?;
        let count = metadata.topics().first().map_or(0, |topic| topic.partitions().len());
        if count == 0 {
            return Err(LogError::Fatal { doing, cause: "there is no such topic".to_owned() });
        }
        Ok(count as i32)
    }
}

impl KafkaSource {
    /// Marks the assigned partitions of this number whose every readable record was handed out.
    fn mark_ends(&mut self, partition: i32) {
        let Ok(positions) = self.consumer.position() else { return };
        for (of, at_end) in self.reading.iter_mut().filter(|(of, _)| of.partition == partition) {
            let position = positions.find_partition(&of.topic, of.partition).map(|element| element.offset());
            let high =
                self.consumer.fetch_watermarks(&of.topic, of.partition, CALL_WAIT).map(|(_, high)| high);
            // A reader that stands behind the last record cannot have read it; control records may follow.
            *at_end = match (position, high) {
                (Some(Offset::Offset(next)), Ok(high)) => next + CONTROL_SLACK >= high,
                (_, Ok(high)) => high == 0,
                _ => false,
            };
        }
    }
}

/// Markers of transactions that may stand behind the last record when the end is reported.
const CONTROL_SLACK: i64 = 1;

pub(super) fn owned(message: &BorrowedMessage<'_>) -> (String, Record) {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    let record = Record {
        from: TopicPartition { topic: Arc::from(""), partition: message.partition() },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers: headers.unwrap_or_default(),
    };
    (message.topic().to_owned(), record)
}

pub(super) fn unavailable(doing: &str, error: &KafkaError) -> LogError {
    LogError::Unavailable { doing: doing.to_owned(), cause: error.to_string() }
}
