//! Windows that are still open, and what each detect partition has said about them.

use std::collections::{BTreeMap, BTreeSet};

use crate::fold::counts::{Counts, PipelineCounts};
use crate::time::{EventTime, WindowLength};

/// How far a detect partition had come in a window when it sent its counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mark {
    /// Up to this provisional mark, from 1.
    Provisional(u32),
    /// To the end.
    Closed,
}

/// A window of all brands. The order is that of publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WindowKey {
    /// End, exclusive.
    pub end: EventTime,
    /// Length.
    pub length: WindowLength,
}

impl WindowKey {
    /// The window of this length that starts here.
    pub fn starting(start: EventTime, length: WindowLength) -> WindowKey {
        WindowKey { end: EventTime(start.0 + length.ms()), length }
    }

    /// Start, inclusive.
    pub fn start(self) -> EventTime {
        EventTime(self.end.0 - self.length.ms())
    }

    /// The instant of a provisional mark; `None` for the end and past it.
    pub fn mark_at(self, mark: u32) -> Option<EventTime> {
        let at = EventTime(self.start().0 + i64::from(mark) * self.length.provisional_every_ms());
        (at < self.end).then_some(at)
    }
}

/// Cumulative counts of one partition at its marks.
#[derive(Clone, Debug, PartialEq)]
pub struct Passed<C> {
    /// By mark; those that can no longer be asked for are forgotten.
    pub marks: BTreeMap<Mark, C>,
}

impl<C> Default for Passed<C> {
    fn default() -> Self {
        Passed { marks: BTreeMap::new() }
    }
}

impl<C> Passed<C> {
    /// What was known at `mark`: a mark that was not sent changed nothing.
    pub fn at(&self, mark: Mark) -> Option<&C> {
        self.marks.range(..=mark).next_back().map(|(_, counts)| counts)
    }

    /// Forgets what only marks before `mark` would read.
    pub fn forget_before(&mut self, mark: Mark) {
        let needed = self.marks.range(..=mark).next_back().map(|(at, _)| *at);
        if let Some(needed) = needed {
            self.marks = self.marks.split_off(&needed);
        }
    }
}

/// One brand's part of an open window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrandWindow {
    /// By detect partition.
    pub partitions: BTreeMap<u32, Passed<Counts>>,
    /// Publications so far.
    pub revision: i32,
}

impl BrandWindow {
    /// The sum over all partitions at a mark.
    pub fn total(&self, mark: Mark) -> Counts {
        let mut total = Counts::default();
        for counts in self.partitions.values().filter_map(|passed| passed.at(mark)) {
            total.add(counts);
        }
        total
    }
}

/// An open window of all brands.
#[derive(Clone, Debug, PartialEq)]
pub struct OpenWindow {
    /// By brand.
    pub brands: BTreeMap<String, BrandWindow>,
    /// All records, by detect partition.
    pub pipeline: BTreeMap<u32, Passed<PipelineCounts>>,
    /// Detect partitions that cannot count it fully.
    pub incomplete: BTreeSet<u32>,
    /// The provisional mark that comes next.
    pub next_mark: u32,
}

impl Default for OpenWindow {
    fn default() -> Self {
        OpenWindow {
            brands: BTreeMap::new(),
            pipeline: BTreeMap::new(),
            incomplete: BTreeSet::new(),
            next_mark: 1,
        }
    }
}

impl OpenWindow {
    /// All records over all partitions at a mark.
    pub fn pipeline_total(&self, mark: Mark) -> PipelineCounts {
        let mut total = PipelineCounts::default();
        for counts in self.pipeline.values().filter_map(|passed| passed.at(mark)) {
            total.records += counts.records;
            total.unreadable += counts.unreadable;
        }
        total
    }

    /// Goes on to the next provisional mark and forgets what only earlier ones would read.
    pub fn pass_mark(&mut self) {
        let passed = Mark::Provisional(self.next_mark);
        self.next_mark += 1;
        let brands = self.brands.values_mut();
        brands.flat_map(|brand| brand.partitions.values_mut()).for_each(|part| part.forget_before(passed));
        self.pipeline.values_mut().for_each(|part| part.forget_before(passed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{HOUR_MS, MINUTE_MS};

    #[test]
    fn marks_lie_inside_the_window() {
        let hour = WindowKey::starting(EventTime(HOUR_MS), WindowLength::HOUR);
        assert_eq!(hour.mark_at(1), Some(EventTime(HOUR_MS + 5 * MINUTE_MS)));
        assert_eq!(hour.mark_at(11), Some(EventTime(HOUR_MS + 55 * MINUTE_MS)));
        assert_eq!(hour.mark_at(12), None, "the end is no provisional mark");
        let day = WindowKey::starting(EventTime(0), WindowLength::DAY);
        assert_eq!((day.mark_at(23), day.mark_at(24)), (Some(EventTime(23 * HOUR_MS)), None));
        assert_eq!(day.start(), EventTime(0));
    }

    #[test]
    fn a_mark_reads_the_last_counts_up_to_it() {
        let mut passed = Passed::default();
        passed.marks.insert(Mark::Provisional(2), 10);
        passed.marks.insert(Mark::Provisional(5), 20);
        assert_eq!(passed.at(Mark::Provisional(1)), None);
        assert_eq!(passed.at(Mark::Provisional(4)), Some(&10));
        assert_eq!(passed.at(Mark::Closed), Some(&20), "nothing came after the mark");
        passed.forget_before(Mark::Provisional(4));
        assert_eq!(passed.marks.len(), 2);
        passed.forget_before(Mark::Provisional(5));
        assert_eq!((passed.marks.len(), passed.at(Mark::Closed)), (1, Some(&20)));
    }
}
