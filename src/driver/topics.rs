//! The topics that the stages need: partitions, retention, compaction.

use std::collections::BTreeMap;

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
    /// Whether it is Trustline's own; source topics belong to others, who are told and not corrected.
    pub own: bool,
    /// Its settings.
    pub settings: Vec<Setting>,
}

/// A setting as it should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting {
    /// Exactly this text, by Kafka's name.
    Exactly(&'static str, &'static str),
    /// Exactly this number.
    Number(&'static str, i64),
    /// This number or a higher one; -1 is without limit.
    AtLeast(&'static str, i64),
}

impl Setting {
    /// Its name in Kafka.
    pub fn name(self) -> &'static str {
        match self {
            Setting::Exactly(name, _) | Setting::Number(name, _) | Setting::AtLeast(name, _) => name,
        }
    }

    /// What it is set to where it has to be set.
    pub fn value(self) -> String {
        match self {
            Setting::Exactly(_, value) => value.to_owned(),
            Setting::Number(_, value) | Setting::AtLeast(_, value) => value.to_string(),
        }
    }

    fn holds(self, found: &str) -> bool {
        let number = found.parse::<i64>();
        match self {
            Setting::Exactly(_, value) => found == value,
            Setting::Number(_, value) => number == Ok(value),
            Setting::AtLeast(_, least) => {
                number.is_ok_and(|found| found == -1 || (least != -1 && found >= least))
            }
        }
    }
}

/// A setting that is not as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drift {
    /// As it should be.
    pub wanted: Setting,
    /// As it is.
    pub found: String,
}

impl std::fmt::Display for Drift {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (name, found, value) = (self.wanted.name(), &self.found, self.wanted.value());
        let least = if matches!(self.wanted, Setting::AtLeast(..)) { "at least " } else { "" };
        write!(f, "{name} is {found} where {least}{value} is wanted")
    }
}

impl WantedTopic {
    /// What is not as it should be, given the settings that hold.
    pub fn drift(&self, found: &BTreeMap<String, String>) -> Vec<Drift> {
        let drifted = |wanted: &Setting| {
            let found = found.get(wanted.name()).map_or("unknown", |value| value);
            (!wanted.holds(found)).then(|| Drift { wanted: *wanted, found: found.to_owned() })
        };
        self.settings.iter().filter_map(drifted).collect()
    }
}

/// Partitions of public topics, and of source topics where they have to be made.
const OTHER_PARTITIONS: i32 = 6;
/// The largest record that the stages send.
const RECORD_BYTES: i64 = 2_000_000;

/// Copies that must have a record before it counts as written: most of them, so that one broker may fail.
fn in_sync(replication_factor: i32) -> i64 {
    i64::from((replication_factor + 1) / 2)
}

/// All topics under a configuration.
pub fn wanted(config: &Config) -> Vec<WantedTopic> {
    let own = &config.settings.own_topics;
    let compacted = || vec![Setting::Exactly("cleanup.policy", "compact")];
    let keep = |retention| vec![Setting::Exactly("cleanup.policy", "delete"), retention];
    let forever = || keep(Setting::AtLeast("retention.ms", -1));
    let mut topics = Vec::new();
    for topic in Topic::ALL {
        let settings = match topic {
            // So long an outage may last and still be caught up with the links of its time.
            Topic::IdentityLinks => {
                [compacted(), vec![Setting::AtLeast("min.compaction.lag.ms", own.internal_retention_ms)]]
                    .concat()
            }
            _ => Vec::new(),
        };
        let name = config.topic(*topic).name.clone();
        topics.push(WantedTopic { name, partitions: OTHER_PARTITIONS, fixed: false, own: false, settings });
    }
    let mut add = |name: &str, partitions, fixed, mut settings: Vec<Setting>| {
        settings.push(Setting::AtLeast("min.insync.replicas", in_sync(own.replication_factor)));
        settings.push(Setting::AtLeast("max.message.bytes", RECORD_BYTES));
        let name = format!("{}{name}", own.topic_prefix);
        topics.push(WantedTopic { name, partitions, fixed, own: true, settings });
    };
    for (topic, partitions) in
        [("person-events", own.person_partitions), ("brand-partials", own.brand_partitions)]
    {
        let mut settings = keep(Setting::AtLeast("retention.ms", own.internal_retention_ms));
        settings.push(Setting::AtLeast("retention.bytes", -1));
        add(topic, partitions, true, settings);
    }
    // Dead letters and late events hold personal data: neither shorter nor longer than configured.
    let set_aside = || keep(Setting::Number("retention.ms", own.set_aside_retention_ms));
    for (topic, settings) in [
        ("moments", forever()),
        ("brand-trust", forever()),
        ("brand-trust-latest", compacted()),
        ("brand-trust-live", compacted()),
        ("pattern-trust", forever()),
        ("alerts", compacted()),
        ("config", compacted()),
        ("erasure-receipts", forever()),
        ("late-events", set_aside()),
        ("dead-letters", set_aside()),
        // What was sent again: remembered for longer than the record is kept.
        ("replayed", compacted()),
    ] {
        add(topic, OTHER_PARTITIONS, false, settings);
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
        assert_eq!((names.len(), count), (19, 19));
    }

    #[test]
    fn drift_is_what_is_less_or_other_than_wanted() {
        let config = Config::default();
        let topics = wanted(&config);
        let topic = topics.iter().find(|topic| topic.name == "trustline.person-events").unwrap();
        let mut found: BTreeMap<String, String> =
            topic.settings.iter().map(|one| (one.name().to_owned(), one.value())).collect();
        assert_eq!(topic.drift(&found), []);
        found.insert("retention.ms".to_owned(), "-1".to_owned());
        assert_eq!(topic.drift(&found), [], "longer is as good");
        let mut set = |name: &str, value: &str| {
            found.insert(name.to_owned(), value.to_owned());
            topic.drift(&found).iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let retention = "retention.ms is 1000 where at least 604800000 is wanted";
        assert_eq!(set("retention.ms", "1000"), [retention]);
        let policy = "cleanup.policy is compact where delete is wanted";
        assert_eq!(set("cleanup.policy", "compact"), [policy, retention]);
        let bytes = "retention.bytes is 5 where at least -1 is wanted";
        assert_eq!(set("retention.bytes", "5"), [policy, retention, bytes]);
        let in_sync = "min.insync.replicas is 1 where at least 2 is wanted";
        assert_eq!(set("min.insync.replicas", "1"), [policy, retention, bytes, in_sync]);
    }

    #[test]
    fn one_broker_may_fail() {
        assert_eq!([1, 2, 3, 5].map(in_sync), [1, 1, 2, 3]);
    }
}
