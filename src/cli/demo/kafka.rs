//! The demo on Kafka: the generator feeds source topics and the stages of `run` work on them, as they would on real
//! traffic.
//!
//! A record's timestamp is its own time of arrival, so that event time can pass faster than the wall's.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use super::{Args, DAYS, Trouble, params, play, screen};
use crate::cli::out::print;
use crate::cli::process::Process;
use crate::cli::{Failure, config, run as stages, tell};
use crate::config::Config;
use crate::config::sections::{OwnTopics, Registry, Wait, WaitWord};
use crate::driver::assembly::Assembly;
use crate::driver::clock::{Clock, SystemClock};
use crate::driver::demo::finding::Finding;
use crate::driver::demo::traffic::Traffic;
use crate::driver::stages::{Names, StageName};
use crate::driver::topics::{WantedTopic, wanted};
use crate::event::kinds::Topic;
use crate::identity::PseudonymKey;
use crate::log::LogError;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{Feeder, TopicPlan, create_topics, delete_groups, delete_topics, read_topic};
use crate::time::{DAY_MS, EventTime};

/// What the names of all topics of the demo begin with.
const PREFIX: &str = "trustline-demo.";
/// What the names of its groups begin with.
const GROUP: &str = "trustline-demo";
/// Partitions of its internal topics, and workers of a stage: enough to see that there are several.
const PARTITIONS: i32 = 2;

/// The demo cannot begin on these brokers.
#[derive(Debug, thiserror::Error)]
#[error(
    "{PREFIX}{topic} holds the records of an earlier demo, and a story begins with empty topics; `{delete}` deletes them"
)]
struct Earlier {
    topic: &'static str,
    delete: String,
}

/// The settings fit nothing.
#[derive(Debug, thiserror::Error)]
#[error("the configuration cannot be used for a demo")]
struct Unusable(#[source] serde_json::Error);

/// Runs the demo until it is told to stop or the time is over.
///
/// # Errors
/// When it cannot begin, or a stage fails.
pub(super) fn run(args: &Args, bootstrap: &str, file: Option<&Path>) -> Result<(), Failure> {
    let config = configuration(config::load(file)?, bootstrap, args.listen)
        .map_err(|error| Failure::usage(Unusable(error)))?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let topics = wanted(&config);
    if args.delete {
        return delete(&connection, &topics).map_err(Failure::log);
    }
    let delete = format!("trustline demo --kafka {bootstrap} --delete");
    let mut traffic = Traffic::new(&params(args, start())).map_err(Failure::usage)?;
    // The people are made up: there is nobody whose pseudonym a secret key would protect.
    let mut assembly = Assembly::new(config, PseudonymKey::test_key());
    assembly.provisional = true;
    let names = assembly.names();
    let process = Process::begin(assembly.config(), &connection.instance, "demo")?;
    process.board.seat(Box::new(Finding::new(&traffic)));

    create_topics(&connection, &plans(&topics)).map_err(Failure::log)?;
    let links = read_topic(&connection, names.source(Topic::IdentityLinks)).map_err(Failure::log)?;
    if links.iter().any(|partition| !partition.is_empty()) {
        let topic = Topic::IdentityLinks.symbol();
        return Err(Failure::usage(Earlier { topic, delete }));
    }
    let url = format!("http://{}/", process.listen);
    print(&format!("{url}\n{} topics {PREFIX}* on {bootstrap}\n", topics.len()))?;

    let stop = &*process.stop;
    let outcome = thread::scope(|scope| {
        let feeding = scope.spawn(|| feed(&mut traffic, &connection, &names, args, stop));
        scope.spawn(|| screen::show(&url, stop, args.run_for, || process.board.view().clone()));
        let outcome = stages::work(&StageName::ALL, assembly, &connection, &process);
        stop.store(true, Ordering::Relaxed);
        let fed = feeding.join().map_err(|_| Failure::running(Trouble::Panicked))?;
        outcome.and(fed.map_err(Failure::log))
    });
    process.end();
    tell(&format!("the topics {PREFIX}* are still on {bootstrap}; `{delete}` deletes them"));
    outcome
}

/// The configuration with topics and groups of the demo's own, and nothing else that it would leave behind.
fn configuration(config: Config, bootstrap: &str, listen: SocketAddr) -> Result<Config, serde_json::Error> {
    let mut settings = config.settings;
    settings.kafka.brokers = bootstrap.split(',').map(str::to_owned).collect();
    settings.kafka.group_id = GROUP.to_owned();
    settings.own_topics = OwnTopics {
        topic_prefix: PREFIX.to_owned(),
        person_partitions: PARTITIONS,
        brand_partitions: PARTITIONS,
        replication_factor: 1,
        ..OwnTopics::default()
    };
    settings.topics = Default::default();
    for (topic, name) in [
        (Topic::AdDeliveries, &mut settings.topics.ad_deliveries.name),
        (Topic::Clickstream, &mut settings.topics.clickstream.name),
        (Topic::Messages, &mut settings.topics.messages.name),
        (Topic::BrandIncidents, &mut settings.topics.brand_incidents.name),
        (Topic::IdentityLinks, &mut settings.topics.identity_links.name),
        (Topic::Erasures, &mut settings.topics.erasures.name),
    ] {
        *name = Some(format!("{PREFIX}{}", topic.symbol()));
    }
    // The time of an idle source follows the wall clock; here it must follow the story.
    settings.time.idle_after_ms = Wait::For(WaitWord::Never);
    settings.run.worker_threads = PARTITIONS;
    settings.http.listen = listen.to_string();
    settings.registry = Registry::default();
    Config::of(settings)
}

/// A Monday, so long ago that the story lies in the past.
fn start() -> EventTime {
    let days = SystemClock::new().now().0 / DAY_MS - i64::from(DAYS) - 1;
    // The epoch began on a Thursday.
    EventTime((days - (days + 3) % 7) * DAY_MS)
}

/// The topics to be made: one partition for each source, on one broker.
fn plans(topics: &[WantedTopic]) -> Vec<TopicPlan> {
    let plan = |topic: &WantedTopic| {
        let mut settings: Vec<_> =
            topic.settings.iter().map(|one| (one.name().to_owned(), one.value())).collect();
        if !topic.own {
            // Brokers delete by the records' timestamps, which are those of the story.
            settings.push(("retention.ms".to_owned(), "-1".to_owned()));
            settings.push(("min.insync.replicas".to_owned(), "1".to_owned()));
        }
        let partitions = if topic.fixed { topic.partitions } else { 1 };
        TopicPlan { name: topic.name.clone(), partitions, replicas: 1, settings }
    };
    topics.iter().map(plan).collect()
}

fn delete(connection: &Connection, topics: &[WantedTopic]) -> Result<(), LogError> {
    let groups = StageName::ALL.map(|stage| format!("{GROUP}-{}", stage.name()));
    delete_groups(connection, &groups.each_ref().map(String::as_str))?;
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    delete_topics(connection, &names)
}

/// Feeds the traffic until its story is over or the process ends. A failure ends the process.
fn feed(
    traffic: &mut Traffic,
    connection: &Connection,
    names: &Names,
    args: &Args,
    stop: &AtomicBool,
) -> Result<(), LogError> {
    let outcome = Feeder::new(connection).and_then(|feeder| {
        play(traffic.span(), args.day(), stop, |to| {
            traffic.send_up_to(to, |sent| {
                let topic = names.source(sent.topic);
                feeder.send_keyed(topic, 0, sent.time, sent.key.map(str::as_bytes), sent.value)
            })
        })?;
        feeder.flush()
    });
    stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
    outcome
}
