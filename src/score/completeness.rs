//! Completeness: which share of what was sent stands behind a number.

use super::rules::ScoreRules;
use crate::fold::counts::{Counts, PipelineCounts};
use crate::time::EventTime;

/// The parts of completeness of one (brand, window).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Completeness {
    /// The brand's own factor: applied of applied, too late and dead-lettered.
    pub own: f64,
    /// Share of the window's records, over all brands, whose brand could be read.
    pub readable: f64,
    /// Detect partitions that closed the window without their full state.
    pub partitions_incomplete: u32,
    /// Detect partitions.
    pub partitions: u32,
}

impl Completeness {
    /// Of counts added up over all partitions.
    pub fn of(counts: &Counts, pipeline: &PipelineCounts, incomplete: u32, partitions: u32) -> Completeness {
        let sent = counts.applied + counts.late + counts.dead_lettered;
        Completeness {
            own: share(counts.applied, sent),
            readable: readable_share(pipeline),
            partitions_incomplete: incomplete,
            partitions,
        }
    }

    /// All parts together, 0 to 1.
    pub fn total(&self) -> f64 {
        let whole = self.partitions.saturating_sub(self.partitions_incomplete);
        self.own * self.readable * share(u64::from(whole), u64::from(self.partitions))
    }
}

/// Share of the records of a window whose brand could be read; 1 where there are none.
pub fn readable_share(pipeline: &PipelineCounts) -> f64 {
    share(pipeline.records.saturating_sub(pipeline.unreadable), pipeline.records)
}

/// Share of the records of a window whose brand could not be read; 0 where there are none.
pub fn unreadable_share(pipeline: &PipelineCounts) -> f64 {
    if pipeline.records == 0 { 0.0 } else { pipeline.unreadable as f64 / pipeline.records as f64 }
}

fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 1.0 } else { part as f64 / whole as f64 }
}

/// Incomplete windows in a row, and the alert about them.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct IncompleteRun {
    /// Incomplete windows in a row.
    pub windows: u32,
    /// Start of the first of them.
    pub since: Option<EventTime>,
    /// Whether the alert is open.
    pub open: bool,
}

/// What a window did to the alert about incomplete windows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum RunChange {
    /// It opened.
    Opened {
        /// Start of the first incomplete window.
        since: EventTime,
    },
    /// It ended.
    Resolved {
        /// Start of the first incomplete window.
        since: EventTime,
    },
}

impl IncompleteRun {
    /// Takes the next window in.
    pub fn step(&mut self, rules: &ScoreRules, start: EventTime, share: f64) -> Option<RunChange> {
        if share >= rules.incomplete_below {
            let ended = std::mem::take(self);
            return ended.since.filter(|_| ended.open).map(|since| RunChange::Resolved { since });
        }
        self.windows = self.windows.saturating_add(1);
        let since = *self.since.get_or_insert(start);
        if self.open || self.windows < rules.incomplete_windows {
            return None;
        }
        self.open = true;
        Some(RunChange::Opened { since })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_multiply() {
        let counts = Counts { applied: 18, late: 1, dead_lettered: 1, ..Counts::default() };
        let pipeline = PipelineCounts { records: 10, unreadable: 1 };
        let completeness = Completeness::of(&counts, &pipeline, 1, 4);
        assert_eq!((completeness.own, completeness.readable), (0.9, 0.9));
        assert!((completeness.total() - 0.9 * 0.9 * 0.75).abs() < 1e-15);
        assert_eq!(unreadable_share(&pipeline), 0.1);
    }

    #[test]
    fn nothing_sent_is_complete() {
        let completeness = Completeness::of(&Counts::default(), &PipelineCounts::default(), 0, 1);
        assert_eq!(completeness.total(), 1.0);
        assert_eq!(unreadable_share(&PipelineCounts::default()), 0.0);
    }

    #[test]
    fn the_third_in_a_row_opens_and_95_percent_resolve() {
        let rules = ScoreRules::default();
        let mut run = IncompleteRun::default();
        let mut step = |start, share| run.step(&rules, EventTime(start), share);
        assert_eq!(step(0, 0.9), None);
        assert_eq!(step(1, 0.9), None);
        assert_eq!(step(2, 0.95), None, "19 of 20 are enough");
        assert_eq!(step(3, 0.9), None);
        assert_eq!(step(4, 0.9), None);
        assert_eq!(step(9, 0.949), Some(RunChange::Opened { since: EventTime(3) }));
        assert_eq!(step(10, 0.1), None, "it opens once");
        assert_eq!(step(11, 0.95), Some(RunChange::Resolved { since: EventTime(3) }));
        assert_eq!(step(12, 1.0), None);
    }
}
