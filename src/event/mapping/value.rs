//! What is done with a value on its way from a foreign record to a canonical field.

use std::str::FromStr as _;

use jiff::{Timestamp, fmt::strtime, tz::TimeZone};
use serde_json::Value;

use super::countries::alpha2;
use super::fields::FieldType;
use super::file::Transform;
use super::path::as_text;

/// How a time is written, checked.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TimeForm {
    /// Whole milliseconds as a number, or RFC 3339 text: the forms of a canonical record.
    Canonical,
    /// Seconds since the epoch, with decimals or not, as a number or text.
    EpochS,
    /// Milliseconds.
    EpochMs,
    /// Microseconds.
    EpochUs,
    /// RFC 3339.
    Rfc3339,
    /// A pattern of `strptime`.
    Pattern(String),
}

impl TimeForm {
    /// Reads the form's name; anything with a `%` is a pattern.
    pub(super) fn parse(text: &str) -> Option<TimeForm> {
        match text {
            "epoch_s" => Some(TimeForm::EpochS),
            "epoch_ms" => Some(TimeForm::EpochMs),
            "epoch_us" => Some(TimeForm::EpochUs),
            "rfc3339" => Some(TimeForm::Rfc3339),
            pattern if pattern.contains('%') => Some(TimeForm::Pattern(pattern.to_owned())),
            _ => None,
        }
    }

    /// Milliseconds since the epoch, finer digits cut off.
    pub(super) fn read(&self, value: &Value) -> Option<i64> {
        match self {
            TimeForm::Canonical => value.as_i64().or_else(|| rfc3339(value.as_str()?)),
            TimeForm::EpochS => decimal_ms(&as_text(value)?, 3),
            TimeForm::EpochMs => decimal_ms(&as_text(value)?, 0),
            TimeForm::EpochUs => Some(as_text(value)?.parse::<i64>().ok()?.div_euclid(1_000)),
            TimeForm::Rfc3339 => rfc3339(value.as_str()?),
            TimeForm::Pattern(pattern) => by_pattern(pattern, &as_text(value)?),
        }
    }
}

fn rfc3339(text: &str) -> Option<i64> {
    // A leap second is refused here because it has no millisecond of its own.
    if text.get(17..19) == Some("60") {
        return None;
    }
    Timestamp::from_str(text).ok().and_then(floor_ms)
}

fn floor_ms(time: Timestamp) -> Option<i64> {
    i64::try_from(time.as_nanosecond().div_euclid(1_000_000)).ok()
}

/// A decimal number times ten to the `places`, further digits cut off; without floating point, so that no
/// millisecond is lost.
fn decimal_ms(text: &str, places: usize) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !digits(whole) || !digits(part) {
        return None;
    }
    let kept: String = part.chars().chain(std::iter::repeat('0')).take(places).collect();
    format!("{whole}{kept}").parse().ok()
}

fn by_pattern(pattern: &str, text: &str) -> Option<i64> {
    let parts = strtime::parse(pattern, text).ok()?;
    if let Ok(time) = parts.to_timestamp() {
        return floor_ms(time);
    }
    let civil = parts.to_datetime().or_else(|_| parts.to_date().map(|date| date.at(0, 0, 0, 0))).ok()?;
    floor_ms(TimeZone::UTC.to_timestamp(civil).ok()?)
}

/// Applies a transform; `None` where it leaves nothing.
pub(super) fn transform(text: &str, transform: Transform) -> Option<String> {
    let done = match transform {
        Transform::Lower => text.to_lowercase(),
        Transform::Upper => text.to_uppercase(),
        Transform::Trim => text.trim().to_owned(),
        Transform::RegistrableDomain => registrable_domain(text)?,
        Transform::CountryAlpha2 => alpha2(text)?.to_owned(),
    };
    (!done.is_empty()).then_some(done)
}

/// The registrable domain of a host or URL, in lower case.
fn registrable_domain(text: &str) -> Option<String> {
    let text = text.trim();
    let after_scheme = text.split_once("://").map_or(text, |(_, rest)| rest);
    let authority = after_scheme.split(['/', '?', '#']).next()?;
    let host = authority.rsplit('@').next()?.split(':').next()?.trim_end_matches('.').to_lowercase();
    // The list knows names only: an address in numbers has no registrable domain.
    if host.is_empty() || host.parse::<std::net::Ipv4Addr>().is_ok() || host.contains(char::is_whitespace) {
        return None;
    }
    psl::domain_str(&host).map(str::to_owned)
}

/// The value as the field holds it; the error names what was expected.
pub(super) fn coerce(value: Value, holds: FieldType) -> Result<Value, &'static str> {
    match holds {
        FieldType::Text | FieldType::Symbol(_) | FieldType::Kind => {
            as_text(&value).map(Value::String).ok_or("text, a number or a boolean")
        }
        FieldType::Texts => {
            let list = match value {
                Value::Array(list) => list,
                single => vec![single],
            };
            let texts: Option<Vec<Value>> =
                list.iter().map(|element| as_text(element).map(Value::String)).collect();
            texts.map(Value::Array).ok_or("a list of texts or numbers")
        }
        FieldType::Time => value.as_i64().map(Value::from).ok_or("a time"),
        FieldType::Flag => flag(&value).map(Value::Bool).ok_or("true, false, 1, 0, yes or no"),
        FieldType::Whole => whole(&value).map(Value::from).ok_or("a whole number"),
        FieldType::Share => share(&value).map(Value::from).ok_or("a number from 0 to 1"),
    }
}

fn flag(value: &Value) -> Option<bool> {
    match as_text(value)?.to_ascii_lowercase().as_str() {
        "true" | "1" | "yes" | "y" | "1.0" => Some(true),
        "false" | "0" | "no" | "n" | "0.0" => Some(false),
        _ => None,
    }
}

fn whole(value: &Value) -> Option<i64> {
    let text = as_text(value)?;
    // Tables written by floating-point tools show whole numbers as `3.0`.
    text.strip_suffix(".0").unwrap_or(&text).parse().ok()
}

fn share(value: &Value) -> Option<f64> {
    as_text(value)?.parse().ok().filter(|share: &f64| (0.0..=1.0).contains(share))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn time(form: &str, value: Value) -> Option<i64> {
        TimeForm::parse(form).expect("a form").read(&value)
    }

    #[test]
    fn times_are_read_in_every_form() {
        let ms = 1_574_553_617_004;
        assert_eq!(time("%Y-%m-%d %H:%M:%S%.f%:z", json!("2019-11-24 00:00:17.004101+00:00")), Some(ms));
        assert_eq!(time("%Y-%m-%d %H:%M:%S%.f", json!("2019-11-24 00:00:17.004101")), Some(ms));
        assert_eq!(time("rfc3339", json!("2019-11-24T01:00:17.004999+01:00")), Some(ms));
        assert_eq!(time("epoch_s", json!("1574553617.0049")), Some(ms));
        assert_eq!(time("epoch_s", json!(1_574_553_617)), Some(1_574_553_617_000));
        assert_eq!(time("epoch_ms", json!("1574553617004")), Some(ms));
        assert_eq!(time("epoch_us", json!("1574553617004101")), Some(ms));
        assert_eq!(time("%Y-%m-%d", json!("2019-11-24")), Some(1_574_553_600_000));
        assert_eq!(TimeForm::Canonical.read(&json!(ms)), Some(ms));
    }

    #[test]
    fn what_is_no_time_is_refused() {
        assert_eq!(time("rfc3339", json!("2016-12-31T23:59:60Z")), None);
        assert_eq!(time("rfc3339", json!(5)), None);
        assert_eq!(time("epoch_s", json!("-5")), None);
        assert_eq!(time("epoch_s", json!(1e300)), None);
        assert_eq!(time("epoch_us", json!("x")), None);
        assert_eq!(time("%Y-%m-%d", json!("2019-02-30")), None);
        assert_eq!(TimeForm::parse("iso"), None);
    }

    #[test]
    fn domains_are_cut_to_the_registrable_part() {
        for (text, domain) in [
            ("https://www.Example.co.uk:8080/path?q", Some("example.co.uk")),
            ("forum.btcsec.com", Some("btcsec.com")),
            ("OwnedCore.com", Some("ownedcore.com")),
            ("user@shop.example.jp.", Some("example.jp")),
            ("co.uk", None),
            ("192.168.0.1", None),
            ("", None),
        ] {
            assert_eq!(transform(text, Transform::RegistrableDomain).as_deref(), domain, "{text}");
        }
    }

    #[test]
    fn values_take_the_type_of_their_field() {
        assert_eq!(coerce(json!(5), FieldType::Text), Ok(json!("5")));
        assert_eq!(coerce(json!("a"), FieldType::Texts), Ok(json!(["a"])));
        assert_eq!(coerce(json!("1"), FieldType::Flag), Ok(json!(true)));
        assert_eq!(coerce(json!("3.0"), FieldType::Whole), Ok(json!(3)));
        assert!(coerce(json!(1.5), FieldType::Share).is_err());
        assert!(coerce(json!("NaN"), FieldType::Share).is_err());
        assert!(coerce(json!({}), FieldType::Text).is_err());
    }
}
