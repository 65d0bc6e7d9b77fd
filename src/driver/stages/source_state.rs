//! What `route` remembers of a source, and how it stands with the source's position.
//!
//! The metadata of a position is `f1:` and the frontier in decimal digits; empty before the first record. Zeros
//! before the digits, over which every build reads, say more: one, that the breaker is tripped; two, that the
//! source was given up besides. Where there is no frontier yet, `t1` says that the breaker is tripped.

use super::breaker::{Breaker, BreakerSettings, Change};
use crate::driver::clock::WallTime;
use crate::driver::replay::ledger::Account;
use crate::fold::route::Frontier;
use crate::log::{Position, TopicPartition};
use crate::telemetry::occurrence::{BreakerClosed, BreakerTripped, SourceResumed, SourceSuspended};

/// How often the log is asked whether a silent source can be read, milliseconds of wall time.
const ASK_EVERY_MS: i64 = 5_000;
/// After so long without a question the time in which a source could not be read begins anew: nobody knows.
const UNASKED_MAX_MS: i64 = 3 * ASK_EVERY_MS;

/// How often the frontier of a source that is given up goes on, milliseconds.
const SUSPENDED_EVERY_MS: i64 = 1_000;

/// A source of this process.
#[derive(Clone, Copy, Debug)]
pub struct SourceState {
    /// How far it has come.
    pub frontier: Frontier,
    /// When it last had a record.
    pub last_record: WallTime,
    /// What became of the records that are not committed yet.
    pub account: Account,
    /// Its breaker.
    pub breaker: Breaker,
    /// Since when it is given up: the frontier goes on without it.
    pub suspended: Option<WallTime>,
    /// When it was last known that the log can be read.
    heard: WallTime,
    /// When the log last could not tell.
    unheard: Option<WallTime>,
}

impl SourceState {
    /// One that this process takes over at its committed position.
    pub fn taken_over(
        position: Option<&Position>,
        breaker: Option<BreakerSettings>,
        now: WallTime,
    ) -> SourceState {
        let text = position.map_or("", |position| position.metadata.as_str());
        let breaker = breaker.filter(|_| zeros(text) > 0);
        SourceState {
            frontier: position.and_then(committed_frontier).unwrap_or_default(),
            last_record: now,
            account: Account::default(),
            breaker: breaker.map_or_else(Breaker::default, |settings| Breaker::tripped_before(settings, now)),
            suspended: breaker.filter(|_| zeros(text) > 1).map(|_| now),
            heard: now,
            unheard: None,
        }
    }

    /// What must be remembered with its position.
    pub fn metadata(&self) -> String {
        let is_tripped = self.breaker.tripped().is_some();
        match self.frontier.at() {
            None => if is_tripped { "t1" } else { "" }.to_owned(),
            Some(frontier) => {
                let sign = if frontier < 0 { "-" } else { "" };
                let zeros = if is_tripped { 1 + usize::from(self.suspended.is_some()) } else { 0 };
                format!("f1:{sign}{}{}", "0".repeat(zeros), frontier.unsigned_abs())
            }
        }
    }

    /// A record was taken in.
    pub fn took_a_record(&mut self, now: WallTime) {
        self.last_record = now;
        self.can_be_read(now);
    }

    /// The log can be read, if it holds anything.
    pub fn can_be_read(&mut self, now: WallTime) {
        (self.heard, self.unheard) = (now, None);
    }

    /// The log could not tell whether it can be read. `is_failing`: of none of the sources, perhaps.
    pub fn cannot_be_read(&mut self, now: WallTime, is_failing: bool) {
        let last = self.unheard.unwrap_or(self.heard);
        if is_failing || now.0 - last.0 > UNASKED_MAX_MS {
            self.heard = now;
        }
        self.unheard = Some(now);
    }

    /// Whether the log must be asked if it can be read.
    pub fn is_in_doubt(&self, now: WallTime) -> bool {
        now.0 - self.unheard.unwrap_or(self.heard).0 >= ASK_EVERY_MS
    }

    /// Since when its records cannot be had: the breaker is tripped, or the log cannot be read.
    pub fn out_of_reach(&self, now: WallTime) -> Option<WallTime> {
        let is_unheard = self.unheard.is_some_and(|unheard| now.0 - unheard.0 <= UNASKED_MAX_MS);
        let tripped = self.breaker.tripped().filter(|_| self.breaker.holds(now));
        tripped.into_iter().chain(is_unheard.then_some(self.heard)).min()
    }

    /// Tells what a record did to the breaker.
    pub fn tell(&self, of: &TopicPartition, change: Option<Change>, offset: i64) {
        let (topic, partition, offset) = (&of.topic, &of.partition, &offset);
        match change {
            Some(Change::Tripped) => BreakerTripped { topic, partition, offset }.note(),
            Some(Change::Closed) => BreakerClosed { topic, partition, offset }.note(),
            None => {}
        }
    }

    /// Gives the source up when it has been out of reach for too long. Its frontier then goes on with the clock;
    /// returns from where to where it went, if it did.
    pub fn suspend(
        &mut self,
        of: &TopicPartition,
        now: WallTime,
        suspend_after_ms: i64,
        out_of_orderness_ms: i64,
    ) -> Option<(i64, i64)> {
        let (topic, partition) = (&of.topic, &of.partition);
        let since = self.out_of_reach(now);
        let is_lasting = |since: &WallTime| now.0 - since.0 >= suspend_after_ms || self.suspended.is_some();
        if since.filter(is_lasting).is_none() {
            // While a record tries whether the breaker can be closed, nothing is known yet.
            let is_back = since.is_none() && self.breaker.tripped().is_none();
            if is_back && self.suspended.take().is_some() {
                SourceResumed { topic, partition }.note();
            }
            return None;
        }
        if self.suspended.is_none() {
            self.suspended = Some(now);
            SourceSuspended { topic, partition }.note();
        }
        let to = now.0 - out_of_orderness_ms;
        let from = self.frontier.at().unwrap_or(to - suspend_after_ms);
        if to - from < SUSPENDED_EVERY_MS {
            return None;
        }
        self.frontier.raise(now.0, now.0, out_of_orderness_ms);
        Some((from, to))
    }
}

/// The frontier that stands with a position.
pub fn committed_frontier(position: &Position) -> Option<Frontier> {
    position.metadata.strip_prefix("f1:")?.parse().ok().map(Frontier::restored)
}

/// Zeros that stand before the frontier and say more.
fn zeros(metadata: &str) -> usize {
    let Some(digits) = metadata.strip_prefix("f1:") else { return usize::from(metadata == "t1") };
    let digits = digits.trim_start_matches('-');
    digits.len().saturating_sub(digits.trim_start_matches('0').len().max(1))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::sections;

    fn settings() -> Option<BreakerSettings> {
        BreakerSettings::of(&sections::Breaker::default())
    }

    fn taken_over(metadata: &str) -> SourceState {
        let position = Position { next: 7, metadata: metadata.to_owned() };
        SourceState::taken_over(Some(&position), settings(), WallTime(50))
    }

    #[test]
    fn what_stands_with_a_position_reads_back() {
        for (metadata, frontier, is_tripped, is_suspended) in [
            ("", None, false, false),
            ("t1", None, true, false),
            ("f1:0", Some(0), false, false),
            ("f1:00", Some(0), true, false),
            ("f1:000", Some(0), true, true),
            ("f1:1700000000000", Some(1_700_000_000_000), false, false),
            ("f1:01700000000000", Some(1_700_000_000_000), true, false),
            ("f1:001700000000000", Some(1_700_000_000_000), true, true),
            ("f1:-5", Some(-5), false, false),
            ("f1:-005", Some(-5), true, true),
        ] {
            let state = taken_over(metadata);
            let read = (state.frontier.at(), state.breaker.tripped().is_some(), state.suspended.is_some());
            assert_eq!(read, (frontier, is_tripped, is_suspended), "{metadata}");
            assert_eq!(state.metadata(), metadata);
            // Builds that know no breaker read the frontier alone.
            let old = metadata.strip_prefix("f1:").and_then(|rest| rest.parse::<i64>().ok());
            assert_eq!(old, frontier, "{metadata}");
        }
    }

    #[test]
    fn without_a_breaker_nothing_stays_tripped() {
        let position = Position { next: 7, metadata: "f1:005".to_owned() };
        let state = SourceState::taken_over(Some(&position), None, WallTime(50));
        assert_eq!(state.metadata(), "f1:5");
    }

    #[test]
    fn a_source_is_out_of_reach_from_when_it_was_last_heard_of() {
        let mut state = taken_over("f1:5");
        assert!(!state.is_in_doubt(WallTime(5_049)) && state.is_in_doubt(WallTime(5_050)));
        state.cannot_be_read(WallTime(5_050), false);
        assert_eq!(state.out_of_reach(WallTime(5_050)), Some(WallTime(50)));
        state.cannot_be_read(WallTime(15_050), false);
        assert_eq!(state.out_of_reach(WallTime(30_050)), Some(WallTime(50)));
        assert_eq!(state.out_of_reach(WallTime(30_051)), None, "the answer is old");
        // A process that was paused, or whose log failed, knows nothing of the time between.
        state.cannot_be_read(WallTime(60_000), false);
        assert_eq!(state.out_of_reach(WallTime(60_000)), Some(WallTime(60_000)));
        state.cannot_be_read(WallTime(65_000), true);
        assert_eq!(state.out_of_reach(WallTime(65_000)), Some(WallTime(65_000)));
        state.can_be_read(WallTime(66_000));
        assert_eq!(state.out_of_reach(WallTime(66_000)), None);
    }
}
