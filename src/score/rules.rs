//! Constants of the scores and alerts, with their defaults and the source of each.
//!
//! The structs are the configuration's own form: their doc comments become the comments of the
//! example file and the descriptions of its JSON Schema.

use crate::section::section;
use crate::time::WindowLength;

section! {
    /// Brand layer: what happened to the brand as a whole. All values are judgement.
    BrandLayerRules {
        /// Days after disclosure at which half of a breach is forgotten.
        breach_half_life_days: f64 = 90.0,
        /// Days after disclosure at which half of a regulator's action is forgotten.
        regulator_action_half_life_days: f64 = 180.0,
        /// Days after disclosure at which half of an adverse report is forgotten.
        adverse_report_half_life_days: f64 = 21.0,
        /// Days after disclosure at which half of a positive action is forgotten.
        positive_action_half_life_days: f64 = 90.0,
        /// Least severity of a breach.
        breach_severity_min: f64 = 0.05,
        /// Greatest severity of a breach.
        breach_severity_max: f64 = 0.9,
        /// Severity of a breach for each power of ten of the people affected.
        breach_severity_per_decade: f64 = 0.25,
        /// People affected from which on a breach begins to weigh.
        breach_people: f64 = 10_000.0,
        /// Severity that identity or health data add to a breach.
        breach_identity_or_health: f64 = 0.2,
        /// Severity of a regulator's action where the record gives none.
        regulator_action_severity: f64 = 0.6,
        /// Severity of an adverse report where the record gives none.
        adverse_report_severity: f64 = 0.3,
        /// Strength of a positive action where the record gives none.
        positive_action_severity: f64 = 0.2,
        /// Severity from which on an incident opens a `BRAND_INCIDENT` alert.
        alert_from: f64 = 0.2,
        /// Severity below which the alert resolves.
        resolve_below: f64 = 0.1,
    }
}

section! {
    /// When an alarm opens and ends, for windows of one length. Set by simulation: a third bad hour or a second bad day is the earliest alarm.
    AlarmRules {
        /// Level of the cumulative sum at which the alarm opens.
        threshold: f64 = 8.0,
        /// Windows that teach the baseline before the first alarm.
        learn: u32 = 168,
        /// Windows after which a lasting change is accepted as the new baseline.
        accept: u32 = 168,
    }
}

section! {
    /// Drop detection: a cumulative sum over standardised deviations from a slowly moving baseline. Judgement, after the usual choices for such charts (Montgomery, Introduction to Statistical Quality Control).
    DropRules {
        /// Deviation, in standard deviations, that is tolerated in every window.
        allowance: f64 = 0.5,
        /// Rate at which the baseline learns.
        rate: f64 = 0.05,
        /// Rate at which the mean of an hour of day learns.
        hour_rate: f64 = 0.2,
        /// Greatest deviation of one window, in standard deviations, so that no single window opens an alarm.
        deviation_max: f64 = 4.0,
        /// Least standard deviation, per 1,000 people reached.
        deviation_unit_min: f64 = 1.0,
        /// Windows below a day.
        hours: AlarmRules = AlarmRules { threshold: 8.0, learn: 168, accept: 168 },
        /// Windows of a day.
        days: AlarmRules = AlarmRules { threshold: 5.0, learn: 14, accept: 14 },
        /// Completeness from which on a window is judged.
        completeness_min: f64 = 0.95,
    }
}

section! {
    /// Scores, intervals and alerts.
    ScoreRules {
        /// People reached from which on a window is published with numbers, and people at risk from which on a pattern is evaluated. A privacy limit and a statistical one.
        min_persons: u64 = 50,
        /// Mean of the prior of an incidence. Judgement.
        prior_mean: f64 = 0.005,
        /// Strength of the prior, in people. Judgement.
        prior_persons: f64 = 20.0,
        /// Net contribution per 1,000 people at which the score of windows below a day has gone three quarters of the way from neutral to its end. Judgement.
        scale_hours: f64 = 100.0,
        /// The same for windows of a day.
        scale_days: f64 = 300.0,
        /// Exponent with which the brand layer discounts the experience score. Judgement.
        brand_exponent: f64 = 0.3,
        /// Opt-outs, on exposed and on unexposed person-days each, from which on a rate ratio is published.
        rate_ratio_opt_outs_min: u64 = 5,
        /// Days over which outcomes are summed.
        outcome_days: u32 = 30,
        /// Completeness below which `DATA_INCOMPLETE` counts a window.
        incomplete_below: f64 = 0.95,
        /// Incomplete windows in a row at which `DATA_INCOMPLETE` opens.
        incomplete_windows: u32 = 3,
        /// Incidents.
        brand_layer: BrandLayerRules = BrandLayerRules::default(),
        /// Drop detection.
        drops: DropRules = DropRules::default(),
    }
}

/// A value that the scores cannot work with.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleProblem {
    /// Path below the section of the scores.
    pub path: &'static str,
    /// What was given.
    pub value: f64,
    /// What is allowed.
    pub allowed: &'static str,
}

impl ScoreRules {
    /// Scale of the experience score for windows of this length.
    pub fn scale(&self, length: WindowLength) -> f64 {
        if length.is_day() { self.scale_days } else { self.scale_hours }
    }

    /// Everything that is out of range, at once.
    pub fn problems(&self) -> Vec<RuleProblem> {
        let (layer, drops) = (&self.brand_layer, &self.drops);
        let mut problems = Vec::new();
        let mut check = |path, value: f64, ok: fn(f64) -> bool, allowed| {
            if !ok(value) {
                problems.push(RuleProblem { path, value, allowed });
            }
        };
        let positive: fn(f64) -> bool = |v| v > 0.0 && v.is_finite();
        let not_negative: fn(f64) -> bool = |v| v >= 0.0 && v.is_finite();
        let share: fn(f64) -> bool = |v| (0.0..=1.0).contains(&v);
        let inner_share: fn(f64) -> bool = |v| v > 0.0 && v < 1.0;
        check("min_persons", self.min_persons as f64, |v| v >= 1.0, "at least 1");
        check("prior_mean", self.prior_mean, inner_share, "above 0 and below 1");
        check("prior_persons", self.prior_persons, positive, "above 0");
        check("scale_hours", self.scale_hours, positive, "above 0");
        check("scale_days", self.scale_days, positive, "above 0");
        check("brand_exponent", self.brand_exponent, not_negative, "0 or more");
        check("rate_ratio_opt_outs_min", self.rate_ratio_opt_outs_min as f64, |v| v >= 1.0, "at least 1");
        check("outcome_days", f64::from(self.outcome_days), |v| (1.0..=366.0).contains(&v), "1 to 366");
        check("incomplete_below", self.incomplete_below, share, "0 to 1");
        check("incomplete_windows", f64::from(self.incomplete_windows), |v| v >= 1.0, "at least 1");
        for (path, value) in [
            ("brand_layer.breach_half_life_days", layer.breach_half_life_days),
            ("brand_layer.regulator_action_half_life_days", layer.regulator_action_half_life_days),
            ("brand_layer.adverse_report_half_life_days", layer.adverse_report_half_life_days),
            ("brand_layer.positive_action_half_life_days", layer.positive_action_half_life_days),
            ("brand_layer.breach_people", layer.breach_people),
            ("brand_layer.resolve_below", layer.resolve_below),
            ("drops.deviation_max", drops.deviation_max),
            ("drops.deviation_unit_min", drops.deviation_unit_min),
            ("drops.hours.threshold", drops.hours.threshold),
            ("drops.days.threshold", drops.days.threshold),
        ] {
            check(path, value, positive, "above 0");
        }
        for (path, value) in [
            ("brand_layer.breach_severity_min", layer.breach_severity_min),
            ("brand_layer.breach_severity_max", layer.breach_severity_max),
            ("brand_layer.breach_identity_or_health", layer.breach_identity_or_health),
            ("brand_layer.regulator_action_severity", layer.regulator_action_severity),
            ("brand_layer.adverse_report_severity", layer.adverse_report_severity),
            ("brand_layer.positive_action_severity", layer.positive_action_severity),
            ("brand_layer.alert_from", layer.alert_from),
            ("drops.completeness_min", drops.completeness_min),
        ] {
            check(path, value, share, "0 to 1");
        }
        check(
            "brand_layer.breach_severity_per_decade",
            layer.breach_severity_per_decade,
            not_negative,
            "0 or more",
        );
        check("drops.allowance", drops.allowance, not_negative, "0 or more");
        check("drops.rate", drops.rate, inner_share, "above 0 and below 1");
        check("drops.hour_rate", drops.hour_rate, inner_share, "above 0 and below 1");
        for (path, alarm) in [("drops.hours.accept", &drops.hours), ("drops.days.accept", &drops.days)] {
            check(path, f64::from(alarm.accept), |v| v >= 1.0, "at least 1");
        }
        problems
    }
}

impl DropRules {
    /// The constants for windows of this length.
    pub fn alarm(&self, length: WindowLength) -> &AlarmRules {
        if length.is_day() { &self.days } else { &self.hours }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_have_no_problems_and_every_problem_is_told() {
        let mut rules = ScoreRules::default();
        assert_eq!(rules.problems(), []);
        rules.prior_mean = 1.0;
        rules.drops.rate = f64::NAN;
        rules.brand_layer.breach_half_life_days = 0.0;
        let paths: Vec<&str> = rules.problems().iter().map(|problem| problem.path).collect();
        assert_eq!(paths, ["prior_mean", "brand_layer.breach_half_life_days", "drops.rate"]);
    }

    #[test]
    fn an_empty_section_is_the_default() {
        let rules: ScoreRules =
            toml::from_str("[drops.days]\naccept = 21\nlearn = 14\nthreshold = 5.0").unwrap();
        assert_eq!(rules.drops.days.accept, 21);
        assert_eq!(rules.drops.hours, DropRules::default().hours);
        assert!(toml::from_str::<ScoreRules>("min_people = 3").is_err(), "unknown keys are refused");
    }
}
