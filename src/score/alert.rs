//! Alerts: what identifies one, and what it says.

use super::brand::IncidentRecord;
use super::drop::{AlarmChange, AlarmState, MOVERS, Mover};
use super::trust::Estimate;
use crate::event::kinds::IncidentKind;
use crate::event::output::{TrustAlert, id_of_parts};
use crate::time::{EventTime, WindowLength};

/// What an alert is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AlertKind {
    /// The contributions fell.
    ScoreDrop,
    /// More people opted out.
    OptOutSurge,
    /// Something happened to the brand.
    BrandIncident,
    /// Data is missing.
    DataIncomplete,
}

impl AlertKind {
    /// The symbol that is published.
    pub const fn symbol(self) -> &'static str {
        match self {
            AlertKind::ScoreDrop => "SCORE_DROP",
            AlertKind::OptOutSurge => "OPT_OUT_SURGE",
            AlertKind::BrandIncident => "BRAND_INCIDENT",
            AlertKind::DataIncomplete => "DATA_INCOMPLETE",
        }
    }
}

impl AlarmState {
    /// The symbol that is published.
    pub const fn symbol(self) -> &'static str {
        match self {
            AlarmState::Open => "OPEN",
            AlarmState::Resolved => "RESOLVED",
            AlarmState::Accepted => "ACCEPTED",
        }
    }
}

/// The id of an alert about windows: the first 16 bytes of BLAKE3 over kind, brand (empty for the
/// pipeline), window length and start (decimal milliseconds), each preceded by its length.
pub fn window_alert_id(
    kind: AlertKind,
    brand: Option<&str>,
    length: WindowLength,
    since: EventTime,
) -> String {
    id_of_parts(&[kind.symbol(), brand.unwrap_or(""), &length.to_string(), &since.0.to_string()])
}

/// The id of an alert about an incident: the same over kind, brand and incident.
pub fn incident_alert_id(brand: &str, incident: &str) -> String {
    id_of_parts(&[AlertKind::BrandIncident.symbol(), brand, incident])
}

/// An alert with nothing but what every alert has.
fn bare(kind: AlertKind, state: AlarmState, since: EventTime, at: EventTime) -> TrustAlert {
    TrustAlert {
        alert_id: String::new(),
        kind: kind.symbol().to_owned(),
        state: state.symbol().to_owned(),
        brand_id: None,
        window: None,
        since: since.0,
        at: at.0,
        value: None,
        low: None,
        high: None,
        baseline: None,
        mover_1: None,
        mover_1_change: None,
        mover_2: None,
        mover_2_change: None,
        mover_3: None,
        mover_3_change: None,
        incident_id: None,
        summary: String::new(),
    }
}

/// The window at whose end an alert changed its state.
#[derive(Clone, Copy, Debug)]
pub struct AlertWindow<'a> {
    /// The brand; `None` for the pipeline as a whole.
    pub brand: Option<&'a str>,
    /// Length of the window.
    pub length: WindowLength,
    /// Its end.
    pub end: EventTime,
}

fn of_window(kind: AlertKind, state: AlarmState, since: EventTime, window: AlertWindow<'_>) -> TrustAlert {
    TrustAlert {
        alert_id: window_alert_id(kind, window.brand, window.length, since),
        brand_id: window.brand.map(str::to_owned),
        window: Some(window.length.to_string()),
        ..bare(kind, state, since, window.end)
    }
}

/// `SCORE_DROP`.
pub fn score_drop(
    window: AlertWindow<'_>,
    change: &AlarmChange,
    value: Estimate,
    movers: &[Mover],
) -> TrustAlert {
    let mover = |index: usize| movers.get(index).map(|mover| mover.0.name().to_owned());
    let fall = |index: usize| movers.get(index).map(|mover| mover.1);
    const { assert!(MOVERS == 3) };
    TrustAlert {
        value: Some(value.value),
        low: Some(value.low),
        high: Some(value.high),
        baseline: Some(change.baseline),
        mover_1: mover(0),
        mover_1_change: fall(0),
        mover_2: mover(1),
        mover_2_change: fall(1),
        mover_3: mover(2),
        mover_3_change: fall(2),
        summary: score_drop_summary(window, change, value.value, movers),
        ..of_window(AlertKind::ScoreDrop, change.state, change.since, window)
    }
}

fn score_drop_summary(window: AlertWindow<'_>, change: &AlarmChange, value: f64, movers: &[Mover]) -> String {
    let (brand, length, expected) = (window.brand.unwrap_or("?"), window.length, change.baseline);
    match change.state {
        AlarmState::Open => {
            let cause = movers.first().map_or(String::new(), |(pattern, fall)| {
                format!(", mostly by {} ({fall:.1})", pattern.name().replace('_', " "))
            });
            format!(
                "The experience of people reached by {brand} fell to {value:.1} per 1,000 people in \
                 windows of {length}, against {expected:.1} before{cause}."
            )
        }
        AlarmState::Resolved => format!(
            "The experience of people reached by {brand} is back at {value:.1} per 1,000 people in \
             windows of {length}, against {expected:.1} before the drop."
        ),
        AlarmState::Accepted => format!(
            "The experience of people reached by {brand} has stayed low, and {value:.1} per 1,000 \
             people in windows of {length} is now taken as normal, against {expected:.1} before."
        ),
    }
}

/// `OPT_OUT_SURGE`.
pub fn opt_out_surge(window: AlertWindow<'_>, change: &AlarmChange, value: Estimate) -> TrustAlert {
    let (brand, length, expected) = (window.brand.unwrap_or("?"), window.length, change.baseline);
    let now = value.value;
    let summary = match change.state {
        AlarmState::Open => format!(
            "Opt-outs among people reached by {brand} rose to {now:.1} per 1,000 in windows of {length}, \
             against {expected:.1} before."
        ),
        AlarmState::Resolved => format!(
            "Opt-outs among people reached by {brand} are back at {now:.1} per 1,000 in windows of \
             {length}, against {expected:.1} before the surge."
        ),
        AlarmState::Accepted => format!(
            "Opt-outs among people reached by {brand} have stayed high, and {now:.1} per 1,000 in \
             windows of {length} is now taken as normal, against {expected:.1} before."
        ),
    };
    TrustAlert {
        value: Some(now),
        low: Some(value.low),
        high: Some(value.high),
        baseline: Some(expected),
        summary,
        ..of_window(AlertKind::OptOutSurge, change.state, change.since, window)
    }
}

/// `DATA_INCOMPLETE`: `share` is the completeness that was judged.
pub fn data_incomplete(
    window: AlertWindow<'_>,
    state: AlarmState,
    since: EventTime,
    share: f64,
) -> TrustAlert {
    let percent = 100.0 * share;
    let summary = match (window.brand, state) {
        (Some(brand), AlarmState::Open) => format!(
            "Data of {brand} is incomplete: only {percent:.1} % of its records could be used in the last window, \
             after others like it."
        ),
        (Some(brand), _) => {
            format!("Data of {brand} is complete again: {percent:.1} % of its records could be used.")
        }
        (None, AlarmState::Open) => format!(
            "Data of the pipeline is incomplete: only {percent:.1} % of all records had a readable brand in the \
             last window, after others like it."
        ),
        (None, _) => {
            format!(
                "Data of the pipeline is complete again: {percent:.1} % of all records had a readable brand."
            )
        }
    };
    TrustAlert { value: Some(share), summary, ..of_window(AlertKind::DataIncomplete, state, since, window) }
}

/// The incident that a `BRAND_INCIDENT` alert is about.
#[derive(Clone, Copy, Debug)]
pub struct AlertIncident<'a> {
    /// The brand.
    pub brand: &'a str,
    /// The incident.
    pub incident: &'a str,
    /// The record in force.
    pub record: &'a IncidentRecord,
    /// Severity that is left.
    pub severity: f64,
}

/// `BRAND_INCIDENT`.
pub fn brand_incident(
    about: AlertIncident<'_>,
    state: AlarmState,
    since: EventTime,
    at: EventTime,
) -> TrustAlert {
    let (brand, severity) = (about.brand, about.severity);
    let what = match about.record.kind {
        IncidentKind::Breach => "a data breach",
        IncidentKind::RegulatorAction => "a regulator's action",
        IncidentKind::AdverseReport => "an adverse report",
        IncidentKind::PositiveAction => "a positive action",
    };
    let summary = match state {
        AlarmState::Open => {
            format!("Trust in {brand} is weighed down by {what} with a severity of {severity:.2}.")
        }
        _ => format!("What is left of {what} of {brand} is a severity of {severity:.2}, which is little."),
    };
    TrustAlert {
        alert_id: incident_alert_id(brand, about.incident),
        brand_id: Some(brand.to_owned()),
        value: Some(severity),
        incident_id: Some(about.incident.to_owned()),
        summary,
        ..bare(AlertKind::BrandIncident, state, since, at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_golden_and_lengths_keep_parts_apart() {
        assert_eq!(
            window_alert_id(
                AlertKind::DataIncomplete,
                Some("loses-a-tenth"),
                WindowLength::HOUR,
                EventTime(1_740_963_600_000)
            ),
            "099865e50c381043abf6c5b720253086"
        );
        assert_eq!(
            incident_alert_id("breach-a-half-life-ago", "breach-a-half-life-ago-1"),
            "650ec56ecf8689c9b2aed012469113fc"
        );
        assert_ne!(incident_alert_id("ab", "c"), incident_alert_id("a", "bc"));
    }

    #[test]
    fn a_summary_is_one_sentence_that_names_the_cause() {
        let window = AlertWindow { brand: Some("acme"), length: WindowLength::DAY, end: EventTime(0) };
        let change = AlarmChange { state: AlarmState::Open, since: EventTime(0), baseline: -6.4 };
        let value = Estimate { value: -111.03, low: -154.9, high: -67.2 };
        let movers = [(crate::patterns::Pattern::UndisclosedPersonalisation, -104.62)];
        let alert = score_drop(window, &change, value, &movers);
        assert_eq!(
            alert.summary,
            "The experience of people reached by acme fell to -111.0 per 1,000 people in windows of 1d, against \
             -6.4 before, mostly by undisclosed personalisation (-104.6)."
        );
        assert_eq!((alert.mover_1_change, alert.mover_2), (Some(-104.62), None));
    }
}
