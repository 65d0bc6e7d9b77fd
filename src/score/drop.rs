//! Drop detection: a cumulative sum of deviations from a slowly moving baseline.

use std::collections::BTreeMap;

use super::rules::DropRules;
use crate::patterns::Pattern;
use crate::time::{EventTime, HOUR_MS, WindowLength};

/// Hours of a UTC day.
const HOURS: i64 = 24;
/// Patterns named in an alert.
pub const MOVERS: usize = 3;

/// Which way is bad.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bad {
    /// A fall of the value is bad.
    Fall,
    /// A rise of the value is bad.
    Rise,
}

/// What a window did to an alarm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlarmState {
    /// It opened.
    Open,
    /// The value came back.
    Resolved,
    /// The value stayed and is the new normal.
    Accepted,
}

/// A change of an alarm.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AlarmChange {
    /// What happened.
    pub state: AlarmState,
    /// Start of the window in which the sum last left 0.
    pub since: EventTime,
    /// What was expected of the window, before it was learnt from.
    pub baseline: f64,
}

/// The chart of one value of one (brand, window length).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Chart {
    /// Windows that taught the baseline; 0 before the first.
    pub learnt: u32,
    /// Mean of the value (of what is left of it beside its hour of day).
    pub mean: f64,
    /// Its variance.
    pub variance: f64,
    /// Cumulative sum of bad deviations.
    pub sum: f64,
    /// Start of the window in which the sum last left 0.
    pub since: Option<EventTime>,
    /// Windows since the one that opened the alarm; `None` while it is closed.
    pub open_for: Option<u32>,
    /// Mean of the value per UTC hour of day; empty for windows of a day.
    pub hours: BTreeMap<u8, f64>,
}

/// Which window is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Judged {
    /// Length of the window.
    pub length: WindowLength,
    /// Its start.
    pub start: EventTime,
}

/// What a chart made of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Verdict {
    /// The first window of its hour of day: it only taught that hour.
    FirstOfHour,
    /// It was judged.
    Judged(Option<AlarmChange>),
}

impl Chart {
    /// Takes the value of the next window in.
    pub fn step(&mut self, rules: &DropRules, bad: Bad, window: Judged, value: f64) -> Verdict {
        let Some(hour) = hour_of_day(window) else {
            return Verdict::Judged(self.judge(rules, bad, window, value, 0.0));
        };
        let Some(expected) = self.hours.get(&hour).copied() else {
            self.hours.insert(hour, value);
            return Verdict::FirstOfHour;
        };
        let change = self.judge(rules, bad, window, value, expected);
        if !self.is_open() {
            self.hours.insert(hour, expected + rules.hour_rate * (value - expected));
        }
        Verdict::Judged(change)
    }

    /// Whether the alarm is open.
    pub fn is_open(&self) -> bool {
        self.open_for.is_some()
    }

    fn judge(
        &mut self,
        rules: &DropRules,
        bad: Bad,
        window: Judged,
        value: f64,
        expected: f64,
    ) -> Option<AlarmChange> {
        let rest = value - expected;
        if self.learnt == 0 {
            self.restart(rest);
            return None;
        }
        let baseline = self.mean + expected;
        let state = self.accumulate(rules, bad, window, rest);
        // Taken before a restart forgets it. The sum is above 0 just before every change of the alarm.
        let since = self.since.unwrap_or(window.start);
        if self.sum <= 0.0 {
            self.since = None;
        }
        if state == Some(AlarmState::Accepted) {
            self.restart(rest);
        } else if !self.is_open() {
            self.learn(rules, rest);
        }
        state.map(|state| AlarmChange { state, since, baseline })
    }

    /// Moves the sum and says what that does to the alarm.
    fn accumulate(&mut self, rules: &DropRules, bad: Bad, window: Judged, rest: f64) -> Option<AlarmState> {
        let alarm = rules.alarm(window.length);
        if self.learnt < alarm.learn {
            return None;
        }
        let unit = libm::sqrt(self.variance).max(rules.deviation_unit_min);
        let deviation = ((rest - self.mean) / unit).clamp(-rules.deviation_max, rules.deviation_max);
        let harm = match bad {
            Bad::Fall => -deviation,
            Bad::Rise => deviation,
        };
        let before = self.sum;
        self.sum = (before + harm - rules.allowance).clamp(0.0, alarm.threshold);
        if before <= 0.0 && self.sum > 0.0 {
            self.since = Some(window.start);
        }
        let Some(open_for) = self.open_for else {
            if self.sum < alarm.threshold {
                return None;
            }
            self.open_for = Some(0);
            return Some(AlarmState::Open);
        };
        if self.sum < alarm.threshold / 2.0 {
            self.open_for = None;
            return Some(AlarmState::Resolved);
        }
        let open_for = open_for.saturating_add(1);
        self.open_for = Some(open_for);
        (open_for >= alarm.accept).then_some(AlarmState::Accepted)
    }

    fn restart(&mut self, rest: f64) {
        self.learnt = 1;
        self.mean = rest;
        self.variance = 0.0;
        self.sum = 0.0;
        self.since = None;
        self.open_for = None;
    }

    fn learn(&mut self, rules: &DropRules, rest: f64) {
        let difference = rest - self.mean;
        self.mean += rules.rate * difference;
        self.variance = (1.0 - rules.rate) * (self.variance + rules.rate * difference * difference);
        self.learnt = self.learnt.saturating_add(1);
    }
}

/// The UTC hour in which the window starts, for lengths that tell hours apart.
fn hour_of_day(window: Judged) -> Option<u8> {
    if window.length.is_day() {
        return None;
    }
    u8::try_from(window.start.0.div_euclid(HOUR_MS).rem_euclid(HOURS)).ok()
}

/// A pattern that fell, and by how much.
pub type Mover = (Pattern, f64);

/// The chart of the contributions of one (brand, window length): `SCORE_DROP`.
///
/// A pattern that is not evaluated stands in with its own mean, so that one which comes and goes
/// around the least number of people moves no alarm.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ScoreDrop {
    /// Chart of the sum over all patterns.
    pub chart: Chart,
    /// Mean contribution per pattern; `None` before its first.
    pub means: [Option<f64>; Pattern::COUNT],
}

/// What `SCORE_DROP` made of a window.
#[derive(Clone, Debug, PartialEq)]
pub struct DropChange {
    /// What happened to the alarm.
    pub change: AlarmChange,
    /// The value that was judged.
    pub value: f64,
    /// Patterns that fell most, the worst first.
    pub movers: Vec<Mover>,
}

impl ScoreDrop {
    /// Takes the contributions of the next window in; `None` where a pattern was not evaluated.
    pub fn step(
        &mut self,
        rules: &DropRules,
        window: Judged,
        contributions: &[Option<f64>; Pattern::COUNT],
    ) -> Option<DropChange> {
        let mut value = 0.0;
        let mut movers: Vec<Mover> = Vec::new();
        for ((pattern, contribution), mean) in Pattern::ALL.iter().zip(contributions).zip(&self.means) {
            let mean = mean.unwrap_or(0.0);
            let standing = contribution.unwrap_or(mean);
            value += standing;
            if standing < mean {
                movers.push((*pattern, standing - mean));
            }
        }
        let Verdict::Judged(change) = self.chart.step(rules, Bad::Fall, window, value) else { return None };
        let restarts = change.is_some_and(|change| change.state == AlarmState::Accepted);
        if !self.chart.is_open() {
            self.learn(rules, contributions, restarts);
        }
        let change = change?;
        // Stable: equal changes keep the order of the patterns.
        movers.sort_by(|a, b| a.1.total_cmp(&b.1));
        movers.truncate(MOVERS);
        Some(DropChange { change, value, movers })
    }

    fn learn(&mut self, rules: &DropRules, contributions: &[Option<f64>; Pattern::COUNT], restart: bool) {
        for (mean, contribution) in self.means.iter_mut().zip(contributions) {
            *mean = match (*mean, *contribution) {
                (Some(mean), Some(now)) if !restart => Some(mean + rules.rate * (now - mean)),
                (standing, now) => now.or(standing),
            };
        }
    }
}

#[cfg(test)]
#[path = "drop_tests.rs"]
mod tests;
