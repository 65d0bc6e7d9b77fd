//! Ground truth: what was planted.

use serde::{Deserialize, Serialize};

/// One planted moment of trust.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Label {
    /// Name of the pattern.
    pub pattern: String,
    /// The brand.
    pub brand_id: String,
    /// The person it happens to.
    pub person_id: String,
    /// The order, device, channel, prompt type or cart it is about.
    pub anchor: Option<String>,
    /// When the pattern should first hold, milliseconds.
    pub time: i64,
    /// When the last event of the planted behaviour happens, milliseconds.
    pub until: i64,
    /// The campaign that does it.
    pub campaign_id: Option<String>,
    /// Whether it belongs to the campaign that turns bad.
    pub story: bool,
}
