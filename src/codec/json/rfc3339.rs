//! RFC 3339 instants, as `events.md` reads them.

use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

/// Milliseconds since the epoch of an RFC 3339 instant.
///
/// Digits after the millisecond are cut off. A leap second, a date that the calendar does not have,
/// and a time without a zone are no instants.
pub(super) fn parse(text: &str) -> Option<i64> {
    let mut rest = text.as_bytes();
    let year = digits(&mut rest, 4)?;
    take(&mut rest, b"-")?;
    let month = digits(&mut rest, 2)?;
    take(&mut rest, b"-")?;
    let day = digits(&mut rest, 2)?;
    take(&mut rest, b"Tt")?;
    let hour = digits(&mut rest, 2)?;
    take(&mut rest, b":")?;
    let minute = digits(&mut rest, 2)?;
    take(&mut rest, b":")?;
    let second = digits(&mut rest, 2)?;
    let ms = if rest.first() == Some(&b'.') { fraction_ms(&mut rest)? } else { 0 };
    let offset = offset_ms(&mut rest)?;
    let valid = (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60
        && rest.is_empty();
    let local = days_from_epoch(year, month, day) * DAY_MS
        + hour * HOUR_MS
        + minute * MINUTE_MS
        + second * SECOND_MS
        + ms;
    valid.then_some(local - offset)
}

fn take(rest: &mut &[u8], any_of: &[u8]) -> Option<u8> {
    let (first, tail) = rest.split_first()?;
    *rest = tail;
    any_of.contains(first).then_some(*first)
}

fn digits(rest: &mut &[u8], count: usize) -> Option<i64> {
    let (head, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    head.iter().try_fold(0, |sum, byte| byte.is_ascii_digit().then(|| sum * 10 + i64::from(byte - b'0')))
}

/// Reads `.` and at least one digit; keeps three.
fn fraction_ms(rest: &mut &[u8]) -> Option<i64> {
    take(rest, b".")?;
    let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let (all, tail) = rest.split_at_checked(count)?;
    *rest = tail;
    let ms = (0..3).fold(0, |sum, at| sum * 10 + all.get(at).map_or(0, |byte| i64::from(byte - b'0')));
    (count > 0).then_some(ms)
}

fn offset_ms(rest: &mut &[u8]) -> Option<i64> {
    let sign = match take(rest, b"Zz+-")? {
        b'+' => 1,
        b'-' => -1,
        _ => return Some(0),
    };
    let hours = digits(rest, 2)?;
    take(rest, b":")?;
    let minutes = digits(rest, 2)?;
    (hours < 24 && minutes < 60).then_some(sign * (hours * HOUR_MS + minutes * MINUTE_MS))
}

fn is_leap(year: i64) -> bool {
    year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 => 28 + i64::from(is_leap(year)),
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a date of the Gregorian calendar, year 0 and later.
fn days_from_epoch(year: i64, month: i64, day: i64) -> i64 {
    let before = year - 1;
    let leap_days = before.div_euclid(4) - before.div_euclid(100) + before.div_euclid(400);
    let months: i64 = (1..month).map(|earlier| days_in_month(year, earlier)).sum();
    year * 365 + leap_days + months + day - 1 - DAYS_TO_EPOCH
}

/// 1970 × 365 days and the leap days of the years 1 to 1969.
const DAYS_TO_EPOCH: i64 = 1970 * 365 + 477;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", 0),
            ("2000-01-01T00:00:00Z", 946_684_800_000),
            ("2100-01-01T00:00:00z", 4_102_444_800_000),
            ("2024-02-29T12:34:56.789Z", 1_709_210_096_789),
            ("2025-03-03t01:30:00.1239+01:30", 1_740_960_000_123),
            ("2025-03-02T19:00:00.5-05:00", 1_740_960_000_500),
            ("2025-03-02T23:59:59.999000-00:00", 1_740_959_999_999),
            ("1969-12-31T23:59:59.999Z", -1),
            ("0000-01-01T00:00:00Z", -62_167_219_200_000),
            ("9999-12-31T23:59:59Z", 253_402_300_799_000),
        ] {
            assert_eq!(parse(text), Some(ms), "{text}");
        }
    }

    #[test]
    fn no_instants() {
        for text in [
            "",
            "yesterday",
            "1740960000000",
            "2025-03-03",
            "2025-03-03T00:00:00",
            "2024-12-31T23:59:60Z",
            "2025-02-30T00:00:00Z",
            "2025-02-29T00:00:00Z",
            "2100-02-29T00:00:00Z",
            "2025-13-01T00:00:00Z",
            "2025-00-01T00:00:00Z",
            "2025-01-00T00:00:00Z",
            "2025-01-01T24:00:00Z",
            "2025-01-01T00:60:00Z",
            "2025-01-01 00:00:00Z",
            "2025-01-01T00:00:00.Z",
            "2025-01-01T00:00:00+0100",
            "2025-01-01T00:00:00+24:00",
            "2025-01-01T00:00:00+01:60",
            "2025-01-01T00:00:00Zz",
            "2025-01-01T00:00Z",
            "25-01-01T00:00:00Z",
            "+2025-01-01T00:00:00Z",
            "2025-01-01T00:00:00,5Z",
            "２025-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
