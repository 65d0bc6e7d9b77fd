use super::*;
use crate::event::kinds::IncidentKind;
use crate::time::DAY_MS;

/// 2025-03-03, a day's start.
const BASE: i64 = 1_740_960_000_000;

fn report(severity: f64, updated_hours: Option<i64>) -> RawIncident {
    RawIncident {
        incident_id: "i".to_owned(),
        brand_id: "acme".to_owned(),
        kind: IncidentKind::AdverseReport,
        disclosed_time: BASE,
        updated_time: updated_hours.map(|hours| BASE + hours * HOUR_MS),
        occurred_time: None,
        people_affected: None,
        identity_or_health_data: false,
        severity: Some(severity),
        credibility: None,
    }
}

/// What happens up to `hours` after the disclosure, as (state, hour, value).
fn alerts(incidents: &mut Incidents, hours: i64) -> Vec<(String, i64, f64)> {
    let mut alerts = Vec::new();
    incidents.fire(&BrandLayerRules::default(), EventTime(BASE + hours * HOUR_MS), &mut alerts);
    alerts
        .into_iter()
        .map(|alert| {
            assert_eq!(alert.since, BASE);
            (alert.state, (alert.at - BASE) / HOUR_MS, alert.value.unwrap())
        })
        .collect()
}

#[test]
fn a_report_opens_at_its_disclosure_and_fades_at_a_whole_hour() {
    let mut incidents = Incidents::default();
    incidents.add(&report(0.2, None), b"a");
    assert_eq!(alerts(&mut incidents, -1), []);
    assert_eq!(alerts(&mut incidents, 0), [("OPEN".to_owned(), 0, 0.2)]);
    assert_eq!(alerts(&mut incidents, 504), [], "half of it is 0.1, and that is not below");
    let resolved = alerts(&mut incidents, 2_000);
    assert_eq!((resolved[0].0.as_str(), resolved[0].1), ("RESOLVED", 505));
    assert!(resolved[0].2 < 0.1);
    incidents.add(&report(0.9, Some(3_000)), b"b");
    assert_eq!(alerts(&mut incidents, 4_000), [], "an alert opens once per incident");
}

#[test]
fn below_the_limit_opens_nothing() {
    let mut incidents = Incidents::default();
    incidents.add(&report(0.1999, None), b"a");
    assert_eq!(alerts(&mut incidents, 100), []);
}

#[test]
fn a_correction_counts_from_the_first_instant_after_it() {
    let mut incidents = Incidents::default();
    incidents.add(&report(0.8, None), b"a");
    incidents.add(&report(0.01, Some(25)), b"b");
    let all = alerts(&mut incidents, 100);
    assert_eq!((all[1].0.as_str(), all[1].1), ("RESOLVED", 26));
}

#[test]
fn records_may_come_in_any_order_and_twice() {
    let mut records =
        [(report(0.1, None), b"a"), (report(0.6, Some(48)), b"b"), (report(0.3, Some(2)), b"c")];
    let mut expected = None;
    for _ in 0..3 {
        records.rotate_left(1);
        let mut incidents = Incidents::default();
        for (record, encoding) in records.iter().chain(&records) {
            incidents.add(record, *encoding);
        }
        let all = alerts(&mut incidents, 5_000);
        assert_eq!(all[0], ("OPEN".to_owned(), 2, 0.3));
        assert_eq!(*expected.get_or_insert_with(|| all.clone()), all);
    }
}

#[test]
fn equal_updates_are_decided_by_the_encoding() {
    let mut incidents = Incidents::default();
    incidents.add(&report(0.9, None), b"b");
    incidents.add(&report(0.1, None), b"a");
    assert_eq!(alerts(&mut incidents, 0), [("OPEN".to_owned(), 0, 0.9)]);
}

#[test]
fn a_window_sees_what_was_disclosed_and_updated_before_its_end() {
    let rules = BrandLayerRules::default();
    let mut incidents = Incidents::default();
    incidents.add(&report(0.8, None), b"a");
    incidents.add(&report(0.3, Some(24)), b"b");
    let layer = |at| incidents.layer(&rules, "acme", EventTime(at));
    assert_eq!(layer(BASE), 100.0);
    assert!((layer(BASE + 1) - 100.0 * (-0.8_f64).exp()).abs() < 1e-6);
    let left = |severity: f64| 100.0 * (-severity * (-1.0_f64 / 21.0).exp2()).exp();
    assert!((layer(BASE + DAY_MS) - left(0.8)).abs() < 1e-9, "updated at the end is not before it");
    assert!((layer(BASE + DAY_MS + 1) - left(0.3)).abs() < 1e-6);
    assert_eq!(incidents.layer(&rules, "other", EventTime(BASE)), 100.0);
}

#[test]
fn a_late_record_opens_at_the_time_it_was_in_force() {
    let mut incidents = Incidents::default();
    incidents.add(&report(0.05, Some(50)), b"a");
    assert_eq!(alerts(&mut incidents, 60), []);
    incidents.add(&report(0.8, Some(3)), b"b");
    let all = alerts(&mut incidents, 60);
    assert_eq!(all[0], ("OPEN".to_owned(), 3, 0.8));
    assert_eq!((all[1].0.as_str(), all[1].1), ("RESOLVED", 51), "the later record then took over");
}

#[test]
fn what_no_window_can_read_is_forgotten() {
    let rules = BrandLayerRules::default();
    let mut incidents = Incidents::default();
    incidents.add(&report(0.8, None), b"a");
    incidents.add(&report(0.3, Some(24)), b"b");
    alerts(&mut incidents, 10_000);
    let later = EventTime(BASE + 100 * DAY_MS);
    let before = incidents.layer(&rules, "acme", later);
    incidents.forget(&rules, EventTime(BASE + 2 * DAY_MS));
    assert_eq!(incidents.brands["acme"]["i"].records.len(), 1);
    assert_eq!(incidents.layer(&rules, "acme", later), before);
    incidents.forget(&rules, EventTime(BASE + (40 * 21 + 1) * DAY_MS));
    assert!(incidents.brands.is_empty());
}
