//! The whole pipeline on the log in memory, fed by the generator: what `trustline demo` shows.

pub mod finding;
pub mod traffic;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::event::kinds::Topic;
use crate::log::TopicPartition;
use crate::log::memory::{MemoryLog, MemoryPublishers, MemorySource};
use crate::synth::{Params, ParamsError};
use crate::telemetry::board::{Board, Showing};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::{LiveView, Progress};

use super::assembly::Assembly;
use super::clock::{Clock, WallTime};
use super::replay::ledger::Ledger;
use super::stages::detect::DetectStage;
use super::stages::route::RouteStage;
use super::stages::score::ScoreStage;
use super::stages::{Names, StageName};
use super::worker::{Stage, Worker, WorkerError};
use finding::Finding;
use traffic::{Span, Traffic};

/// The demo cannot begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The parameters make no sense.
    #[error("the parameters of the traffic make no sense")]
    Params(#[source] ParamsError),
    /// Without a story there is nothing to find.
    #[error("this traffic has no story")]
    NoStory,
    /// The system has no thread to give.
    #[error("the pipeline cannot be started")]
    Start(#[from] std::io::Error),
    /// A stage failed.
    #[error("a stage of the pipeline failed")]
    Stage(#[from] WorkerError),
}

/// A clock that shows event time: in the demo, records arrive when their own clock says so.
#[derive(Clone, Debug)]
struct StoryClock(Arc<Mutex<WallTime>>);

impl StoryClock {
    fn set(&self, now: i64) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = WallTime(now);
    }
}

impl Clock for StoryClock {
    fn now(&self) -> WallTime {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

type Of<T> = Worker<MemorySource, MemoryPublishers, T, StoryClock>;

/// The pipeline and what feeds it.
pub struct Demo {
    log: MemoryLog,
    names: Names,
    clock: StoryClock,
    route: Of<RouteStage>,
    detect: Of<DetectStage>,
    score: Of<ScoreStage>,
    traffic: Traffic,
    now: i64,
    board: Arc<Board>,
}

impl Demo {
    /// A demo that has not begun. `assembly` needs few partitions.
    ///
    /// # Errors
    /// When the parameters make no sense.
    pub fn new(
        assembly: &Assembly,
        params: &Params,
        metrics: Metrics,
        view: Arc<Mutex<LiveView>>,
    ) -> Result<Demo, DemoError> {
        let traffic = Traffic::new(params)?;
        let board = Arc::new(Board::new(view, metrics));
        board.seat(Box::new(Finding::new(&traffic)));
        let showing = || Showing::on(Arc::clone(&board));
        let names = assembly.names();
        let log = new_log(assembly, &names);
        let now = traffic.span().start;
        let clock = StoryClock(Arc::new(Mutex::new(WallTime(now))));
        let sources: Vec<&str> = Topic::ALL.iter().map(|topic| names.source(*topic)).collect();
        let partitions: BTreeMap<Topic, u32> = Topic::ALL.iter().map(|topic| (*topic, 1)).collect();
        let route = assembly.route_stage(assembly.route(), &partitions, clock.now());
        let own = |name: &str| log.reader(name, &[&names.own(name)]);
        Ok(Demo {
            route: Worker::new(log.reader("route", &sources), no_faults(&log, "route"), route, clock.clone()),
            detect: Worker::new(
                own("person-events"),
                no_faults(&log, "detect"),
                assembly.detect_stage()?.showing(showing()),
                clock.clone(),
            ),
            score: Worker::new(
                own("brand-partials"),
                no_faults(&log, "score"),
                assembly.score_stage()?.showing(showing()),
                clock.clone(),
            ),
            log,
            names,
            clock,
            traffic,
            now,
            board,
        })
    }

    /// Times of the story.
    pub fn span(&self) -> Span {
        self.traffic.span()
    }

    /// Lets time pass up to an instant: records arrive, and all stages work them off.
    ///
    /// # Errors
    /// When a stage or the log fails.
    pub fn advance(&mut self, to: i64) -> Result<(), DemoError> {
        self.now = to.min(self.span().end);
        let Demo { traffic, log, names, .. } = self;
        let Ok(()) = traffic.send_up_to(self.now, |sent| {
            log.append(names.source(sent.topic), 0, sent.time, sent.value);
            Ok::<(), Infallible>(())
        });
        self.clock.set(self.now);
        while self.route.step(Duration::ZERO)? {}
        while self.detect.step(Duration::ZERO)? {}
        while self.score.step(Duration::ZERO)? {}
        self.account();
        self.forget();
        Ok(())
    }

    /// What became of the records so far: what `route` passed on is what `detect` made of it.
    fn ledger(&self, progress: &mut Progress) -> Ledger {
        let folds = || self.detect.stage().partitions().values();
        progress.frontier = folds().map(|fold| fold.frontier()).min().flatten();
        let mut ledger = Ledger::default();
        for topic in Topic::ALL.iter().copied() {
            let of = TopicPartition { topic: self.names.source(topic).into(), partition: 0 };
            let gauges = self.route.stage().gauges(&of);
            let account = ledger.of(topic);
            gauges.accounts.iter().for_each(|(_, routed)| account.add(routed));
            if topic.is_person_events() {
                progress.newest_event = progress.newest_event.max(gauges.newest_event);
                account.applied = 0;
            }
            for tally in folds().map(|fold| fold.detect().tally(topic)) {
                account.applied += tally.applied;
                account.duplicate += tally.duplicate;
                account.erased += tally.erased;
            }
        }
        ledger
    }

    fn account(&self) {
        let mut progress = Progress::default();
        for (topic, account) in &self.ledger(&mut progress).accounts {
            progress.read += account.read;
            progress.applied += account.applied;
            progress.dead_lettered += account.dead_lettered;
            progress.late += account.too_late;
            self.board.metrics().account(topic, account);
        }
        self.board.progress(progress, Vec::new());
    }

    /// What was read by everyone goes: the log need not grow with the story.
    fn forget(&self) {
        for topic in all_topics(&self.names) {
            if self.names.source_of(&topic).is_some() {
                // A source that waits for others has not read all of it.
                self.log.forget(&topic, "route");
            } else {
                self.log.retain(&topic, 0);
            }
        }
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("now", &self.now).finish_non_exhaustive()
    }
}

/// The source topics and what the stages write.
fn all_topics(names: &Names) -> impl Iterator<Item = Arc<str>> {
    let own = StageName::ALL.iter().flat_map(|stage| stage.outputs()).map(|name| names.own(name));
    Topic::ALL.iter().map(|topic| Arc::from(names.source(*topic))).chain(own)
}

fn new_log(assembly: &Assembly, names: &Names) -> MemoryLog {
    let own = &assembly.config().settings.own_topics;
    let mut topics: BTreeMap<Arc<str>, usize> = all_topics(names).map(|topic| (topic, 1)).collect();
    for (name, count) in [("person-events", own.person_partitions), ("brand-partials", own.brand_partitions)]
    {
        topics.insert(names.own(name), usize::try_from(count).unwrap_or(1));
    }
    let topics: Vec<(&str, usize)> = topics.iter().map(|(name, count)| (&**name, *count)).collect();
    MemoryLog::new(&topics)
}

fn no_faults(log: &MemoryLog, name: &str) -> MemoryPublishers {
    log.publishers(name, |_| None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Input};
    use crate::time::HOUR_MS;

    #[test]
    fn at_the_end_every_record_is_accounted_for_and_the_log_is_empty() {
        let text = "[own_topics]\nperson_partitions = 2\nbrand_partitions = 1\n";
        let config = Config::load(&Input::text(text)).unwrap();
        let assembly = Assembly::new(config, crate::identity::PseudonymKey::test_key());
        let params = Params { persons: 1_500, days: 4, ..Params::default() };
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let view = Arc::new(Mutex::new(LiveView::default()));
        let mut demo = Demo::new(&assembly, &params, metrics, Arc::clone(&view)).unwrap();
        while demo.now < demo.span().end {
            demo.advance(demo.now + HOUR_MS).unwrap();
        }
        let ledger = demo.ledger(&mut Progress::default());
        let unbalanced: Vec<_> = ledger.unbalanced().collect();
        assert!(unbalanced.is_empty(), "{unbalanced:?}");
        let progress = view.lock().unwrap().progress;
        let fed: u64 = Topic::ALL
            .iter()
            .map(|topic| {
                demo.log.position("route", &partition(demo.names.source(*topic))).unwrap().next as u64
            })
            .sum();
        assert_eq!(progress.read, fed);
        assert!(progress.late > 0 && progress.dead_lettered > 0, "{progress:?}");
        let kept = all_topics(&demo.names).map(|topic| demo.log.records(&topic).concat().len());
        assert_eq!(kept.sum::<usize>(), 0);
        let banners = view.lock().unwrap().banners.join(" ");
        assert!(
            banners.contains("Planted bad: campaign brand-000-c4") && banners.contains("Found: "),
            "{banners}"
        );
    }

    fn partition(topic: &str) -> TopicPartition {
        TopicPartition { topic: topic.into(), partition: 0 }
    }
}
