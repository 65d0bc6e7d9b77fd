//! Event time: instants, window lengths, and what closes when.

/// Milliseconds of one second.
pub const SECOND_MS: i64 = 1_000;
/// Milliseconds of one minute.
pub const MINUTE_MS: i64 = 60 * SECOND_MS;
/// Milliseconds of one hour.
pub const HOUR_MS: i64 = 60 * MINUTE_MS;
/// Milliseconds of one day.
pub const DAY_MS: i64 = 24 * HOUR_MS;

/// An instant of event time: milliseconds since the epoch, UTC. Never a reading of a clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

impl EventTime {
    /// The earliest time a record may carry: 2000-01-01.
    pub const MIN: EventTime = EventTime(946_684_800_000);
    /// The first time a record may no longer carry: 2100-01-01.
    pub const END: EventTime = EventTime(4_102_444_800_000);

    /// Whether a record may carry this time. Catches seconds and microseconds given as milliseconds.
    pub fn is_plausible(self) -> bool {
        (Self::MIN..Self::END).contains(&self)
    }

    /// The start of the window of this length that holds the instant.
    pub fn window_start(self, length_ms: i64) -> EventTime {
        EventTime(self.0.div_euclid(length_ms) * length_ms)
    }
}

/// Length of a tumbling window: from 1 h to 1 d, dividing a day, so that windows line up with UTC days.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WindowLength(i64);

impl WindowLength {
    /// One hour.
    pub const HOUR: WindowLength = WindowLength(HOUR_MS);
    /// One UTC day.
    pub const DAY: WindowLength = WindowLength(DAY_MS);

    /// A length in whole hours that divides a day.
    pub fn from_hours(hours: u32) -> Option<WindowLength> {
        (hours > 0 && 24 % hours == 0).then(|| WindowLength(i64::from(hours) * HOUR_MS))
    }

    /// Reads `1h`, `2h`, …, `1d`.
    pub fn parse(text: &str) -> Option<WindowLength> {
        match text {
            "1d" => Some(Self::DAY),
            _ => Self::from_hours(text.strip_suffix('h')?.parse().ok()?),
        }
    }

    /// Milliseconds.
    pub const fn ms(self) -> i64 {
        self.0
    }

    /// Whether this is the day, which has constants of its own.
    pub fn is_day(self) -> bool {
        self == Self::DAY
    }

    /// How often an open window publishes a provisional record, milliseconds of event time.
    pub fn provisional_every_ms(self) -> i64 {
        if self.is_day() { HOUR_MS } else { 5 * MINUTE_MS }
    }
}

impl std::fmt::Display for WindowLength {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.is_day() { f.write_str("1d") } else { write!(f, "{}h", self.0 / HOUR_MS) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_divide_a_day_and_read_back() {
        for text in ["1h", "2h", "3h", "4h", "6h", "8h", "12h", "1d"] {
            assert_eq!(WindowLength::parse(text).expect(text).to_string(), text);
        }
        for text in ["0h", "5h", "25h", "48h", "h", "1m", "2d", ""] {
            assert_eq!(WindowLength::parse(text), None, "{text}");
        }
        assert_eq!(WindowLength::parse("24h"), Some(WindowLength::DAY));
    }

    #[test]
    fn a_window_holds_its_start_and_not_its_end() {
        assert_eq!(EventTime(HOUR_MS).window_start(HOUR_MS), EventTime(HOUR_MS));
        assert_eq!(EventTime(2 * HOUR_MS - 1).window_start(HOUR_MS), EventTime(HOUR_MS));
        assert_eq!(EventTime(-1).window_start(HOUR_MS), EventTime(-HOUR_MS));
    }
}
