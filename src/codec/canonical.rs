//! The Avro encoding of the canonical input records, under the schemas of this build.
//!
//! It decides the order of records that agree in time, id and topic, and is how generated traffic is written.

use super::field::{self, Field};
use crate::event::kinds::Topic;
use crate::event::raw::{RawConsent, RawErasure, RawEvent, RawIncident, RawLink};

/// Appends the encoding of an event.
pub fn encode_event(event: &RawEvent<'_>, out: &mut Vec<u8>) {
    for field in field::fields_of(event.topic) {
        put_field(event, *field, out);
    }
}

/// Appends the encoding of a brand incident.
pub fn encode_incident(incident: &RawIncident, out: &mut Vec<u8>) {
    put_text(out, &incident.incident_id);
    put_text(out, &incident.brand_id);
    put_long(out, i64::from(incident.kind.index()));
    put_long(out, incident.disclosed_time);
    put_option(out, incident.updated_time, put_long_value);
    put_option(out, incident.occurred_time, put_long_value);
    put_option(out, incident.people_affected, put_long_value);
    out.push(u8::from(incident.identity_or_health_data));
    put_option(out, incident.severity, put_double);
    put_option(out, incident.credibility, put_double);
}

/// Appends the encoding of an identity link.
pub fn encode_link(link: &RawLink, out: &mut Vec<u8>) {
    // The schema lists the matches from the strongest to the weakest.
    let index = 2 - link.matched.index();
    put_text(out, &link.device_id);
    put_option(out, link.person_id.as_deref(), put_text);
    put_long(out, i64::from(index));
    put_long(out, link.linked_time);
}

/// Appends the encoding of an erasure.
pub fn encode_erasure(erasure: &RawErasure, out: &mut Vec<u8>) {
    put_text(out, &erasure.request_id);
    put_option(out, erasure.person_id.as_deref(), put_text);
    put_option(out, erasure.device_id.as_deref(), put_text);
    put_long(out, erasure.requested_time);
}

fn put_field(event: &RawEvent<'_>, field: Field, out: &mut Vec<u8>) {
    match field {
        Field::EventId => put_text(out, event.event_id),
        Field::EventTime => put_long(out, event.event_time),
        Field::Kind => {
            let first = event.topic_kinds_start();
            put_long(out, i64::from(event.kind.index() - first));
        }
        Field::BrandId => put_text(out, event.brand_id),
        Field::PersonId => put_option(out, event.person_id, put_text),
        Field::DeviceId => put_option(out, event.device_id, put_text),
        Field::DeviceType => put_long(out, i64::from(event.device_type.index())),
        Field::CampaignId => put_option(out, event.campaign_id, put_text),
        Field::CreativeId => put_option(out, event.creative_id, put_text),
        Field::PageViewId => put_option(out, event.page_view_id, put_text),
        Field::ProductIds => {
            if !event.product_ids.is_empty() {
                put_long(out, event.product_ids.len() as i64);
                for product in &event.product_ids {
                    put_text(out, product);
                }
            }
            put_long(out, 0);
        }
        Field::Category => put_option(out, event.category, put_text),
        Field::Retargeting => put_option(out, event.retargeting, put_flag),
        Field::Basis => put_long(out, i64::from(event.basis.index())),
        Field::Disclosed => put_option(out, event.disclosed, put_flag),
        Field::Rewarded => put_flag(out, event.rewarded),
        Field::Test => put_flag(out, event.test),
        Field::Jurisdiction => put_option(out, event.jurisdiction, put_text),
        Field::Consent => put_option(out, event.consent.as_ref(), put_consent),
        Field::OrderId => put_option(out, event.order_id, put_text),
        Field::CartId => put_option(out, event.cart_id, put_text),
        Field::RecommendationId => put_option(out, event.recommendation_id, put_text),
        Field::ViewedShare => put_option(out, event.viewed_share, put_double),
        Field::PromptType => put_option(out, event.prompt_type.map(|p| i64::from(p.index())), put_long_value),
        Field::ConsentVersion => put_option(out, event.consent_version, put_text),
        Field::FirstLayerReject => put_option(out, event.first_layer_reject, put_flag),
        Field::MessageId => put_option(out, event.message_id, put_text),
        Field::Channel => put_long(out, event.channel.map_or(0, |channel| i64::from(channel.index()))),
        Field::Class => put_long(out, i64::from(event.class.index())),
        Field::Permission => put_long(out, i64::from(event.permission.index())),
        Field::AttStatus
        | Field::Lmt
        | Field::Dnt
        | Field::Gpc
        | Field::GdprApplies
        | Field::TcString
        | Field::Gpp
        | Field::UsPrivacy => debug_assert!(false, "{} is inside the consent signals", field.name()),
    }
}

fn put_consent(out: &mut Vec<u8>, consent: &RawConsent<'_>) {
    // The schema has an int; what lies outside is unknown either way.
    let att_status = consent.att_status.map(|status| status.clamp(i32::MIN.into(), i32::MAX.into()));
    put_option(out, att_status, put_long_value);
    for flag in [consent.lmt, consent.dnt, consent.gpc, consent.gdpr_applies] {
        put_option(out, flag, put_flag);
    }
    for text in [consent.tc_string, consent.gpp, consent.us_privacy] {
        put_option(out, text, put_text);
    }
}

/// A union of null and something.
fn put_option<T>(out: &mut Vec<u8>, value: Option<T>, put: impl FnOnce(&mut Vec<u8>, T)) {
    match value {
        None => out.push(0),
        Some(value) => {
            out.push(2);
            put(out, value);
        }
    }
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_long(out, text.len() as i64);
    out.extend_from_slice(text.as_bytes());
}

fn put_flag(out: &mut Vec<u8>, flag: bool) {
    out.push(u8::from(flag));
}

fn put_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn put_long_value(out: &mut Vec<u8>, value: i64) {
    put_long(out, value);
}

/// An Avro int or long: zig-zag, seven bits a byte.
pub fn put_long(out: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

impl RawEvent<'_> {
    /// The index of the first kind of the event's topic.
    fn topic_kinds_start(&self) -> u8 {
        use crate::event::kinds::Kind;
        let first = Kind::of_topic(self.topic).first();
        debug_assert!(self.topic != Topic::Erasures, "only events have kinds");
        first.map_or(0, |kind| kind.index())
    }
}
