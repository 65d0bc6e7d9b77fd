//! What can be had from published records alone: the scores again, and under other weights.

use std::collections::HashMap;

use super::rules::ScoreRules;
use super::trust::{Estimate, Experience, PatternWeights, trust_score};
use crate::event::output::{BrandTrust, PatternTrust};
use crate::fold::counts::{Counts, PatternCounts};
use crate::patterns::Pattern;
use crate::time::WindowLength;

/// A window with numbers, as counts again.
#[derive(Clone, Debug)]
pub struct PublishedWindow<'a> {
    /// The record of the window.
    pub record: &'a BrandTrust,
    /// Its trust score.
    pub trust: f64,
    length: WindowLength,
    counts: Counts,
}

impl PublishedWindow<'_> {
    /// The trust score that these weights give; `None` where no pattern is evaluated.
    pub fn recompute(&self, rules: &ScoreRules, weights: &PatternWeights) -> Option<Estimate> {
        let experience = Experience::of(rules, self.length, &self.counts, weights)?;
        Some(trust_score(experience.score, self.record.brand_layer, rules.brand_exponent))
    }
}

/// All windows with numbers, in their order.
pub fn windows<'a>(records: &'a [BrandTrust], patterns: &[PatternTrust]) -> Vec<PublishedWindow<'a>> {
    let mut counts: HashMap<(&str, &str, i64), Counts> = HashMap::new();
    for record in patterns {
        let known = Pattern::ALL.iter().find(|pattern| pattern.name() == record.pattern);
        let of_window = counts.entry((&record.brand_id, &record.window, record.window_start)).or_default();
        if let Some(slot) = known.and_then(|pattern| of_window.patterns.get_mut(pattern.index())) {
            *slot = pattern_counts(record);
        }
    }
    let published = |record: &'a BrandTrust| {
        let key = (record.brand_id.as_str(), record.window.as_str(), record.window_start);
        let people = record.people_reached.map(count)?;
        Some(PublishedWindow {
            record,
            trust: record.trust?,
            length: WindowLength::parse(&record.window)?,
            counts: Counts { people, ..counts.remove(&key).unwrap_or_default() },
        })
    };
    records.iter().filter_map(published).collect()
}

/// The counts of an evaluated pattern. One that was not evaluated has none, as if nobody were at risk.
fn pattern_counts(record: &PatternTrust) -> PatternCounts {
    let affected = [record.affected_1, record.affected_2, record.affected_3];
    PatternCounts {
        at_risk: record.at_risk.map_or(0, count),
        affected: affected.map(|people| people.map_or(0, count)),
        ..PatternCounts::default()
    }
}

fn count(signed: i64) -> u64 {
    u64::try_from(signed).unwrap_or(0)
}
