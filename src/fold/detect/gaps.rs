//! Event time that a source went past without its records.

use crate::time::DAY_MS;

/// Gaps that a window which is still open may touch, in the order in which they were told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::fold) struct Gaps(pub(in crate::fold) Vec<(i64, i64)>);

impl Gaps {
    /// Adds one, from its first millisecond to the one after its last. Those that no open window can touch go.
    pub(super) fn add(&mut self, from: i64, to: i64) {
        self.0.retain(|(_, until)| *until > from.saturating_sub(DAY_MS));
        match self.0.iter_mut().find(|(start, until)| *start <= from && from <= *until) {
            Some((_, until)) => *until = to.max(*until),
            None => self.0.push((from, to)),
        }
    }

    /// Whether the window lacks something.
    pub(super) fn touch(&self, start: i64, end: i64) -> bool {
        self.0.iter().any(|(from, to)| *from < end && start < *to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_that_goes_on_is_one_and_touches_the_windows_that_it_reaches_into() {
        let mut gaps = Gaps::default();
        assert!(!gaps.touch(0, 100));
        for from in [150, 160, 170] {
            gaps.add(from, from + 10);
        }
        gaps.add(500, 510);
        assert_eq!(gaps.0, [(150, 180), (500, 510)]);
        let touched = |start| gaps.touch(start, start + 50);
        assert_eq!([100, 149, 179, 180, 450, 460].map(touched), [false, true, true, false, false, true]);
    }

    #[test]
    fn what_no_window_can_touch_is_forgotten() {
        let mut gaps = Gaps::default();
        gaps.add(0, 10);
        gaps.add(DAY_MS + 9, DAY_MS + 20);
        assert_eq!(gaps.0.len(), 2);
        gaps.add(2 * DAY_MS, 2 * DAY_MS + 1);
        assert_eq!(gaps.0, [(DAY_MS + 9, DAY_MS + 20), (2 * DAY_MS, 2 * DAY_MS + 1)]);
    }
}
