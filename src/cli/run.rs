//! `trustline run`: the stages on Kafka.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use clap::ValueEnum;

use super::pseudonym::configured_key;
use super::{Failure, chain, config, tell};
use crate::codec::json::Decoder;
use crate::config::sections::LostOffsets;
use crate::driver::assembly::Assembly;
use crate::driver::clock::{Clock, SystemClock};
use crate::driver::topics::WantedTopic;
use crate::driver::worker::{Stage, Worker, WorkerError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::route::Route;
use crate::log::kafka::admin::{TopicState, read_topic, topic_states};
use crate::log::kafka::{Connection, KafkaPublishers, KafkaSource};
use crate::log::{LogError, Record};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages to run; all by default.
    #[arg(long, value_delimiter = ',')]
    pub stages: Vec<StageName>,
}

/// A stage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum StageName {
    /// Source records to the person partitions.
    Route,
    /// Person events to moments and counts.
    Detect,
    /// Counts to metrics and alerts.
    Score,
}

/// `run` cannot begin.
#[derive(Debug, thiserror::Error)]
enum StartError {
    #[error("no pseudonym key: set privacy.key_file or privacy.key_env, so that pseudonyms are secret")]
    NoKey,
    #[error("the topics {0} are missing; `trustline topics apply` makes them")]
    Missing(String),
    #[error("{topic} has {found} partitions where {configured} are configured; set own_topics to {found}")]
    Partitions { topic: String, found: i32, configured: i32 },
    #[error("none of the source topics {0} is there")]
    NoSource(String),
}

/// How long a step waits for records.
const STEP: Duration = Duration::from_millis(100);

/// How long to wait before a call that failed is made again.
const RETRY: Duration = Duration::from_millis(500);

/// Runs the command until it is told to stop.
///
/// # Errors
/// When it cannot begin, or a stage cannot go on.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let key =
        configured_key(&config).map_err(Failure::usage)?.ok_or_else(|| Failure::usage(StartError::NoKey))?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let mut assembly = Assembly::new(config, key);
    assembly.provisional = true;
    let stop = Arc::new(AtomicBool::new(false));
    on_signal(&stop).map_err(Failure::running)?;
    let topics = crate::driver::topics::wanted(assembly.config());
    let names: Vec<&str> = topics.iter().map(|topic| topic.name.as_str()).collect();
    let Some(states) = patiently(&stop, || topic_states(&connection, &names)).map_err(Failure::running)?
    else {
        return Ok(());
    };
    let sources = check_topics(&assembly, &topics, &states)?;
    let stages =
        if args.stages.is_empty() { StageName::value_variants().to_vec() } else { args.stages.clone() };
    let mut threads = Vec::new();
    for stage in stages {
        let (assembly, connection, stop) = (assembly.clone(), connection.clone(), Arc::clone(&stop));
        let sources = sources.clone();
        threads.push(thread::spawn(move || {
            let outcome = run_stage(stage, &assembly, &connection, &sources, &stop);
            // Whatever ends one stage ends the process: a half-alive one helps nobody.
            stop.store(true, Ordering::Relaxed);
            outcome
        }));
    }
    tell("running; SIGTERM or SIGINT stops");
    let mut failure = None;
    for thread in threads {
        match thread.join() {
            Ok(Ok(())) => {}
            Ok(Err(error)) => failure = failure.or(Some(Failure::running(error))),
            Err(_) => failure = failure.or(Some(Failure::running(Panicked))),
        }
    }
    failure.map_or(Ok(()), Err)
}

/// A worker thread panicked; the panic itself was told when it happened.
#[derive(Debug, thiserror::Error)]
#[error("a worker panicked: this is a fault of trustline")]
struct Panicked;

/// Checks that the topics are there; returns the source topics and their partition counts.
fn check_topics(
    assembly: &Assembly,
    wanted: &[WantedTopic],
    states: &[TopicState],
) -> Result<BTreeMap<Topic, u32>, Failure> {
    let topics = assembly.names();
    let mut sources = BTreeMap::new();
    let mut missing = Vec::new();
    for (wanted, state) in wanted.iter().zip(states) {
        match (topics.source_of(&wanted.name), state) {
            (Some(topic), TopicState::Partitions(count)) => {
                sources.insert(topic, u32::try_from(*count).unwrap_or(0));
            }
            (Some(_), TopicState::Missing) => {}
            (None, TopicState::Missing) => missing.push(wanted.name.clone()),
            (None, TopicState::Partitions(found)) if wanted.fixed && *found != wanted.partitions => {
                let (topic, configured) = (wanted.name.clone(), wanted.partitions);
                return Err(Failure::usage(StartError::Partitions { topic, found: *found, configured }));
            }
            (None, TopicState::Partitions(_)) => {}
        }
    }
    if !missing.is_empty() {
        return Err(Failure::usage(StartError::Missing(missing.join(", "))));
    }
    if !sources.keys().any(|topic| topic.is_person_events()) {
        let names: Vec<&str> = Topic::ALL.iter().map(|topic| topics.source(*topic)).collect();
        return Err(Failure::usage(StartError::NoSource(names.join(", "))));
    }
    Ok(sources)
}

/// Asks until there is an answer, or none that waiting could bring; nothing if told to stop before.
fn patiently<T>(
    stop: &AtomicBool,
    mut ask: impl FnMut() -> Result<T, LogError>,
) -> Result<Option<T>, LogError> {
    while !stop.load(Ordering::Relaxed) {
        match ask() {
            Ok(answer) => return Ok(Some(answer)),
            Err(error @ LogError::Unavailable { .. }) => {
                tell(&format!("trustline: {}; trying again", chain(&error)));
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

fn run_stage(
    stage: StageName,
    assembly: &Assembly,
    connection: &Connection,
    sources: &BTreeMap<Topic, u32>,
    stop: &AtomicBool,
) -> Result<(), WorkerError> {
    let group = &assembly.config().settings.kafka.group_id;
    let names = assembly.names();
    let publishers =
        |stage: &str| KafkaPublishers::new(connection, &format!("{group}-{stage}-{}", connection.instance));
    let clock = SystemClock::new();
    match stage {
        StageName::Route => {
            let mut route = assembly.route();
            if sources.contains_key(&Topic::IdentityLinks) {
                let topic = names.source(Topic::IdentityLinks);
                match patiently(stop, || read_topic(connection, topic))? {
                    Some(records) => load_links(&mut route, records),
                    None => return Ok(()),
                }
            }
            let topics: Vec<&str> = sources.keys().map(|topic| names.source(*topic)).collect();
            let lost = assembly.config().settings.run.on_lost_offsets;
            let source = KafkaSource::new(connection, &format!("{group}-route"), &topics, lost)?;
            let stage = assembly.route_stage(route, sources, clock.now());
            drive(Worker::new(source, publishers("route"), stage, clock), stop)
        }
        StageName::Detect => {
            let topic = names.own("person-events");
            let source =
                KafkaSource::new(connection, &format!("{group}-detect"), &[&topic], LostOffsets::Stop)?;
            drive(Worker::new(source, publishers("detect"), assembly.detect_stage(), clock), stop)
        }
        StageName::Score => {
            let topic = names.own("brand-partials");
            let source =
                KafkaSource::new(connection, &format!("{group}-score"), &[&topic], LostOffsets::Stop)?;
            drive(Worker::new(source, publishers("score"), assembly.score_stage(), clock), stop)
        }
    }
}

fn drive<T: Stage>(
    mut worker: Worker<KafkaSource, KafkaPublishers, T, SystemClock>,
    stop: &AtomicBool,
) -> Result<(), WorkerError> {
    while !stop.load(Ordering::Relaxed) {
        match worker.step(STEP) {
            Ok(_) => {}
            Err(error) if error.is_passing() => {
                tell(&format!("trustline: {}; trying again", chain(&error)));
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Identity is joined on arrival, so all links that are there are read first.
fn load_links(route: &mut Route, records: Vec<Vec<Record>>) {
    let mut decoder = Decoder::new(Topic::IdentityLinks);
    for record in records.into_iter().flatten() {
        // What is no link is a dead letter when the stage comes to it.
        if let Ok(RawRecord::Link(link)) = decoder.decode(&record.value) {
            route.links.insert(link);
        }
    }
}

fn on_signal(stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    let (mut terminate, mut interrupt) = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    let stop = Arc::clone(stop);
    thread::spawn(move || {
        runtime.block_on(async {
            for signals in 1.. {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                stop.store(true, Ordering::Relaxed);
                if signals > 1 {
                    tell("trustline: told twice to stop: ending at once");
                    std::process::exit(FORCED);
                }
            }
        });
    });
    Ok(())
}

/// Exit code of a process that was told twice to stop.
const FORCED: i32 = 130;
