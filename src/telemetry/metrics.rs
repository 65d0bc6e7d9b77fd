//! What `/metrics` exposes. All metrics are declared here.

use std::collections::BTreeSet;

use prometheus::{Gauge, GaugeVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry};

use super::view::Progress;
use crate::driver::replay::ledger::Account;
use crate::event::output::{BrandTrust, TrustAlert, TrustMoment};
use crate::score::alert::AlertKind;
use crate::score::drop::AlarmState;

/// (brand, window length) pairs that have a gauge; scores of further ones are counted.
pub const BRAND_GAUGES_MAX: usize = 200;

/// The metrics of a process.
#[derive(Debug)]
pub struct Metrics {
    records: IntCounterVec,
    moments: IntCounterVec,
    windows: IntCounterVec,
    alerts: IntCounterVec,
    frontier: Gauge,
    newest: Gauge,
    lag: Gauge,
    trust: GaugeVec,
    shown: BTreeSet<(String, String)>,
    gauges: IntGauge,
    trust_omitted: IntCounter,
}

impl Metrics {
    /// Declares the metrics in a registry.
    ///
    /// # Errors
    /// When one of the names is taken.
    pub fn register(registry: &Registry) -> Result<Metrics, prometheus::Error> {
        let counters = |name: &str, help: &str, labels: &[&str]| -> Result<_, prometheus::Error> {
            let counters = IntCounterVec::new(Opts::new(name, help), labels)?;
            registry.register(Box::new(counters.clone()))?;
            Ok(counters)
        };
        let gauge = |name: &str, help: &str| -> Result<_, prometheus::Error> {
            let gauge = Gauge::new(name, help)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok(gauge)
        };
        let records = counters(
            "trustline_records_total",
            "Source records by topic and by what became of them; read is the sum of all other classes and of those still waiting.",
            &["topic", "class"],
        )?;
        let moments = counters(
            "trustline_moments_total",
            "Revisions of trust moments that were published, by pattern, severity (1 to 3) and status.",
            &["pattern", "severity", "status"],
        )?;
        let windows = counters(
            "trustline_windows_total",
            "Brand windows that were published, by length and status.",
            &["window", "status"],
        )?;
        let alerts = counters(
            "trustline_alerts_total",
            "Changes of state of alerts that were published, by kind and new state.",
            &["kind", "state"],
        )?;
        for kind in [
            AlertKind::ScoreDrop,
            AlertKind::OptOutSurge,
            AlertKind::BrandIncident,
            AlertKind::DataIncomplete,
        ] {
            // From zero on: the first one is an increase too.
            alerts.with_label_values(&[kind.symbol(), AlarmState::Open.symbol()]);
        }
        let frontier = gauge(
            "trustline_frontier_seconds",
            "Event time up to which everything is applied, seconds since the epoch.",
        )?;
        let newest = gauge(
            "trustline_newest_event_seconds",
            "Newest event time that was read, seconds since the epoch.",
        )?;
        let lag = gauge("trustline_frontier_lag_seconds", "Newest event time less the frontier.")?;
        let trust = GaugeVec::new(
            Opts::new(
                "trustline_brand_trust_score",
                "Trust of a brand in its last closed window with a number, 0 to 100; neutral is 50.",
            ),
            &["brand", "window"],
        )?;
        registry.register(Box::new(trust.clone()))?;
        let gauges =
            IntGauge::new("trustline_brand_gauges", "Brand gauges in use; their number is limited.")?;
        registry.register(Box::new(gauges.clone()))?;
        let trust_omitted = IntCounter::new(
            "trustline_brand_trust_omitted_total",
            "Scores that no gauge shows because the limit of brand gauges was reached.",
        )?;
        registry.register(Box::new(trust_omitted.clone()))?;
        Ok(Metrics {
            records,
            moments,
            windows,
            alerts,
            frontier,
            newest,
            lag,
            trust,
            shown: BTreeSet::new(),
            gauges,
            trust_omitted,
        })
    }

    /// Takes the account of a topic. Counters only grow: an account smaller than before changes nothing.
    pub fn account(&self, topic: &str, account: &Account) {
        for (class, now) in account.counters() {
            let counter = self.records.with_label_values(&[topic, class]);
            counter.inc_by(now.saturating_sub(counter.get()));
        }
    }

    /// Takes a published moment.
    pub fn moment(&self, moment: &TrustMoment) {
        let severity = moment.severity.to_string();
        self.moments.with_label_values(&[&moment.pattern, &severity, &moment.status]).inc();
    }

    /// Takes a published window.
    pub fn brand_trust(&mut self, record: &BrandTrust) {
        self.windows.with_label_values(&[&record.window, &record.status]).inc();
        let Some(trust) = record.trust else { return };
        if self.has_gauge(&record.brand_id, &record.window) {
            self.trust.with_label_values(&[&record.brand_id, &record.window]).set(trust);
        } else {
            self.trust_omitted.inc();
        }
    }

    /// Takes a change of state of an alert.
    pub fn alert(&self, alert: &TrustAlert) {
        self.alerts.with_label_values(&[&alert.kind, &alert.state]).inc();
    }

    /// Takes how far the pipeline is.
    pub fn progress(&self, progress: &Progress) {
        let seconds = |ms: i64| ms as f64 / 1_000.0;
        if let Some(frontier) = progress.frontier {
            self.frontier.set(seconds(frontier));
        }
        if let Some(newest) = progress.newest_event {
            self.newest.set(seconds(newest));
        }
        if let Some(lag) = progress.lag_ms() {
            self.lag.set(seconds(lag));
        }
    }

    fn has_gauge(&mut self, brand: &str, window: &str) -> bool {
        let key = (brand.to_owned(), window.to_owned());
        if !self.shown.contains(&key) && self.shown.len() < BRAND_GAUGES_MAX {
            self.shown.insert(key);
            self.gauges.inc();
            return true;
        }
        self.shown.contains(&key)
    }
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;
    use serde_json::{Value, json};

    use super::*;

    fn window(brand: &str, trust: Option<f64>) -> BrandTrust {
        let mut value = json!({"brand_id": brand, "window_start": 0, "window_end": 3_600_000, "window": "1h",
            "status": "FINAL", "revision": 1, "brand_layer": 97.5, "completeness": 1.0, "late": 0,
            "dead_lettered": 0, "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c"});
        value["trust"] = trust.map_or(Value::Null, Value::from);
        serde_json::from_value(value).unwrap()
    }

    fn exposed(registry: &Registry) -> String {
        TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn the_exposed_names_are_these() {
        let registry = Registry::new();
        let mut metrics = Metrics::register(&registry).unwrap();
        metrics.account("messages", &Account { read: 3, applied: 2, duplicate: 1, ..Account::default() });
        metrics.account("messages", &Account { read: 5, applied: 4, duplicate: 1, ..Account::default() });
        metrics.brand_trust(&window("acme", Some(31.5)));
        metrics.brand_trust(&window("acme", None));
        let progress = Progress { frontier: Some(1_500), newest_event: Some(4_000), ..Progress::default() };
        metrics.progress(&progress);
        let moment = json!({"moment_id": "m", "revision": 1, "status": "OPEN", "brand_id": "acme", "person": "p",
            "pattern": "consent_nagging", "severity": 2, "weight": -0.5, "event_time": 0, "opened_time": 0,
            "opening_event": "e", "anchor": null, "evidence": "{}", "explanation": "x", "config_hash": "c"});
        metrics.moment(&serde_json::from_value(moment).unwrap());
        let alert = json!({"alert_id": "a", "kind": "SCORE_DROP", "state": "OPEN", "since": 0, "at": 0, "summary": "x"});
        metrics.alert(&serde_json::from_value(alert).unwrap());
        let text = exposed(&registry);
        let values: Vec<&str> = text.lines().filter(|line| !line.starts_with("# HELP")).collect();
        let golden = r#"# TYPE trustline_alerts_total counter
trustline_alerts_total{kind="BRAND_INCIDENT",state="OPEN"} 0
trustline_alerts_total{kind="DATA_INCOMPLETE",state="OPEN"} 0
trustline_alerts_total{kind="OPT_OUT_SURGE",state="OPEN"} 0
trustline_alerts_total{kind="SCORE_DROP",state="OPEN"} 1
# TYPE trustline_brand_gauges gauge
trustline_brand_gauges 1
# TYPE trustline_brand_trust_omitted_total counter
trustline_brand_trust_omitted_total 0
# TYPE trustline_brand_trust_score gauge
trustline_brand_trust_score{brand="acme",window="1h"} 31.5
# TYPE trustline_frontier_lag_seconds gauge
trustline_frontier_lag_seconds 2.5
# TYPE trustline_frontier_seconds gauge
trustline_frontier_seconds 1.5
# TYPE trustline_moments_total counter
trustline_moments_total{pattern="consent_nagging",severity="2",status="OPEN"} 1
# TYPE trustline_newest_event_seconds gauge
trustline_newest_event_seconds 4
# TYPE trustline_records_total counter
trustline_records_total{class="applied",topic="messages"} 4
trustline_records_total{class="dead_lettered",topic="messages"} 0
trustline_records_total{class="duplicate",topic="messages"} 1
trustline_records_total{class="erased",topic="messages"} 0
trustline_records_total{class="exempt",topic="messages"} 0
trustline_records_total{class="read",topic="messages"} 5
trustline_records_total{class="too_late",topic="messages"} 0
# TYPE trustline_windows_total counter
trustline_windows_total{status="FINAL",window="1h"} 2"#;
        assert_eq!(values.join("\n"), golden);
        assert_eq!(text.lines().filter(|line| line.starts_with("# HELP")).count(), 10);
    }

    #[test]
    fn gauges_of_brands_are_limited() {
        let registry = Registry::new();
        let mut metrics = Metrics::register(&registry).unwrap();
        for number in 0..BRAND_GAUGES_MAX + 3 {
            metrics.brand_trust(&window(&format!("brand-{number}"), Some(50.0)));
        }
        metrics.brand_trust(&window("brand-0", Some(40.0)));
        let text = exposed(&registry);
        let gauges = text.lines().filter(|line| line.starts_with("trustline_brand_trust_score{"));
        assert_eq!(gauges.count(), BRAND_GAUGES_MAX);
        assert!(text.contains("trustline_brand_trust_omitted_total 3"), "{text}");
        assert!(text.contains(r#"{brand="brand-0",window="1h"} 40"#), "{text}");
    }
}
