use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::event::raw::RawIncident;
use crate::fold::score::{Score, ScoreOut};
use crate::score::settings::ScoreSettings;
use crate::time::{DAY_MS, MINUTE_MS};

/// A fold in the middle of its log: baselines, outcomes, an open alert, open windows with marks.
fn fold() -> Score {
    let settings = ScoreSettings { provisional: true, ..ScoreSettings::default() };
    let mut score = Score::new(Arc::new(settings));
    let incident = RawIncident {
        incident_id: "fine".to_owned(),
        brand_id: "acme".to_owned(),
        kind: IncidentKind::RegulatorAction,
        disclosed_time: HOUR_MS,
        updated_time: Some(2 * HOUR_MS),
        occurred_time: None,
        people_affected: Some(-1),
        identity_or_health_data: true,
        severity: Some(0.5),
        credibility: None,
    };
    score.incident(&incident, b"fine");
    let mut out = ScoreOut::default();
    for day in 0..20 {
        feed(&mut score, day, &mut out);
    }
    score
}

fn feed(score: &mut Score, day: i64, out: &mut ScoreOut) {
    let start = EventTime(day * DAY_MS);
    let bad = if day > 16 { 40 } else { 0 };
    let mut counts =
        Counts { applied: 99, people: 60, opted_out: bad, dead_lettered: 1, ..Counts::default() };
    counts.patterns[3] = PatternCounts { at_risk: 60, affected: [bad, 0, 0], ..PatternCounts::default() };
    counts.patterns[3].days = PersonDays { exposed: 300, ..PersonDays::default() };
    score.counts(0, "acme", WindowLength::DAY, start, Mark::Closed, &counts);
    score.counts(0, "acme", WindowLength::HOUR, start, Mark::Closed, &counts);
    let next = EventTime(start.0 + DAY_MS);
    score.counts(0, "acme", WindowLength::HOUR, next, Mark::Provisional(1), &counts);
    let records = PipelineCounts { records: 9, unreadable: 8 };
    score.pipeline(0, WindowLength::HOUR, start, Mark::Closed, records);
    score.incomplete(1, WindowLength::HOUR, next);
    score.frontier(0, EventTime(next.0 + 5 * MINUTE_MS), 1);
    score.newest(EventTime(next.0 + 6 * MINUTE_MS));
    score.advance(out);
}

#[test]
fn a_fold_goes_on_from_its_bytes_as_if_nothing_had_happened() {
    let mut score = fold();
    let mut bytes = Vec::new();
    score.state().encode(&mut bytes);
    let state = ScoreState::decode(&bytes).unwrap();
    assert_eq!(&state, score.state());
    let settings = ScoreSettings { provisional: true, ..ScoreSettings::default() };
    let mut resumed = Score::resume(Arc::new(settings), state);
    let (mut expected, mut got) = (ScoreOut::default(), ScoreOut::default());
    for day in 20..60 {
        feed(&mut score, day, &mut expected);
        feed(&mut resumed, day, &mut got);
    }
    assert!(!expected.alerts.is_empty() && !expected.live.is_empty());
    assert_eq!(got, expected);
}

#[test]
fn every_cut_is_noticed() {
    let mut bytes = Vec::new();
    fold().state().encode(&mut bytes);
    for length in 0..bytes.len() {
        assert!(ScoreState::decode(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
    }
    bytes.push(0);
    assert_eq!(ScoreState::decode(&bytes), Err(PlainError::Trailing(1)));
    bytes[0] = 9;
    assert_eq!(ScoreState::decode(&bytes), Err(PlainError::Version(9)));
}

proptest! {
    #[test]
    fn junk_never_panics(junk in proptest::collection::vec(any::<u8>(), 0..200)) {
        let mut bytes = vec![VERSION];
        bytes.extend(junk);
        if let Ok(state) = ScoreState::decode(&bytes) {
            let mut again = Vec::new();
            state.encode(&mut again);
            prop_assert_eq!(ScoreState::decode(&again), Ok(state));
        }
    }

    #[test]
    fn numbers_come_back(value in any::<u64>(), float in any::<f64>()) {
        let mut bytes = Vec::new();
        value.put(&mut bytes);
        float.put(&mut bytes);
        let mut input = bytes.as_slice();
        prop_assert_eq!(u64::take(&mut input), Ok(value));
        prop_assert_eq!(f64::take(&mut input).map(f64::to_bits), Ok(float.to_bits()));
    }
}
