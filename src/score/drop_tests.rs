use super::*;
use crate::time::DAY_MS;

/// Feeds values, one per day, and returns what happened as (day, state, first day, baseline).
fn days(chart: &mut Chart, bad: Bad, from: i64, values: &[f64]) -> Vec<(i64, AlarmState, i64, f64)> {
    let rules = DropRules::default();
    let mut changes = Vec::new();
    for (day, value) in (from..).zip(values) {
        let window = Judged { length: WindowLength::DAY, start: EventTime(day * DAY_MS) };
        if let Verdict::Judged(Some(change)) = chart.step(&rules, bad, window, *value) {
            changes.push((day, change.state, change.since.0 / DAY_MS, change.baseline));
        }
    }
    changes
}

#[test]
fn the_second_bad_day_opens_and_the_next_good_days_resolve() {
    let mut chart = Chart::default();
    assert_eq!(days(&mut chart, Bad::Fall, 0, &[2.0; 14]), []);
    assert_eq!(chart.learnt, 14);
    // Each bad day adds 4 − 0.5, capped at 5; each good one takes 0.5, so the sixth falls below 2.5.
    let opened = days(&mut chart, Bad::Fall, 14, &[-50.0, -50.0]);
    let expected = chart.mean;
    assert_eq!(opened, [(15, AlarmState::Open, 14, expected)]);
    let after = days(&mut chart, Bad::Fall, 16, &[expected; 6]);
    assert_eq!(after.len(), 1);
    assert_eq!((after[0].0, after[0].1, after[0].2), (21, AlarmState::Resolved, 14));
}

#[test]
fn thirteen_days_are_not_enough_to_learn_from() {
    let mut chart = Chart::default();
    assert_eq!(days(&mut chart, Bad::Fall, 0, &[2.0; 13]), []);
    // The first bad day is still learnt from; only then sums begin.
    assert_eq!(days(&mut chart, Bad::Fall, 13, &[-50.0]), []);
    assert_eq!((chart.sum, chart.learnt), (0.0, 14));
}

#[test]
fn one_bad_day_raises_nothing_and_a_good_change_neither() {
    let mut chart = Chart::default();
    days(&mut chart, Bad::Fall, 0, &[2.0; 14]);
    assert_eq!(days(&mut chart, Bad::Fall, 14, &[-50.0, 2.0, 2.0]), []);
    let mut chart = Chart::default();
    days(&mut chart, Bad::Fall, 0, &[2.0; 14]);
    assert_eq!(days(&mut chart, Bad::Fall, 14, &[50.0; 20]), []);
    let mut chart = Chart::default();
    days(&mut chart, Bad::Rise, 0, &[2.0; 14]);
    assert_eq!(days(&mut chart, Bad::Rise, 14, &[50.0, 50.0]).len(), 1, "for a surge it is the bad change");
}

#[test]
fn a_change_that_stays_is_accepted_and_becomes_the_baseline() {
    let mut chart = Chart::default();
    days(&mut chart, Bad::Fall, 0, &[2.0; 14]);
    let changes = days(&mut chart, Bad::Fall, 14, &[-50.0; 16]);
    let states: Vec<_> = changes.iter().map(|change| (change.0, change.1)).collect();
    assert_eq!(states, [(15, AlarmState::Open), (29, AlarmState::Accepted)]);
    assert_eq!((chart.mean, chart.variance, chart.learnt, chart.sum), (-50.0, 0.0, 1, 0.0));
    assert_eq!(changes[1].3, changes[0].3, "the baseline of the alarm is the old one");
}

#[test]
fn an_alarm_that_opens_again_before_the_sum_was_zero_goes_on() {
    let mut chart = Chart::default();
    days(&mut chart, Bad::Fall, 0, &[2.0; 14]);
    days(&mut chart, Bad::Fall, 14, &[-500.0, -500.0]);
    let mean = chart.mean;
    assert_eq!(days(&mut chart, Bad::Fall, 16, &[mean; 6]).len(), 1);
    assert!(chart.sum > 0.0);
    let again = days(&mut chart, Bad::Fall, 22, &[-9_000.0; 2]);
    assert_eq!((again[0].1, again[0].2), (AlarmState::Open, 14));
}

#[test]
fn below_a_day_the_hour_of_day_is_taken_off_and_its_first_window_only_teaches() {
    let rules = DropRules::default();
    let mut chart = Chart::default();
    let window = |hour: i64| Judged { length: WindowLength::HOUR, start: EventTime(hour * HOUR_MS) };
    assert_eq!(chart.step(&rules, Bad::Fall, window(3), -7.0), Verdict::FirstOfHour);
    assert_eq!((chart.learnt, chart.hours.get(&3)), (0, Some(&-7.0)));
    assert_eq!(chart.step(&rules, Bad::Fall, window(27), -2.0), Verdict::Judged(None));
    assert_eq!((chart.learnt, chart.mean, chart.hours.get(&3)), (1, 5.0, Some(&-6.0)));
    assert_eq!(chart.step(&rules, Bad::Fall, window(4), -7.0), Verdict::FirstOfHour);
}

#[test]
fn an_open_alarm_teaches_no_hour_and_the_accepting_window_does() {
    let rules = DropRules::default();
    let mut chart = Chart::default();
    let mut step = |hour: i64, value: f64| {
        let window = Judged { length: WindowLength::HOUR, start: EventTime(hour * HOUR_MS) };
        let verdict = chart.step(&rules, Bad::Fall, window, value);
        (verdict, chart.hours.get(&u8::try_from(hour % 24).unwrap()).copied().unwrap())
    };
    // A day teaches the hours, a week the baseline.
    for hour in 0..(24 + 168) {
        step(hour, 0.0);
    }
    let states: Vec<_> = (192..192 + 3 + 168)
        .filter_map(|hour| match step(hour, -100.0) {
            (Verdict::Judged(Some(change)), mean) => Some((hour, change.state, mean)),
            _ => None,
        })
        .collect();
    assert_eq!(
        states,
        // The two bad windows before the alarm are learnt by other hours.
        [(194, AlarmState::Open, 0.0), (362, AlarmState::Accepted, -20.0)]
    );
}

#[test]
fn a_pattern_that_comes_and_goes_moves_no_alarm() {
    let rules = DropRules::default();
    let mut drop = ScoreDrop::default();
    let both = contributions(&[(0, -30.0), (1, -5.0)]);
    let one = contributions(&[(1, -5.0)]);
    for day in 0..60 {
        let window = Judged { length: WindowLength::DAY, start: EventTime(day * DAY_MS) };
        let now = if day % 3 == 0 { &both } else { &one };
        assert_eq!(drop.step(&rules, window, now), None);
    }
    assert_eq!(drop.means[0], Some(-30.0));
    assert_eq!(drop.chart.mean, -35.0);
}

#[test]
fn movers_are_those_that_fell_most() {
    let rules = DropRules::default();
    let mut drop = ScoreDrop::default();
    let mut step = |day: i64, values: &[(usize, f64)]| {
        let window = Judged { length: WindowLength::DAY, start: EventTime(day * DAY_MS) };
        drop.step(&rules, window, &contributions(values))
    };
    for day in 0..14 {
        assert_eq!(step(day, &[(0, -1.0), (1, -1.0), (2, -1.0), (9, 4.0)]), None);
    }
    let bad = [(0, -11.0), (1, -1.0), (2, -31.0), (5, -21.0), (9, 4.5)];
    assert_eq!(step(14, &bad), None);
    let change = step(15, &bad).expect("the second bad day opens");
    assert_eq!(change.change.state, AlarmState::Open);
    let names: Vec<_> = change.movers.iter().map(|mover| mover.0).collect();
    let named = [2, 5, 0].map(|index: usize| Pattern::ALL[index]);
    // The first bad day was learnt: −1 − 0.05 · 30, −21 at once, −1 − 0.05 · 10.
    assert_eq!(names, [named[0], named[2]], "P5 stands at its first value");
    assert!((change.movers[0].1 + 28.5).abs() < 1e-12);
}

fn contributions(values: &[(usize, f64)]) -> [Option<f64>; Pattern::COUNT] {
    let mut contributions = [None; Pattern::COUNT];
    for (index, value) in values {
        contributions[*index] = Some(*value);
    }
    contributions
}
