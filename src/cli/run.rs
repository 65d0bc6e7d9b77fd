//! `trustline run`: the stages on Kafka.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::pseudonym::configured_key;
use super::{Failure, config, start, tell};
use crate::codec::json::Decoder;
use crate::config::effective;
use crate::config::sections::LostOffsets;
use crate::driver::assembly::Assembly;
use crate::driver::causes;
use crate::driver::clock::{Clock, SystemClock};
use crate::driver::stages::StageName;
use crate::driver::stages::recovery::Keeping;
use crate::driver::worker::{Stage, Worker, WorkerError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::route::Route;
use crate::log::kafka::admin::read_topic;
use crate::log::kafka::{Connection, KafkaPublishers, KafkaSource};
use crate::log::{LogError, Record};
use crate::state::{SnapshotStore, StoreError};

/// Options of `run`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Stages to run; all by default.
    #[arg(long, value_delimiter = ',')]
    pub stages: Vec<StageName>,
    /// Where no snapshot can be read and the log no longer begins at its start, fold what is left of it. Counts
    /// of windows that were open then are too low.
    #[arg(long)]
    pub rebuild: bool,
}

/// `run` cannot begin.
#[derive(Debug, thiserror::Error)]
#[error("no pseudonym key: set privacy.key_file or privacy.key_env, so that pseudonyms are secret")]
struct NoKey;

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
    let key = configured_key(&config).map_err(Failure::usage)?.ok_or_else(|| Failure::usage(NoKey))?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let mut assembly = Assembly::new(config, key);
    assembly.provisional = true;
    assembly.keeping = Some(keeping(&assembly, args.rebuild).map_err(Failure::usage)?);
    let stop = Arc::new(AtomicBool::new(false));
    on_signal(&stop).map_err(Failure::running)?;
    let stages = if args.stages.is_empty() { StageName::ALL.to_vec() } else { args.stages.clone() };
    let found = patiently(&stop, || start::look(assembly.config(), &stages, &connection));
    let Some(found) = found.map_err(Failure::log)? else { return Ok(()) };
    let sources = start::check(assembly.config(), &stages, found).map_err(Failure::usage)?;
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
            Ok(Err(WorkerError::Log(error))) => failure = failure.or(Some(Failure::log(error))),
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

/// Opens the store of snapshots, and keeps the configuration there for those who fold under it later.
fn keeping(assembly: &Assembly, rebuild: bool) -> Result<Keeping, StoreError> {
    let config = assembly.config();
    let state = &config.settings.state;
    let variables: Vec<(String, String)> = std::env::vars().collect();
    let store = SnapshotStore::open(&state.url, &variables)?;
    store.put_config(config.hash(), &effective(&config.settings).unwrap_or_default())?;
    let every_ms = state.snapshot_every_ms;
    Ok(Keeping { store: Arc::new(store), every_ms, in_background: true, rebuild })
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
                tell(&format!("trustline: {}; trying again", causes(&error)));
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
            drive(Worker::new(source, publishers("detect"), assembly.detect_stage()?, clock), stop)
        }
        StageName::Score => {
            let topic = names.own("brand-partials");
            let source =
                KafkaSource::new(connection, &format!("{group}-score"), &[&topic], LostOffsets::Stop)?;
            drive(Worker::new(source, publishers("score"), assembly.score_stage()?, clock), stop)
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
                tell(&format!("trustline: {}; trying again", causes(&error)));
                thread::sleep(RETRY);
            }
            Err(error) => return Err(error),
        }
    }
    worker.finish_work()
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
