//! Retention that is faster than a reader, on a real broker: never passed over in silence.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::time::{Duration, Instant};

use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use support::broker::{Broker, DEADLINE, topic};
use trustline::config::sections::LostOffsets;
use trustline::log::kafka::admin::create_topics;
use trustline::log::kafka::picture::groups;
use trustline::log::kafka::{Connection, KafkaSource};
use trustline::log::{Inbound, LogError, Records, Source, TopicPartition};
use trustline::telemetry::occurrence;

mod support;

const WAIT: Duration = Duration::from_secs(30);

/// A topic with a partition, who writes to it and who reads it.
struct World {
    broker: Broker,
    name: &'static str,
    producer: BaseProducer,
    source: KafkaSource,
}

impl World {
    /// A reader that has read ten records, while ten more are not committed yet.
    fn new(name: &'static str, lost: LostOffsets) -> World {
        let broker = Broker::start();
        let connection = Connection::plain(&broker.bootstrap(), "retention");
        create_topics(&connection, &[topic(name, 1)]).unwrap();
        let producer: BaseProducer = config(&broker).set("transactional.id", name).create().unwrap();
        producer.init_transactions(WAIT).unwrap();
        let source = KafkaSource::new(&connection, name, "reader", &[name], lost).unwrap();
        let mut world = World { broker, name, producer, source };
        world.send(10);
        world.producer.commit_transaction(WAIT).unwrap();
        assert_eq!(world.read().unwrap(), (0..10).collect::<Vec<_>>());
        let members = groups(&connection, &[name]).unwrap().remove(0).members;
        assert_eq!(
            members.into_iter().flat_map(|member| member.partitions).collect::<Vec<_>>(),
            [world.of()]
        );
        world.send(10);
        world
    }

    fn of(&self) -> TopicPartition {
        TopicPartition { topic: self.name.into(), partition: 0 }
    }

    fn send(&self, records: usize) {
        self.producer.begin_transaction().unwrap();
        for _ in 0..records {
            self.producer.send(BaseRecord::<str, str>::to(self.name).payload("x")).unwrap();
        }
        self.producer.flush(WAIT).unwrap();
    }

    /// The offsets that come next, until nothing comes for a second.
    fn read(&mut self) -> Result<Vec<i64>, LogError> {
        let (mut offsets, begun) = (Vec::new(), Instant::now());
        let mut last = Instant::now();
        while offsets.is_empty() || last.elapsed() < Duration::from_secs(1) {
            assert!(begun.elapsed() < DEADLINE, "nothing comes");
            match self.source.next(Duration::from_millis(100))? {
                Inbound::Records(_, mut records) => {
                    while let Some(record) = records.next() {
                        offsets.push(record.offset);
                    }
                    last = Instant::now();
                }
                Inbound::Assigned(new) => {
                    for (of, position) in new {
                        self.source.read_from(&of, position.map(|position| position.next))?;
                    }
                }
                Inbound::Revoked(_) | Inbound::Nothing => {}
            }
        }
        Ok(offsets)
    }
}

fn config(broker: &Broker) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", broker.bootstrap());
    config
}

fn noted() -> u64 {
    occurrence::counters().with_label_values(&["RecordsLost"]).get()
}

/// One test, since what is noted is counted once for the process.
#[test]
fn a_reader_that_is_overtaken_stops_or_goes_on_as_configured() {
    // Ten records and the mark of their transaction, then ten that are removed in part.
    stops();
    assert_eq!(noted(), 0);
    goes_on_with_what_is_left();
    assert_eq!(noted(), 2);
    goes_on_at_the_end();
    assert_eq!(noted(), 3);
}

fn stops() {
    let mut stopped = World::new("stopped", LostOffsets::Stop);
    stopped.broker.remove_before(stopped.name, 0, 15);
    stopped.producer.commit_transaction(WAIT).unwrap();
    let error = stopped.read().unwrap_err().to_string();
    assert!(error.contains("stopped 0") && error.contains("the log holds 15 to"), "{error}");
    assert!(error.contains("run.on_lost_offsets"), "{error}");
}

fn goes_on_with_what_is_left() {
    let mut earliest = World::new("earliest", LostOffsets::Earliest);
    earliest.broker.remove_before(earliest.name, 0, 15);
    earliest.producer.commit_transaction(WAIT).unwrap();
    assert_eq!(earliest.read().unwrap(), (15..21).collect::<Vec<_>>());
    assert_eq!(noted(), 1, "and says so");
    // Marks of transactions are no loss, nor is what is removed after it was read.
    earliest.send(3);
    earliest.producer.commit_transaction(WAIT).unwrap();
    assert_eq!(earliest.read().unwrap(), [22, 23, 24]);
    let _looked = earliest.source.handed(&earliest.of());
    earliest.broker.remove_before(earliest.name, 0, 26);
    earliest.send(2);
    earliest.producer.commit_transaction(WAIT).unwrap();
    assert_eq!(earliest.read().unwrap(), [26, 27]);
    assert_eq!(noted(), 1);

    // What is removed while a partition is paused.
    earliest.source.pause(&earliest.of(), None).unwrap();
    earliest.send(9);
    earliest.broker.remove_before(earliest.name, 0, 33);
    earliest.producer.commit_transaction(WAIT).unwrap();
    let of = earliest.of();
    earliest.source.read_from(&of, Some(29)).unwrap();
    assert_eq!(earliest.read().unwrap(), (33..38).collect::<Vec<_>>());
}

fn goes_on_at_the_end() {
    let mut latest = World::new("latest", LostOffsets::Latest);
    latest.broker.remove_before(latest.name, 0, 15);
    latest.producer.commit_transaction(WAIT).unwrap();
    let deadline = Instant::now() + Duration::from_secs(3);
    while Instant::now() < deadline {
        let came = latest.source.next(Duration::from_millis(100)).unwrap();
        assert!(matches!(came, Inbound::Nothing), "{:?}", came_what(&came));
    }
    latest.send(2);
    latest.producer.commit_transaction(WAIT).unwrap();
    assert_eq!(latest.read().unwrap(), [22, 23]);
}

fn came_what<R>(came: &Inbound<R>) -> &'static str {
    match came {
        Inbound::Records(..) => "records",
        Inbound::Assigned(_) => "assigned",
        Inbound::Revoked(_) => "revoked",
        Inbound::Nothing => "nothing",
    }
}
