//! The three stages as the step loop drives them: records in, outputs and metadata out.

pub mod alignment;
mod aside;
pub mod breaker;
pub mod detect;
pub mod encoder;
pub mod folds;
pub mod recovery;
pub mod route;
pub mod score;
pub mod source_decoder;
pub mod source_state;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::event::kinds::Topic;
use crate::log::TopicPartition;

/// A stage, as users name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum StageName {
    /// Source records to the person partitions.
    Route,
    /// Person events to moments and counts.
    Detect,
    /// Counts to metrics and alerts.
    Score,
}

impl StageName {
    /// All, in the order of the data.
    pub const ALL: [StageName; 3] = [StageName::Route, StageName::Detect, StageName::Score];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            StageName::Route => "route",
            StageName::Detect => "detect",
            StageName::Score => "score",
        }
    }

    /// The own topic that it reads; `route` reads the source topics instead.
    pub fn input(self) -> Option<&'static str> {
        match self {
            StageName::Route => None,
            StageName::Detect => Some("person-events"),
            StageName::Score => Some("brand-partials"),
        }
    }

    /// The own topics that it writes.
    pub fn outputs(self) -> &'static [&'static str] {
        match self {
            StageName::Route => {
                &["person-events", "brand-partials", "late-events", "dead-letters", "erasure-receipts"]
            }
            StageName::Detect => &["brand-partials", "moments"],
            StageName::Score => {
                &["brand-trust", "brand-trust-latest", "brand-trust-live", "pattern-trust", "alerts"]
            }
        }
    }

    /// The group that reads for the stage, where those of all stages begin with `group_id`.
    pub fn group(self, group_id: &str) -> String {
        format!("{group_id}-{}", self.name())
    }
}

/// Names of the topics.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
    sources: BTreeMap<Topic, String>,
}

impl Names {
    /// The names that a configuration gives.
    pub fn of(config: &Config) -> Names {
        let sources = Topic::ALL.iter().map(|topic| (*topic, config.topic(*topic).name.clone()));
        Names::new(&config.settings.own_topics.topic_prefix, sources.collect())
    }

    /// Own topics begin with `prefix`; source topics have these names.
    pub fn new(prefix: &str, sources: BTreeMap<Topic, String>) -> Names {
        Names { prefix: prefix.to_owned(), sources }
    }

    /// The name of a source topic.
    pub fn source(&self, topic: Topic) -> &str {
        self.sources.get(&topic).map_or(topic.symbol(), |name| name)
    }

    /// The partitions of source topics that have so many.
    pub fn source_partitions(&self, counts: &BTreeMap<Topic, u32>) -> impl Iterator<Item = TopicPartition> {
        counts.iter().flat_map(|(topic, count)| TopicPartition::all(self.source(*topic), *count as i32))
    }

    /// The source topic with a name.
    pub fn source_of(&self, name: &str) -> Option<Topic> {
        self.sources.iter().find(|(_, known)| *known == name).map(|(topic, _)| *topic)
    }

    /// The name of an own topic, such as `moments`.
    pub fn own(&self, name: &str) -> Arc<str> {
        Arc::from(format!("{}{name}", self.prefix))
    }
}

/// The partition of a brand among so many.
pub fn brand_partition(brand: &str, partitions: i32) -> i32 {
    (xxhash_rust::xxh3::xxh3_64(brand.as_bytes()) % partitions.max(1) as u64) as i32
}
