//! The brand layer: how much of what happened to the brand as a whole is still remembered.

use super::rules::BrandLayerRules;
use crate::event::kinds::IncidentKind;
use crate::event::raw::RawIncident;
use crate::time::{DAY_MS, EventTime};

/// Half-lives after which an incident weighs nothing that a number would show.
const FORGOTTEN_AFTER_HALF_LIVES: f64 = 40.0;

/// One record of an incident: what it says, and since when it is known.
#[derive(Clone, Debug, PartialEq)]
pub struct IncidentRecord {
    /// What happened.
    pub kind: IncidentKind,
    /// When the public learnt of it; decay counts from here.
    pub disclosed: EventTime,
    /// When this record was written.
    pub updated: EventTime,
    /// People affected.
    pub people_affected: Option<i64>,
    /// Whether identity or health data were involved.
    pub identity_or_health_data: bool,
    /// Severity as given.
    pub severity: Option<f64>,
    /// Credibility as given.
    pub credibility: Option<f64>,
}

impl From<&RawIncident> for IncidentRecord {
    fn from(raw: &RawIncident) -> Self {
        IncidentRecord {
            kind: raw.kind,
            disclosed: EventTime(raw.disclosed_time),
            updated: EventTime(raw.updated_time.unwrap_or(raw.disclosed_time)),
            people_affected: raw.people_affected,
            identity_or_health_data: raw.identity_or_health_data,
            severity: raw.severity,
            credibility: raw.credibility,
        }
    }
}

impl IncidentRecord {
    /// When the record comes into force: the later of its disclosure and update.
    pub fn in_force_from(&self) -> EventTime {
        self.disclosed.max(self.updated)
    }

    /// Severity at disclosure, after credibility; negative for what builds trust.
    pub fn severity(&self, rules: &BrandLayerRules) -> f64 {
        match self.kind {
            IncidentKind::Breach => {
                let people = self.people_affected.unwrap_or(0) as f64;
                let size = rules.breach_severity_per_decade * libm::log10(1.0 + people / rules.breach_people);
                let data = if self.identity_or_health_data { rules.breach_identity_or_health } else { 0.0 };
                (size + data).max(rules.breach_severity_min).min(rules.breach_severity_max)
            }
            IncidentKind::RegulatorAction => self.severity.unwrap_or(rules.regulator_action_severity),
            IncidentKind::AdverseReport => {
                self.severity.unwrap_or(rules.adverse_report_severity) * self.credibility.unwrap_or(1.0)
            }
            IncidentKind::PositiveAction => -self.severity.unwrap_or(rules.positive_action_severity),
        }
    }

    /// Severity that is left at `at`; nothing before disclosure.
    pub fn decayed(&self, rules: &BrandLayerRules, at: EventTime) -> f64 {
        if at < self.disclosed {
            return 0.0;
        }
        self.severity(rules) * libm::exp2(-self.half_lives(rules, at))
    }

    /// Whether nothing of it is left that a number would show.
    pub fn is_forgotten(&self, rules: &BrandLayerRules, at: EventTime) -> bool {
        self.half_lives(rules, at) > FORGOTTEN_AFTER_HALF_LIVES
    }

    fn half_lives(&self, rules: &BrandLayerRules, at: EventTime) -> f64 {
        let days = match self.kind {
            IncidentKind::Breach => rules.breach_half_life_days,
            IncidentKind::RegulatorAction => rules.regulator_action_half_life_days,
            IncidentKind::AdverseReport => rules.adverse_report_half_life_days,
            IncidentKind::PositiveAction => rules.positive_action_half_life_days,
        };
        (at.0 - self.disclosed.0) as f64 / (days * DAY_MS as f64)
    }
}

/// The brand layer, 0 to 100, of the severities that are left.
pub fn brand_layer(left: impl Iterator<Item = f64>) -> f64 {
    let burden = left.fold(0.0, |sum, severity| sum + severity);
    (100.0 * libm::exp(-burden)).clamp(0.0, 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: IncidentKind) -> IncidentRecord {
        IncidentRecord {
            kind,
            disclosed: EventTime(0),
            updated: EventTime(0),
            people_affected: None,
            identity_or_health_data: false,
            severity: None,
            credibility: None,
        }
    }

    #[test]
    fn a_breach_weighs_by_people_and_data_within_its_limits() {
        let rules = BrandLayerRules::default();
        let breach = |people, data| {
            IncidentRecord {
                people_affected: people,
                identity_or_health_data: data,
                ..record(IncidentKind::Breach)
            }
            .severity(&rules)
        };
        assert_eq!(breach(None, false), 0.05);
        assert_eq!(breach(None, true), 0.2);
        assert!((breach(Some(1_000_000), true) - 0.701_080_343_446).abs() < 1e-12);
        assert_eq!(breach(Some(1_000_000_000_000), true), 0.9);
    }

    #[test]
    fn defaults_credibility_and_sign() {
        let rules = BrandLayerRules::default();
        let report = IncidentRecord {
            severity: Some(0.5),
            credibility: Some(0.5),
            ..record(IncidentKind::AdverseReport)
        };
        assert_eq!(report.severity(&rules), 0.25);
        let fine = IncidentRecord { credibility: Some(0.1), ..record(IncidentKind::RegulatorAction) };
        assert_eq!(fine.severity(&rules), 0.6, "credibility is for reports");
        assert_eq!(record(IncidentKind::AdverseReport).severity(&rules), 0.3);
        assert_eq!(record(IncidentKind::PositiveAction).severity(&rules), -0.2);
    }

    #[test]
    fn half_is_left_after_a_half_life_and_nothing_before_disclosure() {
        let rules = BrandLayerRules::default();
        let fine = record(IncidentKind::RegulatorAction);
        assert_eq!(fine.decayed(&rules, EventTime(-1)), 0.0);
        assert_eq!(fine.decayed(&rules, EventTime(0)), 0.6);
        assert_eq!(fine.decayed(&rules, EventTime(180 * DAY_MS)), 0.3);
        assert!(!fine.is_forgotten(&rules, EventTime(40 * 180 * DAY_MS)));
        assert!(fine.is_forgotten(&rules, EventTime(40 * 180 * DAY_MS + 1)));
    }

    #[test]
    fn good_news_only_offset_bad_news() {
        assert_eq!(brand_layer([].into_iter()), 100.0);
        assert_eq!(brand_layer([-1.0].into_iter()), 100.0);
        assert!((brand_layer([0.6, -0.2].into_iter()) - 100.0 * (-0.4_f64).exp()).abs() < 1e-9);
        assert_eq!(brand_layer([1e6].into_iter()), 0.0);
    }
}
