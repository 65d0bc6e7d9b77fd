//! What is done to a Kafka cluster outside the step loop: making topics, feeding and reading whole topics.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigResourceResult, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Headers};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::inquiry::{Answer, Inquiry};
use super::{CALL_WAIT, Connection, failure, failure_code, is_passing};
use crate::log::{LogError, Position, Record, TopicPartition};

/// A topic to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicPlan {
    /// Its name.
    pub name: String,
    /// How many partitions it has.
    pub partitions: i32,
    /// How many replicas each has.
    pub replicas: i32,
    /// Its settings, by Kafka's names.
    pub settings: Vec<(String, String)>,
}

/// What a cluster holds of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TopicState {
    /// It is not there.
    Missing,
    /// It has so many partitions.
    Partitions(i32),
}

/// The state of topics in the cluster, in the order asked for.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn topic_states(connection: &Connection, names: &[&str]) -> Result<Vec<TopicState>, LogError> {
    let answers = Inquiry::new(connection)?.topics(names)?;
    let state = |(name, answer): (&&str, Result<Answer, RDKafkaErrorCode>)| match answer {
        Ok(answer) => Ok(TopicState::Partitions(answer.partitions)),
        Err(RDKafkaErrorCode::UnknownTopicOrPartition) => Ok(TopicState::Missing),
        Err(code) => Err(failure_code(&format!("asking for topic {name}"), code)),
    };
    names.iter().zip(answers).map(state).collect()
}

/// The settings that hold for topics, by Kafka's names, in the order asked for.
///
/// # Errors
/// When the cluster cannot be asked, or does not tell of one of them.
pub fn topic_settings(
    connection: &Connection,
    names: &[&str],
) -> Result<Vec<BTreeMap<String, String>>, LogError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let doing = "asking for the settings of topics";
    let failed = |error: KafkaError| failure(doing, &error);
    let admin: AdminClient<DefaultClientContext> = connection.config().create().map_err(failed)?;
    let topics: Vec<ResourceSpecifier<'_>> =
        names.iter().map(|name| ResourceSpecifier::Topic(name)).collect();
    let options = AdminOptions::new().request_timeout(Some(CALL_WAIT));
    let described = runtime(doing)?.block_on(admin.describe_configs(&topics, &options)).map_err(failed)?;
    let settings = |(name, described): (&&str, ConfigResourceResult)| match described {
        Ok(topic) => {
            Ok(topic.entries.into_iter().filter_map(|entry| Some((entry.name, entry.value?))).collect())
        }
        Err(code) => Err(failure_code(&format!("asking for the settings of topic {name}"), code)),
    };
    names.iter().zip(described).map(settings).collect()
}

fn runtime(doing: &str) -> Result<tokio::runtime::Runtime, LogError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    runtime.map_err(|error| LogError::Fatal { doing: doing.to_owned(), cause: error.to_string() })
}

/// Makes topics; one that is there already is left alone.
///
/// # Errors
/// At the first topic that cannot be made.
pub fn create_topics(connection: &Connection, plans: &[TopicPlan]) -> Result<(), LogError> {
    let doing = "making topics";
    let failed = |error: KafkaError| failure(doing, &error);
    let admin: AdminClient<DefaultClientContext> = connection.config().create().map_err(failed)?;
    let topics: Vec<NewTopic<'_>> = plans
        .iter()
        .map(|plan| {
            let topic = NewTopic::new(&plan.name, plan.partitions, TopicReplication::Fixed(plan.replicas));
            plan.settings.iter().fold(topic, |topic, (name, value)| topic.set(name, value))
        })
        .collect();
    let options = AdminOptions::new().operation_timeout(Some(CALL_WAIT));
    let results = runtime(doing)?.block_on(admin.create_topics(&topics, &options)).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => return Err(failure_code(&format!("making topic {name}"), code)),
        }
    }
    Ok(())
}

/// Deletes topics; one that is not there is no failure.
///
/// # Errors
/// At the first topic that cannot be deleted.
pub fn delete_topics(connection: &Connection, names: &[&str]) -> Result<(), LogError> {
    let doing = "deleting topics";
    let failed = |error: KafkaError| failure(doing, &error);
    let admin: AdminClient<DefaultClientContext> = connection.config().create().map_err(failed)?;
    let options = AdminOptions::new().operation_timeout(Some(CALL_WAIT));
    let results = runtime(doing)?.block_on(admin.delete_topics(names, &options)).map_err(failed)?;
    deleted("topic", results, RDKafkaErrorCode::UnknownTopicOrPartition)
}

/// Deletes groups that have no member; one that is not there is no failure.
///
/// # Errors
/// At the first group that cannot be deleted.
pub fn delete_groups(connection: &Connection, names: &[&str]) -> Result<(), LogError> {
    let doing = "deleting groups";
    let failed = |error: KafkaError| failure(doing, &error);
    let admin: AdminClient<DefaultClientContext> = connection.config().create().map_err(failed)?;
    let options = AdminOptions::new().request_timeout(Some(CALL_WAIT));
    let results = runtime(doing)?.block_on(admin.delete_groups(names, &options)).map_err(failed)?;
    deleted("group", results, RDKafkaErrorCode::GroupIdNotFound)
}

fn deleted(
    what: &str,
    results: Vec<Result<String, (String, RDKafkaErrorCode)>>,
    missing: RDKafkaErrorCode,
) -> Result<(), LogError> {
    for result in results {
        match result {
            Err((name, code)) if code != missing => {
                return Err(failure_code(&format!("deleting {what} {name}"), code));
            }
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// Feeds source records to topics, outside any transaction.
pub struct Feeder {
    producer: ThreadedProducer<DefaultProducerContext>,
}

impl Feeder {
    /// Connects.
    ///
    /// # Errors
    /// When a setting of the client is wrong.
    pub fn new(connection: &Connection) -> Result<Feeder, LogError> {
        let mut config = connection.config();
        config.set("compression.type", "lz4").set("linger.ms", "20").set("enable.idempotence", "true");
        let producer = config.create().map_err(|error| failure("starting a producer", &error))?;
        Ok(Feeder { producer })
    }

    /// Sends a record; waits while the queue is full.
    ///
    /// # Errors
    /// When the client refuses it.
    pub fn send(&self, topic: &str, partition: i32, timestamp_ms: i64, value: &[u8]) -> Result<(), LogError> {
        self.send_keyed(topic, partition, timestamp_ms, None, value)
    }

    /// Sends a record, with a key as compacted topics need it; waits while the queue is full.
    ///
    /// # Errors
    /// When the client refuses it.
    pub fn send_keyed(
        &self,
        topic: &str,
        partition: i32,
        timestamp_ms: i64,
        key: Option<&[u8]>,
        value: &[u8],
    ) -> Result<(), LogError> {
        let mut record =
            BaseRecord::<[u8], [u8]>::to(topic).partition(partition).timestamp(timestamp_ms).payload(value);
        record.key = key;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                    record = back;
                    std::thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(failure("sending a record", &error)),
            }
        }
    }

    /// Waits until everything sent is stored.
    ///
    /// # Errors
    /// When it is not in time.
    pub fn flush(&self) -> Result<(), LogError> {
        self.producer.flush(CALL_WAIT).map_err(|error| failure("sending records", &error))
    }
}

/// The group of readers that only look: no member ever joins it and nothing is committed for it.
pub fn reading_group(group: &str) -> String {
    format!("{group}-reading")
}

/// All committed records of a topic that are there now, by partition.
///
/// # Errors
/// When they cannot be read.
pub fn read_topic(connection: &Connection, topic: &str) -> Result<Vec<Vec<Record>>, LogError> {
    let mut records = Vec::new();
    each_record(connection, topic, |record| {
        let partition = usize::try_from(record.from.partition).unwrap_or(0);
        if records.len() <= partition {
            records.resize_with(partition + 1, Vec::new);
        }
        if let Some(records) = records.get_mut(partition) {
            records.push(record);
        }
        Ok::<(), LogError>(())
    })?;
    Ok(records)
}

/// Takes each committed record of a topic that is there now, one partition's in the order of offsets. What
/// comes later is not read, even if `each` causes it.
///
/// # Errors
/// When they cannot be read, or `each` fails.
pub fn each_record<E: From<LogError>>(
    connection: &Connection,
    topic: &str,
    mut each: impl FnMut(Record) -> Result<(), E>,
) -> Result<(), E> {
    let doing = format!("reading topic {topic}");
    let failed = |error: KafkaError| failure(&doing, &error);
    let consumer = reader(connection, "read_committed").map_err(failed)?;
    let count = {
        let metadata = consumer.fetch_metadata(Some(topic), CALL_WAIT).map_err(failed)?;
        metadata.topics().first().map_or(0, |topic| topic.partitions().len())
    };
    let mut ends = Vec::new();
    {
        let mut list = TopicPartitionList::new();
        for partition in 0..count as i32 {
            ends.push(Some(consumer.fetch_watermarks(topic, partition, CALL_WAIT).map_err(failed)?.1));
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
    }
    let name: Arc<str> = Arc::from(topic);
    while ends.iter().any(Option::is_some) {
        let partition = match consumer.poll(CALL_WAIT) {
            None => return Err(LogError::Unavailable { doing, cause: "no answer in time".to_owned() }.into()),
            Some(Err(KafkaError::PartitionEOF(partition))) => partition,
            Some(Err(error)) if is_passing(&error) => continue,
            Some(Err(error)) => return Err(failed(error).into()),
            Some(Ok(message)) => {
                let (partition, next) = (message.partition(), message.offset() + 1);
                let Some(Some(end)) = ends.get(partition as usize).copied() else { continue };
                if next <= end {
                    each(owned(&name, &message))?;
                }
                if next < end {
                    continue;
                }
                partition
            }
        };
        // The end of a partition, or what stands there now.
        if let Some(end) = ends.get_mut(partition as usize) {
            *end = None;
        }
    }
    Ok(())
}

/// Takes the committed records of a partition from an offset on and before another that is there now, in order,
/// until `each` says that it has enough.
///
/// # Errors
/// When they cannot be read, or `each` fails.
pub fn records_between<E: From<LogError>>(
    connection: &Connection,
    of: &TopicPartition,
    (from, to): (i64, i64),
    mut each: impl FnMut(Record) -> Result<bool, E>,
) -> Result<(), E> {
    if from >= to {
        return Ok(());
    }
    let doing = format!("reading {} {}", of.topic, of.partition);
    let failed = |error: KafkaError| failure(&doing, &error);
    let consumer = reader(connection, "read_committed").map_err(failed)?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&of.topic, of.partition, Offset::Offset(from)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    loop {
        match consumer.poll(CALL_WAIT) {
            None => return Err(LogError::Unavailable { doing, cause: "no answer in time".to_owned() }.into()),
            Some(Err(KafkaError::PartitionEOF(_))) => break,
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(failed(error).into()),
            Some(Ok(message)) => {
                let next = message.offset() + 1;
                if next > to || !each(owned(&of.topic, &message))? || next == to {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// A reader that joins no group, of this isolation level.
pub(super) fn reader(connection: &Connection, isolation: &str) -> Result<BaseConsumer, KafkaError> {
    let mut config = connection.config();
    config
        .set("group.id", reading_group(&connection.group))
        .set("isolation.level", isolation)
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true")
        // How long the end of a partition is waited for.
        .set("fetch.wait.max.ms", "10");
    config.create()
}

/// The committed positions of a group in whole topics, without joining it.
///
/// # Errors
/// When they cannot be read.
pub fn positions(
    connection: &Connection,
    group: &str,
    topics: &[&str],
) -> Result<BTreeMap<TopicPartition, Position>, LogError> {
    let consumer = connection.config().set("group.id", group).create();
    let consumer: BaseConsumer = consumer
        .map_err(|error| failure(&format!("asking for the committed positions of group {group}"), &error))?;
    let mut list = TopicPartitionList::new();
    for (topic, state) in topics.iter().zip(topic_states(connection, topics)?) {
        if let TopicState::Partitions(count) = state {
            list.add_partition_range(topic, 0, count - 1);
        }
    }
    committed_positions(&consumer, group, list)
}

/// The committed positions of a group in these partitions.
pub(super) fn committed_positions<C: ConsumerContext + 'static>(
    consumer: &BaseConsumer<C>,
    group: &str,
    list: TopicPartitionList,
) -> Result<BTreeMap<TopicPartition, Position>, LogError> {
    let doing = format!("asking for the committed positions of group {group}");
    let failed = |error: KafkaError| failure(&doing, &error);
    let committed = consumer.committed_offsets(list, CALL_WAIT).map_err(failed)?;
    let mut positions = BTreeMap::new();
    for element in committed.elements() {
        element.error().map_err(failed)?;
        if let Offset::Offset(next) = element.offset() {
            let of = TopicPartition { topic: Arc::from(element.topic()), partition: element.partition() };
            positions.insert(of, Position { next, metadata: element.metadata().to_owned() });
        }
    }
    Ok(positions)
}

fn owned(topic: &Arc<str>, message: &BorrowedMessage<'_>) -> Record {
    let headers = message.headers().map(|headers| {
        headers.iter().map(|h| (h.key.to_owned(), h.value.unwrap_or_default().to_vec())).collect()
    });
    Record {
        from: TopicPartition { topic: Arc::clone(topic), partition: message.partition() },
        offset: message.offset(),
        timestamp_ms: message.timestamp().to_millis(),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().unwrap_or_default().to_vec(),
        headers: headers.unwrap_or_default(),
    }
}
