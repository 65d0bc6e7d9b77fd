//! Scores and drop alerts of two drills against the numbers of an independent implementation.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::sync::Arc;

use trustline::event::output::TrustAlert;
use trustline::fold::counts::{Counts, PatternCounts};
use trustline::fold::score::{Mark, Score, ScoreOut};
use trustline::score::settings::ScoreSettings;
use trustline::time::{EventTime, WindowLength};

/// How far numbers may be apart.
const RELATIVE: f64 = 1e-6;

#[test]
fn scores_and_alerts_agree() {
    let table = include_str!("golden/score_drills.tsv");
    let rows = || {
        table.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect::<Vec<_>>())
    };
    let mut score = Score::new(Arc::new(ScoreSettings::default()));
    let mut windows = Vec::new();
    for row in rows().filter(|row| row[0] == "window") {
        let (length, start) = (WindowLength::parse(row[2]).unwrap(), row[3].parse().unwrap());
        score.counts(0, row[1], length, EventTime(start), Mark::Closed, &counts(&row));
        windows.push(row);
    }
    let mut out = ScoreOut::default();
    score.finish(&mut out);
    assert_eq!(out.brand_trust.len(), windows.len());
    for row in &windows {
        let key = (row[1], row[2], row[3].parse::<i64>().unwrap());
        let got = out
            .brand_trust
            .iter()
            .find(|got| (got.brand_id.as_str(), got.window.as_str(), got.window_start) == key);
        let got = got.unwrap();
        let numbers = [got.net, got.net_variance, got.experience, got.experience_low, got.experience_high];
        for (got, expected) in numbers.into_iter().zip(&row[7..]) {
            close(got, expected, &format!("{key:?}"));
        }
    }
    let alerts: Vec<_> = rows().filter(|row| row[0] == "alert").collect();
    assert!(alerts.len() >= 16 && alerts.len() == out.alerts.len());
    for row in alerts {
        let got =
            out.alerts.iter().find(|got| is_alert(got, &row)).unwrap_or_else(|| panic!("missing: {row:?}"));
        assert_eq!(got.since.to_string(), row[5], "{row:?}");
        let numbers = [got.value, got.low, got.high, got.baseline];
        for (got, expected) in numbers.into_iter().zip(&row[7..11]) {
            close(got, expected, &format!("{row:?}"));
        }
        assert_eq!(got.mover_1.as_deref().unwrap_or("-"), row[11]);
        close(got.mover_1_change, row[12], &format!("{row:?}"));
    }
}

fn counts(row: &[&str]) -> Counts {
    let people = row[4].parse().unwrap();
    let mut counts = Counts { applied: 1, people, opted_out: row[5].parse().unwrap(), ..Counts::default() };
    for pattern in row[6].split(';').filter(|pattern| *pattern != "-") {
        let numbers: Vec<u64> = pattern.split(':').map(|number| number.parse().unwrap()).collect();
        let [index, at_risk, one, two, three] = numbers[..] else { panic!("not a pattern: {pattern}") };
        counts.patterns[usize::try_from(index).unwrap()] =
            PatternCounts { at_risk, affected: [one, two, three], ..PatternCounts::default() };
    }
    counts
}

fn is_alert(alert: &TrustAlert, row: &[&str]) -> bool {
    alert.kind == row[1]
        && alert.state == row[2]
        && alert.brand_id.as_deref() == Some(row[3])
        && alert.window.as_deref() == Some(row[4])
        && alert.at.to_string() == row[6]
}

fn close(got: Option<f64>, expected: &str, what: &str) {
    let expected = (expected != "-").then(|| expected.parse::<f64>().unwrap());
    match (got, expected) {
        (None, None) => {}
        (Some(got), Some(expected)) => {
            let apart = (got - expected).abs();
            assert!(apart <= 1e-9 + RELATIVE * expected.abs(), "{what}: {got} instead of {expected}");
        }
        _ => panic!("{what}: {got:?} instead of {expected:?}"),
    }
}
