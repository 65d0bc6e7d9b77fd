//! What is looked at, collected before it is judged.

use std::collections::BTreeMap;

use super::ledger::Balance;
use crate::cli::topics::Found;
use crate::config::Config;
use crate::driver::stages::StageName;
use crate::event::kinds::Topic;
use crate::log::kafka::picture::{Copies, Extent, Group};
use crate::log::{Position, TopicPartition};
use crate::registry;

/// How everything stands.
pub(super) struct Picture<'a> {
    /// As it is configured.
    pub config: &'a Config,
    /// Wall time of this machine, milliseconds.
    pub now_ms: i64,
    /// All topics.
    pub topics: Vec<Seen>,
    /// Partitions whose copies are not all there.
    pub copies: Vec<Copies>,
    /// What this user may not do.
    pub refused: Vec<String>,
    /// The stages' groups.
    pub groups: Vec<StageGroup>,
    /// All partitions.
    pub extents: BTreeMap<TopicPartition, Extent>,
    /// Transactions that are open.
    pub open: Vec<Open>,
    /// Whether snapshots stand where only one machine sees them.
    pub is_local: bool,
    /// The snapshots that committed positions name, if the store can be seen from here.
    pub snapshots: Vec<Snapshot>,
    /// Subjects of the registry, or why it cannot be asked, if one is configured.
    pub subjects: Option<Result<Vec<registry::Finding>, String>>,
    /// The accounts of instances, or why they cannot be read, by address.
    pub ledgers: Vec<(String, Result<Vec<Balance>, String>)>,
    /// What was not looked at.
    pub unchecked: Vec<String>,
}

/// A topic.
pub(super) struct Seen {
    /// As it should be and as it is.
    pub found: Found,
    /// The settings that hold.
    pub settings: BTreeMap<String, String>,
    /// Which source topic it is.
    pub source: Option<Topic>,
}

/// The group of a stage.
pub(super) struct StageGroup {
    /// The stage.
    pub stage: StageName,
    /// Its name.
    pub name: String,
    /// As the brokers see it.
    pub group: Group,
    /// Its committed positions.
    pub positions: BTreeMap<TopicPartition, Position>,
    /// The partitions that it reads.
    pub inputs: Vec<TopicPartition>,
}

/// A transaction that held readers back for as long as was looked.
pub(super) struct Open {
    /// Of this partition.
    pub of: TopicPartition,
    /// From this offset on.
    pub offset: i64,
    /// The timestamp of the record there.
    pub since_ms: Option<i64>,
}

/// A snapshot that a committed position names.
pub(super) struct Snapshot {
    /// The input partition.
    pub of: TopicPartition,
    /// The offset of the first record that is not in it.
    pub offset: i64,
    /// When it was written, milliseconds; nothing if it is not there.
    pub written_ms: Option<i64>,
}

impl Picture<'_> {
    /// The topic of this name, if it is there.
    pub(super) fn topic(&self, name: &str) -> Option<&Seen> {
        self.topics.iter().find(|seen| seen.found.topic.name == name)
    }

    /// The brokers, for commands of Kafka's tools.
    pub(super) fn brokers(&self) -> String {
        self.config.settings.kafka.brokers.join(",")
    }
}

/// A partition as people write it.
pub(super) fn place(of: &TopicPartition) -> String {
    format!("{} {}", of.topic, of.partition)
}
