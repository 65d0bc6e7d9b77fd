//! What is done to a Kafka cluster outside the step loop: making topics, feeding and reading whole topics.

use std::sync::Arc;
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::source::{is_passing, owned};
use super::{CALL_WAIT, Connection, failure};
use crate::log::{LogError, Record};

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
    let doing = "asking for the topics";
    let consumer: BaseConsumer = connection.config().create().map_err(|error| failure(doing, &error))?;
    let metadata = consumer.fetch_metadata(None, CALL_WAIT).map_err(|error| failure(doing, &error))?;
    Ok(names
        .iter()
        .map(|name| match metadata.topics().iter().find(|topic| topic.name() == *name) {
            Some(topic) => {
                TopicState::Partitions(i32::try_from(topic.partitions().len()).unwrap_or(i32::MAX))
            }
            None => TopicState::Missing,
        })
        .collect())
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
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime =
        runtime.map_err(|error| LogError::Fatal { doing: doing.to_owned(), cause: error.to_string() })?;
    let results = runtime.block_on(admin.create_topics(&topics, &options)).map_err(failed)?;
    for result in results {
        match result {
            Ok(_) | Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((name, code)) => {
                let doing = format!("making topic {name}");
                return Err(LogError::Fatal { doing, cause: code.to_string() });
            }
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
        let mut record =
            BaseRecord::<[u8], [u8]>::to(topic).partition(partition).timestamp(timestamp_ms).payload(value);
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

/// All committed records of a topic that are there now, by partition.
///
/// # Errors
/// When they cannot be read.
pub fn read_topic(connection: &Connection, topic: &str) -> Result<Vec<Vec<Record>>, LogError> {
    let doing = format!("reading topic {topic}");
    let failed = |error: KafkaError| failure(&doing, &error);
    let mut config = connection.config();
    config
        .set("group.id", format!("{}-reading", connection.instance))
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.partition.eof", "true");
    let consumer: BaseConsumer = config.create().map_err(failed)?;
    let count = {
        let metadata = consumer.fetch_metadata(Some(topic), CALL_WAIT).map_err(failed)?;
        metadata.topics().first().map_or(0, |topic| topic.partitions().len())
    };
    {
        let mut list = TopicPartitionList::new();
        for partition in 0..count as i32 {
            list.add_partition_offset(topic, partition, Offset::Beginning).map_err(failed)?;
        }
        consumer.assign(&list).map_err(failed)?;
    }
    let name: Arc<str> = Arc::from(topic);
    let mut records = vec![Vec::new(); count];
    let mut ended = 0;
    while ended < count {
        match consumer.poll(CALL_WAIT) {
            None => return Err(LogError::Unavailable { doing, cause: "no answer in time".to_owned() }),
            Some(Err(KafkaError::PartitionEOF(_))) => ended += 1,
            Some(Err(error)) if is_passing(&error) => {}
            Some(Err(error)) => return Err(failed(error)),
            Some(Ok(message)) => {
                let (_, mut record) = owned(&message);
                record.from.topic = Arc::clone(&name);
                if let Some(partition) = records.get_mut(message.partition() as usize) {
                    partition.push(record);
                }
            }
        }
    }
    Ok(records)
}
