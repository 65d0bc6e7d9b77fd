use super::*;
use crate::fold::counts::PatternCounts;
use crate::time::{HOUR_MS, MINUTE_MS};

fn people(people: u64) -> Counts {
    let mut counts = Counts { applied: people, people, touches: people, ..Counts::default() };
    counts.patterns[0] = PatternCounts { at_risk: people, affected: [1, 0, 0], ..PatternCounts::default() };
    counts
}

fn score(settings: ScoreSettings) -> Score {
    Score::new(Arc::new(settings))
}

fn advance(score: &mut Score) -> ScoreOut {
    let mut out = ScoreOut::default();
    score.advance(&mut out);
    out
}

fn hour(score: &mut Score, partition: u32, hour: i64, mark: Mark, counts: &Counts) {
    score.counts(partition, "acme", WindowLength::HOUR, EventTime(hour * HOUR_MS), mark, counts);
}

#[test]
fn a_window_waits_for_all_partitions_and_adds_them_up() {
    let mut score = score(ScoreSettings::default());
    hour(&mut score, 0, 0, Mark::Closed, &people(30));
    score.frontier(0, EventTime(2 * HOUR_MS), 2);
    assert_eq!(advance(&mut score), ScoreOut::default(), "the second partition has no frontier yet");
    hour(&mut score, 1, 0, Mark::Closed, &people(25));
    score.frontier(1, EventTime(HOUR_MS - 1), 2);
    assert_eq!(advance(&mut score), ScoreOut::default());
    score.frontier(1, EventTime(HOUR_MS), 2);
    let out = advance(&mut score);
    assert_eq!(out.brand_trust.len(), 1);
    assert_eq!(out.brand_trust[0].people_reached, Some(55));
    assert_eq!((out.brand_trust[0].status.as_str(), out.brand_trust[0].revision), ("FINAL", 1));
    assert_eq!(out.pattern_trust.len(), Pattern::COUNT);
    assert_eq!(out.pattern_trust[0].affected_1, Some(2));
    hour(&mut score, 1, 0, Mark::Closed, &people(99));
    assert_eq!((advance(&mut score), score.state().stale), (ScoreOut::default(), 1), "final once");
}

#[test]
fn too_few_people_publish_no_number_but_the_brand_layer_and_completeness() {
    let mut score = score(ScoreSettings::default());
    hour(&mut score, 0, 0, Mark::Closed, &Counts { dead_lettered: 1, ..people(49) });
    score.frontier(0, EventTime(HOUR_MS), 1);
    let out = advance(&mut score);
    let record = &out.brand_trust[0];
    assert_eq!(
        (record.status.as_str(), record.people_reached, record.trust),
        ("INSUFFICIENT_DATA", None, None)
    );
    assert_eq!((record.brand_layer, record.completeness, record.dead_lettered), (100.0, 0.98, 1));
    assert!(out.pattern_trust.is_empty());
}

#[test]
fn dead_letters_alone_publish_no_window_and_a_matured_request_does() {
    let mut score = score(ScoreSettings::default());
    hour(&mut score, 0, 0, Mark::Closed, &Counts { late: 3, dead_lettered: 1, ..Counts::default() });
    hour(&mut score, 0, 1, Mark::Closed, &Counts { matured: 1, ..Counts::default() });
    score.frontier(0, EventTime(2 * HOUR_MS), 1);
    let starts: Vec<_> = advance(&mut score).brand_trust.iter().map(|record| record.window_start).collect();
    assert_eq!(starts, [HOUR_MS]);
}

#[test]
fn windows_come_in_order_and_the_end_closes_all() {
    let mut score = score(ScoreSettings::default());
    for (length, start) in
        [(WindowLength::DAY, 0), (WindowLength::HOUR, 23 * HOUR_MS), (WindowLength::HOUR, 0)]
    {
        score.counts(0, "acme", length, EventTime(start), Mark::Closed, &people(60));
    }
    score.frontier(0, EventTime(5), 1);
    let mut out = ScoreOut::default();
    score.finish(&mut out);
    let order: Vec<_> =
        out.brand_trust.iter().map(|r| (r.window.as_str(), r.window_start / HOUR_MS)).collect();
    assert_eq!(order, [("1h", 0), ("1h", 23), ("1d", 0)]);
}

#[test]
fn marks_publish_rounded_scores_without_counts_and_none_is_skipped() {
    let mut score = score(ScoreSettings { provisional: true, ..ScoreSettings::default() });
    hour(&mut score, 0, 0, Mark::Provisional(2), &people(55));
    hour(&mut score, 0, 0, Mark::Provisional(3), &people(80));
    score.frontier(0, EventTime(16 * MINUTE_MS), 2);
    score.frontier(1, EventTime(14 * MINUTE_MS), 2);
    let out = advance(&mut score);
    assert_eq!(out.live.len(), 1, "nobody was there at the first mark, the third is not passed by all");
    let first = &out.live[0];
    assert_eq!((first.status.as_str(), first.revision, first.people_reached), ("PROVISIONAL", 1, None));
    let exact = Experience::of(
        &ScoreSettings::default().rules,
        WindowLength::HOUR,
        &people(55),
        ScoreSettings::default().weights.of("acme"),
    );
    let exact = exact.unwrap().score.value;
    assert_eq!(first.experience, Some((exact * 10.0).round() / 10.0));
    assert_ne!(first.experience, Some(exact));
    assert_eq!((first.trust_low, first.net, first.late), (None, None, 0));
    hour(&mut score, 0, 0, Mark::Closed, &people(80));
    score.frontier(0, EventTime(HOUR_MS), 2);
    score.frontier(1, EventTime(HOUR_MS), 2);
    let out = advance(&mut score);
    let revisions: Vec<_> = out.live.iter().map(|record| record.revision).collect();
    assert_eq!(revisions, (2..=10).collect::<Vec<i32>>(), "marks 3 to 11");
    assert_eq!((out.brand_trust[0].revision, out.brand_trust[0].people_reached), (11, Some(80)));
    assert!(out.alerts.is_empty());
}

#[test]
fn what_is_published_does_not_depend_on_which_partition_comes_first() {
    let run = |order: [u32; 3]| {
        let mut score = score(ScoreSettings { provisional: true, ..ScoreSettings::default() });
        let mut all = ScoreOut::default();
        for step in 1..=4_u32 {
            for partition in order {
                let counts = people(u64::from(20 * step + partition));
                hour(&mut score, partition, 0, Mark::Provisional(step), &counts);
                score.frontier(partition, EventTime(i64::from(step) * 5 * MINUTE_MS), 3);
                score.advance(&mut all);
            }
        }
        score.finish(&mut all);
        all
    };
    let expected = run([0, 1, 2]);
    assert_eq!((expected.live.len(), expected.brand_trust.len()), (4, 1));
    assert_eq!(run([2, 0, 1]), expected);
    assert_eq!(run([1, 2, 0]), expected);
}

#[test]
fn outcomes_sum_thirty_days_with_those_of_few_people() {
    let mut score = score(ScoreSettings::default());
    let mut out = ScoreOut::default();
    for day in 0..32_i64 {
        // The second day has too few people.
        let mut counts = people(if day == 1 { 10 } else { 60 });
        counts.patterns[0].days =
            PersonDays { exposed: 10, exposed_opt_outs: 1, unexposed: 50, unexposed_opt_outs: 2 };
        score.counts(0, "acme", WindowLength::DAY, EventTime(day * DAY_MS), Mark::Closed, &counts);
        score.frontier(0, EventTime((day + 1) * DAY_MS), 1);
        score.advance(&mut out);
    }
    let first: Vec<_> = out.pattern_trust.iter().filter(|r| r.pattern == "relentless_retargeting").collect();
    assert_eq!(first.len(), 31);
    assert_eq!((first[0].exposed_days_30d, first[0].rate_ratio), (Some(10), None));
    assert_eq!(first[1].exposed_days_30d, Some(30), "the day of few people is in the sum");
    let last = first[30];
    assert_eq!(
        (last.exposed_days, last.exposed_days_30d, last.unexposed_opt_outs_30d),
        (Some(10), Some(300), Some(60))
    );
    assert!((last.rate_ratio.unwrap() - (30.0 / 300.0) / (60.0 / 1500.0)).abs() < 1e-12);
}

#[test]
fn three_incomplete_hours_are_an_alert_of_the_brand_or_of_the_pipeline() {
    let mut score = score(ScoreSettings::default());
    let mut out = ScoreOut::default();
    for start in 0..4_i64 {
        let lost = if start < 3 { 2 } else { 1 };
        hour(&mut score, 0, start, Mark::Closed, &Counts { dead_lettered: lost, ..people(19) });
        let records = PipelineCounts { records: 20, unreadable: lost };
        score.pipeline(0, WindowLength::HOUR, EventTime(start * HOUR_MS), Mark::Closed, records);
        score.frontier(0, EventTime((start + 1) * HOUR_MS), 1);
        score.advance(&mut out);
    }
    let seen: Vec<_> = out
        .alerts
        .iter()
        .map(|a| (a.brand_id.as_deref(), a.state.as_str(), a.since / HOUR_MS, a.at / HOUR_MS))
        .collect();
    assert_eq!(
        seen,
        [
            (None, "OPEN", 0, 3),
            (Some("acme"), "OPEN", 0, 3),
            (None, "RESOLVED", 0, 4),
            (Some("acme"), "RESOLVED", 0, 4)
        ]
    );
}

#[test]
fn a_partition_without_its_state_lowers_completeness() {
    let mut score = score(ScoreSettings::default());
    hour(&mut score, 0, 0, Mark::Closed, &people(60));
    score.incomplete(1, WindowLength::HOUR, EventTime(0));
    for partition in 0..4 {
        score.frontier(partition, EventTime(HOUR_MS), 4);
    }
    score.newest(EventTime(HOUR_MS + 7));
    let out = advance(&mut score);
    assert_eq!((out.brand_trust[0].completeness, out.brand_trust[0].partitions_incomplete), (0.75, 1));
    assert_eq!(out.brand_trust[0].frontier_age_ms, Some(7));
}

#[test]
fn idle_brands_are_forgotten_in_the_end() {
    let mut score = score(ScoreSettings::default());
    hour(&mut score, 0, 0, Mark::Closed, &people(60));
    score.frontier(0, EventTime(BRAND_MEMORY_DAYS * DAY_MS), 1);
    advance(&mut score);
    assert_eq!(score.state().brands.len(), 1);
    score.frontier(0, EventTime((BRAND_MEMORY_DAYS + 2) * DAY_MS), 1);
    advance(&mut score);
    assert!(score.state().brands.is_empty());
}
