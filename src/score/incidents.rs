//! The incidents of all brands of a partition, and the timers of their alerts.

use std::collections::{BTreeMap, BTreeSet};

use super::alert::{AlertIncident, brand_incident};
use super::brand::{IncidentRecord, brand_layer};
use super::drop::AlarmState;
use super::rules::BrandLayerRules;
use crate::event::output::TrustAlert;
use crate::event::raw::RawIncident;
use crate::time::{EventTime, HOUR_MS};

/// Whether the alert of an incident has opened; it does so once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncidentAlert {
    /// Not yet.
    #[default]
    Never,
    /// It is open, since the disclosure that opened it.
    Open(EventTime),
    /// It was open.
    Ended,
}

/// What is known of one incident.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incident {
    /// Its records, by update and, for ties, by their Avro encoding.
    pub records: BTreeMap<(EventTime, Vec<u8>), IncidentRecord>,
    /// Its alert.
    pub alert: IncidentAlert,
}

impl Incident {
    /// The record that counts just before an instant: the one with the greatest update.
    fn in_force_before(&self, instant: EventTime) -> Option<&IncidentRecord> {
        let (_, record) = self.records.range(..(instant, Vec::new())).next_back()?;
        // A correction can move a disclosure into the future.
        (record.disclosed < instant).then_some(record)
    }
}

/// Why an incident is looked at; at one instant in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Due {
    /// A whole hour of an open alert: has it faded?
    Hour,
    /// A record comes into force.
    InForce,
}

/// An instant at which an incident is looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timer {
    /// When.
    pub at: EventTime,
    /// Why.
    pub due: Due,
    /// The brand.
    pub brand: String,
    /// The incident.
    pub incident: String,
}

/// All incidents of the brands of a partition.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Incidents {
    /// By brand and incident.
    pub brands: BTreeMap<String, BTreeMap<String, Incident>>,
    /// What is still to happen.
    pub timers: BTreeSet<Timer>,
}

impl Incidents {
    /// Takes a record in. `encoding` is its Avro encoding, which decides ties.
    pub fn add(&mut self, raw: &RawIncident, encoding: &[u8]) {
        let record = IncidentRecord::from(raw);
        self.timers.insert(Timer {
            at: record.in_force_from(),
            due: Due::InForce,
            brand: raw.brand_id.clone(),
            incident: raw.incident_id.clone(),
        });
        let incidents = self.brands.entry(raw.brand_id.clone()).or_default();
        let incident = incidents.entry(raw.incident_id.clone()).or_default();
        incident.records.insert((record.updated, encoding.to_vec()), record);
    }

    /// The brand layer of a brand at the end of a window: of incidents disclosed and updated before it.
    pub fn layer(&self, rules: &BrandLayerRules, brand: &str, end: EventTime) -> f64 {
        let Some(incidents) = self.brands.get(brand) else { return brand_layer(std::iter::empty()) };
        let in_force = incidents.values().filter_map(|incident| incident.in_force_before(end));
        brand_layer(in_force.map(|record| record.decayed(rules, end)))
    }

    /// Fires every timer up to and including `until`.
    pub fn fire(&mut self, rules: &BrandLayerRules, until: EventTime, alerts: &mut Vec<TrustAlert>) {
        while self.timers.first().is_some_and(|timer| timer.at <= until) {
            let Some(timer) = self.timers.pop_first() else { return };
            match timer.due {
                Due::InForce => self.come_into_force(rules, timer, alerts),
                Due::Hour => self.check_hour(rules, timer, alerts),
            }
        }
    }

    fn come_into_force(&mut self, rules: &BrandLayerRules, timer: Timer, alerts: &mut Vec<TrustAlert>) {
        let Some(incident) = self.get_mut(&timer) else { return };
        if incident.alert != IncidentAlert::Never {
            return;
        }
        let Some(record) = incident.in_force_before(EventTime(timer.at.0 + 1)) else { return };
        let severity = record.severity(rules);
        if record.in_force_from() != timer.at || severity < rules.alert_from {
            return;
        }
        let since = record.disclosed;
        let about = AlertIncident { brand: &timer.brand, incident: &timer.incident, record, severity };
        alerts.push(brand_incident(about, AlarmState::Open, since, timer.at));
        incident.alert = IncidentAlert::Open(since);
        self.await_next_hour(timer);
    }

    fn check_hour(&mut self, rules: &BrandLayerRules, timer: Timer, alerts: &mut Vec<TrustAlert>) {
        let Some(incident) = self.get_mut(&timer) else { return };
        let IncidentAlert::Open(since) = incident.alert else { return };
        // Where a correction has moved the disclosure past this hour, nothing is left for now.
        let last = incident.records.range(..(timer.at, Vec::new())).next_back();
        let Some((_, record)) = last else { return };
        let severity = record.decayed(rules, timer.at);
        if severity >= rules.resolve_below {
            self.await_next_hour(timer);
            return;
        }
        let about = AlertIncident { brand: &timer.brand, incident: &timer.incident, record, severity };
        alerts.push(brand_incident(about, AlarmState::Resolved, since, timer.at));
        incident.alert = IncidentAlert::Ended;
    }

    fn await_next_hour(&mut self, timer: Timer) {
        let at = EventTime(timer.at.window_start(HOUR_MS).0 + HOUR_MS);
        self.timers.insert(Timer { at, due: Due::Hour, ..timer });
    }

    fn get_mut(&mut self, timer: &Timer) -> Option<&mut Incident> {
        self.brands.get_mut(&timer.brand)?.get_mut(&timer.incident)
    }

    /// Drops what no window that ends after `now` can read: corrected records and incidents of
    /// which nothing is left.
    pub fn forget(&mut self, rules: &BrandLayerRules, now: EventTime) {
        for incidents in self.brands.values_mut() {
            incidents.retain(|_, incident| {
                let in_force = incident.records.range(..(now, Vec::new())).next_back();
                if let Some(first) = in_force.map(|(key, _)| key.clone()) {
                    incident.records = incident.records.split_off(&first);
                }
                let gone = |record: &IncidentRecord| record.is_forgotten(rules, now);
                matches!(incident.alert, IncidentAlert::Open(_)) || !incident.records.values().all(gone)
            });
        }
        self.brands.retain(|_, incidents| !incidents.is_empty());
    }
}

#[cfg(test)]
#[path = "incidents_tests.rs"]
mod tests;
