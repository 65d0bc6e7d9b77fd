//! The copy loop: consume, produce one message each, commit a transaction every tenth of a second.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};
use rdkafka::{Message, Offset, TopicPartitionList};

use trustline::event::kinds::Topic;

/// Where the copies go.
pub(crate) const OUTPUT: &str = "copy";
/// Time between two commits.
const COMMIT_EVERY: Duration = Duration::from_millis(100);
/// How long a call may take.
const CALL_WAIT: Duration = Duration::from_secs(30);

/// Copies so many events, says so and waits to be killed.
pub(crate) fn copy(bootstrap: &str, group: &str, records: u64) {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("group.id", group)
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .set("auto.offset.reset", "earliest")
        .create()
        .unwrap();
    let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
        .set("bootstrap.servers", bootstrap)
        .set("transactional.id", group)
        .set("linger.ms", "5")
        .set("compression.type", "lz4")
        .create()
        .unwrap();
    producer.init_transactions(CALL_WAIT).unwrap();
    let topics: Vec<&str> =
        Topic::ALL.iter().filter(|topic| topic.is_person_events()).map(|topic| topic.symbol()).collect();
    consumer.subscribe(&topics).unwrap();
    let (mut copied, mut committed, mut since) = (0, 0, Instant::now());
    let mut places: BTreeMap<(usize, i32), i64> = BTreeMap::new();
    producer.begin_transaction().unwrap();
    while committed < records {
        if let Some(message) = consumer.poll(Duration::from_millis(10)) {
            let message = message.unwrap();
            let topic = topics.iter().position(|topic| *topic == message.topic()).unwrap();
            send(&producer, message.partition(), message.payload().unwrap());
            places.insert((topic, message.partition()), message.offset() + 1);
            copied += 1;
        }
        if copied > committed && (since.elapsed() >= COMMIT_EVERY || copied == records) {
            flush(&producer);
            let mut offsets = TopicPartitionList::new();
            for ((topic, partition), offset) in &places {
                offsets.add_partition_offset(topics[*topic], *partition, Offset::Offset(*offset)).unwrap();
            }
            let membership = consumer.group_metadata().unwrap();
            producer.send_offsets_to_transaction(&offsets, &membership, CALL_WAIT).unwrap();
            producer.commit_transaction(CALL_WAIT).unwrap();
            producer.begin_transaction().unwrap();
            (committed, since) = (copied, Instant::now());
        }
    }
    println!("done");
    thread::sleep(Duration::MAX);
}

fn send(producer: &ThreadedProducer<DefaultProducerContext>, partition: i32, payload: &[u8]) {
    let mut record = BaseRecord::<[u8], [u8]>::to(OUTPUT).partition(partition).payload(payload);
    loop {
        match producer.send(record) {
            Ok(()) => return,
            Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), back)) => {
                record = back;
                thread::sleep(Duration::from_millis(1));
            }
            Err((error, _)) => panic!("{error}"),
        }
    }
}

/// The client's own flush: the wrapper's waits in whole tenths of a second.
#[expect(unsafe_code, reason = "the wrapper does not offer the client's own flush")]
fn flush(producer: &ThreadedProducer<DefaultProducerContext>) {
    // SAFETY: the pointer is that of a live producer, and the call is documented as thread-safe.
    unsafe {
        rdkafka_sys::rd_kafka_flush(producer.client().native_ptr(), 30_000);
    }
}
