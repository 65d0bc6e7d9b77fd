//! The form of the configuration file: every section, key and default.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::overrides::Override;
use super::sections::{
    Breaker, ForeignInput, Frames, Http, Identity, Kafka, OwnTopics, Privacy, Registry, Run, State,
    Telemetry, Time, Topics, Windows,
};
use crate::event::consent::ConsentRules;
use crate::patterns::rules::Rules;
use crate::score::rules::ScoreRules;

/// The settings as they stand in the file, defaults filled in.
///
/// A new section takes one line here and, when folds read it, one in `hash.rs`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// Kafka.
    pub kafka: Kafka,
    /// Schema registry.
    pub registry: Registry,
    /// Source topics.
    pub topics: Topics,
    /// Own topics.
    pub own_topics: OwnTopics,
    /// Event time.
    pub time: Time,
    /// Windows.
    pub windows: Windows,
    /// Identity.
    pub identity: Identity,
    /// Privacy.
    pub privacy: Privacy,
    /// Steps and threads.
    pub run: Run,
    /// Frames.
    pub frames: Frames,
    /// Snapshots.
    pub state: State,
    /// Circuit breaker.
    pub breaker: Breaker,
    /// HTTP.
    pub http: Http,
    /// Logs.
    pub telemetry: Telemetry,
    /// Privacy signals.
    pub consent: ConsentRules,
    /// Scores and alerts.
    pub score: ScoreRules,
    /// Patterns.
    pub patterns: Rules,
    /// Files of foreign records that `replay` reads beside those of its own form; see docs/mappings.md.
    ///
    /// The first that fits a file reads it. Every one must fit a file.
    #[serde(rename = "input", skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = ForeignInput::example())]
    pub inputs: Vec<ForeignInput>,
    /// Settings of patterns that differ for a brand, a jurisdiction or both.
    ///
    /// Those for a jurisdiction are applied over `[patterns]`, then those for the brand, then those
    /// for the brand in the jurisdiction; a country comes before its region. A list is replaced as a whole.
    #[serde(rename = "override", skip_serializing_if = "Vec::is_empty")]
    #[schemars(example = Override::example())]
    pub overrides: Vec<Override>,
}
