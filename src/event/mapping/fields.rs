//! The canonical fields a mapping may fill, and their types.

use super::super::kinds::{
    Basis, Channel, DeviceType, IncidentKind, Kind, Match, MessageClass, Permission, PromptType, Topic,
};

/// What a canonical field holds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum FieldType {
    /// Text.
    Text,
    /// A list of texts.
    Texts,
    /// Milliseconds since the epoch.
    Time,
    /// True or false.
    Flag,
    /// A whole number.
    Whole,
    /// A number from 0 to 1.
    Share,
    /// One of these symbols.
    Symbol(&'static [&'static str]),
    /// A kind of the event topic.
    Kind,
}

/// A canonical field of a topic.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: &'static str,
    pub(super) holds: FieldType,
    pub(super) required: bool,
}

const fn need(name: &'static str, holds: FieldType) -> Field {
    Field { name, holds, required: true }
}

const fn may(name: &'static str, holds: FieldType) -> Field {
    Field { name, holds, required: false }
}

use FieldType::{Flag, Share, Symbol, Text, Texts, Time, Whole};

const EVENT: &[Field] = &[
    need("event_id", Text),
    need("event_time", Time),
    need("kind", FieldType::Kind),
    need("brand_id", Text),
    may("person_id", Text),
    may("device_id", Text),
    may("test", Flag),
];

const SITE: &[Field] = &[
    may("device_type", Symbol(DeviceType::SYMBOLS)),
    may("page_view_id", Text),
    may("product_ids", Texts),
    may("category", Text),
    may("basis", Symbol(Basis::SYMBOLS)),
    may("disclosed", Flag),
    may("jurisdiction", Text),
    may("consent.att_status", Whole),
    may("consent.lmt", Flag),
    may("consent.dnt", Flag),
    may("consent.gpc", Flag),
    may("consent.gdpr_applies", Flag),
    may("consent.tc_string", Text),
    may("consent.gpp", Text),
    may("consent.us_privacy", Text),
];

const AD: &[Field] =
    &[may("campaign_id", Text), may("creative_id", Text), may("retargeting", Flag), may("rewarded", Flag)];

const CLICK: &[Field] = &[
    may("order_id", Text),
    may("cart_id", Text),
    may("recommendation_id", Text),
    may("viewed_share", Share),
    may("prompt_type", Symbol(PromptType::SYMBOLS)),
    may("consent_version", Text),
    may("first_layer_reject", Flag),
];

const MESSAGE: &[Field] = &[
    need("channel", Symbol(Channel::SYMBOLS)),
    may("message_id", Text),
    may("class", Symbol(MessageClass::SYMBOLS)),
    may("cart_id", Text),
    may("permission", Symbol(Permission::SYMBOLS)),
];

const INCIDENT: &[Field] = &[
    need("incident_id", Text),
    need("brand_id", Text),
    need("kind", Symbol(IncidentKind::SYMBOLS)),
    need("disclosed_time", Time),
    may("updated_time", Time),
    may("occurred_time", Time),
    may("people_affected", Whole),
    may("identity_or_health_data", Flag),
    may("severity", Share),
    may("credibility", Share),
];

const LINK: &[Field] = &[
    need("device_id", Text),
    may("person_id", Text),
    need("match", Symbol(Match::SYMBOLS)),
    need("linked_time", Time),
];

const ERASURE: &[Field] =
    &[need("request_id", Text), may("person_id", Text), may("device_id", Text), need("requested_time", Time)];

/// The fields of a topic's records, group by group.
pub(super) fn of_topic(topic: Topic) -> impl Iterator<Item = &'static Field> {
    let groups: [&[Field]; 3] = match topic {
        Topic::AdDeliveries => [EVENT, SITE, AD],
        Topic::Clickstream => [EVENT, SITE, CLICK],
        Topic::Messages => [EVENT, MESSAGE, &[]],
        Topic::BrandIncidents => [INCIDENT, &[], &[]],
        Topic::IdentityLinks => [LINK, &[], &[]],
        Topic::Erasures => [ERASURE, &[], &[]],
    };
    groups.into_iter().flatten()
}

/// Whether records of this topic must name a person or a device.
pub(super) const fn names_somebody(topic: Topic) -> bool {
    topic.is_person_events() || matches!(topic, Topic::Erasures)
}

/// Whether this is a symbol the field may hold; true for fields that hold no symbols.
pub(super) fn allows(topic: Topic, holds: FieldType, symbol: &str) -> bool {
    match holds {
        FieldType::Symbol(symbols) => symbols.contains(&symbol),
        FieldType::Kind => Kind::of_topic_symbol(topic, symbol).is_some(),
        Text | Texts | Time | Flag | Whole | Share => true,
    }
}

/// The symbols of a field, for messages; empty for fields that hold none.
pub(super) fn symbols(topic: Topic, holds: FieldType) -> Vec<&'static str> {
    match holds {
        FieldType::Symbol(symbols) => symbols.to_vec(),
        FieldType::Kind => Kind::of_topic(topic).iter().map(|kind| kind.symbol()).collect(),
        Text | Texts | Time | Flag | Whole | Share => Vec::new(),
    }
}
