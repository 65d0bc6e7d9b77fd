//! Groups and partitions as they stand, for whoever looks for what is wrong with them.

use std::time::Duration;

use rdkafka::Offset;
use rdkafka::TopicPartitionList;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::Message;

use super::admin::reader;
use super::inquiry::Inquiry;
use super::offsets::{Place, list_offsets};
use super::{CALL_WAIT, Connection, failure, failure_code};
use crate::log::{LogError, TopicPartition};

/// How long the record at an offset is waited for.
const RECORD_WAIT: Duration = Duration::from_secs(5);

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Where it runs, as the broker sees it.
    pub host: String,
    /// What it was given.
    pub partitions: Vec<TopicPartition>,
}

/// A consumer group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Group {
    /// Kafka's word for its state, such as `Stable` or `Empty`.
    pub state: String,
    /// Its members.
    pub members: Vec<Member>,
}

/// A partition of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extent {
    /// Which one.
    pub of: TopicPartition,
    /// The offset of its oldest record.
    pub oldest: i64,
    /// Its end for readers of committed records.
    pub stable_end: i64,
    /// Its end.
    pub end: i64,
    /// The latest timestamp in it, milliseconds.
    pub latest_ms: Option<i64>,
}

/// A partition whose copies are not all there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copies {
    /// Which one.
    pub of: TopicPartition,
    /// Whether a broker leads it, so that it can be read and written.
    pub has_leader: bool,
    /// Copies that are in sync.
    pub in_sync: usize,
    /// Copies that there should be.
    pub wanted: usize,
}

/// Groups in the order asked for; one that is not there has no members.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn groups(connection: &Connection, names: &[&str]) -> Result<Vec<Group>, LogError> {
    let answers = Inquiry::new(connection)?.members(names)?;
    let group = |(name, answer): (&&str, Result<Group, RDKafkaErrorCode>)| match answer {
        Ok(group) => Ok(group),
        Err(RDKafkaErrorCode::GroupIdNotFound) => Ok(Group::default()),
        Err(code) => Err(failure_code(&format!("asking for group {name}"), code)),
    };
    names.iter().zip(answers).map(group).collect()
}

fn looking(connection: &Connection, isolation: &str) -> Result<BaseConsumer, LogError> {
    reader(connection, isolation).map_err(|error| failure("connecting to the brokers", &error))
}

/// The extents of partitions; those that no broker can tell about are left out.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn extents(connection: &Connection, of: &[TopicPartition]) -> Result<Vec<Extent>, LogError> {
    if of.is_empty() {
        return Ok(Vec::new());
    }
    let consumer = looking(connection, "read_uncommitted")?;
    let names: Vec<(&str, i32)> = of.iter().map(|of| (&*of.topic, of.partition)).collect();
    let failed = |error: KafkaError| failure("asking for the ends of partitions", &error);
    let ask = |place| list_offsets(consumer.client(), &names, place, CALL_WAIT).map_err(failed);
    // The end is asked for last, so that it is never before the stable one.
    let (oldest, stable, latest) = (ask(Place::Oldest)?, ask(Place::StableEnd)?, ask(Place::Latest)?);
    let ends = ask(Place::End)?;
    let offset = |places: &[Option<(i64, i64)>], at: usize| Some((*places.get(at)?)?.0);
    let extent = |(at, of): (usize, &TopicPartition)| {
        let latest = latest.get(at).copied().flatten();
        Some(Extent {
            of: of.clone(),
            oldest: offset(&oldest, at)?,
            stable_end: offset(&stable, at)?,
            end: offset(&ends, at)?,
            latest_ms: latest.map(|(_, ms)| ms).filter(|ms| *ms >= 0),
        })
    };
    Ok(of.iter().enumerate().filter_map(extent).collect())
}

/// The partitions of topics whose copies are not all there.
///
/// # Errors
/// When the cluster cannot be asked.
pub fn lacking_copies(connection: &Connection, topics: &[&str]) -> Result<Vec<Copies>, LogError> {
    let failed = |error: KafkaError| failure("asking for the brokers of partitions", &error);
    let metadata = looking(connection, "read_committed")?.fetch_metadata(None, CALL_WAIT).map_err(failed)?;
    let named = metadata.topics().iter().filter(|topic| topics.contains(&topic.name()));
    let partitions = named.flat_map(|topic| {
        topic.partitions().iter().map(|partition| Copies {
            of: TopicPartition { topic: topic.name().into(), partition: partition.id() },
            has_leader: partition.leader() >= 0,
            in_sync: partition.isr().len(),
            wanted: partition.replicas().len(),
        })
    });
    Ok(partitions.filter(|copies| !copies.has_leader || copies.in_sync < copies.wanted).collect())
}

/// The timestamp of the first record at an offset or after it, committed or not.
///
/// # Errors
/// When it cannot be read.
pub fn timestamp_at(
    connection: &Connection,
    of: &TopicPartition,
    offset: i64,
) -> Result<Option<i64>, LogError> {
    let failed = |error: KafkaError| failure(&format!("reading {} {}", of.topic, of.partition), &error);
    let consumer = looking(connection, "read_uncommitted")?;
    let mut list = TopicPartitionList::new();
    list.add_partition_offset(&of.topic, of.partition, Offset::Offset(offset)).map_err(failed)?;
    consumer.assign(&list).map_err(failed)?;
    match consumer.poll(RECORD_WAIT) {
        Some(Ok(message)) => Ok(message.timestamp().to_millis()),
        None | Some(Err(KafkaError::PartitionEOF(_))) => Ok(None),
        Some(Err(error)) => Err(failed(error)),
    }
}
