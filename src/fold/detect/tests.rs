//! The fold: moments over time, late events, erasures, windows, copies.

use proptest::prelude::*;

use std::collections::BTreeMap;

use super::*;
use crate::fold::counts::PatternCounts;
use crate::patterns::scenario::{
    SHORT, START, Step, check, default_settings, offset, published, run, run_steps, steps,
};
use crate::time::{DAY_MS, HOUR_MS};

/// Counts as text: what is not zero, then `pattern=at risk(affected 1,2,3)`.
fn text(counts: &Counts) -> String {
    let mut parts: Vec<String> = [
        ("applied", counts.applied),
        ("matured", counts.matured),
        ("people", counts.people),
        ("devices", counts.device_keys),
        ("touches", counts.touches),
        ("opted_out", counts.opted_out),
        ("prompted", counts.prompted),
        ("granted", counts.granted),
        ("refused", counts.refused),
        ("withdrawn", counts.withdrawn),
        ("known", counts.consent_known),
        ("authorised", counts.consent_authorised),
        ("late", counts.late),
        ("dead", counts.dead_lettered),
    ]
    .iter()
    .filter(|(_, count)| *count > 0)
    .map(|(name, count)| format!("{name}={count}"))
    .collect();
    for (name, PatternCounts { at_risk, affected: [one, two, three], .. }) in
        SHORT.iter().zip(counts.patterns)
    {
        match (at_risk, one + two + three) {
            (0, 0) => {}
            (_, 0) => parts.push(format!("{name}={at_risk}")),
            _ => parts.push(format!("{name}={at_risk}({one},{two},{three})")),
        }
    }
    parts.join(" ")
}

/// All closed windows of a length, in their order.
fn closed(scenario: &str, length: WindowLength) -> Vec<WindowCounts> {
    let (mut detect, mut out) = run(default_settings(), scenario);
    detect.close_all(&mut out);
    out.windows.retain(|window| window.length == length);
    out.windows
}

/// Compares the closed windows, `number brand: counts` a line.
#[track_caller]
fn check_windows(length: WindowLength, scenario: &str, expected: &[&str]) {
    let line = |window: &WindowCounts| {
        let number = (window.start - START) / length.ms();
        format!("{number} {}: {}", window.brand, text(&window.counts))
    };
    let found: Vec<String> = closed(scenario, length).iter().map(line).collect();
    assert_eq!(found, expected, "{scenario}");
}

#[test]
fn revisions_share_the_moment_and_its_opening() {
    let moments =
        run(default_settings(), "recap-viewed@0 id=a; recap-shared@1h id=b; recap-viewed@24h id=c").1.moments;
    let seen: Vec<_> = moments
        .iter()
        .map(|m| (m.revision, m.severity, m.event_time - START, m.opened_time - START))
        .collect();
    assert_eq!(seen, [(1, 1, 0, 0), (2, 2, HOUR_MS, 0), (1, 1, DAY_MS, DAY_MS)]);
    assert_eq!(moments[0].moment_id, moments[1].moment_id);
    assert_eq!(moments[0].opening_event, moments[1].opening_event);
    assert_ne!(moments[0].moment_id, moments[2].moment_id);
    assert_eq!([moments[0].weight, moments[1].weight], [0.40, 0.60]);
}

#[test]
fn a_retraction_is_the_next_revision_at_the_severity_it_had() {
    let scenario = "order-completed@0 sub=o prod=x; imp@2d*5/1h prod=x; order-refunded@3d sub=o";
    let moments = run(default_settings(), scenario).1.moments;
    let last = moments.last().expect("three revisions");
    assert_eq!((last.revision, last.severity, last.status.as_str()), (3, 2, "RETRACTED"));
    assert_eq!((last.event_time - START, last.opened_time - START), (3 * DAY_MS, 2 * DAY_MS + HOUR_MS));
    assert!(moments.iter().all(|m| m.moment_id == last.moment_id && m.anchor == last.anchor));
    assert_eq!(last.anchor.as_ref().map(String::len), Some(32));
}

#[test]
fn a_honoured_request_opens_at_its_maturity() {
    let moments = run(default_settings(), "preference-changed@1h; recap-viewed@2d share=0; end@9d").1.moments;
    let seen: Vec<_> = moments.iter().map(|m| (m.event_time - START, m.opened_time - START)).collect();
    assert_eq!(seen, [(offset("7d+1h"), offset("7d+1h"))]);
}

#[test]
fn a_late_event_is_applied_at_its_place() {
    // The frontier has passed the viewing: the earlier sharing raises it.
    let scenario = "recap-viewed@10m; recap-shared@0 place=20m";
    let moments = run(default_settings(), scenario).1.moments;
    let seen: Vec<_> = moments.iter().map(|m| (m.severity, m.revision, m.event_time - START)).collect();
    assert_eq!(seen, [(1, 1, offset("10m")), (2, 2, 0)]);
    // A day of quiet goes by event times.
    check("recap-viewed@0 place=30m; recap-viewed@24h", "P11:1 P11:1");
    check("recap-viewed@0 place=30m; recap-viewed@24h-1ms place=24h+40m", "P11:1");
    // A prompt from before the refusal, applied after it, lies within.
    check("consent-refused@10m; consent-prompt@5m place=20m", "P5:1");
    check("consent-refused@10m; consent-prompt@5m", "");
    check(
        "sent@1h class=requested channel=push ref=m; opened@1h+29m place=2h+15m channel=push ref=m",
        "P10:1",
    );
    check("sent@1h class=requested channel=push ref=m; opened@50m place=1h+20m channel=push ref=m", "P10:1");
    check("unsubscribed@1h channel=push; sent@1h-1ms place=1h+1m channel=push", "");
}

#[test]
fn days_and_timers_go_by_place() {
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@48h-10m place=48h+10m", "P5:1");
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@48h-10m", "");
    let late = "preference-changed@0 place=40m";
    check(&format!("{late}; recap-viewed@7d+40m-1ms share=0; end@8d"), "P12:1");
    check(&format!("{late}; recap-viewed@7d+40m share=0; end@8d"), "");
    check_windows(
        WindowLength::HOUR,
        "recap-viewed@59m share=0 place=61m; recap-viewed@1m share=0 who=q",
        &["0 b: applied=1 people=1 touches=1 P11=1", "1 b: applied=1 people=1 touches=1 P11=1"],
    );
}

#[test]
fn words_that_come_too_late_are_stored_by_their_time() {
    let ad = "basis=third-party";
    for word in ["consent-refused", "consent-withdrawn"] {
        check(&format!("{word}@0 late place=2h; ad@24h-1ms {ad}"), "");
        check(&format!("{word}@0 late place=2h; ad@24h {ad}"), "P6:2");
        check(&format!("{word}@0 late place=30h; ad@29h {ad}"), "");
        check(&format!("consent-granted@1h; {word}@0 late place=3h; ad@3d {ad}"), "");
        check(&format!("consent-granted@0; {word}@1h late place=4h; ad@25h {ad}"), "P6:2");
        // It moves the first refusal back.
        check(&format!("{word}@5h; {word}@0 late place=6h; ad@24h {ad}"), "P6:2");
        check(&format!("{word}@0 late place=2h; consent-prompt@3h"), "P5:1");
    }
    check(&format!("consent-refused@0; consent-granted@1h late place=4h; ad@3d {ad}"), "");
    check(&format!("consent-refused@1h; consent-granted@0 late place=4h; ad@3d {ad}"), "P6:2");
    check("consent-withdrawn@0 late place=2h; recap-viewed@1d share=0; end@9d", "");
    // One that is older than the last word on its type changes neither it nor what was counted since.
    check("consent-granted@1h; consent-refused@0 late place=3h; consent-prompt@4h", "");
    check("consent-refused@1h; consent-granted@0 late place=3h; consent-prompt@4h", "P5:1");
    check(
        "consent-refused@1h; consent-prompt@2h; consent-granted@0 late place=3h; consent-prompt@4h",
        "P5:1 P5:2",
    );
    for word in ["unsubscribed", "marked-spam"] {
        check(&format!("{word}@0 late place=2h channel=push; sent@3h channel=push"), "P4a:1");
        check(
            &format!("subscribed@1h channel=push; {word}@0 late place=3h channel=push; sent@4h channel=push"),
            "",
        );
        let opened = "sent@0 class=requested channel=push ref=m; opened@1m channel=push ref=m";
        check(&format!("{opened}; {word}@2m late place=3h channel=push"), "P10:1");
        check(&format!("{word}@6d; {word}@0 late place=6d+2h; sent@7d"), "P4a:1");
    }
    check("unsubscribed@0 channel=push; subscribed@1h late place=3h channel=push; sent@4h channel=push", "");
    check(
        "unsubscribed@1h channel=push; subscribed@0 late place=3h channel=push; sent@4h channel=push",
        "P4a:1",
    );
    check("recap-viewed@0 late place=2h", "");
    check_windows(WindowLength::DAY, "consent-refused@0 late place=2h; end@3h", &[]);
}

#[test]
fn an_erasure_forgets_the_person() {
    check("unsubscribed@0 channel=push; erase@1h; sent@2h channel=push", "");
    check(
        "unsubscribed@0 channel=push; erase@1h; unsubscribed@2h channel=push; sent@3h channel=push",
        "P4a:1",
    );
    check("unsubscribed@0 channel=push; erase@1h who=q; sent@2h channel=push", "P4a:1");
    check("recap-viewed@0; erase@1h; recap-viewed@2h", "P11:1 P11:1");
    check("preference-changed@0; erase@1h; recap-viewed@1d share=0; end@9d", "");
    check("preference-changed@0; erase@1h; preference-changed@2h; recap-viewed@1d share=0; end@9d", "P12:1");
    // Events from before it that are placed behind it are dropped, words as well.
    check("erase@1h; recap-viewed@1h-1ms place=1h+5m", "");
    check("erase@1h; recap-viewed@1h place=1h+5m", "P11:1");
    check("erase@1h; unsubscribed@0 late place=2h channel=push; sent@3h channel=push", "");
    // The id is kept: a copy stays a copy.
    check("recap-viewed@0 id=a; erase@10m; recap-viewed@0 id=a place=20m; recap-shared@30m id=a", "P11:1");
    let (detect, _) =
        run(default_settings(), "recap-viewed@0; recap-viewed@1m brand=c; erase@1h; recap-viewed@0 place=2h");
    assert_eq!(detect.pairs(), 0);
    assert_eq!(detect.tally(Topic::Clickstream), Tally { applied: 2, duplicate: 0, erased: 1 });
}

#[test]
fn an_erasure_takes_the_person_out_of_open_windows_but_not_the_touches() {
    check_windows(
        WindowLength::HOUR,
        "recap-viewed@0; recap-viewed@1h; recap-viewed@1h who=q; erase@1h+30m",
        &["0 b: applied=1 people=1 touches=1 P11=1(1,0,0)", "1 b: applied=2 people=1 touches=2 P11=1(1,0,0)"],
    );
    check_windows(
        WindowLength::DAY,
        "recap-viewed@0; recap-shared@1h; erase@1h+30m",
        &["0 b: applied=2 touches=1"],
    );
}

#[test]
fn copies_are_known_for_an_hour_of_places() {
    let copies = |at: &str| format!("recap-viewed@0 id=a; recap-shared@{at} id=a");
    check(&copies("1h-1ms"), "P11:1");
    check(&copies("1h"), "P11:1 P11:2");
    check("recap-viewed@0 id=a; recap-shared@30m id=a; recap-shared@1h id=a", "P11:1 P11:2");
    check("recap-viewed@0 id=a; recap-viewed@1m id=a who=q", "P11:1 P11:1");
    check("recap-viewed@0 id=a; recap-viewed@1m id=a brand=c", "P11:1");
    check("recap-viewed@0 id=a; sent@1m id=a perm=none", "P11:1 P4a:1");
    // 10 and 90 minutes by event time, 60 and 90 by place; 1 h and 110 min, 1 h and 2 h by place.
    check("recap-viewed@10m place=1h id=a; recap-shared@90m id=a", "P11:1");
    check("recap-viewed@1h id=a; recap-shared@110m place=2h id=a", "P11:1 P11:2");
    let (detect, _) = run(default_settings(), "recap-viewed@0*3/1m id=a; recap-viewed@5m");
    assert_eq!(detect.tally(Topic::Clickstream), Tally { applied: 2, duplicate: 2, erased: 0 });
    check_windows(
        WindowLength::DAY,
        "recap-viewed@0*3/1m id=a share=0",
        &["0 b: applied=1 people=1 touches=1 P11=1"],
    );
}

#[test]
fn a_window_counts_distinct_people_at_their_highest_severity() {
    check_windows(
        WindowLength::HOUR,
        "recap-viewed@0; recap-shared@1m; recap-viewed@2m; recap-viewed@3m who=q; recap-viewed@4m who=r share=0; \
         recap-viewed@5m who=q brand=c; recap-viewed@1h",
        &[
            "0 b: applied=5 people=3 touches=4 P11=3(1,1,0)",
            "0 c: applied=1 people=1 touches=1 P11=1(1,0,0)",
            "1 b: applied=1 people=1 touches=1 P11=1(1,0,0)",
        ],
    );
    // A trigger that publishes nothing counts in its window.
    check_windows(
        WindowLength::HOUR,
        "recap-viewed@1h-1ms; recap-viewed@1h",
        &["0 b: applied=1 people=1 touches=1 P11=1(1,0,0)", "1 b: applied=1 people=1 touches=1 P11=1(1,0,0)"],
    );
}

#[test]
fn who_is_at_risk() {
    for (scenario, expected) in [
        ("ad@0", "applied=1 people=1 touches=1 P1=1"),
        ("ad@0 rewarded", "applied=1"),
        ("viewable@0", "applied=1"),
        ("page-view@0", "applied=1"),
        ("order-completed@0 sub=o; ad@1h", "applied=2 people=1 touches=1 P1=1 P2=1"),
        ("order-completed@0 sub=o; order-cancelled@1m sub=o; ad@1h", "applied=3 people=1 touches=1 P1=1"),
        ("page-view@0 dev=x; ad@1h dev=y", "applied=2 people=1 touches=1 P1=1 P3=1"),
        ("page-view@0 dev=x; ad@1h dev=x", "applied=2 people=1 touches=1 P1=1"),
        ("sent@0 class=marketing", "applied=1 people=1 touches=1 P4a=1 P4b=1"),
        ("sent@0 class=marketing channel=in-app", "applied=1 people=1 touches=1 P4a=1"),
        ("sent@0 class=transactional", "applied=1 people=1 touches=1"),
        ("sent@0 class=requested", "applied=1 people=1 touches=1 P10=1"),
        ("sent@0 class=cart-reminder", "applied=1 people=1 touches=1 P4a=1 P4b=1 P8=1 P13=1"),
        ("opened@0 ref=m", "applied=1"),
        ("consent-prompt@0", "applied=1 people=1 touches=1 prompted=1 P5=1"),
        ("consent-prompt@0 prompt=email", "applied=1 people=1 touches=1 P5=1"),
        ("ad@0 sig=cross", "applied=1 people=1 touches=1 known=1 P1=1 P6=1"),
        ("ad@0 sig=voluntary", "applied=1 people=1 touches=1 P1=1 P6=1"),
        ("ad@0 sig=all basis=contextual", "applied=1 people=1 touches=1 known=1 P1=1 P6=1"),
        ("ad@0 sig=allowed", "applied=1 people=1 touches=1 known=1 authorised=1 P1=1"),
        ("ad@0 sig=allowed+voluntary", "applied=1 people=1 touches=1 known=1 authorised=1 P1=1"),
        ("ad@0 basis=declared", "applied=1 people=1 touches=1 P1=1"),
        ("ad@0 basis=declared disclosed=yes", "applied=1 people=1 touches=1 P1=1 P7=1"),
        ("ad@0 basis=unknown disclosed=no", "applied=1 people=1 touches=1 P1=1"),
        ("ad@0 basis=contextual disclosed=no", "applied=1 people=1 touches=1 P1=1"),
        ("ad@0 basis=special-category", "applied=1 people=1 touches=1 P1=1 P7=1(0,0,1)"),
        ("recommendation-shown@0", "applied=1 people=1 touches=1 P9=1"),
        ("recommendation-used@0", "applied=1 people=1 P9=1"),
        ("recommendation-hidden@0", "applied=1"),
        ("personalisation-shown@0", "applied=1 people=1 touches=1"),
        ("recap-shared@0", "applied=1 people=1 P11=1(0,1,0)"),
        ("preference-changed@0", "applied=1"),
        ("ad@0 key=device", "applied=1 people=1 devices=1 touches=1 P1=1"),
        ("ad@0 key=inferred", "applied=1 people=1 touches=1 P1=1"),
    ] {
        check_windows(WindowLength::DAY, scenario, &[&format!("0 b: {expected}")]);
    }
}

#[test]
fn a_matured_request_is_at_risk_whether_it_was_honoured_or_not() {
    check_windows(
        WindowLength::DAY,
        "preference-changed@0; end@8d",
        &["0 b: applied=1", "7 b: matured=1 people=1 P12=1"],
    );
    check_windows(
        WindowLength::DAY,
        "preference-changed@1h; recap-viewed@2h share=0; end@8d",
        &["0 b: applied=2 people=1 touches=1 P11=1", "7 b: matured=1 people=1 P12=1(1,0,0)"],
    );
}

#[test]
fn a_request_matures_into_the_window_that_its_instant_opens() {
    check_windows(
        WindowLength::DAY,
        "preference-changed@0; recap-viewed@6d+23h share=0; end@8d",
        &[
            "0 b: applied=1",
            "6 b: applied=1 people=1 touches=1 P11=1",
            "7 b: matured=1 people=1 P12=1(1,0,0)",
        ],
    );
}

#[test]
fn two_devices_within_30_days() {
    for (at, last) in [
        ("30d-1ms", "29 b: applied=1 people=1 touches=1 P1=1 P3=1"),
        ("30d", "30 b: applied=1 people=1 touches=1 P1=1"),
    ] {
        let scenario = format!("page-view@0 dev=x; ad@{at} dev=y");
        check_windows(WindowLength::DAY, &scenario, &["0 b: applied=1", last]);
    }
}

#[test]
fn opt_outs_count_for_people_who_are_reached() {
    for word in [
        "consent-refused",
        "consent-withdrawn",
        "unsubscribed",
        "marked-spam",
        "hide",
        "ad-complaint",
        "complaint",
        "app-removed",
    ] {
        let prompt = if word.starts_with("consent") { " prompt=other" } else { "" };
        check_windows(WindowLength::DAY, &format!("{word}@0{prompt}"), &["0 b: applied=1"]);
        for scenario in [
            format!("{word}@0*2/1m{prompt}; recap-viewed@1h share=0"),
            format!("recap-viewed@0*2/1m share=0; {word}@1h{prompt}"),
        ] {
            let applied = 3;
            let touches = if scenario.starts_with("recap") { 2 } else { 1 };
            let expected = format!("0 b: applied={applied} people=1 touches={touches} opted_out=1 P11=1");
            check_windows(WindowLength::DAY, &scenario, &[&expected]);
        }
    }
    for word in ["consent-granted", "subscribed", "dismissed", "data-request", "recommendation-hidden"] {
        let prompt = if word.starts_with("consent") { " prompt=other" } else { "" };
        check_windows(
            WindowLength::DAY,
            &format!("recap-viewed@0 share=0; {word}@1h{prompt}"),
            &["0 b: applied=2 people=1 touches=1 P11=1"],
        );
    }
}

#[test]
fn consent_in_a_window() {
    check_windows(
        WindowLength::DAY,
        "consent-prompt@0 prompt=cookies; consent-granted@1m prompt=cookies; consent-withdrawn@2m; \
         consent-refused@3m who=q; consent-refused@4m who=q; consent-granted@5m who=r prompt=location",
        &["0 b: applied=6 people=1 touches=1 opted_out=1 prompted=1 granted=1 refused=1 withdrawn=1 P5=1"],
    );
    // The status at the last touch with a known one: the signals, else the decision, without grace.
    for (scenario, expected) in [
        (
            "consent-granted@0; recap-viewed@1m share=0",
            "applied=2 people=1 touches=1 granted=1 known=1 authorised=1 P11=1",
        ),
        (
            "consent-refused@0; recap-viewed@1m share=0",
            "applied=2 people=1 touches=1 opted_out=1 refused=1 known=1 P11=1",
        ),
        (
            "recap-viewed@0 share=0 sig=allowed; recap-viewed@1m share=0",
            "applied=2 people=1 touches=2 known=1 authorised=1 P11=1",
        ),
        (
            "recap-viewed@0 share=0 sig=allowed; recap-viewed@1m share=0 sig=cross",
            "applied=2 people=1 touches=2 known=1 P11=1",
        ),
        (
            "recap-viewed@0 share=0 sig=cross; recap-viewed@1m share=0 sig=allowed",
            "applied=2 people=1 touches=2 known=1 authorised=1 P11=1",
        ),
        ("recap-viewed@0 share=0 sig=voluntary", "applied=1 people=1 touches=1 P11=1"),
        ("page-view@0 sig=allowed", "applied=1"),
    ] {
        check_windows(WindowLength::DAY, scenario, &[&format!("0 b: {expected}")]);
    }
}

/// Person-days (exposed, with opt-out, unexposed, with opt-out) of P11 on the last day.
fn days(scenario: &str) -> [u64; 4] {
    let windows = closed(scenario, WindowLength::DAY);
    let days = windows.last().expect("a day").counts.patterns[Pattern::NostalgicRecap.index()].days;
    [days.exposed, days.exposed_opt_outs, days.unexposed, days.unexposed_opt_outs]
}

#[test]
fn exposure_lasts_14_days_before_the_first_touch_of_the_day() {
    assert_eq!(days("recap-viewed@0"), [0, 0, 1, 0], "not by the first touch itself");
    assert_eq!(days("recap-shared@0; recap-viewed@1h share=0; hide@2h"), [1, 1, 0, 0]);
    assert_eq!(days("recap-viewed@1h; ad@14d+1h-1ms; hide@14d+2h"), [1, 1, 0, 0]);
    assert_eq!(days("recap-viewed@1h; ad@14d+1h; hide@14d+2h"), [0, 0, 1, 1]);
    assert_eq!(
        days("recap-viewed@1h; hide@14d; ad@14d+30m; ad@14d+3h"),
        [1, 1, 0, 0],
        "the first touch decides"
    );
    assert_eq!(days("recap-viewed@1h; page-view@2d; hide@2d"), [0, 0, 0, 0], "no touch, no person-day");
    assert_eq!(days("recap-viewed@1h; ad@2d brand=c"), [0, 0, 1, 0], "another brand's moment");
    // The raise and the quiet triggers do not prolong, and a retraction does not shorten.
    assert_eq!(days("recap-viewed@1h; recap-shared@20h; ad@14d+2h"), [0, 0, 1, 0]);
    let (mut detect, mut out) = run(
        default_settings(),
        "sent@0 class=requested channel=push ref=m; opened@1m channel=push ref=m; unsubscribed@2m channel=push; ad@3d",
    );
    detect.close_all(&mut out);
    let last = out.windows.iter().rfind(|w| w.length.is_day()).expect("a day");
    assert_eq!(last.counts.patterns[Pattern::TimelyNotification.index()].days.exposed, 1);
    let hours = closed("recap-viewed@0; hide@1m", WindowLength::HOUR);
    assert_eq!(hours[0].counts.patterns[0].days, Default::default(), "outcomes belong to days");
}

#[test]
fn records_that_are_no_events_count_in_their_windows() {
    let scenario = "dead@1m; dead@2m; too-late@3m; unreadable@4m; recap-viewed@5m share=0; dead@1h brand=c; recap-viewed@1m share=0 id=x; recap-viewed@6m share=0 id=x";
    check_windows(
        WindowLength::HOUR,
        scenario,
        &["0 b: applied=2 people=1 touches=2 late=1 dead=2 P11=1", "1 c: dead=1"],
    );
    let (mut detect, mut out) = run(default_settings(), scenario);
    detect.close_all(&mut out);
    let pipeline: Vec<_> = out
        .pipeline
        .iter()
        .map(|(l, s, c)| (l.ms() / HOUR_MS, (s - START) / HOUR_MS, c.records, c.unreadable))
        .collect();
    assert_eq!(pipeline, [(1, 0, 6, 1), (1, 1, 1, 0), (24, 0, 7, 1)]);
}

#[test]
fn windows_close_in_the_order_of_their_ends_and_marks_are_cumulative() {
    let settings = Settings { provisional: true, ..default_settings() };
    let (mut detect, mut out) = run(
        settings,
        "recap-viewed@0 share=0; recap-viewed@5m-1ms share=0 who=q; recap-viewed@5m share=0 who=r; end@10m; recap-viewed@1h share=0; end@1h+5m",
    );
    detect.close_all(&mut out);
    let seen: Vec<_> = out
        .windows
        .iter()
        .map(|w| (w.length.to_string(), (w.start - START) / HOUR_MS, w.taken, w.counts.people))
        .collect();
    let hour = |start, taken, people| ("1h".to_owned(), start, taken, people);
    let mut expected = vec![hour(0, Taken::Provisional(1), 2)];
    expected.extend((2..12).map(|mark| hour(0, Taken::Provisional(mark), 3)));
    expected.push(hour(0, Taken::Closed, 3));
    expected.push(("1d".to_owned(), 0, Taken::Provisional(1), 3));
    expected.push(hour(1, Taken::Provisional(1), 1));
    expected.push(hour(1, Taken::Closed, 1));
    expected.push(("1d".to_owned(), 0, Taken::Closed, 3));
    assert_eq!(seen, expected);
}

#[test]
fn a_long_silence_closes_each_window_once() {
    let windows = closed("recap-viewed@0 share=0; recap-viewed@40d share=0", WindowLength::HOUR);
    let starts: Vec<_> = windows.iter().map(|w| (w.start - START) / HOUR_MS).collect();
    assert_eq!(starts, [0, 40 * 24]);
}

/// What one person did: some kinds with fields, at minutes.
fn life() -> impl Strategy<Value = Vec<(usize, u32)>> {
    prop::collection::vec((0..LIVES.len(), 0u32..60 * 24 * 12), 1..25)
}

const LIVES: [(&str, &str); 16] = [
    ("imp", "prod=kettle dev=tablet"),
    ("imp", "sig=voluntary basis=third-party disclosed=no creative=x"),
    ("ad", "basis=special-category"),
    ("page-view", "dev=laptop"),
    ("cart-add", "sub=c"),
    ("order-completed", "sub=o prod=kettle"),
    ("order-refunded", "sub=o"),
    ("sent", "class=cart-reminder sub=c channel=push ref=m"),
    ("sent", "class=requested channel=push ref=r"),
    ("opened", "channel=push ref=r"),
    ("unsubscribed", "channel=push"),
    ("consent-prompt", "reject=no"),
    ("consent-refused", ""),
    ("consent-withdrawn", ""),
    ("recommendation-shown", "ref=a basis=declared"),
    ("recommendation-used", "ref=a"),
];

fn lived(who: usize, life: &[(usize, u32)]) -> String {
    let step = |(number, (what, minute)): (usize, &(usize, u32))| {
        let (kind, fields) = LIVES[*what];
        format!("{kind}@{minute}m who=p{who} id=p{who}e{number:03} {fields}; ")
    };
    life.iter().enumerate().map(step).collect()
}

/// The scenario's moments of one person and the closed windows.
fn outcome(steps: &[Step]) -> (Vec<TrustMoment>, Vec<WindowCounts>) {
    let (mut detect, mut out) = run_steps(default_settings(), steps);
    detect.close_all(&mut out);
    (out.moments, out.windows)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// What other people do changes nobody's moments, and windows add up.
    #[test]
    fn people_do_not_disturb_each_other(lives in prop::collection::vec(life(), 2..5)) {
        let text: Vec<String> = lives.iter().enumerate().map(|(who, life)| lived(who, life)).collect();
        let end = "end@30d";
        let (moments, windows) = outcome(&steps(&format!("{}{end}", text.concat())));
        let mut sums: BTreeMap<(WindowLength, i64), Counts> = BTreeMap::new();
        let mut alone = Vec::new();
        for (who, life) in text.iter().enumerate() {
            let (mine, closed) = outcome(&steps(&format!("{life}{end}")));
            let person = hex_of(&format!("p{who}"));
            let among: Vec<_> = moments.iter().filter(|m| m.person == person).cloned().collect();
            prop_assert_eq!(&among, &mine);
            alone.extend(mine);
            for window in closed {
                sums.entry((window.length, window.start)).or_default().add(&window.counts);
            }
        }
        prop_assert_eq!(moments.len(), alone.len());
        let together: BTreeMap<_, _> = windows.into_iter().map(|w| ((w.length, w.start), w.counts)).collect();
        prop_assert_eq!(together, sums);
    }

    /// Events of one instant give the same whichever person's come first.
    #[test]
    fn the_order_of_people_within_an_instant_does_not_matter(a in life(), b in life(), flip in any::<bool>()) {
        let names = if flip { ["z", "a"] } else { ["a", "z"] };
        let scenario: String = [&a, &b].iter().zip(names).enumerate().map(|(who, (life, name))| {
            lived(who, life).replace(&format!("id=p{who}"), &format!("id={name}"))
        }).collect();
        let plain: String = lived(0, &a) + &lived(1, &b);
        let (mut first, windows) = outcome(&steps(&scenario));
        let (mut second, plain_windows) = outcome(&steps(&plain));
        for moments in [&mut first, &mut second] {
            moments.sort_by(|x, y| (&x.person, x.event_time, &x.pattern, x.revision).cmp(&(&y.person, y.event_time, &y.pattern, y.revision)));
        }
        prop_assert_eq!(published(&first), published(&second));
        prop_assert_eq!(windows, plain_windows);
    }
}

fn hex_of(who: &str) -> String {
    crate::patterns::scenario::pseudonym(who).iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn a_record_of_many_sections_survives_the_store() {
    let all: String =
        LIVES.iter().enumerate().map(|(n, (kind, fields))| format!("{kind}@{n}h {fields}; ")).collect();
    let (detect, _) = run(default_settings(), &all);
    let key = PairKey { person: crate::patterns::scenario::pseudonym("p"), brand: 0 };
    let mut record = Record::default();
    assert!(detect.store.load(&key, &mut record).is_some());
    assert!(record.stored_len(2) > 200, "{} bytes", record.stored_len(2));
    let mut store = Store::new(2);
    for brand in 0..100 {
        store.save(&PairKey { brand, ..key }, None, &record);
    }
    let mut read = Record::default();
    for brand in 0..100 {
        assert!(store.load(&PairKey { brand, ..key }, &mut read).is_some());
        assert_eq!(read, record);
    }
}

/// A machine that acts thousands of times an hour must not grow a record without limit.
#[test]
fn a_flood_of_one_person_keeps_the_record_small() {
    let fields = |n: usize| {
        [
            ("page-view", "dev=laptop".to_owned()),
            ("imp", format!("dev=tablet page=v{n}")),
            ("sent", format!("class=requested channel=push ref=m{n}")),
            ("opened", format!("channel=push ref=m{n}")),
            ("cart-add", format!("sub=c{n}")),
            ("consent-prompt", String::new()),
            ("ad", "sig=cross basis=third-party disclosed=no".to_owned()),
            ("recommendation-shown", format!("ref=r{n} basis=declared")),
            ("order-completed", format!("sub=o{n} prod=p{n}")),
        ]
    };
    for kind in 0..fields(0).len() {
        let visit = "page-view@0 dev=laptop; order-completed@0 sub=o prod=kettle; ";
        let flood: String = (0..6_000)
            .map(|n| {
                let (name, fields) = fields(n)[kind].clone();
                format!("{name}@{}ms {fields}; ", 1_000 + n * 500)
            })
            .collect();
        let (detect, _) = run(default_settings(), &format!("{visit}{flood}"));
        let mut record = Record::default();
        detect
            .store
            .load(&PairKey { person: crate::patterns::scenario::pseudonym("p"), brand: 0 }, &mut record);
        let length = record.stored_len(2);
        assert!(length < 32_768, "{}: {length} bytes", fields(0)[kind].0);
    }
    // A moment for each of very many carts, devices and orders.
    let carts: String = (0..6_000)
        .map(|n| {
            let sent = format!("sent@{}s class=cart-reminder channel=in-app sub=c{n}; ", 3_601 + 100 * n);
            format!("cart-add@{}s sub=c{n}; {sent}", 1 + 100 * n)
        })
        .collect();
    let (detect, _) = run(default_settings(), &carts);
    let mut record = Record::default();
    detect.store.load(&PairKey { person: crate::patterns::scenario::pseudonym("p"), brand: 0 }, &mut record);
    let length = record.stored_len(2);
    assert!(length < 32_768, "carts: {length} bytes");
}

#[test]
fn the_largest_orders_fit_a_record() {
    let orders: String = (0..20)
        .map(|order| {
            let products: Vec<String> = (0..256).map(|product| format!("o{order}p{product}")).collect();
            // All but eight are dead, and still remembered for late events.
            let at = if order < 8 { order } else { 30 * 24 * 60 + order };
            format!("order-completed@{at}m sub=o{order} prod={}; ", products.join("+"))
        })
        .collect();
    let (_, out) = run(default_settings(), &format!("{orders}; imp@31d+30m*2/1m prod=o19p255"));
    assert_eq!(published(&out.moments), "P2:1");
}
