//! The topics that the stages need: partitions, retention, compaction.

use crate::config::Config;
use crate::event::kinds::Topic;

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedTopic {
    /// Its name.
    pub name: String,
    /// How many partitions it has; for a source topic what it should have if it has to be made.
    pub partitions: i32,
    /// Whether another count is a mistake: internal topics keep the count that they were made with.
    pub fixed: bool,
    /// Its settings, by Kafka's names.
    pub settings: Vec<(String, String)>,
}

/// Partitions of public topics, and of source topics where they have to be made.
const OTHER_PARTITIONS: i32 = 6;

/// All topics under a configuration.
pub fn wanted(config: &Config) -> Vec<WantedTopic> {
    let own = &config.settings.own_topics;
    let name = |name: &str| format!("{}{name}", own.topic_prefix);
    let keep = |ms: i64| {
        vec![("cleanup.policy".to_owned(), "delete".to_owned()), ("retention.ms".to_owned(), ms.to_string())]
    };
    let compacted = || vec![("cleanup.policy".to_owned(), "compact".to_owned())];
    let forever = || keep(-1);
    let mut topics = Vec::new();
    for topic in Topic::ALL {
        let settings = match topic {
            Topic::IdentityLinks => compacted(),
            _ => Vec::new(),
        };
        let source = config.topic(*topic).name.clone();
        topics.push(WantedTopic { name: source, partitions: OTHER_PARTITIONS, fixed: false, settings });
    }
    for (topic, partitions) in
        [("person-events", own.person_partitions), ("brand-partials", own.brand_partitions)]
    {
        let settings = keep(own.internal_retention_ms);
        topics.push(WantedTopic { name: name(topic), partitions, fixed: true, settings });
    }
    for (topic, settings) in [
        ("moments", forever()),
        ("brand-trust", forever()),
        ("brand-trust-latest", compacted()),
        ("brand-trust-live", compacted()),
        ("pattern-trust", forever()),
        ("alerts", compacted()),
        ("config", compacted()),
        ("erasure-receipts", forever()),
        ("late-events", keep(own.set_aside_retention_ms)),
        ("dead-letters", keep(own.set_aside_retention_ms)),
    ] {
        topics.push(WantedTopic { name: name(topic), partitions: OTHER_PARTITIONS, fixed: false, settings });
    }
    topics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_has_a_name_of_its_own() {
        let mut names: Vec<String> = wanted(&Config::default()).into_iter().map(|topic| topic.name).collect();
        let count = names.len();
        names.sort();
        names.dedup();
        assert_eq!((names.len(), count), (18, 18));
    }
}
