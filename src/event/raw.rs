//! Source records as a decoder leaves them: types checked, values not yet.

use super::kinds::{
    Basis, Channel, DeviceType, IncidentKind, Kind, Match, MessageClass, Permission, PromptType, Topic,
};

/// Privacy signals that travel with an event, still in their transport form.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct RawConsent<'a> {
    /// Apple's App Tracking Transparency: 0 not determined, 1 restricted, 2 denied, 3 authorised.
    pub att_status: Option<i64>,
    /// Limit ad tracking.
    pub lmt: Option<bool>,
    /// Do not track.
    pub dnt: Option<bool>,
    /// Global Privacy Control.
    pub gpc: Option<bool>,
    /// Whether the GDPR applies.
    pub gdpr_applies: Option<bool>,
    /// IAB TCF string.
    pub tc_string: Option<&'a str>,
    /// IAB GPP string.
    pub gpp: Option<&'a str>,
    /// IAB US Privacy string.
    pub us_privacy: Option<&'a str>,
}

/// One record of `ad-deliveries`, `clickstream` or `messages`: the union of their fields.
///
/// Strings borrow from the record's bytes. It holds raw ids: it can be neither printed nor serialised.
/// A field that the topic does not have keeps its default.
#[derive(Clone, PartialEq)]
pub struct RawEvent<'a> {
    /// The topic whose record this is.
    pub topic: Topic,
    /// What happened.
    pub kind: Kind,
    /// The producer's id of the event.
    pub event_id: &'a str,
    /// Milliseconds since the epoch, UTC; not yet range-checked.
    pub event_time: i64,
    /// The brand.
    pub brand_id: &'a str,
    /// The person, where known.
    pub person_id: Option<&'a str>,
    /// The device, where known.
    pub device_id: Option<&'a str>,
    /// Kind of device.
    pub device_type: DeviceType,
    /// Advertising campaign.
    pub campaign_id: Option<&'a str>,
    /// Creative shown.
    pub creative_id: Option<&'a str>,
    /// Page view in which the event happened.
    pub page_view_id: Option<&'a str>,
    /// Products shown, bought or put into the cart.
    pub product_ids: Vec<&'a str>,
    /// Product category.
    pub category: Option<&'a str>,
    /// Whether the ad was served as retargeting.
    pub retargeting: Option<bool>,
    /// What the choice of content rests on.
    pub basis: Basis,
    /// Whether the use of data was disclosed.
    pub disclosed: Option<bool>,
    /// Whether the person is rewarded for watching the ad.
    pub rewarded: bool,
    /// Test traffic.
    pub test: bool,
    /// ISO 3166 country, optionally with region.
    pub jurisdiction: Option<&'a str>,
    /// Privacy signals.
    pub consent: Option<RawConsent<'a>>,
    /// Order.
    pub order_id: Option<&'a str>,
    /// Cart.
    pub cart_id: Option<&'a str>,
    /// Recommendation.
    pub recommendation_id: Option<&'a str>,
    /// Share of a recap that was viewed, 0 to 1.
    pub viewed_share: Option<f64>,
    /// What a prompt or decision is about.
    pub prompt_type: Option<PromptType>,
    /// Version of the consent text.
    pub consent_version: Option<&'a str>,
    /// Whether the prompt's first layer offers to reject.
    pub first_layer_reject: Option<bool>,
    /// Message.
    pub message_id: Option<&'a str>,
    /// How the message travelled; `None` only where the topic has no such field.
    pub channel: Option<Channel>,
    /// Class of the message.
    pub class: MessageClass,
    /// The sender's claim of permission.
    pub permission: Permission,
}

impl RawEvent<'_> {
    /// An event of `topic` with every field at its default.
    pub fn new(topic: Topic) -> Self {
        RawEvent {
            topic,
            kind: Kind::Impression,
            event_id: "",
            event_time: 0,
            brand_id: "",
            person_id: None,
            device_id: None,
            device_type: DeviceType::Unknown,
            campaign_id: None,
            creative_id: None,
            page_view_id: None,
            product_ids: Vec::new(),
            category: None,
            retargeting: None,
            basis: Basis::Unknown,
            disclosed: None,
            rewarded: false,
            test: false,
            jurisdiction: None,
            consent: None,
            order_id: None,
            cart_id: None,
            recommendation_id: None,
            viewed_share: None,
            prompt_type: None,
            consent_version: None,
            first_layer_reject: None,
            message_id: None,
            channel: None,
            class: MessageClass::Marketing,
            permission: Permission::Unknown,
        }
    }

    /// Puts every field but the topic back to its default and keeps the allocation of `product_ids`.
    pub fn reset(&mut self) {
        let mut product_ids = std::mem::take(&mut self.product_ids);
        product_ids.clear();
        *self = RawEvent { product_ids, ..RawEvent::new(self.topic) };
    }
}

/// One record of `brand-incidents`.
#[derive(Clone, Debug, PartialEq)]
pub struct RawIncident {
    /// The incident; corrections share it.
    pub incident_id: String,
    /// The brand it happened to.
    pub brand_id: String,
    /// What happened.
    pub kind: IncidentKind,
    /// When the public learnt of it, milliseconds since the epoch.
    pub disclosed_time: i64,
    /// When this record was written; `disclosed_time` where the source gives none.
    pub updated_time: Option<i64>,
    /// When it happened.
    pub occurred_time: Option<i64>,
    /// How many people it affected.
    pub people_affected: Option<i64>,
    /// Whether identity or health data were involved.
    pub identity_or_health_data: bool,
    /// Severity, 0 to 1.
    pub severity: Option<f64>,
    /// Credibility of the report, 0 to 1.
    pub credibility: Option<f64>,
}

/// One record of `identity-links`.
#[derive(Clone, PartialEq)]
pub struct RawLink {
    /// The device.
    pub device_id: String,
    /// The person it belongs to from `linked_time` on; `None` unlinks.
    pub person_id: Option<String>,
    /// How it was matched.
    pub matched: Match,
    /// From when on, milliseconds since the epoch.
    pub linked_time: i64,
}

/// One record of `erasures`: a person's or device's request to be forgotten.
#[derive(Clone, PartialEq)]
pub struct RawErasure {
    /// The request.
    pub request_id: String,
    /// The person to forget.
    pub person_id: Option<String>,
    /// The device to forget.
    pub device_id: Option<String>,
    /// From when on, milliseconds since the epoch.
    pub requested_time: i64,
}

/// Any source record, decoded.
#[expect(clippy::large_enum_variant, reason = "the large variant is the usual one, and never stored")]
#[derive(Clone, PartialEq)]
pub enum RawRecord<'a> {
    /// A record of one of the three event topics.
    Event(RawEvent<'a>),
    /// A brand incident.
    Incident(RawIncident),
    /// An identity link.
    Link(RawLink),
    /// An erasure.
    Erasure(RawErasure),
}
