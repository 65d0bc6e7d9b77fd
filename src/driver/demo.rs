//! The whole pipeline on the log in memory, fed by the generator: what `trustline demo` shows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde::de::DeserializeOwned;

use crate::event::kinds::Topic;
use crate::event::output::{BrandTrust, TrustMoment};
use crate::log::memory::{MemoryLog, MemoryPublishers, MemorySource};
use crate::log::{Inbound, LogError, RecordRef, Records, Source, TopicPartition};
use crate::synth::write::{json_line, topic_of};
use crate::synth::{Arrival, Arrivals, Generator, Params, ParamsError, Story};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::{LiveView, Progress};
use crate::time::HOUR_MS;

use super::assembly::Assembly;
use super::clock::{Clock, WallTime};
use super::replay::ledger::Ledger;
use super::stages::Names;
use super::stages::detect::DetectStage;
use super::stages::route::RouteStage;
use super::stages::score::ScoreStage;
use super::worker::{Worker, WorkerError};

/// Share of events that arrive late, twice or damaged.
const DIRT: f64 = 0.004;
/// How long the clock goes on after the last record, so that the last windows close.
const AFTERMATH_MS: i64 = 3 * HOUR_MS;
/// How long before its campaign turns bad the story becomes worth watching.
const PRELUDE_MS: i64 = 4 * HOUR_MS;

/// Moments of its patterns without which the planted campaign does not count as found,
const FOUND_MOMENTS: u64 = 10;
/// and how much more often than before it they must come.
const FOUND_RATIO: f64 = 5.0;

/// The topics that are read back.
const OUTPUTS: [&str; 7] =
    ["moments", "brand-trust", "brand-trust-live", "pattern-trust", "alerts", "late-events", "dead-letters"];

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
    /// An output could not be read.
    #[error("the outputs cannot be read")]
    Outputs(#[from] LogError),
    /// An output is not what it should be.
    #[error("a record of {topic} cannot be read")]
    Output {
        /// The topic.
        topic: String,
        /// Why.
        source: serde_json::Error,
    },
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

/// What was found of the planted campaign.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Found {
    /// Moments of its patterns at its brand, from before it turned bad.
    pub before: u64,
    /// The same, from after.
    pub since: u64,
    /// When the alert of the brand's drop came, milliseconds of event time.
    pub alert_at: Option<i64>,
}

/// The pipeline and what feeds it.
pub struct Demo {
    log: MemoryLog,
    names: Names,
    clock: StoryClock,
    route: Of<RouteStage>,
    detect: Of<DetectStage>,
    score: Of<ScoreStage>,
    outputs: MemorySource,
    arrivals: Arrivals,
    upcoming: Option<Arrival>,
    story: Story,
    start: i64,
    end: i64,
    now: i64,
    ledger: Ledger,
    newest_event: Option<i64>,
    found: Found,
    metrics: Metrics,
    view: Arc<Mutex<LiveView>>,
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
        let generator = Generator::new(params).map_err(DemoError::Params)?;
        let story = generator.story().cloned().ok_or(DemoError::NoStory)?;
        let mut arrivals = Arrivals::new(generator, params.seed, DIRT);
        let upcoming = arrivals.next();
        let names = assembly.names();
        let log = new_log(assembly, &names);
        let start = params.start.0;
        let clock = StoryClock(Arc::new(Mutex::new(WallTime(start))));
        let sources: Vec<&str> = Topic::ALL.iter().map(|topic| names.source(*topic)).collect();
        let partitions: BTreeMap<Topic, u32> = Topic::ALL.iter().map(|topic| (*topic, 1)).collect();
        let route = assembly.route_stage(assembly.route(), &partitions, clock.now());
        let outputs = OUTPUTS.map(|name| names.own(name));
        Ok(Demo {
            route: Worker::new(log.reader("route", &sources), no_faults(&log, "route"), route, clock.clone()),
            detect: Worker::new(
                log.reader("detect", &[&names.own("person-events")]),
                no_faults(&log, "detect"),
                assembly.detect_stage()?,
                clock.clone(),
            ),
            score: Worker::new(
                log.reader("score", &[&names.own("brand-partials")]),
                no_faults(&log, "score"),
                assembly.score_stage()?,
                clock.clone(),
            ),
            outputs: log.reader("demo", &outputs.each_ref().map(|name| &**name)),
            log,
            names,
            clock,
            arrivals,
            upcoming,
            story,
            start,
            end: params.end().0 + AFTERMATH_MS,
            now: start,
            ledger: Ledger::default(),
            newest_event: None,
            found: Found::default(),
            metrics,
            view,
        })
    }

    /// The planted story.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// From when on the story is worth watching: shortly before its campaign turns bad.
    pub fn prelude(&self) -> i64 {
        (self.story.since.0 - PRELUDE_MS).max(self.start)
    }

    /// Event time now, milliseconds.
    pub fn now(&self) -> i64 {
        self.now
    }

    /// Whether the story is over and all its windows are closed.
    pub fn is_over(&self) -> bool {
        self.now >= self.end
    }

    /// What was found of the planted campaign.
    pub fn found(&self) -> Found {
        self.found
    }

    /// Lets time pass up to an instant: records arrive, all stages work them off, outputs are read back.
    ///
    /// # Errors
    /// When a stage or the log fails.
    pub fn advance(&mut self, to: i64) -> Result<(), DemoError> {
        self.now = to.min(self.end);
        self.feed();
        self.clock.set(self.now);
        while self.route.step(Duration::ZERO)? {}
        while self.detect.step(Duration::ZERO)? {}
        while self.score.step(Duration::ZERO)? {}
        self.read_back()?;
        self.account();
        self.forget();
        Ok(())
    }

    fn feed(&mut self) {
        let mut line = Vec::new();
        while let Some(arrival) = self.upcoming.take_if(|arrival| arrival.time <= self.now) {
            let topic = topic_of(&arrival.record);
            line.clear();
            json_line(&arrival, &mut line);
            self.log.append(self.names.source(topic), 0, arrival.time, &line);
            let account = self.ledger.of(topic);
            account.read += 1;
            if topic.is_person_events() {
                self.newest_event = self.newest_event.max(Some(arrival.record.time()));
            } else {
                // The generator damages events only: what is none is taken in as soon as it is read.
                account.applied += 1;
            }
            self.upcoming = self.arrivals.next();
        }
        // Labels are for measuring detectors; here they would only pile up.
        self.arrivals.generator().take_labels();
    }

    fn read_back(&mut self) -> Result<(), DemoError> {
        loop {
            match self.outputs.next(Duration::ZERO)? {
                Inbound::Records(from, mut records) => {
                    while let Some(record) = records.next() {
                        self.output(&from, &record)?;
                    }
                }
                Inbound::Assigned(partitions) => {
                    for (of, _) in partitions {
                        self.outputs.read_from(&of, None)?;
                    }
                }
                Inbound::Nothing => return Ok(()),
                Inbound::Revoked(_) => {}
            }
        }
    }

    fn output(&mut self, from: &TopicPartition, record: &RecordRef<'_>) -> Result<(), DemoError> {
        let view = Arc::clone(&self.view);
        let mut view = view.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = &from.topic;
        let Some(name) = OUTPUTS.into_iter().find(|name| self.names.own(name) == *topic) else {
            return Ok(());
        };
        match name {
            "moments" => {
                let moment: TrustMoment = parse(topic, record)?;
                self.metrics.moment(&moment);
                self.look_at(&moment);
                view.on_moment(&moment);
            }
            "brand-trust" => {
                let window: BrandTrust = parse(topic, record)?;
                self.metrics.brand_trust(&window);
                view.on_brand_trust(&window);
            }
            "brand-trust-live" => view.on_brand_trust(&parse(topic, record)?),
            "pattern-trust" => view.on_pattern_trust(&parse(topic, record)?),
            "alerts" => {
                let alert = parse(topic, record)?;
                self.metrics.alert(&alert);
                let is_the_drop = alert.kind == "SCORE_DROP"
                    && alert.state == "OPEN"
                    && alert.brand_id.as_ref() == Some(&self.story.brand_id)
                    && alert.at >= self.story.since.0;
                if is_the_drop {
                    self.found.alert_at = self.found.alert_at.or(Some(alert.at));
                }
                view.on_alert(&alert);
            }
            late_or_dead => self.set_aside(late_or_dead, record),
        }
        Ok(())
    }

    fn look_at(&mut self, moment: &TrustMoment) {
        let planted = moment.brand_id == self.story.brand_id
            && self.story.patterns.contains(&moment.pattern.as_str())
            && moment.revision == 1;
        if planted && moment.opened_time >= self.story.since.0 {
            self.found.since += 1;
        } else if planted {
            self.found.before += 1;
        }
    }

    fn set_aside(&mut self, name: &str, record: &RecordRef<'_>) {
        let header = record.headers.headers().into_iter().find(|(name, _)| name == "trustline.topic");
        let source = header.and_then(|(_, value)| String::from_utf8(value).ok());
        let Some(topic) = source.and_then(|source| self.names.source_of(&source)) else { return };
        let account = self.ledger.of(topic);
        match name {
            "late-events" => account.too_late += 1,
            _ => account.dead_lettered += 1,
        }
    }

    fn account(&mut self) {
        let folds = || self.detect.stage().partitions().values();
        for topic in Topic::ALL.iter().filter(|topic| topic.is_person_events()) {
            let account = self.ledger.of(*topic);
            (account.applied, account.duplicate, account.erased) = (0, 0, 0);
            for tally in folds().map(|fold| fold.detect().tally(*topic)) {
                account.applied += tally.applied;
                account.duplicate += tally.duplicate;
                account.erased += tally.erased;
            }
        }
        let mut progress = Progress {
            frontier: folds().map(|fold| fold.frontier()).min().flatten(),
            newest_event: self.newest_event,
            ..Progress::default()
        };
        for (topic, account) in &self.ledger.accounts {
            progress.read += account.read;
            progress.applied += account.applied;
            progress.dead_lettered += account.dead_lettered;
            progress.late += account.too_late;
            self.metrics.account(topic, account);
        }
        self.metrics.progress(&progress);
        let mut view = self.view.lock().unwrap_or_else(PoisonError::into_inner);
        view.progress(progress);
        view.banners = self.banners();
    }

    /// Everything was read by everyone: the log need not grow with the story.
    fn forget(&self) {
        let own = ["person-events", "brand-partials", "brand-trust-latest"];
        for name in OUTPUTS.into_iter().chain(own) {
            self.log.retain(&self.names.own(name), 0);
        }
        for topic in Topic::ALL {
            self.log.retain(self.names.source(*topic), 0);
        }
    }

    fn banners(&self) -> Vec<String> {
        let Story { brand_id, campaign_id, since, .. } = &self.story;
        let patterns = self.story.patterns.map(|pattern| pattern.replace('_', " ")).join(" and ");
        let planted = format!(
            "Planted bad: campaign {campaign_id} of {brand_id} from {} on, with {patterns}.",
            clock_text(since.0)
        );
        vec![planted, self.finding()]
    }

    /// Whether the moments since the turn are many, and far more often than before.
    fn is_found(&self) -> bool {
        let rate = |count: u64, ms: i64| count as f64 / ms.max(1) as f64;
        let turned = self.story.since.0;
        let (before, since) =
            (rate(self.found.before, turned - self.start), rate(self.found.since, self.now - turned));
        self.found.since >= FOUND_MOMENTS && since > FOUND_RATIO * before
    }

    fn finding(&self) -> String {
        let Found { before, since, alert_at } = self.found;
        let (turned, hours) = (self.story.since.0, |ms: i64| ms as f64 / HOUR_MS as f64);
        if !self.is_found() {
            let now = clock_text(self.now);
            return format!("Not found yet: it is {now} there, {since} moments of these patterns since.");
        }
        let moments = format!(
            "Found: {since} moments of these patterns in {:.1} h, after {before} in the {:.0} h before",
            hours(self.now - turned),
            hours(turned - self.start)
        );
        match alert_at {
            Some(at) => {
                format!("{moments}; the alert of the drop came {:.0} h after the turn.", hours(at - turned))
            }
            None => format!("{moments}; no alert of a drop yet."),
        }
    }
}

impl std::fmt::Debug for Demo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Demo").field("now", &self.now).finish_non_exhaustive()
    }
}

/// An instant as text, to the minute.
pub fn clock_text(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M UTC").to_string(),
        Err(_) => ms.to_string(),
    }
}

fn new_log(assembly: &Assembly, names: &Names) -> MemoryLog {
    let own = &assembly.config().settings.own_topics;
    let count = |partitions: i32| usize::try_from(partitions).unwrap_or(1);
    let mut topics: Vec<(Arc<str>, usize)> =
        Topic::ALL.iter().map(|topic| (Arc::from(names.source(*topic)), 1)).collect();
    topics.push((names.own("person-events"), count(own.person_partitions)));
    topics.push((names.own("brand-partials"), count(own.brand_partitions)));
    topics.extend(
        OUTPUTS
            .into_iter()
            .chain(["brand-trust-latest", "erasure-receipts"])
            .map(|name| (names.own(name), 1)),
    );
    let topics: Vec<(&str, usize)> = topics.iter().map(|(name, count)| (&**name, *count)).collect();
    MemoryLog::new(&topics)
}

fn no_faults(log: &MemoryLog, name: &str) -> MemoryPublishers {
    log.publishers(name, |_| None)
}

fn parse<T: DeserializeOwned>(topic: &str, record: &RecordRef<'_>) -> Result<T, DemoError> {
    serde_json::from_slice(record.value)
        .map_err(|source| DemoError::Output { topic: topic.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Input};

    #[test]
    fn at_the_end_every_record_is_accounted_for_and_the_log_is_empty() {
        let text = "[own_topics]\nperson_partitions = 2\nbrand_partitions = 1\n";
        let config = Config::load(&Input::text(text)).unwrap();
        let assembly = Assembly::new(config, crate::identity::PseudonymKey::test_key());
        let params = Params { persons: 1_500, days: 4, ..Params::default() };
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let view = Arc::new(Mutex::new(LiveView::default()));
        let mut demo = Demo::new(&assembly, &params, metrics, Arc::clone(&view)).unwrap();
        while !demo.is_over() {
            demo.advance(demo.now() + HOUR_MS).unwrap();
        }
        let unbalanced: Vec<_> = demo.ledger.unbalanced().collect();
        assert!(unbalanced.is_empty(), "{unbalanced:?}");
        let progress = view.lock().unwrap().progress;
        assert!(progress.late > 0 && progress.dead_lettered > 0, "{progress:?}");
        assert!(demo.is_found(), "{:?}", demo.found());
        let kept = Topic::ALL.iter().map(|topic| demo.log.records(demo.names.source(*topic)).concat().len());
        assert_eq!(kept.sum::<usize>(), 0);
        assert_eq!(demo.log.records(&demo.names.own("person-events")).concat().len(), 0);
        let banners = view.lock().unwrap().banners.join(" ");
        assert!(
            banners.contains("Planted bad: campaign brand-000-c4") && banners.contains("Found: "),
            "{banners}"
        );
    }
}
