//! What a reader of the published records can recompute: the experience score of a window from its
//! pattern records and the people reached, and the trust score with the brand layer.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use trustline::event::kinds::IncidentKind;
use trustline::event::output::{BrandTrust, PatternTrust};
use trustline::event::raw::RawIncident;
use trustline::fold::counts::{Counts, PatternCounts};
use trustline::fold::score::{Mark, Score, ScoreOut};
use trustline::patterns::Pattern;
use trustline::patterns::rules::Rules;
use trustline::score::published::windows;
use trustline::score::sensitivity::reproduce;
use trustline::score::settings::{ScoreSettings, WeightTable};
use trustline::time::{EventTime, WindowLength};

/// 2025-03-03.
const DAY: i64 = 1_740_960_000_000;

fn published(settings: ScoreSettings) -> ScoreOut {
    let mut score = Score::new(Arc::new(settings));
    let fine = RawIncident {
        incident_id: "fine".to_owned(),
        brand_id: "acme".to_owned(),
        kind: IncidentKind::RegulatorAction,
        disclosed_time: DAY - 86_400_000,
        updated_time: None,
        occurred_time: None,
        people_affected: None,
        identity_or_health_data: false,
        severity: None,
        credibility: None,
    };
    score.incident(&fine, b"fine");
    for (length, people) in [(WindowLength::HOUR, 90), (WindowLength::DAY, 700)] {
        let mut counts = Counts { applied: 1, people, ..Counts::default() };
        // Two of three patterns have enough people at risk; the eroding ones affect more.
        for (index, pattern) in (1_u64..).zip(&mut counts.patterns) {
            let at_risk = if index % 3 != 0 { people - index } else { 49 };
            *pattern =
                PatternCounts { at_risk, affected: [15 - index, 15 - index, 1], ..PatternCounts::default() };
        }
        score.counts(0, "acme", length, EventTime(DAY), Mark::Closed, &counts);
    }
    let mut out = ScoreOut::default();
    score.finish(&mut out);
    out
}

/// The experience score from published records only, by the formulas of the documentation.
fn recomputed(record: &BrandTrust, patterns: &[PatternTrust]) -> f64 {
    let people = record.people_reached.unwrap() as f64;
    let mut net = 0.0;
    for pattern in patterns.iter().filter(|pattern| pattern.window == record.window && pattern.evaluated) {
        let at_risk = pattern.at_risk.unwrap() as f64;
        let affected =
            [pattern.affected_1, pattern.affected_2, pattern.affected_3].map(|count| count.unwrap() as f64);
        let incidence = (0.005 * 20.0 + affected.iter().sum::<f64>()) / (20.0 + at_risk);
        assert!((incidence - pattern.incidence.unwrap()).abs() < 1e-12);
        let contribution = 1_000.0 * at_risk / people * incidence * pattern.weight.unwrap();
        assert!((contribution - pattern.contribution).abs() < 1e-9);
        net += contribution;
    }
    let scale = if record.window == "1d" { 300.0 } else { 100.0 };
    50.0 + 50.0 * f64::tanh(net / scale)
}

#[test]
fn a_reader_recomputes_both_scores() {
    let out = published(ScoreSettings::default());
    assert_eq!(out.brand_trust.len(), 2);
    for record in &out.brand_trust {
        let experience = recomputed(record, &out.pattern_trust);
        assert!((experience - record.experience.unwrap()).abs() < 1e-9, "{}", record.window);
        assert!(record.brand_layer < 60.0);
        let trust = experience * (record.brand_layer / 100.0).powf(0.3);
        assert!((trust - record.trust.unwrap()).abs() < 1e-9, "{}", record.window);
        assert!((experience - 50.0).abs() > 1.0, "the sample must move the score");
    }
}

/// The same through the library: bit by bit, and what was changed afterwards is noticed.
#[test]
fn counts_give_the_published_trust_to_the_last_bit_or_it_is_told() {
    let settings = ScoreSettings::default();
    let mut out = published(settings.clone());
    let check = |out: &ScoreOut| {
        reproduce(&settings.rules, &settings.weights, &windows(&out.brand_trust, &out.pattern_trust))
    };
    assert_eq!(check(&out), Ok(()));
    let trust = out.brand_trust[1].trust.unwrap();
    out.brand_trust[1].trust = Some(trust.next_up());
    let told = check(&out).unwrap_err();
    assert_eq!((told.published, told.recomputed), (trust.next_up(), Some(trust)));
    out.brand_trust[1].trust = Some(trust);
    let evaluated = |pattern: &&mut PatternTrust| pattern.evaluated && pattern.window == "1d";
    let pattern = out.pattern_trust.iter_mut().find(evaluated).unwrap();
    pattern.affected_1 = pattern.affected_1.map(|people| people + 1);
    assert!(check(&out).is_err());
}

/// Weights that rest on judgement, halved and half as large again.
#[test]
fn judgement_weights_move_the_score_their_way_and_not_past_neutral() {
    let score_of = |rules: &Rules| {
        let settings = ScoreSettings { weights: WeightTable::new(rules), ..ScoreSettings::default() };
        published(settings).brand_trust[1].net.unwrap()
    };
    let usual = score_of(&Rules::default());
    for pattern in [
        Pattern::UnpermittedMessage,
        Pattern::ConsentNagging,
        Pattern::TrackingAfterOptOut,
        Pattern::TimelyNotification,
        Pattern::NostalgicRecap,
        Pattern::ControlHonoured,
    ] {
        let with = |factor: f64| {
            let mut rules = Rules::default();
            let weights = match pattern {
                Pattern::UnpermittedMessage => &mut rules.unpermitted_message.weights,
                Pattern::ConsentNagging => &mut rules.consent_nagging.weights,
                Pattern::TrackingAfterOptOut => &mut rules.tracking_after_opt_out.weights,
                Pattern::TimelyNotification => &mut rules.timely_notification.weights,
                Pattern::NostalgicRecap => &mut rules.nostalgic_recap.weights,
                _ => &mut rules.control_honoured.weights,
            };
            *weights = weights.map(|weight| weight * factor);
            score_of(&rules)
        };
        // The net contribution is linear in each weight.
        let (half, more) = (with(0.5), with(1.5));
        assert!((half + more - 2.0 * usual).abs() < 1e-9, "{}", pattern.name());
        assert_eq!(
            half.signum(),
            more.signum(),
            "{}: the verdict must not hang on one weight",
            pattern.name()
        );
    }
}
