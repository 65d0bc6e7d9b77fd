//! `trustline run`: the stages on Kafka.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use super::owners;
use super::process::Process;
use super::pseudonym::configured_key;
use super::start::{self, RETRY, patiently};
use super::{Failure, config, registry};
use crate::config::sections::LostOffsets;
use crate::config::{Config, effective};
use crate::driver::assembly::Assembly;
use crate::driver::causes;
use crate::driver::clock::SystemClock;
use crate::driver::configs;
use crate::driver::stages::StageName;
use crate::driver::stages::recovery::Keeping;
use crate::driver::stages::route::forget_device;
use crate::driver::status::{Counted, Status};
use crate::driver::worker::observe::{Observer, is_settled};
use crate::driver::worker::{Stage, Worker, WorkerError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::route::Route;
use crate::log::kafka::admin::read_topic;
use crate::log::kafka::{Connection, KafkaPublishers, KafkaSource};
use crate::log::{LogError, Publishers, Record, TopicPartition};
use crate::state::StoreError;
use crate::telemetry::board::{Board, Showing};
use crate::telemetry::logging;
use crate::telemetry::occurrence::{Running, StartDelayed, WorkerFailed};

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
pub(super) struct NoKey;

/// How long a step waits for records.
const STEP: Duration = Duration::from_millis(100);

/// How long to wait before looking for a schema again, before the first step.
const SCHEMA_WAIT: Duration = Duration::from_millis(20);

/// Runs the command until it is told to stop.
///
/// # Errors
/// When it cannot begin, or a stage cannot go on.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let key = configured_key(&config).map_err(Failure::usage)?.ok_or_else(|| Failure::usage(NoKey))?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    logging::begin(&config.settings.telemetry).map_err(Failure::usage)?;
    let stages = if args.stages.is_empty() { StageName::ALL.to_vec() } else { args.stages.clone() };
    let names: Vec<&str> = stages.iter().map(|stage| stage.name()).collect();
    let process = Process::begin(&config, &connection.instance, &names.join(","))?;
    let mut assembly = Assembly::new(config, key);
    assembly.provisional = true;
    assembly.keeping = Some(keeping(&assembly, args.rebuild).map_err(Failure::usage)?);
    let outcome = work(&stages, assembly, &connection, &process);
    process.end();
    outcome
}

/// Runs stages until the process is to end.
///
/// # Errors
/// When the cluster is not as it must be, or a stage cannot go on.
pub(super) fn work(
    stages: &[StageName],
    mut assembly: Assembly,
    connection: &Connection,
    process: &Process,
) -> Result<(), Failure> {
    let delayed = |why: &str| {
        StartDelayed { cause: &why }.note();
        process.health.waits_for(why);
    };
    let look = || start::look(assembly.config(), stages, connection);
    let found = patiently(&process.stop, RETRY, LogError::is_passing, look, delayed);
    let Some(found) = found.map_err(Failure::log)? else { return Ok(()) };
    let sources = start::check(assembly.config(), stages, found).map_err(Failure::usage)?;
    if !registry::connect(&mut assembly, &process.stop, delayed)? {
        return Ok(());
    }
    let publish = || publish_config(assembly.config(), stages, connection);
    let is_passing = |error: &LogError| !matches!(error, LogError::Refused { .. } | LogError::Fatal { .. });
    if patiently(&process.stop, RETRY, is_passing, publish, delayed).map_err(Failure::log)?.is_none() {
        return Ok(());
    }
    let run = Arc::new(Run {
        assembly,
        connection: connection.clone(),
        sources,
        stop: Arc::clone(&process.stop),
        board: Arc::clone(&process.board),
    });
    let mut workers = Vec::new();
    for stage in stages {
        for number in 0..run.threads(*stage) {
            let status = Status::new(stage.name(), number, run.partitions(*stage), SystemClock::new());
            workers.push((*stage, Arc::new(status)));
        }
    }
    process.health.runs(workers.iter().map(|(_, status)| Arc::clone(status)).collect());
    if stages.contains(&StageName::Route) {
        owners::watch(
            connection,
            run.group(StageName::Route),
            run.all_sources(),
            &process.health,
            &process.stop,
        );
    }
    Running { workers: &workers.len() }.note();
    let begin = |(stage, status): (StageName, Arc<Status>)| {
        let run = Arc::clone(&run);
        let name = format!("{}-{}", status.stage, status.worker);
        let work = move || {
            // Whatever ends one worker ends the process: a half-alive one helps nobody.
            let _stops = StopsAll(&run.stop);
            let outcome = run.worker(stage, &status);
            if let Err(error) = &outcome {
                let Status { stage, worker, .. } = &*status;
                WorkerFailed { stage, worker, cause: &causes(error) }.note();
            }
            outcome
        };
        thread::Builder::new().name(name).spawn(work)
    };
    let threads: Result<Vec<_>, _> = workers.into_iter().map(begin).collect();
    let threads = threads.map_err(|error| {
        run.stop.store(true, Ordering::Relaxed);
        Failure::running(WorkerError::Start(error))
    })?;
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

/// Stops the process when it goes, by a panic too.
struct StopsAll<'a>(&'a AtomicBool);

impl Drop for StopsAll<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A worker thread panicked; the panic itself was told when it happened.
#[derive(Debug, thiserror::Error)]
#[error("a worker panicked: this is a fault of trustline")]
struct Panicked;

/// Publishes the configuration under the hash that all records will name.
fn publish_config(config: &Config, stages: &[StageName], connection: &Connection) -> Result<(), LogError> {
    let doing = "publishing the configuration";
    let record = configs::record(config)
        .map_err(|error| LogError::Fatal { doing: doing.to_owned(), cause: error.to_string() })?;
    // Of the names that this instance may use.
    let stage = stages.first().map_or("", |stage| stage.name());
    let name = format!("{}-{stage}-{}-config", connection.group, connection.instance);
    KafkaPublishers::new(connection, &name).publisher()?.publish_records(&[(record, None)])
}

/// Opens the store of snapshots, and keeps the configuration there for those who fold under it later.
fn keeping(assembly: &Assembly, rebuild: bool) -> Result<Keeping, StoreError> {
    let config = assembly.config();
    let store = start::snapshot_store(config)?;
    store.put_config(config.hash(), &effective(&config.settings).unwrap_or_default())?;
    let every_ms = config.settings.state.snapshot_every_ms;
    Ok(Keeping { store: Arc::new(store), every_ms, in_background: true, rebuild })
}

/// What all workers of the process share.
struct Run {
    assembly: Assembly,
    connection: Connection,
    sources: BTreeMap<Topic, u32>,
    stop: Arc<AtomicBool>,
    board: Arc<Board>,
}

impl Run {
    /// How many workers a stage has: more for `route` would make frames small.
    fn threads(&self, stage: StageName) -> usize {
        let configured = usize::try_from(self.assembly.config().settings.run.worker_threads).unwrap_or(0);
        match (stage, configured) {
            (StageName::Route, _) => 1,
            (_, 0) => thread::available_parallelism().map_or(1, usize::from),
            (_, count) => count,
        }
    }

    /// Partitions of the topics that a stage reads.
    fn partitions(&self, stage: StageName) -> u64 {
        let own = &self.assembly.config().settings.own_topics;
        match stage {
            StageName::Route => self.sources.values().map(|count| u64::from(*count)).sum(),
            StageName::Detect => u64::from(own.person_partitions.unsigned_abs()),
            StageName::Score => u64::from(own.brand_partitions.unsigned_abs()),
        }
    }

    /// The group that reads for a stage.
    fn group(&self, stage: StageName) -> String {
        stage.group(&self.assembly.config().settings.kafka.group_id)
    }

    /// The partitions of all source topics.
    fn all_sources(&self) -> BTreeSet<TopicPartition> {
        let names = self.assembly.names();
        names.source_partitions(&self.sources).collect()
    }

    /// One worker, until the process is to end.
    fn worker(&self, stage: StageName, status: &Arc<Status>) -> Result<(), WorkerError> {
        let settings = &self.assembly.config().settings;
        let stalled_after = Duration::from_millis(settings.run.stalled_after_ms.unsigned_abs());
        let mut observer = Observer::new(Arc::clone(status), stalled_after);
        let group = self.group(stage);
        let member = format!("{}-{}", self.connection.instance, status.worker);
        let source =
            |topics: &[&str], lost| KafkaSource::new(&self.connection, &group, &member, topics, lost);
        let names = self.assembly.names();
        let showing = || Showing::on(Arc::clone(&self.board));
        match stage {
            StageName::Route => {
                let mut route = self.assembly.route();
                if self.sources.contains_key(&Topic::IdentityLinks) {
                    let topic = names.source(Topic::IdentityLinks);
                    let read = || read_topic(&self.connection, topic);
                    let delayed = |why: &str| observer.failed(why.to_owned());
                    match patiently(&self.stop, RETRY, LogError::is_passing, read, delayed)? {
                        Some(records) => load_links(&mut route, records, &self.assembly, &self.stop),
                        None => return Ok(()),
                    }
                }
                let topics: Vec<&str> = self.sources.keys().map(|topic| names.source(*topic)).collect();
                let source = source(&topics, settings.run.on_lost_offsets)?;
                let stage = self.assembly.route_stage(route, &self.sources, status.now());
                self.drive(source, stage, &group, observer)
            }
            StageName::Detect => {
                let source = source(&[&names.own("person-events")], LostOffsets::Stop)?;
                self.drive(source, self.assembly.detect_stage()?.showing(showing()), &group, observer)
            }
            StageName::Score => {
                let source = source(&[&names.own("brand-partials")], LostOffsets::Stop)?;
                self.drive(source, self.assembly.score_stage()?.showing(showing()), &group, observer)
            }
        }
    }

    fn drive<T: Stage>(
        &self,
        source: KafkaSource,
        stage: T,
        group: &str,
        mut observer: Observer,
    ) -> Result<(), WorkerError> {
        let status = Arc::clone(observer.status());
        let name = format!("{group}-{}-{}", self.connection.instance, status.worker);
        let publishers = Counted::new(KafkaPublishers::new(&self.connection, &name), status);
        let mut worker = Worker::new(source, publishers, stage, SystemClock::new());
        while !self.stop.load(Ordering::Relaxed) || !is_settled(&worker) {
            let outcome = worker.step(STEP);
            observer.stepped(&mut worker, &outcome);
            match outcome {
                Ok(_) => {}
                Err(error) if error.is_passing() => {
                    if self.stop.load(Ordering::Relaxed) {
                        break;
                    }
                    thread::sleep(RETRY);
                }
                Err(error) => return Err(error),
            }
        }
        // The end does not wait for a log that fails: whoever comes next processes the same again.
        if observer.status().shown().failing.is_some() {
            return Ok(());
        }
        match worker.finish_work() {
            Err(error) if error.is_passing() => Ok(()),
            // Dropped, the source leaves its group at once, so that others take over.
            outcome => outcome,
        }
    }
}

/// Identity is joined on arrival, so all links that are there are read first.
fn load_links(route: &mut Route, records: Vec<Vec<Record>>, assembly: &Assembly, stop: &AtomicBool) {
    let mut decoder = assembly.source_decoder(Topic::IdentityLinks);
    for record in records.into_iter().flatten() {
        while decoder.waits_for(&record.value).is_some() {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            thread::sleep(SCHEMA_WAIT);
        }
        // What is neither link nor tombstone is a dead letter when the stage comes to it.
        match decoder.decode(&record.value) {
            Ok(RawRecord::Link(link)) => route.links.insert_from(link, record.from.partition),
            _ => {
                forget_device(&mut route.links, &record.as_ref());
            }
        }
    }
}
