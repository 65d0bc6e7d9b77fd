//! From counts to contributions, the experience score and the trust score.

use super::incidence::Incidence;
use super::rules::ScoreRules;
use crate::fold::counts::{Counts, PatternCounts};
use crate::patterns::Pattern;
use crate::time::WindowLength;

/// Standard deviations on each side of a 95 % interval.
pub const Z_95: f64 = 1.96;
/// Contributions are given per so many people reached.
pub const PER_PEOPLE: f64 = 1_000.0;

/// Weights of all patterns at severity 1, 2, 3.
pub type PatternWeights = [[f64; 3]; Pattern::COUNT];

/// What an evaluated pattern does to a score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PatternScore {
    /// How many of the people at risk were affected.
    pub incidence: Incidence,
    /// Mean weight of the affected.
    pub weight: f64,
    /// Contribution per 1,000 people reached.
    pub contribution: f64,
    /// Its variance.
    pub variance: f64,
}

impl PatternScore {
    /// The score of one pattern, `None` where too few people were at risk to evaluate it.
    pub fn of(
        rules: &ScoreRules,
        counts: &PatternCounts,
        people: u64,
        weights: &[f64; 3],
    ) -> Option<PatternScore> {
        if counts.at_risk < rules.min_persons || people == 0 {
            return None;
        }
        let affected: u64 = counts.affected.iter().sum();
        let incidence = Incidence::of(rules, affected, counts.at_risk);
        let weight = mean_weight(&counts.affected, weights);
        let exposure = PER_PEOPLE * (counts.at_risk as f64 / people as f64);
        let spread = exposure * weight;
        Some(PatternScore {
            incidence,
            weight,
            contribution: exposure * incidence.mean() * weight,
            variance: spread * spread * incidence.variance(),
        })
    }
}

/// Mean weight of the affected; where nobody is, the weight of severity 1.
fn mean_weight(affected: &[u64; 3], weights: &[f64; 3]) -> f64 {
    let people: u64 = affected.iter().sum();
    if people == 0 {
        return weights[0];
    }
    let sum = affected.iter().zip(weights).fold(0.0, |sum, (count, weight)| sum + *count as f64 * weight);
    sum / people as f64
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The value.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// The experience of the people that a brand reached in one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Experience {
    /// Per pattern, in order; `None` where it is not evaluated.
    pub patterns: [Option<PatternScore>; Pattern::COUNT],
    /// Sum of the contributions.
    pub net: f64,
    /// Variance of the sum. Patterns are taken as independent, so it is a lower bound.
    pub variance: f64,
    /// The score from 0 to 100; neutral is 50.
    pub score: Estimate,
}

impl Experience {
    /// The experience in a window, `None` where too few people were reached or no pattern can be evaluated.
    pub fn of(
        rules: &ScoreRules,
        length: WindowLength,
        counts: &Counts,
        weights: &PatternWeights,
    ) -> Option<Experience> {
        if counts.people < rules.min_persons {
            return None;
        }
        let mut patterns = [None; Pattern::COUNT];
        let (mut net, mut variance, mut evaluated) = (0.0, 0.0, false);
        for ((slot, pattern), weights) in patterns.iter_mut().zip(&counts.patterns).zip(weights) {
            *slot = PatternScore::of(rules, pattern, counts.people, weights);
            if let Some(score) = slot {
                net += score.contribution;
                variance += score.variance;
                evaluated = true;
            }
        }
        let score = experience_score(net, variance, rules.scale(length));
        evaluated.then_some(Experience { patterns, net, variance, score })
    }
}

/// The experience score of a net contribution with its variance.
pub fn experience_score(net: f64, variance: f64, scale: f64) -> Estimate {
    let at = |net: f64| 50.0 + 50.0 * libm::tanh(net / scale);
    let half = Z_95 * libm::sqrt(variance);
    Estimate { value: at(net), low: at(net - half), high: at(net + half) }
}

/// The trust score: the experience score, discounted by the brand layer (0 to 100).
pub fn trust_score(experience: Estimate, brand_layer: f64, exponent: f64) -> Estimate {
    // Without an exponent there is no discount, not even for a layer of 0.
    let discount = if exponent == 0.0 { 1.0 } else { libm::exp(exponent * libm::log(brand_layer / 100.0)) };
    Estimate {
        value: experience.value * discount,
        low: experience.low * discount,
        high: experience.high * discount,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::patterns::rules::Rules;

    fn weights() -> PatternWeights {
        Pattern::ALL.map(|pattern| Rules::default().weights(pattern))
    }

    fn counts(people: u64, at_risk: u64, affected: [u64; 3]) -> Counts {
        let mut counts = Counts { people, ..Counts::default() };
        counts.patterns[0] = PatternCounts { at_risk, affected, ..PatternCounts::default() };
        counts
    }

    #[test]
    fn fifty_people_are_needed_to_be_reached_and_to_be_at_risk() {
        let rules = ScoreRules::default();
        let of = |people, at_risk| {
            Experience::of(&rules, WindowLength::HOUR, &counts(people, at_risk, [0; 3]), &weights())
        };
        assert_eq!(of(49, 49), None);
        assert_eq!(of(50, 49), None, "no pattern is evaluated");
        let experience = of(50, 50).expect("fifty are enough");
        assert!(experience.patterns[0].is_some());
        assert!(experience.patterns[1..].iter().all(Option::is_none));
    }

    #[test]
    fn a_contribution_is_incidence_times_weight_per_thousand_reached() {
        let rules = ScoreRules::default();
        let counts = counts(200, 100, [3, 0, 1]);
        let experience = Experience::of(&rules, WindowLength::DAY, &counts, &weights()).expect("numbers");
        let q = 4.1 / 120.0;
        let w = (3.0 * -0.3 + -0.9) / 4.0;
        assert!((experience.net - 500.0 * q * w).abs() < 1e-12);
        let v = 4.1 * 115.9 / (120.0 * 120.0 * 121.0);
        assert!((experience.variance - (500.0 * w) * (500.0 * w) * v).abs() < 1e-9);
        let score = 50.0 + 50.0 * (experience.net / 300.0).tanh();
        assert!((experience.score.value - score).abs() < 1e-12);
        assert!(experience.score.low < score && score < experience.score.high);
    }

    #[test]
    fn nobody_affected_has_the_weight_of_severity_one() {
        assert_eq!(mean_weight(&[0, 0, 0], &[-0.3, -0.6, -0.9]), -0.3);
        assert_eq!(mean_weight(&[0, 0, 2], &[-0.3, -0.6, -0.9]), -0.9);
    }

    #[test]
    fn the_brand_layer_only_discounts() {
        let neutral = Estimate { value: 50.0, low: 40.0, high: 60.0 };
        assert_eq!(trust_score(neutral, 100.0, 0.3), neutral);
        assert_eq!(trust_score(neutral, 0.0, 0.3), Estimate { value: 0.0, low: 0.0, high: 0.0 });
        assert_eq!(trust_score(neutral, 0.0, 0.0), neutral);
        assert!((trust_score(neutral, 50.0, 0.3).value - 50.0 * 0.5_f64.powf(0.3)).abs() < 1e-12);
    }
}
