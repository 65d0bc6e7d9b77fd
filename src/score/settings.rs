//! What the fold of `score` reads from the configuration.

use std::collections::BTreeMap;

use super::rules::ScoreRules;
use super::trust::PatternWeights;
use crate::patterns::Pattern;
use crate::patterns::rules::Rules;

/// The weights of the patterns, by brand.
#[derive(Clone, Debug, PartialEq)]
pub struct WeightTable {
    usual: PatternWeights,
    brands: BTreeMap<String, PatternWeights>,
}

impl WeightTable {
    /// The weights of all brands that have no rules of their own.
    pub fn new(usual: &Rules) -> WeightTable {
        WeightTable { usual: weights_of(usual), brands: BTreeMap::new() }
    }

    /// The same table with rules of its own for one brand.
    pub fn with_brand(mut self, brand: &str, rules: &Rules) -> WeightTable {
        self.brands.insert(brand.to_owned(), weights_of(rules));
        self
    }

    /// The weights that hold for a brand.
    pub fn of(&self, brand: &str) -> &PatternWeights {
        self.brands.get(brand).unwrap_or(&self.usual)
    }
}

fn weights_of(rules: &Rules) -> PatternWeights {
    Pattern::ALL.map(|pattern| rules.weights(pattern))
}

/// Settings of one partition's fold.
#[derive(Clone, Debug, PartialEq)]
pub struct ScoreSettings {
    /// Constants of the scores and alerts.
    pub rules: ScoreRules,
    /// Weights of the patterns.
    pub weights: WeightTable,
    /// Hash of the configuration, named by every record.
    pub config_hash: String,
    /// Whether this partition speaks for the pipeline as a whole (one of them does).
    pub reports_pipeline: bool,
    /// Whether open windows publish provisional records (`replay` has none).
    pub provisional: bool,
}

impl Default for ScoreSettings {
    /// The default configuration, of a pipeline with one partition and without provisional records.
    fn default() -> Self {
        ScoreSettings {
            rules: ScoreRules::default(),
            weights: WeightTable::new(&Rules::default()),
            config_hash: String::new(),
            reports_pipeline: true,
            provisional: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_brand_may_have_weights_of_its_own() {
        let mut later = Rules::default();
        later.welcome_cart_reminder.weights = [0.37; 3];
        let table = WeightTable::new(&Rules::default()).with_brand("acme", &later);
        assert_eq!(table.of("acme")[Pattern::WelcomeCartReminder.index()], [0.37; 3]);
        assert_eq!(table.of("other")[Pattern::WelcomeCartReminder.index()], [0.08; 3]);
    }
}
