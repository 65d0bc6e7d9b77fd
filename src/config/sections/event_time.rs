//! Event time, windows and identity: what the folds read beside the patterns.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use crate::event::kinds;
use crate::section::section;
use crate::time::WindowLength;

section! {
    /// How event time advances. All times in milliseconds of event time, unless it says otherwise.
    Time {
        /// How much older than the newest event of its source an event may be and still be in order. 10 s; judgement. More makes results later, less makes more events late.
        #[schemars(range(min = 0, max = 86_400_000))]
        out_of_orderness_ms: i64 = 10_000,
        /// How late an event may come and still count; also how long ids are remembered to know a copy. 1 h; judgement.
        #[schemars(range(min = 1, max = 604_800_000))]
        late_memory_ms: i64 = 3_600_000,
        /// How far an event may lie after its Kafka timestamp before it is a dead letter. 5 min; clocks of phones are seldom further off (judgement).
        #[schemars(range(min = 0, max = 86_400_000))]
        max_future_skew_ms: i64 = 300_000,
        /// Wall time without a record after which a source no longer holds time back, or "never". 30 s; judgement. A topic that is filled in batches needs more than the batch interval.
        idle_after_ms: Wait = Wait::Ms(30_000),
        /// Wall time after which a source that cannot be read no longer holds time back; its windows are flagged incomplete. 5 min; judgement.
        #[schemars(range(min = 1_000, max = 86_400_000))]
        suspend_after_ms: i64 = 300_000,
        /// How far a source may be ahead of the slowest before it is paused. 30 s; bounds the memory of the folds and changes no result (judgement).
        #[schemars(range(min = 1_000, max = 86_400_000))]
        max_lead_ms: i64 = 30_000,
        /// Event ids remembered per partition of the person events, at most; beyond it the oldest minute is forgotten early, which is counted. 8 million take about 100 MB and last for 2,200 events a second over an hour (judgement).
        #[schemars(range(min = 1_000, max = 1_000_000_000))]
        dup_ids_max: i64 = 8_000_000,
    }
}

section! {
    /// Windows in which metrics are counted; UTC.
    Windows {
        /// Lengths: whole hours that divide a day, or "1d". Scores of different lengths cannot be compared.
        #[schemars(length(min = 1))]
        lengths: Vec<Length> = vec![Length(WindowLength::HOUR), Length(WindowLength::DAY)],
    }
}

section! {
    /// Which links between devices and people are believed.
    Identity {
        /// Kinds of match accepted: AUTHENTICATED (logged in), OBSERVED (seen together), INFERRED (a guess). By default no guess; judgement.
        accepted: Vec<Match> = vec![Match::Authenticated, Match::Observed],
    }
}

/// A wait that may last for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Wait {
    /// Milliseconds.
    Ms(#[schemars(range(min = 1, max = 2_592_000_000_i64))] i64),
    /// For ever.
    For(WaitWord),
}

/// The word for a wait that lasts for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum WaitWord {
    /// `"never"`.
    Never,
}

impl Wait {
    /// The limit in milliseconds, if there is one.
    pub fn limit_ms(self) -> Option<i64> {
        match self {
            Wait::Ms(ms) => Some(ms),
            Wait::For(WaitWord::Never) => None,
        }
    }
}

/// The length of a window as it is written: `1h`, …, `12h`, `1d`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Length(pub WindowLength);

impl Serialize for Length {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Length {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let length = WindowLength::parse(&text);
        length.map(Length).ok_or_else(|| de::Error::custom("the hours of a window must divide a day"))
    }
}

impl JsonSchema for Length {
    fn schema_name() -> Cow<'static, str> {
        "WindowLength".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let lengths: Vec<String> =
            (1..=24).filter_map(WindowLength::from_hours).map(|l| l.to_string()).collect();
        json_schema!({ "type": "string", "enum": lengths })
    }
}

/// How a device was matched to a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Match {
    /// The person logged in.
    Authenticated,
    /// Seen together.
    Observed,
    /// A guess.
    Inferred,
}

impl From<Match> for kinds::Match {
    fn from(setting: Match) -> Self {
        match setting {
            Match::Authenticated => kinds::Match::Authenticated,
            Match::Observed => kinds::Match::Observed,
            Match::Inferred => kinds::Match::Inferred,
        }
    }
}
