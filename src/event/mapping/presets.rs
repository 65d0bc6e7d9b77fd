//! The mappings that are shipped.

use std::collections::BTreeMap;

use super::check::MappingProblem;
use super::file::Mapping;

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

impl Mapping {
    /// A shipped mapping with some of its variables set anew.
    ///
    /// # Errors
    /// An unknown name of a mapping, or every unknown variable, with what is allowed.
    pub fn from_preset(
        name: &str,
        variables: &BTreeMap<String, String>,
    ) -> Result<Mapping, Vec<MappingProblem>> {
        let Some(text) = preset(name) else {
            let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
            let problem = format!("`{name}` is unknown; allowed: {}", known.join(", "));
            return Err(vec![MappingProblem { at: "preset".to_owned(), problem }]);
        };
        let mut mapping = Mapping::from_toml(text).map_err(|problem| vec![problem])?;
        let known: Vec<&str> = mapping.variables.keys().map(String::as_str).collect();
        let unknown = variables.keys().filter(|name| !known.contains(&name.as_str()));
        let problems: Vec<MappingProblem> = unknown
            .map(|name| MappingProblem {
                at: format!("variables.{name}"),
                problem: format!("the mapping has no such variable; allowed: {}", known.join(", ")),
            })
            .collect();
        if !problems.is_empty() {
            return Err(problems);
        }
        mapping.variables.extend(variables.clone());
        Ok(mapping)
    }
}
