//! The three stages as the step loop drives them: records in, outputs and metadata out.

pub mod detect;
pub mod encoder;
pub mod route;
pub mod score;
pub mod source_decoder;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::event::kinds::Topic;

/// Names of the topics.
#[derive(Clone, Debug)]
pub struct Names {
    prefix: String,
    sources: BTreeMap<Topic, String>,
}

impl Names {
    /// Own topics begin with `prefix`; source topics have these names.
    pub fn new(prefix: &str, sources: BTreeMap<Topic, String>) -> Names {
        Names { prefix: prefix.to_owned(), sources }
    }

    /// The name of a source topic.
    pub fn source(&self, topic: Topic) -> &str {
        self.sources.get(&topic).map_or(topic.symbol(), |name| name)
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
fn brand_partition(brand: &str, partitions: i32) -> i32 {
    (xxhash_rust::xxh3::xxh3_64(brand.as_bytes()) % partitions.max(1) as u64) as i32
}
