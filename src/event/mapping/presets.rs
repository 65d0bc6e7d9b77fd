//! The mappings that are shipped.

/// Name and TOML text of every shipped mapping, in the order of the names.
pub const PRESETS: &[(&str, &str)] = &[
    ("breaches", include_str!("../../../deploy/mappings/breaches.toml")),
    ("cloudevents", include_str!("../../../deploy/mappings/cloudevents.toml")),
    ("ga4", include_str!("../../../deploy/mappings/ga4.toml")),
    ("open-bandit-bts", include_str!("../../../deploy/mappings/open-bandit-bts.toml")),
    ("open-bandit-random", include_str!("../../../deploy/mappings/open-bandit-random.toml")),
    ("openrtb", include_str!("../../../deploy/mappings/openrtb.toml")),
    ("segment", include_str!("../../../deploy/mappings/segment.toml")),
    ("snowplow", include_str!("../../../deploy/mappings/snowplow.toml")),
];

/// The TOML text of the shipped mapping with this name.
pub fn preset(name: &str) -> Option<&'static str> {
    PRESETS.iter().find(|(known, _)| *known == name).map(|(_, text)| *text)
}
