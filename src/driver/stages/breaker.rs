//! Stops reading a source that brings hardly anything but dead letters, rather than draining it into them.
//!
//! Tripped, a source is paused. Once in a while one record of it is taken in all the same: a dead letter as well
//! leaves the breaker tripped, any other record closes it. When records are read changes nothing about what
//! becomes of them.

use crate::config::sections;
use crate::driver::clock::WallTime;

/// When a breaker trips, and when it tries again.
#[derive(Clone, Copy, Debug)]
pub struct BreakerSettings {
    in_a_row: u64,
    window_records: u64,
    /// Dead letters within a window that trip it.
    in_window: u64,
    probe_every_ms: i64,
}

impl BreakerSettings {
    /// Those of a configuration; nothing where there is to be no breaker.
    pub fn of(config: &sections::Breaker) -> Option<BreakerSettings> {
        let count = |value: i64| u64::try_from(value).unwrap_or(1);
        #[expect(clippy::cast_possible_truncation, reason = "a share of a number is not greater than it")]
        let in_window = (config.dead_letter_share * config.window_records as f64).ceil() as i64;
        config.enabled.then(|| BreakerSettings {
            in_a_row: count(config.in_a_row),
            window_records: count(config.window_records),
            in_window: count(in_window).max(1),
            probe_every_ms: config.probe_every_ms,
        })
    }
}

/// The breaker of one source.
#[derive(Clone, Copy, Debug, Default)]
pub struct Breaker {
    /// Dead letters in a row.
    row: u64,
    /// Records of the window that has begun, and the dead letters among them.
    window: (u64, u64),
    tripped: Option<Tripped>,
}

#[derive(Clone, Copy, Debug)]
struct Tripped {
    since: WallTime,
    probe_at: WallTime,
}

/// What a record did to a breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Change {
    /// It tripped it.
    Tripped,
    /// It closed it again.
    Closed,
}

impl Breaker {
    /// One that was tripped when an earlier owner committed; nobody knows when the last try was.
    pub fn tripped_before(settings: BreakerSettings, now: WallTime) -> Breaker {
        let mut breaker = Breaker::default();
        breaker.trip(settings, now);
        breaker
    }

    /// Since when it is tripped.
    pub fn tripped(&self) -> Option<WallTime> {
        self.tripped.map(|tripped| tripped.since)
    }

    /// Whether no record may be taken in at the moment.
    pub fn holds(&self, now: WallTime) -> bool {
        self.tripped.is_some_and(|tripped| now < tripped.probe_at)
    }

    /// Takes note of what became of the next record.
    pub fn note(&mut self, settings: BreakerSettings, is_dead: bool, now: WallTime) -> Option<Change> {
        if let Some(tripped) = &mut self.tripped {
            if is_dead {
                tripped.probe_at = WallTime(now.0.saturating_add(settings.probe_every_ms));
                return None;
            }
            *self = Breaker::default();
            return Some(Change::Closed);
        }
        self.row = if is_dead { self.row + 1 } else { 0 };
        if self.window.0 == settings.window_records {
            self.window = (0, 0);
        }
        self.window = (self.window.0 + 1, self.window.1 + u64::from(is_dead));
        if self.row < settings.in_a_row && self.window.1 < settings.in_window {
            return None;
        }
        self.trip(settings, now);
        Some(Change::Tripped)
    }

    fn trip(&mut self, settings: BreakerSettings, now: WallTime) {
        let probe_at = WallTime(now.0.saturating_add(settings.probe_every_ms));
        *self = Breaker { tripped: Some(Tripped { since: now, probe_at }), ..Breaker::default() };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> BreakerSettings {
        BreakerSettings::of(&sections::Breaker {
            in_a_row: 3,
            dead_letter_share: 0.45,
            window_records: 10,
            probe_every_ms: 60_000,
            ..sections::Breaker::default()
        })
        .unwrap()
    }

    /// What records (`x` a dead letter, `.` another one) do: `T` trips, `C` closes, `-` nothing.
    fn check(breaker: &mut Breaker, at: i64, records: &str, expected: &str) {
        let changes =
            records.chars().map(|record| match breaker.note(settings(), record == 'x', WallTime(at)) {
                Some(Change::Tripped) => 'T',
                Some(Change::Closed) => 'C',
                None => '-',
            });
        assert_eq!(changes.collect::<String>(), expected, "{records}");
    }

    #[test]
    fn dead_letters_in_a_row_trip_it() {
        check(&mut Breaker::default(), 0, "...x..xxx", "--------T");
    }

    #[test]
    fn a_share_of_a_window_trips_it_and_the_next_window_counts_anew() {
        // 45 % of ten are five.
        check(&mut Breaker::default(), 0, "x.x.x.x.x", "--------T");
        check(&mut Breaker::default(), 0, "x.x.x.x...x.x.x.x...", "--------------------");
    }

    #[test]
    fn a_good_record_closes_it_and_a_bad_one_leaves_it_tripped_for_another_minute() {
        let mut breaker = Breaker::default();
        check(&mut breaker, 5, "xxx", "--T");
        assert_eq!((breaker.tripped(), breaker.holds(WallTime(60_004))), (Some(WallTime(5)), true));
        assert!(!breaker.holds(WallTime(60_005)), "one may try");
        check(&mut breaker, 60_005, "x", "-");
        assert_eq!((breaker.tripped(), breaker.holds(WallTime(120_004))), (Some(WallTime(5)), true));
        check(&mut breaker, 120_005, ".", "C");
        assert_eq!((breaker.tripped(), breaker.holds(WallTime(120_005))), (None, false));
        check(&mut breaker, 120_005, "xx.xxx", "-----T");
    }

    #[test]
    fn it_can_be_switched_off() {
        let off = sections::Breaker { enabled: false, ..sections::Breaker::default() };
        assert!(BreakerSettings::of(&off).is_none());
    }
}
