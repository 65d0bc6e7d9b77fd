//! The source topics and Trustline's own.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::event_time::Wait;
use crate::section::section;

/// How the records of a topic are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Each record as it begins: a zero byte is Avro, all else JSON.
    Auto,
    /// Avro with the schema's id in front, as registries frame it.
    Avro,
    /// JSON objects.
    Json,
}

/// Declares a source topic that holds the frontier or not; all else is alike.
macro_rules! source_topic {
    ($(#[$meta:meta])* $name:ident, $holds_frontier:literal) => {
        section! {
            $(#[$meta])*
            $name {
                /// Format of the records: "avro" (with a registry), "json", or "auto": Avro where a record begins with a zero byte, else JSON.
                format: Format = Format::Auto,
                /// Whether event time waits for this topic.
                holds_frontier: bool = $holds_frontier,
                /// Name of the topic in Kafka; by default that of this section.
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars(length(min = 1), example = &"shop.clicks.v2")]
                name: Option<String> = None,
                /// Instead of `time.out_of_orderness_ms`.
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars(range(min = 0, max = 86_400_000), example = 60_000)]
                out_of_orderness_ms: Option<i64> = None,
                /// Instead of `time.late_memory_ms`.
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars(range(min = 1, max = 604_800_000), example = 86_400_000)]
                late_memory_ms: Option<i64> = None,
                /// Instead of `time.idle_after_ms`.
                #[serde(skip_serializing_if = "Option::is_none")]
                #[schemars(example = &"never")]
                idle_after_ms: Option<Wait> = None,
            }
        }
    };
}

source_topic!(
    /// A topic of person events: time waits for it.
    EventTopic,
    true
);
source_topic!(
    /// A topic of facts beside the events: time does not wait for it.
    OtherTopic,
    false
);

/// The topics that are read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields, rename_all = "kebab-case")]
pub struct Topics {
    /// Ads served, seen, clicked, hidden and complained about.
    pub ad_deliveries: EventTopic,
    /// Page views, orders, recommendations, recaps and consent.
    pub clickstream: EventTopic,
    /// E-mails, SMS, push and in-app messages.
    pub messages: EventTopic,
    /// Breaches, regulators' actions and reports about brands.
    pub brand_incidents: OtherTopic,
    /// Which device belongs to which person; compacted.
    pub identity_links: OtherTopic,
    /// Requests to be forgotten.
    pub erasures: OtherTopic,
}

section! {
    /// Trustline's own topics, as `topics plan` lays them out. Partition counts are fixed at creation.
    OwnTopics {
        /// What the names of all own topics start with.
        #[schemars(length(min = 1))]
        topic_prefix: String = "trustline.".to_owned(),
        /// Partitions of the person events. At least 64 in production: it bounds how many instances can share the work.
        #[schemars(range(min = 1, max = 4_096))]
        person_partitions: i32 = 64,
        /// Partitions of the brands' counts. 16; judgement.
        #[schemars(range(min = 1, max = 4_096))]
        brand_partitions: i32 = 16,
        /// Copies of each partition. 3; the custom for data that must survive a broker.
        #[schemars(range(min = 1, max = 15))]
        replication_factor: i32 = 3,
        /// How long the internal topics are kept, milliseconds. 7 days; longer than the age of the older snapshot, and the time in which `verify` can count again.
        #[schemars(range(min = 3_600_000))]
        internal_retention_ms: i64 = 604_800_000,
        /// How long dead letters and late events are kept, milliseconds. 7 days; they hold original records with personal data (judgement).
        #[schemars(range(min = 3_600_000))]
        set_aside_retention_ms: i64 = 604_800_000,
    }
}
