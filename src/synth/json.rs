//! The JSON form of the source records; what is null or the default is left out.

use serde_json::{Map, Value, json};

use crate::event::kinds::{Basis, DeviceType, MessageClass, Permission, Topic};
use crate::event::raw::{RawConsent, RawErasure, RawEvent, RawIncident, RawLink};

/// An event as a JSON object.
pub fn event(event: &RawEvent<'_>) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    fields.put("event_id", event.event_id);
    fields.put("event_time", event.event_time);
    fields.put("kind", event.kind.symbol());
    fields.put("brand_id", event.brand_id);
    fields.put("person_id", event.person_id);
    fields.put("device_id", event.device_id);
    let unless = |symbol: &'static str, is_default: bool| (!is_default).then_some(symbol);
    if event.topic == Topic::Messages {
        fields.put("message_id", event.message_id);
        fields.put("channel", event.channel.map(|channel| channel.symbol()));
        fields.put("class", unless(event.class.symbol(), event.class == MessageClass::Marketing));
        fields.put("permission", unless(event.permission.symbol(), event.permission == Permission::Unknown));
    } else {
        fields
            .put("device_type", unless(event.device_type.symbol(), event.device_type == DeviceType::Unknown));
        fields.put("basis", unless(event.basis.symbol(), event.basis == Basis::Unknown));
    }
    fields.put("campaign_id", event.campaign_id);
    fields.put("creative_id", event.creative_id);
    fields.put("page_view_id", event.page_view_id);
    fields.put("product_ids", (!event.product_ids.is_empty()).then(|| event.product_ids.clone()));
    fields.put("category", event.category);
    fields.put("retargeting", event.retargeting);
    fields.put("disclosed", event.disclosed);
    fields.put("rewarded", event.rewarded.then_some(true));
    fields.put("test", event.test.then_some(true));
    fields.put("jurisdiction", event.jurisdiction);
    fields.put("order_id", event.order_id);
    fields.put("cart_id", event.cart_id);
    fields.put("recommendation_id", event.recommendation_id);
    fields.put("viewed_share", event.viewed_share);
    fields.put("prompt_type", event.prompt_type.map(|prompt| prompt.symbol()));
    fields.put("consent_version", event.consent_version);
    fields.put("first_layer_reject", event.first_layer_reject);
    fields.put("consent", event.consent.as_ref().map(consent));
    fields.0
}

/// A brand incident as a JSON object.
pub fn incident(incident: &RawIncident) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    fields.put("incident_id", incident.incident_id.as_str());
    fields.put("brand_id", incident.brand_id.as_str());
    fields.put("kind", incident.kind.symbol());
    fields.put("disclosed_time", incident.disclosed_time);
    fields.put("updated_time", incident.updated_time);
    fields.put("occurred_time", incident.occurred_time);
    fields.put("people_affected", incident.people_affected);
    fields.put("identity_or_health_data", incident.identity_or_health_data.then_some(true));
    fields.put("severity", incident.severity);
    fields.put("credibility", incident.credibility);
    fields.0
}

/// An identity link as a JSON object.
pub fn link(link: &RawLink) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    fields.put("device_id", link.device_id.as_str());
    fields.put("person_id", link.person_id.as_deref());
    fields.put("match", link.matched.symbol());
    fields.put("linked_time", link.linked_time);
    fields.0
}

/// An erasure as a JSON object.
pub fn erasure(erasure: &RawErasure) -> Map<String, Value> {
    let mut fields = Fields(Map::new());
    fields.put("request_id", erasure.request_id.as_str());
    fields.put("person_id", erasure.person_id.as_deref());
    fields.put("device_id", erasure.device_id.as_deref());
    fields.put("requested_time", erasure.requested_time);
    fields.0
}

fn consent(consent: &RawConsent<'_>) -> Value {
    let mut fields = Fields(Map::new());
    fields.put("att_status", consent.att_status);
    fields.put("lmt", consent.lmt);
    fields.put("dnt", consent.dnt);
    fields.put("gpc", consent.gpc);
    fields.put("gdpr_applies", consent.gdpr_applies);
    fields.put("tc_string", consent.tc_string);
    fields.put("gpp", consent.gpp);
    fields.put("us_privacy", consent.us_privacy);
    Value::Object(fields.0)
}

struct Fields(Map<String, Value>);

impl Fields {
    /// Adds a field unless it is null.
    fn put(&mut self, name: &str, value: impl serde::Serialize) {
        let value = json!(value);
        if !value.is_null() {
            self.0.insert(name.to_owned(), value);
        }
    }
}
