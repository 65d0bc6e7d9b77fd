//! The public output records. Flat: scalars only. Field order is that of the schemas.

use serde::{Deserialize, Serialize};

/// Bytes of the ids of moments and alerts.
const ID_BYTES: usize = 16;

/// The id made of these parts: the first 16 bytes of BLAKE3 over them, each preceded by its length as u32
/// little-endian, in lower-case hex.
pub fn id_of_parts(parts: &[&str]) -> String {
    let mut hasher = blake3::Hasher::new();
    for part in parts {
        let length = u32::try_from(part.len()).unwrap_or(u32::MAX);
        hasher.update(&length.to_le_bytes());
        hasher.update(part.as_bytes());
    }
    let mut hex = hasher.finalize().to_hex().to_string();
    hex.truncate(2 * ID_BYTES);
    hex
}

/// A moment of trust: one revision of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustMoment {
    /// 16 bytes, lower-case hex; the same for all revisions.
    pub moment_id: String,
    /// From 1.
    pub revision: i32,
    /// `OPEN` or `RETRACTED`.
    pub status: String,
    /// The brand.
    pub brand_id: String,
    /// The person's 16-byte pseudonym, lower-case hex.
    pub person: String,
    /// Name of the pattern.
    pub pattern: String,
    /// 1 to 3.
    pub severity: i32,
    /// Weight of this pattern at this severity, −1 to 1.
    pub weight: f64,
    /// Time of the event that caused this revision, milliseconds.
    pub event_time: i64,
    /// Time of the event that opened the moment, milliseconds.
    pub opened_time: i64,
    /// Pseudonym of the opening event's id, lower-case hex.
    pub opening_event: String,
    /// What moments of the pattern are kept apart by; pseudonym, channel or prompt type.
    pub anchor: Option<String>,
    /// A JSON object with the counts and times that made it fire.
    pub evidence: String,
    /// One English sentence without ids of persons.
    pub explanation: String,
    /// Hash of the configuration that held.
    pub config_hash: String,
}

/// The trust of one brand in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BrandTrust {
    /// The brand.
    pub brand_id: String,
    /// Start of the window (inclusive), milliseconds.
    pub window_start: i64,
    /// End of the window (exclusive), milliseconds.
    pub window_end: i64,
    /// Length of the window, such as `1h` or `1d`.
    pub window: String,
    /// `FINAL`, `PROVISIONAL` or `INSUFFICIENT_DATA`.
    pub status: String,
    /// From 1, one more with every publication of the window.
    pub revision: i32,
    /// Distinct people reached.
    pub people_reached: Option<i64>,
    /// Share of them known by a device only.
    pub device_key_share: Option<f64>,
    /// Touches.
    pub touches: Option<i64>,
    /// Trust score, 0 to 100; neutral is 50.
    pub trust: Option<f64>,
    /// Lower end of its 95 % interval.
    pub trust_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub trust_high: Option<f64>,
    /// Experience score, 0 to 100.
    pub experience: Option<f64>,
    /// Lower end of its 95 % interval.
    pub experience_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub experience_high: Option<f64>,
    /// Brand layer, 0 to 100.
    pub brand_layer: f64,
    /// Sum of the contributions per 1,000 people reached.
    pub net: Option<f64>,
    /// Variance of `net`.
    pub net_variance: Option<f64>,
    /// People asked for consent (tracking, cookies).
    pub consent_prompted: Option<i64>,
    /// People who granted it.
    pub consent_granted: Option<i64>,
    /// People who refused it.
    pub consent_refused: Option<i64>,
    /// People who withdrew it.
    pub consent_withdrawn: Option<i64>,
    /// granted / (granted + refused).
    pub opt_in_rate: Option<f64>,
    /// Reached people whose consent status is known.
    pub consent_known: Option<i64>,
    /// Of these, those who authorised tracking.
    pub consent_authorised: Option<i64>,
    /// authorised / known.
    pub addressable_share: Option<f64>,
    /// Reached people with any opt-out.
    pub opted_out: Option<i64>,
    /// Completeness, 0 to 1.
    pub completeness: f64,
    /// The brand's records that came too late.
    pub late: i64,
    /// The brand's dead letters.
    pub dead_lettered: i64,
    /// Share of all records of the window that were dead letters without a readable brand.
    pub unreadable_share: f64,
    /// Detect partitions that closed the window without their full state.
    pub partitions_incomplete: i32,
    /// Newest event time seen − frontier, milliseconds; null in `replay`.
    pub frontier_age_ms: Option<i64>,
    /// Hash of the configuration that held.
    pub config_hash: String,
}

/// One pattern's part in the trust of one brand in one window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PatternTrust {
    /// The brand.
    pub brand_id: String,
    /// Start of the window (inclusive), milliseconds.
    pub window_start: i64,
    /// End of the window (exclusive), milliseconds.
    pub window_end: i64,
    /// Length of the window, such as `1h` or `1d`.
    pub window: String,
    /// `FINAL`.
    pub status: String,
    /// That of the window.
    pub revision: i32,
    /// Name of the pattern.
    pub pattern: String,
    /// Whether enough people were at risk.
    pub evaluated: bool,
    /// People at risk.
    pub at_risk: Option<i64>,
    /// People affected, highest severity 1.
    pub affected_1: Option<i64>,
    /// People affected, highest severity 2.
    pub affected_2: Option<i64>,
    /// People affected, highest severity 3.
    pub affected_3: Option<i64>,
    /// Posterior mean of the share of people at risk who were affected.
    pub incidence: Option<f64>,
    /// Lower end of its 95 % interval.
    pub incidence_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub incidence_high: Option<f64>,
    /// Mean weight of the affected.
    pub weight: Option<f64>,
    /// Contribution per 1,000 people reached.
    pub contribution: f64,
    /// Person-days exposed to the pattern (`1d` windows).
    pub exposed_days: Option<i64>,
    /// Opt-outs on them.
    pub exposed_opt_outs: Option<i64>,
    /// Person-days not exposed.
    pub unexposed_days: Option<i64>,
    /// Opt-outs on them.
    pub unexposed_opt_outs: Option<i64>,
    /// The same over 30 days.
    pub exposed_days_30d: Option<i64>,
    /// The same over 30 days.
    pub exposed_opt_outs_30d: Option<i64>,
    /// The same over 30 days.
    pub unexposed_days_30d: Option<i64>,
    /// The same over 30 days.
    pub unexposed_opt_outs_30d: Option<i64>,
    /// Opt-out rate of the exposed over that of the unexposed, an association.
    pub rate_ratio: Option<f64>,
    /// Lower end of its 95 % interval.
    pub rate_ratio_low: Option<f64>,
    /// Upper end of its 95 % interval.
    pub rate_ratio_high: Option<f64>,
    /// Hash of the configuration that held.
    pub config_hash: String,
}

/// A change of state of an alert.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrustAlert {
    /// 16 bytes, lower-case hex; the same from `OPEN` to its end.
    pub alert_id: String,
    /// `SCORE_DROP`, `OPT_OUT_SURGE`, `BRAND_INCIDENT` or `DATA_INCOMPLETE`.
    pub kind: String,
    /// `OPEN`, `RESOLVED` or `ACCEPTED`.
    pub state: String,
    /// The brand; null for the pipeline as a whole.
    pub brand_id: Option<String>,
    /// Length of the window, where the alert is about one.
    pub window: Option<String>,
    /// Since when, milliseconds.
    pub since: i64,
    /// When the state changed, milliseconds of event time.
    pub at: i64,
    /// The value that was judged.
    pub value: Option<f64>,
    /// Lower end of its interval.
    pub low: Option<f64>,
    /// Upper end of its interval.
    pub high: Option<f64>,
    /// What was expected.
    pub baseline: Option<f64>,
    /// Pattern that moved most.
    pub mover_1: Option<String>,
    /// By how much.
    pub mover_1_change: Option<f64>,
    /// Second.
    pub mover_2: Option<String>,
    /// By how much.
    pub mover_2_change: Option<f64>,
    /// Third.
    pub mover_3: Option<String>,
    /// By how much.
    pub mover_3_change: Option<f64>,
    /// The incident, for `BRAND_INCIDENT`.
    pub incident_id: Option<String>,
    /// One English sentence.
    pub summary: String,
}

/// What an erasure removed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErasureReceipt {
    /// The request.
    pub request_id: String,
    /// When it was read, milliseconds.
    pub received_time: i64,
    /// When its links were removed and it was passed on, milliseconds.
    pub done_time: i64,
    /// Partition of the person events that forgets whom it names.
    pub partition: i32,
    /// (person, brand) pairs whose state was deleted; `None` where that is not counted.
    pub pairs_deleted: Option<i64>,
    /// Waiting events that were dropped; `None` where that is not counted.
    pub events_dropped: Option<i64>,
    /// Identity links removed.
    pub links_removed: i64,
}

/// Key of a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrustMomentKey<'a> {
    /// The brand.
    pub brand_id: &'a str,
}

impl TrustMoment {
    /// Its key.
    pub fn key(&self) -> TrustMomentKey<'_> {
        TrustMomentKey { brand_id: &self.brand_id }
    }
}

/// Key of a brand's trust in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BrandTrustKey<'a> {
    /// The brand.
    pub brand_id: &'a str,
    /// Length of the window.
    pub window: &'a str,
    /// Start of the window, milliseconds.
    pub window_start: i64,
}

/// Key of a brand's latest or live trust.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct BrandTrustLatestKey<'a> {
    /// The brand.
    pub brand_id: &'a str,
    /// Length of the window.
    pub window: &'a str,
}

impl BrandTrust {
    /// Its key among all windows.
    pub fn key(&self) -> BrandTrustKey<'_> {
        BrandTrustKey { brand_id: &self.brand_id, window: &self.window, window_start: self.window_start }
    }

    /// Its key where only the latest window of a length is kept.
    pub fn latest_key(&self) -> BrandTrustLatestKey<'_> {
        BrandTrustLatestKey { brand_id: &self.brand_id, window: &self.window }
    }
}

/// Key of one pattern's part in one window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct PatternTrustKey<'a> {
    /// The brand.
    pub brand_id: &'a str,
    /// Length of the window.
    pub window: &'a str,
    /// Start of the window, milliseconds.
    pub window_start: i64,
    /// Name of the pattern.
    pub pattern: &'a str,
}

impl PatternTrust {
    /// Its key.
    pub fn key(&self) -> PatternTrustKey<'_> {
        let PatternTrust { brand_id, window, window_start, pattern, .. } = self;
        PatternTrustKey { brand_id, window, window_start: *window_start, pattern }
    }
}

/// Key of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct TrustAlertKey<'a> {
    /// The alert.
    pub alert_id: &'a str,
}

impl TrustAlert {
    /// Its key.
    pub fn key(&self) -> TrustAlertKey<'_> {
        TrustAlertKey { alert_id: &self.alert_id }
    }
}

/// Key of a receipt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ErasureReceiptKey<'a> {
    /// The request.
    pub request_id: &'a str,
}

impl ErasureReceipt {
    /// Its key.
    pub fn key(&self) -> ErasureReceiptKey<'_> {
        ErasureReceiptKey { request_id: &self.request_id }
    }
}
