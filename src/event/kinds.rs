//! The closed vocabularies of the canonical events.
//!
//! Every enum here has the symbols of its Avro schema, in the schema's order, so that the
//! position of a variant is also its Avro index.

/// Declares an enum whose variants carry the symbol used in Avro and JSON.
macro_rules! symbols {
    ($(#[$meta:meta])* $name:ident { $($(#[$vmeta:meta])* $variant:ident = $symbol:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum $name { $($(#[$vmeta])* #[doc = concat!("`", $symbol, "`.")] $variant),+ }

        impl $name {
            /// All variants, in the order of the schema.
            pub const ALL: &'static [$name] = &[$($name::$variant),+];
            /// All symbols, in the order of the schema.
            pub const SYMBOLS: &'static [&'static str] = &[$($symbol),+];

            /// The symbol that stands for this variant in Avro and JSON.
            pub const fn symbol(self) -> &'static str {
                match self { $($name::$variant => $symbol),+ }
            }

            /// The first variant whose symbol this is, compared byte for byte.
            pub fn from_symbol(symbol: &str) -> Option<$name> {
                let at = Self::SYMBOLS.iter().position(|known| *known == symbol)?;
                Self::ALL.get(at).copied()
            }

            /// The variant at this position of the schema.
            pub fn from_index(index: u8) -> Option<$name> {
                Self::ALL.get(usize::from(index)).copied()
            }

            /// The position of this variant in the schema.
            pub const fn index(self) -> u8 {
                self as u8
            }
        }
    };
}

symbols! {
    /// The six source topics. The order is that of the topic names.
    Topic {
        AdDeliveries = "ad-deliveries",
        BrandIncidents = "brand-incidents",
        Clickstream = "clickstream",
        Erasures = "erasures",
        IdentityLinks = "identity-links",
        Messages = "messages",
    }
}

impl Topic {
    /// Whether records of this topic are events of a person.
    pub const fn is_person_events(self) -> bool {
        matches!(self, Topic::AdDeliveries | Topic::Clickstream | Topic::Messages)
    }
}

symbols! {
    /// What happened to a person: the kinds of the three event topics, each in its schema's order.
    Kind {
        Impression = "IMPRESSION",
        Viewable = "VIEWABLE",
        Click = "CLICK",
        Hide = "HIDE",
        AdComplaint = "COMPLAINT",
        PageView = "PAGE_VIEW",
        ProductView = "PRODUCT_VIEW",
        CartAdd = "CART_ADD",
        CartRemove = "CART_REMOVE",
        Checkout = "CHECKOUT",
        OrderCompleted = "ORDER_COMPLETED",
        OrderCancelled = "ORDER_CANCELLED",
        OrderRefunded = "ORDER_REFUNDED",
        RecommendationShown = "RECOMMENDATION_SHOWN",
        RecommendationUsed = "RECOMMENDATION_USED",
        RecommendationHidden = "RECOMMENDATION_HIDDEN",
        RecapViewed = "RECAP_VIEWED",
        RecapShared = "RECAP_SHARED",
        PersonalisationShown = "PERSONALISATION_SHOWN",
        ConsentPrompt = "CONSENT_PROMPT",
        ConsentGranted = "CONSENT_GRANTED",
        ConsentRefused = "CONSENT_REFUSED",
        ConsentWithdrawn = "CONSENT_WITHDRAWN",
        PreferenceChanged = "PREFERENCE_CHANGED",
        DataRequest = "DATA_REQUEST",
        Complaint = "COMPLAINT",
        AppRemoved = "APP_REMOVED",
        Sent = "SENT",
        Delivered = "DELIVERED",
        Opened = "OPENED",
        Clicked = "CLICKED",
        Dismissed = "DISMISSED",
        Subscribed = "SUBSCRIBED",
        Unsubscribed = "UNSUBSCRIBED",
        MarkedSpam = "MARKED_SPAM",
    }
}

impl Kind {
    /// The kinds of one topic, in the order of its schema; empty for topics without person events.
    pub const fn of_topic(topic: Topic) -> &'static [Kind] {
        let (ads, rest) = Kind::ALL.split_at(5);
        let (clicks, messages) = rest.split_at(22);
        match topic {
            Topic::AdDeliveries => ads,
            Topic::Clickstream => clicks,
            Topic::Messages => messages,
            Topic::BrandIncidents | Topic::Erasures | Topic::IdentityLinks => &[],
        }
    }

    /// The kind of `topic` with this symbol, compared byte for byte (`COMPLAINT` is a kind of two topics).
    pub fn of_topic_symbol(topic: Topic, symbol: &str) -> Option<Kind> {
        Kind::of_topic(topic).iter().copied().find(|kind| kind.symbol() == symbol)
    }
}

symbols! {
    /// What kind of device an event came from.
    DeviceType { Desktop = "DESKTOP", Phone = "PHONE", Tablet = "TABLET", Tv = "TV", Other = "OTHER", Unknown = "UNKNOWN" }
}

symbols! {
    /// What the brand knew when it chose what to show.
    Basis {
        Contextual = "CONTEXTUAL",
        Declared = "DECLARED",
        FirstPartyPurchase = "FIRST_PARTY_PURCHASE",
        FirstPartyBehaviour = "FIRST_PARTY_BEHAVIOUR",
        ThirdParty = "THIRD_PARTY",
        Inferred = "INFERRED",
        PreciseGeo = "PRECISE_GEO",
        OfflineMatch = "OFFLINE_MATCH",
        SpecialCategory = "SPECIAL_CATEGORY",
        Unknown = "UNKNOWN",
    }
}

symbols! {
    /// What a consent prompt asks for.
    PromptType { Tracking = "TRACKING", Cookies = "COOKIES", Notifications = "NOTIFICATIONS", Email = "EMAIL", Location = "LOCATION", Other = "OTHER" }
}

symbols! {
    /// How a message travels.
    Channel { Email = "EMAIL", Sms = "SMS", Push = "PUSH", InApp = "IN_APP" }
}

symbols! {
    /// Why a message is sent.
    MessageClass { Marketing = "MARKETING", CartReminder = "CART_REMINDER", Requested = "REQUESTED", Transactional = "TRANSACTIONAL" }
}

symbols! {
    /// What the sender says about its permission.
    Permission { Granted = "GRANTED", Denied = "DENIED", None = "NONE", Unknown = "UNKNOWN" }
}

symbols! {
    /// How a device was matched with a person, weakest first (the order in which ties are decided).
    Match { Inferred = "INFERRED", Observed = "OBSERVED", Authenticated = "AUTHENTICATED" }
}

symbols! {
    /// What happened to a brand as a whole.
    IncidentKind { Breach = "BREACH", RegulatorAction = "REGULATOR_ACTION", AdverseReport = "ADVERSE_REPORT", PositiveAction = "POSITIVE_ACTION" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_its_kinds_and_complaint_is_told_apart() {
        assert_eq!(Kind::of_topic(Topic::AdDeliveries).len(), 5);
        assert_eq!(Kind::of_topic(Topic::Clickstream).len(), 22);
        assert_eq!(Kind::of_topic(Topic::Messages).len(), 8);
        assert_eq!(Kind::of_topic_symbol(Topic::AdDeliveries, "COMPLAINT"), Some(Kind::AdComplaint));
        assert_eq!(Kind::of_topic_symbol(Topic::Clickstream, "COMPLAINT"), Some(Kind::Complaint));
        assert_eq!(Kind::of_topic_symbol(Topic::Messages, "COMPLAINT"), None);
        for kind in Kind::ALL {
            assert_eq!(Kind::from_index(kind.index()), Some(*kind));
        }
    }
}
