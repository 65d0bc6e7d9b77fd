//! The fields of the three event topics: their names, shapes, and where a decoded value goes.
//!
//! JSON and Avro share this table, so that the two forms cannot drift apart.

use crate::event::kinds::{Basis, Channel, DeviceType, Kind, MessageClass, Permission, PromptType, Topic};
use crate::event::raw::{RawConsent, RawEvent};

/// What kind of value a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// UTF-8 text.
    Text,
    /// A list of texts.
    Texts,
    /// `true` or `false`.
    Flag,
    /// Milliseconds since the epoch.
    Time,
    /// A number from 0 to 1.
    Share,
    /// A symbol of one of the vocabularies.
    Symbol,
    /// A small integer.
    Status,
    /// The nested privacy signals.
    Consent,
}

/// Declares the fields with name and shape.
macro_rules! fields {
    ($($variant:ident = $name:literal : $shape:ident),+ $(,)?) => {
        /// A field of an event, or of the privacy signals inside one.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Field { $(#[doc = concat!("`", $name, "`.")] $variant),+ }

        impl Field {
            /// All fields.
            pub const ALL: &'static [Field] = &[$(Field::$variant),+];

            /// The name in Avro and JSON.
            pub const fn name(self) -> &'static str {
                match self { $(Field::$variant => $name),+ }
            }

            /// What kind of value it holds.
            pub const fn shape(self) -> Shape {
                match self { $(Field::$variant => Shape::$shape),+ }
            }

            /// The field with this name, compared byte for byte.
            pub fn from_name(name: &str) -> Option<Field> {
                match name { $($name => Some(Field::$variant),)+ _ => None }
            }
        }
    };
}

fields! {
    EventId = "event_id": Text,
    EventTime = "event_time": Time,
    Kind = "kind": Symbol,
    BrandId = "brand_id": Text,
    PersonId = "person_id": Text,
    DeviceId = "device_id": Text,
    DeviceType = "device_type": Symbol,
    CampaignId = "campaign_id": Text,
    CreativeId = "creative_id": Text,
    PageViewId = "page_view_id": Text,
    ProductIds = "product_ids": Texts,
    Category = "category": Text,
    Retargeting = "retargeting": Flag,
    Basis = "basis": Symbol,
    Disclosed = "disclosed": Flag,
    Rewarded = "rewarded": Flag,
    Test = "test": Flag,
    Jurisdiction = "jurisdiction": Text,
    Consent = "consent": Consent,
    OrderId = "order_id": Text,
    CartId = "cart_id": Text,
    RecommendationId = "recommendation_id": Text,
    ViewedShare = "viewed_share": Share,
    PromptType = "prompt_type": Symbol,
    ConsentVersion = "consent_version": Text,
    FirstLayerReject = "first_layer_reject": Flag,
    MessageId = "message_id": Text,
    Channel = "channel": Symbol,
    Class = "class": Symbol,
    Permission = "permission": Symbol,
    AttStatus = "att_status": Status,
    Lmt = "lmt": Flag,
    Dnt = "dnt": Flag,
    Gpc = "gpc": Flag,
    GdprApplies = "gdpr_applies": Flag,
    TcString = "tc_string": Text,
    Gpp = "gpp": Text,
    UsPrivacy = "us_privacy": Text,
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u64);

impl FieldSet {
    /// What every event must have (`channel` too, where the topic has it).
    pub const REQUIRED: FieldSet =
        FieldSet::of(&[Field::EventId, Field::EventTime, Field::Kind, Field::BrandId, Field::Channel]);

    /// The set of these fields.
    pub const fn of(fields: &[Field]) -> FieldSet {
        let mut bits = 0;
        let mut at = 0;
        while at < fields.len() {
            bits |= 1 << fields[at] as u64;
            at += 1;
        }
        FieldSet(bits)
    }

    /// Whether the field is in the set.
    pub const fn has(self, field: Field) -> bool {
        self.0 & (1 << field as u64) != 0
    }

    /// Adds the field; `false` if it was there.
    pub fn add(&mut self, field: Field) -> bool {
        let new = !self.has(field);
        self.0 |= 1 << field as u64;
        new
    }

    /// The fields of both sets.
    pub const fn and(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & other.0)
    }

    /// The fields of this set that are not in the other.
    pub const fn without(self, other: FieldSet) -> FieldSet {
        FieldSet(self.0 & !other.0)
    }

    /// The first field of the set.
    pub fn first(self) -> Option<Field> {
        Field::ALL.get(self.0.trailing_zeros() as usize).copied()
    }
}

/// The fields of `ConsentSignals`, in the order of the schema.
pub const CONSENT_FIELDS: &[Field] = &[
    Field::AttStatus,
    Field::Lmt,
    Field::Dnt,
    Field::Gpc,
    Field::GdprApplies,
    Field::TcString,
    Field::Gpp,
    Field::UsPrivacy,
];

/// The same as a set.
pub const CONSENT_SET: FieldSet = FieldSet::of(CONSENT_FIELDS);

/// The fields of an event topic, in the order of its schema; none for the other topics.
pub const fn fields_of(topic: Topic) -> &'static [Field] {
    use Field::*;
    match topic {
        Topic::AdDeliveries => &[
            EventId,
            EventTime,
            Kind,
            BrandId,
            PersonId,
            DeviceId,
            DeviceType,
            CampaignId,
            CreativeId,
            PageViewId,
            ProductIds,
            Category,
            Retargeting,
            Basis,
            Disclosed,
            Rewarded,
            Test,
            Jurisdiction,
            Consent,
        ],
        Topic::Clickstream => &[
            EventId,
            EventTime,
            Kind,
            BrandId,
            PersonId,
            DeviceId,
            DeviceType,
            PageViewId,
            ProductIds,
            Category,
            OrderId,
            CartId,
            RecommendationId,
            ViewedShare,
            Basis,
            Disclosed,
            PromptType,
            ConsentVersion,
            FirstLayerReject,
            Test,
            Jurisdiction,
            Consent,
        ],
        Topic::Messages => &[
            EventId, EventTime, Kind, BrandId, PersonId, DeviceId, MessageId, Channel, Class, CartId,
            Permission, Test,
        ],
        Topic::BrandIncidents | Topic::Erasures | Topic::IdentityLinks => &[],
    }
}

/// The same as a set.
pub const fn set_of(topic: Topic) -> FieldSet {
    const ADS: FieldSet = FieldSet::of(fields_of(Topic::AdDeliveries));
    const CLICKS: FieldSet = FieldSet::of(fields_of(Topic::Clickstream));
    const MESSAGES: FieldSet = FieldSet::of(fields_of(Topic::Messages));
    match topic {
        Topic::AdDeliveries => ADS,
        Topic::Clickstream => CLICKS,
        Topic::Messages => MESSAGES,
        Topic::BrandIncidents | Topic::Erasures | Topic::IdentityLinks => FieldSet::of(&[]),
    }
}

/// The symbols of a field of shape [`Shape::Symbol`] under `topic`, in the order of the schema.
pub fn symbols_of(topic: Topic, field: Field) -> Vec<&'static str> {
    match field {
        Field::Kind => Kind::of_topic(topic).iter().map(|kind| kind.symbol()).collect(),
        Field::DeviceType => DeviceType::SYMBOLS.to_vec(),
        Field::Basis => Basis::SYMBOLS.to_vec(),
        Field::PromptType => PromptType::SYMBOLS.to_vec(),
        Field::Channel => Channel::SYMBOLS.to_vec(),
        Field::Class => MessageClass::SYMBOLS.to_vec(),
        Field::Permission => Permission::SYMBOLS.to_vec(),
        _ => Vec::new(),
    }
}

/// Sets a field of shape [`Shape::Text`].
pub(super) fn set_text<'a>(event: &mut RawEvent<'a>, field: Field, text: &'a str) {
    match field {
        Field::EventId => event.event_id = text,
        Field::BrandId => event.brand_id = text,
        Field::PersonId => event.person_id = Some(text),
        Field::DeviceId => event.device_id = Some(text),
        Field::CampaignId => event.campaign_id = Some(text),
        Field::CreativeId => event.creative_id = Some(text),
        Field::PageViewId => event.page_view_id = Some(text),
        Field::ProductIds => event.product_ids.push(text),
        Field::Category => event.category = Some(text),
        Field::Jurisdiction => event.jurisdiction = Some(text),
        Field::OrderId => event.order_id = Some(text),
        Field::CartId => event.cart_id = Some(text),
        Field::RecommendationId => event.recommendation_id = Some(text),
        Field::ConsentVersion => event.consent_version = Some(text),
        Field::MessageId => event.message_id = Some(text),
        Field::TcString => consent(event).tc_string = Some(text),
        Field::Gpp => consent(event).gpp = Some(text),
        Field::UsPrivacy => consent(event).us_privacy = Some(text),
        other => debug_assert!(false, "{} is no text", other.name()),
    }
}

/// Sets a field of shape [`Shape::Flag`].
pub(super) fn set_flag(event: &mut RawEvent<'_>, field: Field, flag: bool) {
    match field {
        Field::Retargeting => event.retargeting = Some(flag),
        Field::Disclosed => event.disclosed = Some(flag),
        Field::Rewarded => event.rewarded = flag,
        Field::Test => event.test = flag,
        Field::FirstLayerReject => event.first_layer_reject = Some(flag),
        Field::Lmt => consent(event).lmt = Some(flag),
        Field::Dnt => consent(event).dnt = Some(flag),
        Field::Gpc => consent(event).gpc = Some(flag),
        Field::GdprApplies => consent(event).gdpr_applies = Some(flag),
        other => debug_assert!(false, "{} is no flag", other.name()),
    }
}

/// Sets a field of shape [`Shape::Time`] or [`Shape::Status`].
pub(super) fn set_integer(event: &mut RawEvent<'_>, field: Field, value: i64) {
    match field {
        Field::EventTime => event.event_time = value,
        Field::AttStatus => consent(event).att_status = Some(value),
        other => debug_assert!(false, "{} is no integer", other.name()),
    }
}

/// Sets a field of shape [`Shape::Share`].
pub(super) fn set_share(event: &mut RawEvent<'_>, field: Field, value: f64) {
    debug_assert_eq!(field, Field::ViewedShare);
    event.viewed_share = Some(value);
}

/// Sets a field of shape [`Shape::Symbol`] to the symbol at `index` of our schema; `None` if there is none.
pub(super) fn set_index(event: &mut RawEvent<'_>, field: Field, index: u8) -> Option<()> {
    match field {
        Field::Kind => event.kind = *Kind::of_topic(event.topic).get(usize::from(index))?,
        Field::DeviceType => event.device_type = DeviceType::from_index(index)?,
        Field::Basis => event.basis = Basis::from_index(index)?,
        Field::PromptType => event.prompt_type = Some(PromptType::from_index(index)?),
        Field::Channel => event.channel = Some(Channel::from_index(index)?),
        Field::Class => event.class = MessageClass::from_index(index)?,
        Field::Permission => event.permission = Permission::from_index(index)?,
        other => debug_assert!(false, "{} is no symbol", other.name()),
    }
    Some(())
}

/// Sets a field of shape [`Shape::Symbol`]; `None` if the symbol is unknown.
pub(super) fn set_symbol(event: &mut RawEvent<'_>, field: Field, symbol: &str) -> Option<()> {
    match field {
        Field::Kind => event.kind = Kind::of_topic_symbol(event.topic, symbol)?,
        Field::DeviceType => event.device_type = DeviceType::from_symbol(symbol)?,
        Field::Basis => event.basis = Basis::from_symbol(symbol)?,
        Field::PromptType => event.prompt_type = Some(PromptType::from_symbol(symbol)?),
        Field::Channel => event.channel = Some(Channel::from_symbol(symbol)?),
        Field::Class => event.class = MessageClass::from_symbol(symbol)?,
        Field::Permission => event.permission = Permission::from_symbol(symbol)?,
        other => debug_assert!(false, "{} is no symbol", other.name()),
    }
    Some(())
}

fn consent<'e, 'a>(event: &'e mut RawEvent<'a>) -> &'e mut RawConsent<'a> {
    event.consent.get_or_insert_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_sets_hold_what_they_were_given() {
        for field in Field::ALL {
            assert_eq!(Field::from_name(field.name()), Some(*field));
        }
        let set = set_of(Topic::Messages);
        assert!(set.has(Field::Channel) && !set.has(Field::Consent));
        assert_eq!(FieldSet::REQUIRED.without(set).first(), None);
        assert_eq!(set.without(FieldSet::of(&[Field::EventId])).first(), Some(Field::EventTime));
        assert_eq!(FieldSet::default().first(), None);
    }
}
