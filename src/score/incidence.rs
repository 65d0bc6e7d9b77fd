//! Incidence: the share of people at risk who were affected, with a prior for small numbers.

use super::beta::Beta;
use super::rules::ScoreRules;

/// Probability below a 95 % interval, and above it.
const TAIL: f64 = 0.025;

/// The posterior of a share of people.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Incidence {
    posterior: Beta,
}

impl Incidence {
    /// What `affected` of `people` say, beside the prior.
    ///
    /// # Panics
    /// If more people are affected than there are.
    pub fn of(rules: &ScoreRules, affected: u64, people: u64) -> Incidence {
        assert!(affected <= people, "{affected} of {people} people cannot be affected");
        let unaffected = people - affected;
        Incidence {
            posterior: Beta::new(
                rules.prior_mean * rules.prior_persons + affected as f64,
                (1.0 - rules.prior_mean) * rules.prior_persons + unaffected as f64,
            ),
        }
    }

    /// Posterior mean.
    pub fn mean(&self) -> f64 {
        self.posterior.mean()
    }

    /// Posterior variance.
    pub fn variance(&self) -> f64 {
        self.posterior.variance()
    }

    /// The 95 % interval.
    pub fn interval(&self) -> (f64, f64) {
        (self.posterior.quantile(TAIL), self.posterior.quantile(1.0 - TAIL))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_affected_leaves_little_and_everybody_leaves_much() {
        let rules = ScoreRules::default();
        let none = Incidence::of(&rules, 0, 52);
        assert!((none.mean() - 0.1 / 72.0).abs() < 1e-15);
        let (low, high) = none.interval();
        assert!((low / 8.105_897_060_07e-19 - 1.0).abs() < 1e-9);
        assert!((high / 0.013_593_120_031_6 - 1.0).abs() < 1e-9);
        let all = Incidence::of(&rules, 52, 52);
        assert!((all.mean() - 52.1 / 72.0).abs() < 1e-15);
        assert!(all.variance() > none.variance());
    }

    #[test]
    #[should_panic(expected = "cannot be affected")]
    fn more_affected_than_people_is_a_bug() {
        Incidence::of(&ScoreRules::default(), 2, 1);
    }
}
