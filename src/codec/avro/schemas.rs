//! The Avro schemas of this build, as they lie in the folder `schemas`.

use crate::event::kinds::Topic;

/// Declares the schemas, one file each.
macro_rules! schemas {
    ($($constant:ident = $name:literal),+ $(,)?) => {
        $(
            #[doc = concat!("`", $name, "`.")]
            pub const $constant: &str = include_str!(concat!("../../../schemas/", $name, ".avsc"));
        )+

        /// All schemas with the names of their records.
        pub const ALL: &[(&str, &str)] = &[$(($name, $constant)),+];
    };
}

schemas! {
    AD_DELIVERY = "AdDelivery",
    CLICK = "Click",
    MESSAGE = "Message",
    BRAND_INCIDENT = "BrandIncident",
    IDENTITY_LINK = "IdentityLink",
    ERASURE = "Erasure",
    TRUST_MOMENT = "TrustMoment",
    TRUST_MOMENT_KEY = "TrustMomentKey",
    BRAND_TRUST = "BrandTrust",
    BRAND_TRUST_KEY = "BrandTrustKey",
    BRAND_TRUST_LATEST_KEY = "BrandTrustLatestKey",
    PATTERN_TRUST = "PatternTrust",
    PATTERN_TRUST_KEY = "PatternTrustKey",
    TRUST_ALERT = "TrustAlert",
    TRUST_ALERT_KEY = "TrustAlertKey",
    ERASURE_RECEIPT = "ErasureReceipt",
    ERASURE_RECEIPT_KEY = "ErasureReceiptKey",
}

/// The schema of a topic's records.
pub const fn input_schema(topic: Topic) -> &'static str {
    match topic {
        Topic::AdDeliveries => AD_DELIVERY,
        Topic::BrandIncidents => BRAND_INCIDENT,
        Topic::Clickstream => CLICK,
        Topic::Erasures => ERASURE,
        Topic::IdentityLinks => IDENTITY_LINK,
        Topic::Messages => MESSAGE,
    }
}
