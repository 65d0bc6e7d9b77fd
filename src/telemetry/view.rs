//! What the page and the terminal show: the latest of everything, in bounded memory.

use std::collections::{BTreeMap, VecDeque};

use serde::Serialize;

use crate::driver::health::Reason;
use crate::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};

/// Fresh moments that are kept.
pub const MOMENTS_MAX: usize = 200;
/// (brand, window length) series that are kept; records of further ones are counted.
pub const SERIES_MAX: usize = 4_000;
/// Open alerts that are kept; further ones are counted.
pub const ALERTS_MAX: usize = 1_000;
/// Closed windows in the history of a series shorter than a day: a week of hours.
pub const HISTORY_MAX: usize = 168;
/// Closed windows in the history of days.
pub const HISTORY_DAYS_MAX: usize = 60;

/// One closed window in the history of a brand.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Point {
    /// Start of the window, milliseconds.
    pub window_start: i64,
    /// Trust; null where the data were insufficient.
    pub trust: Option<f64>,
}

/// What is known of one (brand, window length).
#[derive(Clone, Debug, Default, Serialize)]
pub struct Series {
    /// The last closed window.
    pub closed: Option<BrandTrust>,
    /// The open window, provisional: no interval and no counts.
    pub open: Option<BrandTrust>,
    /// Trust of the closed window minus that of the last one before it with a number.
    pub change: Option<f64>,
    /// Closed windows, oldest first.
    pub history: VecDeque<Point>,
    /// Patterns of the newest window that has any, in the order of publication.
    pub patterns: Vec<PatternTrust>,
}

/// A moment without the person: the page needs nobody's pseudonym.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moment {
    /// The brand.
    pub brand_id: String,
    /// Name of the pattern.
    pub pattern: String,
    /// `OPEN` or `RETRACTED`.
    pub status: String,
    /// 1 to 3.
    pub severity: i32,
    /// −1 to 1.
    pub weight: f64,
    /// Time of the event, milliseconds.
    pub event_time: i64,
    /// One English sentence.
    pub explanation: String,
}

/// How far the pipeline is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Progress {
    /// The frontier, milliseconds of event time.
    pub frontier: Option<i64>,
    /// The newest event time seen; minus the frontier, this is the lag.
    pub newest_event: Option<i64>,
    /// Records read.
    pub read: u64,
    /// Of these, applied.
    pub applied: u64,
    /// Of these, dead-lettered.
    pub dead_lettered: u64,
    /// Of these, too late.
    pub late: u64,
}

impl Progress {
    /// How far the frontier is behind the newest event, milliseconds.
    pub fn lag_ms(&self) -> Option<i64> {
        self.newest_event.zip(self.frontier).map(|(newest, frontier)| newest - frontier)
    }
}

/// The live view. Serialises to a snapshot without its series, which are asked for one by one.
#[derive(Clone, Debug, Default, Serialize)]
pub struct LiveView {
    /// Sentences shown above everything, such as which campaign was planted bad.
    pub banners: Vec<String>,
    /// How far the pipeline is.
    pub progress: Progress,
    /// Newest last.
    pub moments: VecDeque<Moment>,
    /// Open alerts by id.
    pub alerts: BTreeMap<String, TrustAlert>,
    /// Records that were not kept because a limit was reached.
    pub not_shown: u64,
    #[serde(skip)]
    series: BTreeMap<(String, String), Series>,
}

impl LiveView {
    /// The series of one window length, by brand.
    pub fn series<'a>(&'a self, window: &'a str) -> impl Iterator<Item = (&'a str, &'a Series)> {
        self.series.iter().filter(move |((_, w), _)| w == window).map(|((brand, _), s)| (brand.as_str(), s))
    }

    /// The series of one brand, by window length.
    pub fn of_brand<'a>(&'a self, brand: &'a str) -> impl Iterator<Item = (&'a str, &'a Series)> {
        self.series.iter().filter(move |((b, _), _)| b == brand).map(|((_, window), s)| (window.as_str(), s))
    }

    /// Why what is shown is not to be relied on yet; nothing once it is.
    pub fn not_ready(&self) -> Vec<Reason> {
        let reason = Reason {
            code: "no_frontier",
            what: "no frontier yet: a source topic has not delivered a record".to_owned(),
            since: 0,
            todo: "wait for the first records",
        };
        if self.progress.frontier.is_none() { vec![reason] } else { Vec::new() }
    }

    /// Everything but the series.
    pub fn summary(&self) -> LiveView {
        LiveView {
            banners: self.banners.clone(),
            progress: self.progress,
            moments: self.moments.clone(),
            alerts: self.alerts.clone(),
            not_shown: self.not_shown,
            series: BTreeMap::new(),
        }
    }

    /// Takes a published or provisional window. One older than what is shown changes nothing.
    pub fn on_brand_trust(&mut self, record: &BrandTrust) {
        let Some(series) = self.series_mut(&record.brand_id, &record.window) else { return };
        let closed_start = series.closed.as_ref().map(|c| c.window_start);
        if closed_start.is_some_and(|start| record.window_start <= start) {
            return;
        }
        if record.status == "PROVISIONAL" {
            series.open = Some(record.clone());
            return;
        }
        let before = series.history.iter().rev().find_map(|point| point.trust);
        series.change = record.trust.zip(before).map(|(now, before)| now - before);
        series.history.push_back(Point { window_start: record.window_start, trust: record.trust });
        let limit = if record.window == "1d" { HISTORY_DAYS_MAX } else { HISTORY_MAX };
        while series.history.len() > limit {
            series.history.pop_front();
        }
        series.open.take_if(|open| open.window_start <= record.window_start);
        series.closed = Some(record.clone());
    }

    /// Takes a pattern's part; those of an older window make way for those of a newer one.
    pub fn on_pattern_trust(&mut self, record: &PatternTrust) {
        let Some(series) = self.series_mut(&record.brand_id, &record.window) else { return };
        let shown = series.patterns.first().map_or(i64::MIN, |p| p.window_start);
        if record.window_start < shown {
            return;
        }
        if record.window_start > shown {
            series.patterns.clear();
        }
        series.patterns.retain(|p| p.pattern != record.pattern);
        series.patterns.push(record.clone());
    }

    /// Takes a moment; the oldest one makes way.
    pub fn on_moment(&mut self, moment: &TrustMoment) {
        if self.moments.len() == MOMENTS_MAX {
            self.moments.pop_front();
        }
        self.moments.push_back(Moment {
            brand_id: moment.brand_id.clone(),
            pattern: moment.pattern.clone(),
            status: moment.status.clone(),
            severity: moment.severity,
            weight: moment.weight,
            event_time: moment.event_time,
            explanation: moment.explanation.clone(),
        });
    }

    /// Takes a change of state of an alert; only open ones are kept.
    pub fn on_alert(&mut self, alert: &TrustAlert) {
        if alert.state != "OPEN" {
            self.alerts.remove(&alert.alert_id);
        } else if self.alerts.len() < ALERTS_MAX || self.alerts.contains_key(&alert.alert_id) {
            self.alerts.insert(alert.alert_id.clone(), alert.clone());
        } else {
            self.not_shown += 1;
        }
    }

    /// Takes how far the pipeline is.
    pub fn progress(&mut self, progress: Progress) {
        self.progress = progress;
    }

    fn series_mut(&mut self, brand: &str, window: &str) -> Option<&mut Series> {
        let key = (brand.to_owned(), window.to_owned());
        if self.series.len() >= SERIES_MAX && !self.series.contains_key(&key) {
            self.not_shown += 1;
            return None;
        }
        Some(self.series.entry(key).or_default())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::{Value, json};

    use super::*;

    const HOUR: i64 = 3_600_000;

    pub(in crate::telemetry) fn window(brand: &str, hour: i64, trust: Option<f64>) -> BrandTrust {
        let status = if trust.is_some() { "FINAL" } else { "INSUFFICIENT_DATA" };
        let mut value = json!({"brand_id": brand, "window_start": hour * HOUR, "window_end": (hour + 1) * HOUR,
            "window": "1h", "status": status, "revision": 1, "brand_layer": 97.5, "completeness": 1.0, "late": 0,
            "dead_lettered": 0, "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c"});
        value["trust"] = trust.map_or(Value::Null, Value::from);
        serde_json::from_value(value).unwrap()
    }

    fn pattern(name: &str, hour: i64) -> PatternTrust {
        let value = json!({"brand_id": "a", "window_start": hour * HOUR, "window_end": (hour + 1) * HOUR,
            "window": "1h", "status": "FINAL", "revision": 1, "pattern": name, "evaluated": true,
            "contribution": -1.0, "config_hash": "c"});
        serde_json::from_value(value).unwrap()
    }

    fn alert(id: usize, state: &str) -> TrustAlert {
        let value = json!({"alert_id": id.to_string(), "kind": "SCORE_DROP", "state": state, "since": 0, "at": 0, "summary": "s"});
        serde_json::from_value(value).unwrap()
    }

    fn only(view: &LiveView) -> &Series {
        view.series("1h").next().unwrap().1
    }

    #[test]
    fn a_change_is_against_the_last_window_with_a_number() {
        let mut view = LiveView::default();
        view.on_brand_trust(&window("a", 0, Some(50.0)));
        view.on_brand_trust(&window("a", 1, None));
        assert_eq!(only(&view).change, None);
        view.on_brand_trust(&window("a", 2, Some(44.0)));
        assert_eq!(only(&view).change, Some(-6.0));
        let trusts: Vec<_> = only(&view).history.iter().map(|point| point.trust).collect();
        assert_eq!(trusts, [Some(50.0), None, Some(44.0)]);
    }

    #[test]
    fn an_open_window_shows_until_it_closes_and_old_ones_change_nothing() {
        let mut view = LiveView::default();
        let open = BrandTrust { status: "PROVISIONAL".to_owned(), ..window("a", 1, Some(30.0)) };
        view.on_brand_trust(&window("a", 0, Some(50.0)));
        view.on_brand_trust(&open);
        assert_eq!(only(&view).open.as_ref(), Some(&open));
        view.on_brand_trust(&window("a", 1, Some(31.0)));
        assert_eq!(only(&view).open, None);
        view.on_brand_trust(&open);
        view.on_brand_trust(&window("a", 0, Some(99.0)));
        assert_eq!((only(&view).open.as_ref(), only(&view).history.len()), (None, 2));
    }

    #[test]
    fn histories_series_and_alerts_are_limited() {
        let mut view = LiveView::default();
        for hour in 0..HISTORY_MAX as i64 + 5 {
            view.on_brand_trust(&window("a", hour, Some(50.0)));
        }
        assert_eq!(only(&view).history.len(), HISTORY_MAX);
        assert_eq!(only(&view).history[0].window_start, 5 * HOUR);
        for number in 0..SERIES_MAX {
            view.on_brand_trust(&window(&format!("brand-{number}"), 0, None));
        }
        assert_eq!((view.series("1h").count(), view.not_shown), (SERIES_MAX, 1));
        for id in 0..ALERTS_MAX + 2 {
            view.on_alert(&alert(id, "OPEN"));
        }
        assert_eq!((view.alerts.len(), view.not_shown), (ALERTS_MAX, 3));
        view.on_alert(&alert(0, "RESOLVED"));
        assert_eq!(view.alerts.len(), ALERTS_MAX - 1);
    }

    #[test]
    fn patterns_are_those_of_the_newest_window() {
        let mut view = LiveView::default();
        for (name, hour) in [("old", 0), ("x", 1), ("y", 1), ("x", 1), ("old", 0)] {
            view.on_pattern_trust(&pattern(name, hour));
        }
        let names: Vec<&str> = only(&view).patterns.iter().map(|p| p.pattern.as_str()).collect();
        assert_eq!(names, ["y", "x"]);
    }
}
