//! Instances of the stages on the log in memory, which a test steps one at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use trustline::driver::assembly::Assembly;
use trustline::driver::clock::{Clock, WallTime};
use trustline::driver::stages::StageName;
use trustline::driver::stages::detect::DetectStage;
use trustline::driver::stages::route::RouteStage;
use trustline::driver::stages::score::ScoreStage;
use trustline::driver::worker::{Worker, WorkerError};
use trustline::event::kinds::Topic;
use trustline::fold::route::Route;
use trustline::log::TopicPartition;
use trustline::log::memory::{MemoryLog, MemoryPublishers, MemorySource};

use super::{EVENTS, OUTPUTS};

/// A generator of choices: SplitMix64.
pub struct Choices(pub u64);

impl Choices {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A clock that a test moves.
#[derive(Clone, Default)]
pub struct Scripted(Arc<AtomicI64>);

impl Scripted {
    pub fn advance(&self, ms: i64) {
        self.0.fetch_add(ms, Ordering::Relaxed);
    }
}

impl Clock for Scripted {
    fn now(&self) -> WallTime {
        WallTime(self.0.load(Ordering::Relaxed))
    }
}

/// A log with the source topics of persons' events, so many partitions each, and the own topics.
pub fn log(assembly: &Assembly, source_partitions: usize) -> MemoryLog {
    let own = &assembly.config().settings.own_topics;
    let mut topics: Vec<(String, usize)> =
        EVENTS.iter().map(|topic| (topic.symbol().to_owned(), source_partitions)).collect();
    topics.push(("t.person-events".to_owned(), own.person_partitions as usize));
    topics.push(("t.brand-partials".to_owned(), own.brand_partitions as usize));
    for name in OUTPUTS.iter().chain(&["brand-trust-latest", "brand-trust-live"]) {
        topics.push((format!("t.{name}"), 2));
    }
    let topics: Vec<(&str, usize)> = topics.iter().map(|(name, count)| (name.as_str(), *count)).collect();
    MemoryLog::new(&topics)
}

/// Whether so many records of a source, all that it has, were routed and committed.
pub fn is_routed(log: &MemoryLog, topic: Topic, partition: i32, records: usize) -> bool {
    let of = TopicPartition { topic: topic.symbol().into(), partition };
    log.position("route", &of).is_some_and(|position| position.next == records as i64)
}

type Of<T> = Worker<MemorySource, MemoryPublishers, T, Scripted>;

/// An instance of one stage.
pub enum Instance {
    Route(Box<Of<RouteStage>>),
    Detect(Box<Of<DetectStage>>),
    Score(Box<Of<ScoreStage>>),
}

impl Instance {
    /// Starts an instance whose steps go through `publishers`; `route` is the fold with the links it knows, `with`
    /// what is done to its source.
    pub fn start(
        stage: StageName,
        (log, clock, assembly): (&MemoryLog, &Scripted, &Assembly),
        route: Route,
        publishers: MemoryPublishers,
        with: impl FnOnce(MemorySource) -> MemorySource,
    ) -> Instance {
        let clock = clock.clone();
        match stage {
            StageName::Route => {
                let topics: Vec<&str> = EVENTS.iter().map(|topic| topic.symbol()).collect();
                let source = with(log.reader("route", &topics));
                let count = |topic: &Topic| log.records(topic.symbol()).len() as u32;
                let partitions = EVENTS.iter().map(|topic| (*topic, count(topic))).collect();
                let stage = assembly.route_stage(route, &partitions, clock.now());
                Instance::Route(Box::new(Worker::new(source, publishers, stage, clock)))
            }
            StageName::Detect => {
                let source = with(log.reader("detect", &["t.person-events"]));
                let stage = assembly.detect_stage().unwrap();
                Instance::Detect(Box::new(Worker::new(source, publishers, stage, clock)))
            }
            StageName::Score => {
                let source = with(log.reader("score", &["t.brand-partials"]));
                let stage = assembly.score_stage().unwrap();
                Instance::Score(Box::new(Worker::new(source, publishers, stage, clock)))
            }
        }
    }

    /// Makes one step; whether anything happened.
    pub fn step(&mut self) -> Result<bool, WorkerError> {
        match self {
            Instance::Route(worker) => worker.step(Duration::ZERO),
            Instance::Detect(worker) => worker.step(Duration::ZERO),
            Instance::Score(worker) => worker.step(Duration::ZERO),
        }
    }

    /// Leaves its group, as a process that dies does in the end; gives its stage.
    pub fn leave(&mut self) -> StageName {
        let (source, stage) = match self {
            Instance::Route(worker) => (worker.source_mut(), StageName::Route),
            Instance::Detect(worker) => (worker.source_mut(), StageName::Detect),
            Instance::Score(worker) => (worker.source_mut(), StageName::Score),
        };
        source.leave();
        stage
    }
}
