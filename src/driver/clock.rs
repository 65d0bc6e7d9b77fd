//! The only place that reads a clock.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

/// Wall time: milliseconds since the epoch, as this machine's clock has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i64);

/// Reads the clock, or pretends to.
pub trait Clock {
    /// Wall time now.
    fn now(&self) -> WallTime;
}

/// The machine's clock.
#[derive(Clone, Copy, Debug)]
pub struct SystemClock {
    started: Instant,
    started_at: WallTime,
}

impl SystemClock {
    /// The clock; it never goes back while the process runs.
    pub fn new() -> SystemClock {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let started_at = WallTime(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX));
        SystemClock { started: Instant::now(), started_at }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> WallTime {
        let passed = i64::try_from(self.started.elapsed().as_millis()).unwrap_or(i64::MAX);
        WallTime(self.started_at.0.saturating_add(passed))
    }
}
