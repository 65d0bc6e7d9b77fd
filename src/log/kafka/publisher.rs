//! Publishes a step in one Kafka transaction.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::client::ClientContext;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{IsError, KafkaError, RDKafkaErrorCode};
use rdkafka::message::{DeliveryResult, Header, OwnedHeaders};
use rdkafka::producer::{BaseProducer, BaseRecord, Producer, ProducerContext};
use rdkafka::{Message, Offset, TopicPartitionList};

use super::source::KafkaSource;
use super::{CALL_WAIT, Connection, failure};
use crate::log::{Commit, LogError, Outgoing, Publisher, Publishers};
use crate::points::KillPoint;

/// How often reports of failure are taken while a call waits for them.
const REPORTS_WAIT: Duration = Duration::from_millis(50);

/// When the client closes a connection on which nothing comes or goes. Sending positions has no time limit of its own
/// (librdkafka#5456): once the client was told that a group's coordinator is moving, it goes on waiting until any connection
/// comes or goes, if need be for ever. More than [`CALL_WAIT`]: a commit that is under way on a connection that is closed
/// would be sent again, and the late one might end a later transaction.
const IDLE_MAX_MS: &str = "40000";

/// Makes transactional producers under one name.
#[derive(Clone)]
pub struct KafkaPublishers {
    connection: Connection,
    name: String,
}

impl KafkaPublishers {
    /// Publishers under a name that is this instance's and worker's own.
    pub fn new(connection: &Connection, name: &str) -> KafkaPublishers {
        KafkaPublishers { connection: connection.clone(), name: name.to_owned() }
    }
}

impl Publishers<KafkaSource> for KafkaPublishers {
    type Publisher = KafkaPublisher;

    fn publisher(&mut self) -> Result<KafkaPublisher, LogError> {
        let mut config = self.connection.config();
        config
            .set("transactional.id", &self.name)
            .set("transaction.timeout.ms", self.connection.transaction_timeout_ms.to_string())
            .set("connections.max.idle.ms", IDLE_MAX_MS)
            .set("linger.ms", "5")
            .set("compression.type", "lz4")
            .set("partitioner", "murmur2_random")
            .set("message.max.bytes", "2000000")
            // What was delivered needs no report: a flush then ends without anyone who takes reports.
            .set("delivery.report.only.error", "true");
        let doing = format!("starting the producer of transactional id {}", self.name);
        let failed = |error: KafkaError| failure(&doing, &error);
        let producer: BaseProducer<Context> =
            config.create_with_context(Context::default()).map_err(failed)?;
        producer.init_transactions(CALL_WAIT).map_err(failed)?;
        let timeout = self.connection.transaction_timeout_ms;
        let timeout = Duration::from_millis(timeout.unsigned_abs().into());
        Ok(KafkaPublisher { producer, timeout })
    }
}

/// Notes what became of the records of a step, since the commit does not say which one failed.
#[derive(Default)]
struct Context {
    failed: Mutex<Option<(String, KafkaError)>>,
}

impl ClientContext for Context {}

impl ProducerContext for Context {
    type DeliveryOpaque = ();

    fn delivery(&self, result: &DeliveryResult<'_>, _opaque: ()) {
        if let Err((error, record)) = result {
            let mut failed = self.failed.lock().unwrap_or_else(PoisonError::into_inner);
            failed.get_or_insert_with(|| (record.topic().to_owned(), error.clone()));
        }
    }
}

/// A transactional producer. It has no thread that takes reports: there are some only when something failed, and
/// the wrapper's thread spins for a hundredth of its time.
pub struct KafkaPublisher {
    producer: BaseProducer<Context>,
    /// After which the brokers abort a transaction, as if another publisher had taken the name.
    timeout: Duration,
}

impl Publisher<KafkaSource> for KafkaPublisher {
    fn publish(
        &mut self,
        source: &KafkaSource,
        outputs: &[&Outgoing],
        commits: &[Commit],
    ) -> Result<(), LogError> {
        let Some(membership) = source.membership() else {
            return Err(LogError::Stale { cause: "the group gave the partitions to others".to_owned() });
        };
        self.in_transaction(|publisher| publisher.send_and_commit(outputs, commits, &membership))
    }
}

impl KafkaPublisher {
    /// Publishes records in a transaction of their own, each with a timestamp of its own if it has one.
    ///
    /// # Errors
    /// As for a step: unless the outcome is unknown, none of them is there.
    pub fn publish_records(&mut self, records: &[(Outgoing, Option<i64>)]) -> Result<(), LogError> {
        self.in_transaction(|publisher| {
            records.iter().try_for_each(|(record, timestamp_ms)| publisher.send(record, *timestamp_ms))?;
            publisher.flush();
            publisher.producer.commit_transaction(CALL_WAIT)
        })
    }

    /// Begins a transaction and aborts it if what must end in its commit fails.
    fn in_transaction(
        &mut self,
        commit: impl FnOnce(&KafkaPublisher) -> Result<(), KafkaError>,
    ) -> Result<(), LogError> {
        let context = self.producer.client().context();
        *context.failed.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.producer.begin_transaction().map_err(|error| indefinite(&error))?;
        let begin = Instant::now();
        let Err(error) = commit(self) else { return Ok(()) };
        // An abort purges what is not sent yet, which then fails too.
        let failed = context.failed.lock().unwrap_or_else(PoisonError::into_inner).take();
        if !must_abort(&error) || self.abort().is_err() {
            return Err(match indefinite(&error) {
                LogError::Fenced { cause } if begin.elapsed() >= self.timeout => LogError::Unknown { cause },
                other => other,
            });
        }
        let (doing, error) = failed.map_or_else(
            || ("publishing a step".to_owned(), error),
            |(topic, error)| (format!("writing to {topic}"), error),
        );
        Err(match failure(&doing, &error) {
            last @ (LogError::Fatal { .. } | LogError::Refused { .. }) => last,
            outage if is_outage(&error) => outage,
            _ if is_stale(&error) => LogError::Stale { cause: error.to_string() },
            _ => LogError::Aborted { cause: format!("{doing}: {error}") },
        })
    }

    fn send_and_commit(
        &self,
        outputs: &[&Outgoing],
        commits: &[Commit],
        membership: &ConsumerGroupMetadata,
    ) -> Result<(), KafkaError> {
        KillPoint::BeforeSend.pass();
        for output in outputs {
            self.send(output, None)?;
        }
        KillPoint::AfterSend.pass();
        self.flush();
        KillPoint::BeforeOffsets.pass();
        let mut offsets = TopicPartitionList::new();
        for commit in commits {
            let offset = Offset::Offset(commit.position.next);
            offsets.add_partition_offset(&commit.of.topic, commit.of.partition, offset)?;
            if let Some(mut element) = offsets.find_partition(&commit.of.topic, commit.of.partition) {
                element.set_metadata(&commit.position.metadata);
            }
        }
        if !commits.is_empty() {
            self.producer.send_offsets_to_transaction(&offsets, membership, CALL_WAIT)?;
        }
        KillPoint::BeforeCommit.pass();
        self.producer.commit_transaction(CALL_WAIT)?;
        KillPoint::AfterCommit.pass();
        Ok(())
    }

    fn send(&self, output: &Outgoing, timestamp_ms: Option<i64>) -> Result<(), KafkaError> {
        let mut headers = OwnedHeaders::new_with_capacity(output.headers.len());
        for (key, value) in &output.headers {
            headers = headers.insert(Header { key, value: Some(value) });
        }
        let mut record = BaseRecord::<[u8], [u8]>::to(&output.topic);
        if !output.value.is_empty() {
            record = record.payload(&output.value);
        }
        if let Some(timestamp_ms) = timestamp_ms {
            record = record.timestamp(timestamp_ms);
        }
        if let Some(key) = &output.key {
            record = record.key(key);
        }
        if let Some(partition) = output.partition {
            record = record.partition(partition);
        }
        if !output.headers.is_empty() {
            record = record.headers(headers);
        }
        let deadline = Instant::now() + CALL_WAIT;
        loop {
            match self.producer.send(record) {
                Ok(()) => return Ok(()),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back))
                    if Instant::now() < deadline =>
                {
                    record = back;
                    self.producer.poll(Duration::ZERO);
                    thread::sleep(Duration::from_millis(1));
                }
                Err((error, _)) => return Err(error),
            }
        }
    }

    /// Waits until everything sent is acknowledged or something has failed, at most as long as a call may take:
    /// the commit fails if anything is left. The wrapper's own flush waits in whole tenths of a second.
    #[expect(unsafe_code, reason = "the wrapper does not offer the client's own flush")]
    fn flush(&self) {
        let deadline = Instant::now() + CALL_WAIT;
        let wait = i32::try_from(REPORTS_WAIT.as_millis()).unwrap_or(i32::MAX);
        loop {
            // SAFETY: the pointer is that of a live producer, which `self` keeps alive during the call; the call
            // is documented as thread-safe.
            let outcome = unsafe { rdkafka_sys::rd_kafka_flush(self.producer.client().native_ptr(), wait) };
            self.producer.poll(Duration::ZERO);
            if !outcome.is_error() || self.has_failed() || Instant::now() >= deadline {
                return;
            }
        }
    }

    fn has_failed(&self) -> bool {
        self.producer.client().context().failed.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// Aborts; the client waits until somebody has taken the reports of what is not sent then.
    fn abort(&self) -> Result<(), KafkaError> {
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    self.producer.poll(REPORTS_WAIT);
                }
            });
            let outcome = self.producer.abort_transaction(CALL_WAIT);
            is_over.store(true, Ordering::Relaxed);
            outcome
        })
    }
}

/// Whether the transaction can be aborted, so that the outcome is known.
fn must_abort(error: &KafkaError) -> bool {
    match error {
        KafkaError::Transaction(error) => error.txn_requires_abort() && !error.is_fatal(),
        // A record that the client did not even take: nothing was committed.
        KafkaError::MessageProduction(_) => true,
        _ => false,
    }
}

/// Whether the brokers are the cause, for as long as a leader or coordinator is not there: not the step, which is sent
/// again however often that takes.
fn is_outage(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::CoordinatorLoadInProgress
                | RDKafkaErrorCode::CoordinatorNotAvailable
                | RDKafkaErrorCode::NotCoordinator
                | RDKafkaErrorCode::MessageTimedOut
        )
    )
}

/// Whether the group no longer counts the reader as it was.
fn is_stale(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::IllegalGeneration
                | RDKafkaErrorCode::UnknownMemberId
                | RDKafkaErrorCode::RebalanceInProgress
                | RDKafkaErrorCode::FencedInstanceId
                | RDKafkaErrorCode::StaleMemberEpoch
        )
    )
}

/// After these nobody knows what became of the transaction.
fn indefinite(error: &KafkaError) -> LogError {
    let cause = error.to_string();
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::Fenced
            | RDKafkaErrorCode::ProducerFenced
            | RDKafkaErrorCode::InvalidProducerEpoch,
        ) => LogError::Fenced { cause },
        _ => LogError::Unknown { cause },
    }
}
