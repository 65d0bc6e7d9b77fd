//! What will happen, by minute: events wait here until time reaches them.

use std::collections::VecDeque;

use crate::time::MINUTE_MS;

use super::step::Step;

/// A queue of steps in buckets of a minute. Holds only what has been begun and not yet happened.
pub(crate) struct Calendar {
    /// Start of the first bucket.
    now: i64,
    end: i64,
    buckets: VecDeque<Vec<Step>>,
    spare: Vec<Vec<Step>>,
}

/// How many empty buckets are kept for reuse.
const SPARE_MAX: usize = 64;

impl Calendar {
    /// An empty calendar of `[start, end)`.
    pub(crate) fn new(start: i64, end: i64) -> Calendar {
        Calendar { now: start, end, buckets: VecDeque::new(), spare: Vec::new() }
    }

    /// The end of the minute that comes next.
    pub(crate) fn horizon(&self) -> i64 {
        self.now + MINUTE_MS
    }

    /// Whether the period is over.
    pub(crate) fn is_over(&self) -> bool {
        self.now >= self.end
    }

    /// Enters a step; what lies after the period is left out.
    ///
    /// # Panics
    /// If the step lies before the minute that comes next: order would be lost.
    pub(crate) fn enter(&mut self, step: Step) {
        if step.time >= self.end {
            return;
        }
        let bucket = usize::try_from((step.time - self.now).div_euclid(MINUTE_MS));
        let bucket = bucket.expect("a step never lies before the minute that comes next");
        while self.buckets.len() <= bucket {
            self.buckets.push_back(self.spare.pop().unwrap_or_default());
        }
        self.buckets[bucket].push(step);
    }

    /// Takes the next minute in exchange for an empty bucket: its steps and their order.
    pub(crate) fn take_minute(&mut self, steps: &mut Vec<Step>, order: &mut Vec<(i64, u32)>) {
        let minute = self.buckets.pop_front().unwrap_or_default();
        let mut used = std::mem::replace(steps, minute);
        used.clear();
        if self.spare.len() < SPARE_MAX {
            self.spare.push(used);
        }
        order.clear();
        order.extend(steps.iter().map(|step| step.time).zip(0_u32..));
        order.sort_unstable();
        self.now += MINUTE_MS;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::kinds::Kind;

    #[test]
    fn steps_come_out_in_order_and_none_after_the_end() {
        let mut calendar = Calendar::new(0, 3 * MINUTE_MS);
        for time in [61_000, 5, 179_999, 180_000, 60_000, 4, 5] {
            calendar.enter(Step::new(Kind::PageView, 0, 0, time));
        }
        let (mut steps, mut order, mut times) = (Vec::new(), Vec::new(), Vec::new());
        while !calendar.is_over() {
            calendar.take_minute(&mut steps, &mut order);
            times.extend(order.iter().map(|(_, at)| steps[*at as usize].time));
        }
        assert_eq!(times, [4, 5, 5, 60_000, 61_000, 179_999]);
    }
}
