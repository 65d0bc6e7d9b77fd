//! What makes a decoded record valid. Nothing here allocates unless it refuses.

use super::raw::{RawErasure, RawEvent, RawIncident, RawLink};
use super::reject::{Reason, Reject};
use crate::time::EventTime;

/// The longest id, in bytes.
pub const ID_BYTES_MAX: usize = 256;
/// The longest other string, in bytes. A longer consent string is malformed rather than refused.
pub const TEXT_BYTES_MAX: usize = 4_096;
/// The most products of an event.
pub const PRODUCTS_MAX: usize = 256;

/// Checks the values of an event of one of the three event topics.
///
/// # Errors
/// At the first value that is not allowed, with the field's name.
pub fn event(event: &RawEvent<'_>) -> Result<(), Reject> {
    id("event_id", event.event_id)?;
    time("event_time", event.event_time)?;
    id("brand_id", event.brand_id)?;
    for (name, value) in [
        ("person_id", event.person_id),
        ("device_id", event.device_id),
        ("campaign_id", event.campaign_id),
        ("creative_id", event.creative_id),
        ("page_view_id", event.page_view_id),
        ("order_id", event.order_id),
        ("cart_id", event.cart_id),
        ("recommendation_id", event.recommendation_id),
        ("consent_version", event.consent_version),
        ("message_id", event.message_id),
    ] {
        if let Some(value) = value {
            id(name, value)?;
        }
    }
    if event.person_id.is_none() && event.device_id.is_none() {
        return Err(Reject::new(Reason::Nobody, "person_id or device_id"));
    }
    if event.product_ids.len() > PRODUCTS_MAX {
        return Err(Reject::new(Reason::Oversized, "product_ids"));
    }
    for product in &event.product_ids {
        id("product_ids", product)?;
    }
    for (name, value) in [("category", event.category), ("jurisdiction", event.jurisdiction)] {
        if value.is_some_and(|value| value.len() > TEXT_BYTES_MAX) {
            return Err(Reject::new(Reason::Oversized, name));
        }
    }
    share("viewed_share", event.viewed_share)
}

/// Checks the values of a brand incident.
///
/// # Errors
/// At the first value that is not allowed, with the field's name.
pub fn incident(incident: &RawIncident) -> Result<(), Reject> {
    id("incident_id", &incident.incident_id)?;
    id("brand_id", &incident.brand_id)?;
    time("disclosed_time", incident.disclosed_time)?;
    optional_time("updated_time", incident.updated_time)?;
    optional_time("occurred_time", incident.occurred_time)?;
    if incident.people_affected.is_some_and(|people| people < 0) {
        return Err(Reject::new(Reason::OutOfRange, "people_affected"));
    }
    share("severity", incident.severity)?;
    share("credibility", incident.credibility)
}

/// Checks the values of an identity link.
///
/// # Errors
/// At the first value that is not allowed, with the field's name.
pub fn link(link: &RawLink) -> Result<(), Reject> {
    id("device_id", &link.device_id)?;
    if let Some(person) = &link.person_id {
        id("person_id", person)?;
    }
    time("linked_time", link.linked_time)
}

/// Checks the values of an erasure.
///
/// # Errors
/// At the first value that is not allowed, with the field's name.
pub fn erasure(erasure: &RawErasure) -> Result<(), Reject> {
    id("request_id", &erasure.request_id)?;
    for (name, value) in [("person_id", &erasure.person_id), ("device_id", &erasure.device_id)] {
        if let Some(value) = value {
            id(name, value)?;
        }
    }
    if erasure.person_id.is_none() && erasure.device_id.is_none() {
        return Err(Reject::new(Reason::Nobody, "person_id or device_id"));
    }
    time("requested_time", erasure.requested_time)
}

fn id(name: &'static str, value: &str) -> Result<(), Reject> {
    match value.len() {
        0 => Err(Reject::new(Reason::EmptyId, name)),
        1..=ID_BYTES_MAX => Ok(()),
        _ => Err(Reject::new(Reason::Oversized, name)),
    }
}

fn time(name: &'static str, value: i64) -> Result<(), Reject> {
    if EventTime(value).is_plausible() { Ok(()) } else { Err(Reject::new(Reason::TimeOutOfRange, name)) }
}

fn optional_time(name: &'static str, value: Option<i64>) -> Result<(), Reject> {
    value.map_or(Ok(()), |value| time(name, value))
}

fn share(name: &'static str, value: Option<f64>) -> Result<(), Reject> {
    match value {
        Some(value) if !(0.0..=1.0).contains(&value) => Err(Reject::new(Reason::OutOfRange, name)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::kinds::Topic;

    fn check(change: impl FnOnce(&mut RawEvent<'static>), expected: Option<(Reason, &str)>) {
        let mut good = RawEvent::new(Topic::Clickstream);
        good.event_id = "e";
        good.event_time = EventTime::MIN.0;
        good.brand_id = "b";
        good.person_id = Some("p");
        change(&mut good);
        let got = event(&good).err().map(|reject| (reject.reason, reject.detail));
        assert_eq!(got, expected.map(|(reason, detail)| (reason, detail.to_owned())));
    }

    #[test]
    fn every_limit_at_its_value_and_one_beyond() {
        let of = |length: usize| -> &'static str { "x".repeat(length).leak() };
        check(|_| {}, None);
        check(|e| e.event_id = of(256), None);
        check(|e| e.event_id = of(257), Some((Reason::Oversized, "event_id")));
        check(|e| e.brand_id = "", Some((Reason::EmptyId, "brand_id")));
        check(|e| e.consent_version = Some(""), Some((Reason::EmptyId, "consent_version")));
        check(|e| e.category = Some(of(4_096)), None);
        check(|e| e.category = Some(""), None);
        check(|e| e.category = Some(of(4_097)), Some((Reason::Oversized, "category")));
        check(|e| e.product_ids = vec!["p"; 256], None);
        check(|e| e.product_ids = vec!["p"; 257], Some((Reason::Oversized, "product_ids")));
        check(|e| e.product_ids = vec![""], Some((Reason::EmptyId, "product_ids")));
        check(|e| e.event_time -= 1, Some((Reason::TimeOutOfRange, "event_time")));
        check(|e| e.event_time = EventTime::END.0, Some((Reason::TimeOutOfRange, "event_time")));
        check(|e| e.event_time = EventTime::END.0 - 1, None);
        check(|e| e.viewed_share = Some(1.0), None);
        check(|e| e.viewed_share = Some(-0.000_1), Some((Reason::OutOfRange, "viewed_share")));
        check(|e| e.viewed_share = Some(f64::NAN), Some((Reason::OutOfRange, "viewed_share")));
        check(|e| e.person_id = None, Some((Reason::Nobody, "person_id or device_id")));
        check(|e| (e.person_id, e.device_id) = (None, Some("d")), None);
    }
}
