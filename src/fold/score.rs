//! The fold of `score`: one partition of the brand partials to metrics and alerts.
//!
//! `detect` sends cumulative counts per (brand, window) at every mark that its frontier passes, then
//! its frontier. A mark or a window is published once every detect partition has passed it, so that
//! what is published depends on the log only.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::counts::{Counts, PersonDays, PipelineCounts};
use crate::event::output::{BrandTrust, PatternTrust, TrustAlert};
use crate::event::raw::RawIncident;
use crate::patterns::Pattern;
use crate::score::alert::{AlertWindow, data_incomplete, opt_out_surge, score_drop};
use crate::score::completeness::{Completeness, IncompleteRun, RunChange, readable_share};
use crate::score::drop::{AlarmState, Bad, Chart, Judged, ScoreDrop, Verdict};
use crate::score::incidents::Incidents;
use crate::score::outcomes::add_days;
use crate::score::records::{Known, Outcome, age, opt_outs};
use crate::score::settings::ScoreSettings;
use crate::score::trust::{Estimate, Experience, PER_PEOPLE, Z_95};
pub use crate::score::windows::Mark;
use crate::score::windows::{OpenWindow, WindowKey};
use crate::time::{DAY_MS, EventTime, WindowLength};

/// Version of this fold: raised when the same log gives another state or output, or the state another form.
pub const FOLD_VERSION: u32 = 1;

/// Days without a published window after which a brand's baselines and outcomes are forgotten.
pub const BRAND_MEMORY_DAYS: i64 = 730;

/// What a step of the fold publishes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreOut {
    /// Records of closed windows, in the order of windows.
    pub brand_trust: Vec<BrandTrust>,
    /// Their patterns, in the order of windows, then of patterns.
    pub pattern_trust: Vec<PatternTrust>,
    /// Changes of alerts.
    pub alerts: Vec<TrustAlert>,
    /// Records of open windows.
    pub live: Vec<BrandTrust>,
}

/// What is remembered of a brand beside its open windows and incidents.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrandState {
    /// Person-days of the last days, by start of the day.
    pub outcomes: BTreeMap<EventTime, [PersonDays; Pattern::COUNT]>,
    /// Baselines and alarms, by window length.
    pub charts: BTreeMap<WindowLength, Charts>,
    /// Incomplete hours in a row.
    pub incomplete: IncompleteRun,
    /// End of the last published window.
    pub published: Option<EventTime>,
}

/// The charts of one (brand, window length).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Charts {
    /// Contributions.
    pub drop: ScoreDrop,
    /// Opt-outs.
    pub surge: Chart,
}

/// The state of the fold: plain data.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreState {
    /// Frontier of each detect partition.
    pub frontiers: BTreeMap<u32, EventTime>,
    /// Detect partitions in all; 0 before the first frontier.
    pub partitions: u32,
    /// Newest event time that `detect` has seen.
    pub newest: Option<EventTime>,
    /// Open windows, in the order of publication.
    pub windows: BTreeMap<WindowKey, OpenWindow>,
    /// Windows that end here or before are published.
    pub published_until: EventTime,
    /// By brand.
    pub brands: BTreeMap<String, BrandState>,
    /// Incidents.
    pub incidents: Incidents,
    /// Hours in a row in which the pipeline's records were unreadable.
    pub pipeline: IncompleteRun,
    /// Day up to which what is no longer needed was forgotten.
    pub cleaned: EventTime,
    /// Counts that came for windows already published, hence not counted.
    pub stale: u64,
}

impl Default for ScoreState {
    fn default() -> Self {
        ScoreState {
            frontiers: BTreeMap::new(),
            partitions: 0,
            newest: None,
            windows: BTreeMap::new(),
            published_until: EventTime(i64::MIN),
            brands: BTreeMap::new(),
            incidents: Incidents::default(),
            pipeline: IncompleteRun::default(),
            cleaned: EventTime(i64::MIN),
            stale: 0,
        }
    }
}

/// The fold of one partition.
#[derive(Clone, Debug)]
pub struct Score {
    settings: Arc<ScoreSettings>,
    state: ScoreState,
}

impl Score {
    /// A fold at the beginning of its log.
    pub fn new(settings: Arc<ScoreSettings>) -> Score {
        Score::resume(settings, ScoreState::default())
    }

    /// A fold that goes on from a state.
    pub fn resume(settings: Arc<ScoreSettings>, state: ScoreState) -> Score {
        Score { settings, state }
    }

    /// The state, for a snapshot.
    pub fn state(&self) -> &ScoreState {
        &self.state
    }

    /// Takes a record of `brand-incidents` in. Records may come in any order and more than once;
    /// `encoding` is the record's Avro encoding, which decides ties.
    pub fn incident(&mut self, incident: &RawIncident, encoding: &[u8]) {
        self.state.incidents.add(incident, encoding);
    }

    /// Takes the cumulative counts in that a detect partition has for a (brand, window) at a mark.
    pub fn counts(
        &mut self,
        partition: u32,
        brand: &str,
        length: WindowLength,
        start: EventTime,
        mark: Mark,
        counts: &Counts,
    ) {
        if mark != Mark::Closed && !self.settings.provisional {
            return;
        }
        let Some(window) = self.open_window(length, start) else { return };
        if !window.brands.contains_key(brand) {
            window.brands.insert(brand.to_owned(), Default::default());
        }
        if let Some(of_brand) = window.brands.get_mut(brand) {
            of_brand.partitions.entry(partition).or_default().marks.insert(mark, counts.clone());
        }
    }

    /// Takes the cumulative counts of all records in that a detect partition has for a window.
    pub fn pipeline(
        &mut self,
        partition: u32,
        length: WindowLength,
        start: EventTime,
        mark: Mark,
        counts: PipelineCounts,
    ) {
        if mark != Mark::Closed && !self.settings.provisional {
            return;
        }
        let Some(window) = self.open_window(length, start) else { return };
        window.pipeline.entry(partition).or_default().marks.insert(mark, counts);
    }

    /// Notes that a detect partition cannot count a window fully: its state began within it, or a
    /// source was given up.
    pub fn incomplete(&mut self, partition: u32, length: WindowLength, start: EventTime) {
        if let Some(window) = self.open_window(length, start) {
            window.incomplete.insert(partition);
        }
    }

    /// Notes the newest event time that a detect partition has seen (`replay` does not).
    pub fn newest(&mut self, newest: EventTime) {
        self.state.newest = self.state.newest.max(Some(newest));
    }

    /// Takes the frontier of a detect partition in, after the counts of what it passed.
    pub fn frontier(&mut self, partition: u32, frontier: EventTime, partitions: u32) {
        let standing = self.state.frontiers.entry(partition).or_insert(frontier);
        *standing = frontier.max(*standing);
        self.state.partitions = self.state.partitions.max(partitions);
    }

    /// Publishes what all detect partitions have passed: incidents up to and including the least
    /// frontier, provisional marks, and closed windows.
    ///
    /// To be called after each record of the log, so that what a window knows of incidents does not
    /// depend on how records were fetched.
    pub fn advance(&mut self, out: &mut ScoreOut) {
        let Some(frontier) = self.least_frontier() else { return };
        self.state.incidents.fire(&self.settings.rules.brand_layer, frontier, &mut out.alerts);
        if self.settings.provisional {
            self.publish_marks(frontier, out);
        }
        self.close_windows(frontier, frontier, out);
        self.forget(frontier);
    }

    /// The end of a `replay`: closes every open window. Timers past the frontier do not fire.
    pub fn finish(&mut self, out: &mut ScoreOut) {
        self.advance(out);
        let frontier = self.least_frontier().unwrap_or(self.state.published_until);
        self.close_windows(EventTime(i64::MAX), frontier, out);
    }

    /// The least frontier; `None` until every detect partition has one.
    pub fn least_frontier(&self) -> Option<EventTime> {
        let known = u32::try_from(self.state.frontiers.len()).unwrap_or(u32::MAX);
        if known < self.state.partitions {
            return None;
        }
        self.state.frontiers.values().min().copied()
    }

    /// The open window, or `None` for one that is published: what comes for it is counted only.
    fn open_window(&mut self, length: WindowLength, start: EventTime) -> Option<&mut OpenWindow> {
        let key = WindowKey::starting(start, length);
        if key.end <= self.state.published_until {
            self.state.stale += 1;
            return None;
        }
        Some(self.state.windows.entry(key).or_default())
    }

    fn publish_marks(&mut self, frontier: EventTime, out: &mut ScoreOut) {
        let Score { settings, state } = self;
        for (key, window) in &mut state.windows {
            while let Some(at) = key.mark_at(window.next_mark).filter(|at| *at <= frontier) {
                let mark = Mark::Provisional(window.next_mark);
                let totals = Totals::of(window, mark, state.partitions, None);
                for (brand, of_brand) in &mut window.brands {
                    let counts = of_brand.total(mark);
                    if !is_published(&counts) {
                        continue;
                    }
                    of_brand.revision += 1;
                    let layer = state.incidents.layer(&settings.rules.brand_layer, brand, at);
                    let known = totals.known(settings, brand, *key, of_brand.revision, counts, layer);
                    out.live.push(known.provisional_record());
                }
                window.pass_mark();
            }
        }
    }

    /// Publishes the windows that end at `until` or before.
    fn close_windows(&mut self, until: EventTime, frontier: EventTime, out: &mut ScoreOut) {
        while self.state.windows.first_key_value().is_some_and(|(key, _)| key.end <= until) {
            let Some((key, window)) = self.state.windows.pop_first() else { return };
            self.close(key, &window, frontier, out);
        }
        self.state.published_until = self.state.published_until.max(until);
    }

    fn close(&mut self, key: WindowKey, window: &OpenWindow, frontier: EventTime, out: &mut ScoreOut) {
        let Score { settings, state } = self;
        let totals = Totals::of(window, Mark::Closed, state.partitions, age(state.newest, frontier));
        if settings.reports_pipeline && key.length == WindowLength::HOUR && totals.pipeline.records > 0 {
            let share = readable_share(&totals.pipeline);
            judge_completeness(settings, &mut state.pipeline, None, key, share, out);
        }
        for (brand, of_brand) in &window.brands {
            let counts = of_brand.total(Mark::Closed);
            if !is_published(&counts) {
                continue;
            }
            let layer = state.incidents.layer(&settings.rules.brand_layer, brand, key.end);
            let known = totals.known(settings, brand, key, of_brand.revision + 1, counts, layer);
            if !state.brands.contains_key(brand) {
                state.brands.insert(brand.clone(), BrandState::default());
            }
            if let Some(brand_state) = state.brands.get_mut(brand) {
                brand_state.publish(&known, out);
            }
        }
    }

    /// Once a day: drops what nothing can read any more.
    fn forget(&mut self, frontier: EventTime) {
        let today = frontier.window_start(DAY_MS);
        if today <= self.state.cleaned {
            return;
        }
        self.state.cleaned = today;
        self.state.incidents.forget(&self.settings.rules.brand_layer, frontier);
        let oldest = EventTime(frontier.0.saturating_sub(BRAND_MEMORY_DAYS * DAY_MS));
        self.state.brands.retain(|_, brand| brand.published >= Some(oldest));
    }
}

/// A window is published when an event of the brand was applied in it or a request matured in it.
fn is_published(counts: &Counts) -> bool {
    counts.applied > 0 || counts.matured > 0
}

/// What all brands of a window share.
struct Totals {
    pipeline: PipelineCounts,
    incomplete: u32,
    partitions: u32,
    frontier_age_ms: Option<i64>,
}

impl Totals {
    fn of(window: &OpenWindow, mark: Mark, partitions: u32, frontier_age_ms: Option<i64>) -> Totals {
        Totals {
            pipeline: window.pipeline_total(mark),
            incomplete: u32::try_from(window.incomplete.len()).unwrap_or(u32::MAX),
            partitions,
            frontier_age_ms,
        }
    }

    fn known<'a>(
        &self,
        settings: &'a ScoreSettings,
        brand: &'a str,
        window: WindowKey,
        revision: i32,
        counts: Counts,
        brand_layer: f64,
    ) -> Known<'a> {
        let weights = settings.weights.of(brand);
        Known {
            settings,
            brand,
            window,
            revision,
            pipeline: self.pipeline,
            completeness: Completeness::of(&counts, &self.pipeline, self.incomplete, self.partitions),
            brand_layer,
            frontier_age_ms: self.frontier_age_ms,
            experience: Experience::of(&settings.rules, window.length, &counts, weights),
            counts,
        }
    }
}

impl BrandState {
    fn publish(&mut self, known: &Known<'_>, out: &mut ScoreOut) {
        self.published = self.published.max(Some(known.window.end));
        let outcomes = known.window.length.is_day().then(|| self.outcomes_with(known));
        out.brand_trust.push(known.final_record());
        out.pattern_trust.extend(known.pattern_records(outcomes.as_ref()));
        if known.window.length == WindowLength::HOUR {
            let (settings, own) = (known.settings, known.completeness.own);
            judge_completeness(settings, &mut self.incomplete, Some(known.brand), known.window, own, out);
        }
        let complete = known.completeness.total() >= known.settings.rules.drops.completeness_min;
        if let Some(experience) = known.experience.as_ref().filter(|_| complete) {
            self.charts.entry(known.window.length).or_default().step(known, experience, &mut out.alerts);
        }
    }

    /// The outcomes of the day and of those before it. Days with insufficient data enter the sums.
    fn outcomes_with(&mut self, known: &Known<'_>) -> [Outcome; Pattern::COUNT] {
        let today = known.window.start();
        let days = i64::from(known.settings.rules.outcome_days.max(1));
        let first = EventTime(today.0 - (days - 1) * DAY_MS);
        self.outcomes = self.outcomes.split_off(&first);
        self.outcomes.insert(today, known.counts.patterns.map(|pattern| pattern.days));
        let mut outcomes =
            known.counts.patterns.map(|pattern| Outcome { day: pattern.days, ..Outcome::default() });
        for day in self.outcomes.range(first..=today).map(|(_, day)| day) {
            for (outcome, days) in outcomes.iter_mut().zip(day) {
                add_days(&mut outcome.month, days);
            }
        }
        outcomes
    }
}

impl Charts {
    fn step(&mut self, known: &Known<'_>, experience: &Experience, alerts: &mut Vec<TrustAlert>) {
        let rules = &known.settings.rules;
        let judged = Judged { length: known.window.length, start: known.window.start() };
        let about =
            AlertWindow { brand: Some(known.brand), length: known.window.length, end: known.window.end };
        let contributions = experience.patterns.map(|pattern| pattern.map(|pattern| pattern.contribution));
        if let Some(drop) = self.drop.step(&rules.drops, judged, &contributions) {
            let half = Z_95 * libm::sqrt(experience.variance);
            let value = Estimate { value: drop.value, low: drop.value - half, high: drop.value + half };
            alerts.push(score_drop(about, &drop.change, value, &drop.movers));
        }
        let share = opt_outs(rules, &known.counts);
        let value = PER_PEOPLE * share.mean();
        if let Verdict::Judged(Some(change)) = self.surge.step(&rules.drops, Bad::Rise, judged, value) {
            let (low, high) = share.interval();
            let value = Estimate { value, low: PER_PEOPLE * low, high: PER_PEOPLE * high };
            alerts.push(opt_out_surge(about, &change, value));
        }
    }
}

fn judge_completeness(
    settings: &ScoreSettings,
    run: &mut IncompleteRun,
    brand: Option<&str>,
    key: WindowKey,
    share: f64,
    out: &mut ScoreOut,
) {
    let Some(change) = run.step(&settings.rules, key.start(), share) else { return };
    let (state, since) = match change {
        RunChange::Opened { since } => (AlarmState::Open, since),
        RunChange::Resolved { since } => (AlarmState::Resolved, since),
    };
    let about = AlertWindow { brand, length: key.length, end: key.end };
    out.alerts.push(data_incomplete(about, state, since, share));
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
