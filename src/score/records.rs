//! Published records from counts.

use super::completeness::{Completeness, unreadable_share};
use super::incidence::Incidence;
use super::outcomes::rate_ratio;
use super::rules::ScoreRules;
use super::settings::ScoreSettings;
use super::trust::{Estimate, Experience, PatternScore, trust_score};
use super::windows::WindowKey;
use crate::event::output::{BrandTrust, PatternTrust};
use crate::fold::counts::{Counts, PatternCounts, PersonDays, PipelineCounts};
use crate::patterns::Pattern;
use crate::time::EventTime;

/// Status of a window or pattern with numbers.
pub const FINAL: &str = "FINAL";
/// Status of a window that is still open.
pub const PROVISIONAL: &str = "PROVISIONAL";
/// Status of a window without numbers.
pub const INSUFFICIENT_DATA: &str = "INSUFFICIENT_DATA";

/// Everything that is known of one (brand, window) when it is published.
#[derive(Clone, Debug)]
pub struct Known<'a> {
    /// The configuration.
    pub settings: &'a ScoreSettings,
    /// The brand.
    pub brand: &'a str,
    /// The window.
    pub window: WindowKey,
    /// Which publication of the window this is, from 1.
    pub revision: i32,
    /// Counts over all partitions.
    pub counts: Counts,
    /// The window's records over all brands.
    pub pipeline: PipelineCounts,
    /// Completeness.
    pub completeness: Completeness,
    /// Brand layer at the end (at the mark, for a provisional record).
    pub brand_layer: f64,
    /// Newest event time seen − frontier.
    pub frontier_age_ms: Option<i64>,
    /// The experience of the people reached, where there are numbers.
    pub experience: Option<Experience>,
}

impl Known<'_> {
    /// The record of the closed window.
    pub fn final_record(&self) -> BrandTrust {
        let Some(experience) = &self.experience else {
            return BrandTrust { status: INSUFFICIENT_DATA.to_owned(), ..self.without_numbers() };
        };
        let counts = &self.counts;
        let (score, trust) = (experience.score, self.trust(experience));
        BrandTrust {
            status: FINAL.to_owned(),
            people_reached: Some(signed(counts.people)),
            device_key_share: ratio(counts.device_keys, counts.people),
            touches: Some(signed(counts.touches)),
            trust: Some(trust.value),
            trust_low: Some(trust.low),
            trust_high: Some(trust.high),
            experience: Some(score.value),
            experience_low: Some(score.low),
            experience_high: Some(score.high),
            net: Some(experience.net),
            net_variance: Some(experience.variance),
            consent_prompted: Some(signed(counts.prompted)),
            consent_granted: Some(signed(counts.granted)),
            consent_refused: Some(signed(counts.refused)),
            consent_withdrawn: Some(signed(counts.withdrawn)),
            opt_in_rate: ratio(counts.granted, counts.granted + counts.refused),
            consent_known: Some(signed(counts.consent_known)),
            consent_authorised: Some(signed(counts.consent_authorised)),
            addressable_share: ratio(counts.consent_authorised, counts.consent_known),
            opted_out: Some(signed(counts.opted_out)),
            ..self.without_numbers()
        }
    }

    /// The record of the window while it is open: rounded scores and no count, since two records a
    /// person apart would show that person.
    pub fn provisional_record(&self) -> BrandTrust {
        let experience = self.experience.as_ref();
        BrandTrust {
            status: PROVISIONAL.to_owned(),
            trust: experience.map(|experience| rounded(self.trust(experience).value)),
            experience: experience.map(|experience| rounded(experience.score.value)),
            late: 0,
            dead_lettered: 0,
            unreadable_share: 0.0,
            partitions_incomplete: 0,
            frontier_age_ms: None,
            ..self.without_numbers()
        }
    }

    /// One record per pattern, none where the window has no numbers; `outcomes` for windows of a day only.
    pub fn pattern_records(&self, outcomes: Option<&[Outcome; Pattern::COUNT]>) -> Vec<PatternTrust> {
        let Some(experience) = &self.experience else { return Vec::new() };
        Pattern::ALL
            .iter()
            .enumerate()
            .map(|(index, pattern)| {
                let score = experience.patterns.get(index).copied().flatten();
                let counts = self.counts.patterns.get(index).copied().unwrap_or_default();
                let outcome = outcomes.and_then(|outcomes| outcomes.get(index));
                self.pattern_record(*pattern, &counts, score.as_ref(), outcome)
            })
            .collect()
    }

    fn pattern_record(
        &self,
        pattern: Pattern,
        counts: &PatternCounts,
        score: Option<&PatternScore>,
        outcome: Option<&Outcome>,
    ) -> PatternTrust {
        let published = |count: u64| score.map(|_| signed(count));
        let interval = score.map(|score| score.incidence.interval());
        let day = |field: fn(&PersonDays) -> u64| outcome.map(|outcome| signed(field(&outcome.day)));
        let month = |field: fn(&PersonDays) -> u64| outcome.map(|outcome| signed(field(&outcome.month)));
        let minimum = self.settings.rules.rate_ratio_opt_outs_min;
        let rates = outcome.and_then(|outcome| rate_ratio(&outcome.month, minimum));
        let [affected_1, affected_2, affected_3] = counts.affected;
        PatternTrust {
            brand_id: self.brand.to_owned(),
            window_start: self.window.start().0,
            window_end: self.window.end.0,
            window: self.window.length.to_string(),
            status: FINAL.to_owned(),
            revision: self.revision,
            pattern: pattern.name().to_owned(),
            evaluated: score.is_some(),
            at_risk: published(counts.at_risk),
            affected_1: published(affected_1),
            affected_2: published(affected_2),
            affected_3: published(affected_3),
            incidence: score.map(|score| score.incidence.mean()),
            incidence_low: interval.map(|interval| interval.0),
            incidence_high: interval.map(|interval| interval.1),
            weight: score.map(|score| score.weight),
            contribution: score.map_or(0.0, |score| score.contribution),
            exposed_days: day(|days| days.exposed),
            exposed_opt_outs: day(|days| days.exposed_opt_outs),
            unexposed_days: day(|days| days.unexposed),
            unexposed_opt_outs: day(|days| days.unexposed_opt_outs),
            exposed_days_30d: month(|days| days.exposed),
            exposed_opt_outs_30d: month(|days| days.exposed_opt_outs),
            unexposed_days_30d: month(|days| days.unexposed),
            unexposed_opt_outs_30d: month(|days| days.unexposed_opt_outs),
            rate_ratio: rates.map(|rates| rates.value),
            rate_ratio_low: rates.map(|rates| rates.low),
            rate_ratio_high: rates.map(|rates| rates.high),
            config_hash: self.settings.config_hash.clone(),
        }
    }

    fn trust(&self, experience: &Experience) -> Estimate {
        trust_score(experience.score, self.brand_layer, self.settings.rules.brand_exponent)
    }

    fn without_numbers(&self) -> BrandTrust {
        BrandTrust {
            brand_id: self.brand.to_owned(),
            window_start: self.window.start().0,
            window_end: self.window.end.0,
            window: self.window.length.to_string(),
            status: String::new(),
            revision: self.revision,
            people_reached: None,
            device_key_share: None,
            touches: None,
            trust: None,
            trust_low: None,
            trust_high: None,
            experience: None,
            experience_low: None,
            experience_high: None,
            brand_layer: self.brand_layer,
            net: None,
            net_variance: None,
            consent_prompted: None,
            consent_granted: None,
            consent_refused: None,
            consent_withdrawn: None,
            opt_in_rate: None,
            consent_known: None,
            consent_authorised: None,
            addressable_share: None,
            opted_out: None,
            completeness: self.completeness.total(),
            late: signed(self.counts.late),
            dead_lettered: signed(self.counts.dead_lettered),
            unreadable_share: unreadable_share(&self.pipeline),
            partitions_incomplete: i32::try_from(self.completeness.partitions_incomplete).unwrap_or(i32::MAX),
            frontier_age_ms: self.frontier_age_ms,
            config_hash: self.settings.config_hash.clone(),
        }
    }
}

/// Outcomes of one pattern: of the day, and of the days up to and including it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcome {
    /// The day.
    pub day: PersonDays,
    /// All days that are summed, this one included.
    pub month: PersonDays,
}

/// The share of people reached who opted out, with the same prior as every incidence.
pub fn opt_outs(rules: &ScoreRules, counts: &Counts) -> Incidence {
    Incidence::of(rules, counts.opted_out, counts.people)
}

/// To a tenth.
fn rounded(score: f64) -> f64 {
    libm::round(score * 10.0) / 10.0
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// The schemas know signed numbers only. No count of people or records comes near the end of them.
pub fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

/// How old the frontier is against the newest event time seen.
pub fn age(newest: Option<EventTime>, frontier: EventTime) -> Option<i64> {
    newest.map(|newest| newest.0.saturating_sub(frontier.0))
}
