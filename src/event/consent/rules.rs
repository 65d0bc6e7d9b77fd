//! Where Global Privacy Control binds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How privacy signals are read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ConsentRules {
    /// Where Global Privacy Control is an opt-out by law; elsewhere it is a wish. ISO 3166 countries, optionally with `-` and a region; an entry also covers its own regions. Default: the US states whose privacy laws oblige to honour it.
    pub gpc_jurisdictions: Vec<String>,
}

impl Default for ConsentRules {
    fn default() -> Self {
        let states = ["CA", "CO", "CT", "DE", "MD", "MN", "MT", "NE", "NH", "NJ", "OR", "TX"];
        ConsentRules { gpc_jurisdictions: states.map(|state| format!("US-{state}")).to_vec() }
    }
}

impl ConsentRules {
    /// Whether Global Privacy Control binds in this jurisdiction; an unknown one is outside.
    pub fn gpc_binds(&self, jurisdiction: Option<&str>) -> bool {
        let Some(jurisdiction) = jurisdiction else { return false };
        self.gpc_jurisdictions.iter().any(|entry| covers(entry, jurisdiction))
    }
}

fn covers(entry: &str, jurisdiction: &str) -> bool {
    jurisdiction.strip_prefix(entry).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_covers_itself_and_its_regions() {
        let rules = ConsentRules { gpc_jurisdictions: vec![String::from("US-CA"), String::from("CA")] };
        for (jurisdiction, expected) in [
            (Some("US-CA"), true),
            (Some("US-CA-LA"), true),
            (Some("CA"), true),
            (Some("CA-QC"), true),
            (Some("US"), false),
            (Some("US-CAL"), false),
            (Some("US-C"), false),
            (Some("CAN"), false),
            (Some("us-ca"), false),
            (Some(""), false),
            (None, false),
        ] {
            assert_eq!(rules.gpc_binds(jurisdiction), expected, "{jurisdiction:?}");
        }
    }

    #[test]
    fn by_default_twelve_states_bind_and_unknown_keys_are_refused() {
        let rules: ConsentRules = serde_json::from_str("{}").unwrap();
        for state in "CA CO CT DE MD MN MT NE NH NJ OR TX".split(' ') {
            assert!(rules.gpc_binds(Some(&format!("US-{state}"))), "{state}");
        }
        assert_eq!(rules.gpc_jurisdictions.len(), 12);
        assert!(!rules.gpc_binds(Some("US-WY")) && !rules.gpc_binds(Some("DE")));
        assert!(serde_json::from_str::<ConsentRules>(r#"{"gpc": []}"#).is_err());
    }
}
