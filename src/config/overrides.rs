//! Settings of patterns that differ for a brand, a jurisdiction or both.

use std::collections::BTreeSet;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::patterns::rules::{self, Compiled, RuleBook, Rules};

/// One `[[override]]` of the file.
///
/// Scores are per brand: in a window's score the weights are the brand's own. Weights for a
/// jurisdiction are those of the moments that happen there.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Override {
    /// The brand it holds for; without it, all.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub brand: Option<String>,
    /// ISO 3166 country, optionally with a region (`US-CA`); a country holds for its regions too.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub jurisdiction: Option<String>,
    /// What differs from `[patterns]`.
    #[schemars(with = "Rules")]
    pub patterns: PartialRules,
}

/// The settings of `[patterns]` that an override names.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PartialRules(Json);

impl Default for PartialRules {
    fn default() -> Self {
        PartialRules(Json::Object(serde_json::Map::new()))
    }
}

impl Override {
    /// The example in the file of `config init`.
    pub(super) fn example() -> Vec<Override> {
        let patterns = serde_json::json!({ "unpermitted_message": { "grace_email_sms_hours": 240 } });
        vec![Override {
            brand: Some("acme".to_owned()),
            jurisdiction: Some("US".to_owned()),
            patterns: PartialRules(patterns),
        }]
    }

    fn applies(&self, brand: Option<&str>, jurisdiction: Option<&str>) -> bool {
        let for_brand = self.brand.is_none() || self.brand.as_deref() == brand;
        let for_place = match (self.jurisdiction.as_deref(), jurisdiction) {
            (None, _) => true,
            (Some(wanted), Some(place)) => covers(wanted, place),
            (Some(_), None) => false,
        };
        for_brand && for_place
    }

    /// Overrides are applied in this order, the later over the earlier.
    fn rank(&self) -> (bool, usize) {
        (self.brand.is_some(), self.jurisdiction.as_deref().map_or(0, str::len))
    }
}

/// Whether a jurisdiction is or holds another.
fn covers(wanted: &str, place: &str) -> bool {
    place.strip_prefix(wanted).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
}

/// Whole rules for a brand (else all others) in a jurisdiction (else everywhere else).
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Resolved {
    pub(super) brand: Option<String>,
    pub(super) jurisdiction: Option<String>,
    pub(super) rules: Rules,
}

/// Lays the overrides over the base. First come the rules of brands without overrides, then those of
/// each brand that has some; of two that fit an event the later holds.
///
/// # Errors
/// When a partial table does not fit the rules; one that was checked against the schema does.
pub(super) fn resolve(base: &Rules, overrides: &[Override]) -> Result<Vec<Resolved>, serde_json::Error> {
    let mut ranked: Vec<&Override> = overrides.iter().collect();
    ranked.sort_by_key(|one| one.rank());
    let base = serde_json::to_value(base)?;
    let brands: BTreeSet<&str> = ranked.iter().filter_map(|one| one.brand.as_deref()).collect();
    let mut resolved = Vec::new();
    for brand in std::iter::once(None).chain(brands.into_iter().map(Some)) {
        let of_brand = |one: &&&Override| one.brand.is_none() || one.brand.as_deref() == brand;
        let places = ranked.iter().filter(of_brand).filter_map(|one| one.jurisdiction.as_deref());
        // None comes first and a country before its regions.
        let places: BTreeSet<Option<&str>> = std::iter::once(None).chain(places.map(Some)).collect();
        for place in places {
            let mut merged = base.clone();
            for one in ranked.iter().filter(|one| one.applies(brand, place)) {
                merge(&mut merged, &one.patterns.0);
            }
            resolved.push(Resolved {
                brand: brand.map(str::to_owned),
                jurisdiction: place.map(str::to_owned),
                rules: serde_json::from_value(merged)?,
            });
        }
    }
    Ok(resolved)
}

/// The rules as the fold of `detect` takes them; `token` turns the name of a category into its token.
pub(super) fn rule_book(resolved: &[Resolved], token: impl Fn(&[u8]) -> u64) -> RuleBook {
    let compiled = |rules: &Rules| Arc::new(Compiled::new(rules.clone(), &token));
    let is_base = |one: &Resolved| one.brand.is_none() && one.jurisdiction.is_none();
    let base = resolved.iter().find(|one| is_base(one)).map(|one| one.rules.clone()).unwrap_or_default();
    let overrides = resolved.iter().filter(|one| !is_base(one)).map(|one| rules::Override {
        brand: one.brand.clone(),
        jurisdiction: one.jurisdiction.clone(),
        rules: compiled(&one.rules),
    });
    RuleBook { base: compiled(&base), overrides: overrides.collect() }
}

/// Puts the values of a partial table over a whole one; lists are replaced.
pub(super) fn merge(whole: &mut Json, partial: &Json) {
    match (whole, partial) {
        (Json::Object(whole), Json::Object(partial)) => {
            for (key, value) in partial {
                merge(whole.entry(key.clone()).or_insert(Json::Null), value);
            }
        }
        (whole, partial) => *whole = partial.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn one(brand: Option<&str>, place: Option<&str>, patterns: Json) -> Override {
        Override {
            brand: brand.map(str::to_owned),
            jurisdiction: place.map(str::to_owned),
            patterns: PartialRules(patterns),
        }
    }

    fn book(overrides: &[Override]) -> RuleBook {
        rule_book(&resolve(&Rules::default(), overrides).unwrap(), |_| 1)
    }

    fn hours(hours: u32) -> Json {
        json!({ "tracking_after_opt_out": { "grace_hours": hours } })
    }

    #[test]
    fn the_most_specific_override_wins() {
        let overrides = [
            one(Some("acme"), Some("US"), hours(5)),
            one(Some("acme"), None, hours(4)),
            one(None, Some("US-CA"), hours(3)),
            one(None, Some("US"), hours(2)),
            one(Some("acme"), Some("US-CA"), hours(6)),
        ];
        let book = book(&overrides);
        let grace = |brand: &str, place: Option<&str>| {
            let rules = book.of_brand(brand);
            rules.in_jurisdiction(place.unwrap_or_default()).rules.tracking_after_opt_out.grace_hours
        };
        assert_eq!(grace("other", None), 24);
        assert_eq!(grace("other", Some("DE")), 24);
        assert_eq!(grace("other", Some("US")), 2);
        assert_eq!(grace("other", Some("US-NY")), 2);
        assert_eq!(grace("other", Some("US-CA")), 3);
        assert_eq!(grace("other", Some("USX")), 24);
        assert_eq!(grace("acme", None), 4);
        assert_eq!(grace("acme", Some("DE")), 4);
        assert_eq!(grace("acme", Some("US-NY")), 5);
        assert_eq!(grace("acme", Some("US-CA")), 6);
    }

    #[test]
    fn layers_add_up_and_leave_the_rest_alone() {
        let severe = json!({ "tracking_after_opt_out": { "severe_in_7d": 3 }, "email_opens": true });
        let overrides = [one(Some("acme"), None, severe), one(None, Some("DE"), hours(0))];
        let rules = book(&overrides).of_brand("acme");
        let mut expected = Rules { email_opens: true, ..Rules::default() };
        expected.tracking_after_opt_out.severe_in_7d = 3;
        expected.tracking_after_opt_out.grace_hours = 0;
        assert_eq!(rules.in_jurisdiction("DE").rules, expected);
    }

    #[test]
    fn without_overrides_everyone_has_the_base() {
        assert_eq!(book(&[]), RuleBook::new(Rules::default(), |_| 1));
    }
}
