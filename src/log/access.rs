//! What may be done to what in a cluster.

use serde::Serialize;

/// What is done to a resource. Reading and writing include asking what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Operation {
    /// Reading its records, or being a member of it.
    Read,
    /// Writing to it.
    Write,
    /// Asking what it is.
    Describe,
    /// Asking for its settings.
    DescribeConfigs,
}

impl Operation {
    /// Its name in Kafka's tools.
    pub fn name(self) -> &'static str {
        match self {
            Operation::Read => "Read",
            Operation::Write => "Write",
            Operation::Describe => "Describe",
            Operation::DescribeConfigs => "DescribeConfigs",
        }
    }
}

/// A kind of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Resource {
    /// A topic.
    Topic,
    /// A consumer group.
    Group,
    /// Transactional ids that begin so.
    TransactionalId,
}

impl Resource {
    /// Its name in Kafka's tools.
    pub fn name(self) -> &'static str {
        match self {
            Resource::Topic => "topic",
            Resource::Group => "group",
            Resource::TransactionalId => "transactional-id",
        }
    }

    /// Whether a permission is for everything that begins with the name: instances add theirs.
    pub fn is_prefix(self) -> bool {
        self == Resource::TransactionalId
    }
}

/// One thing that must be allowed. In the order in which they are best granted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Permission {
    /// What for.
    pub operation: Operation,
    /// On what kind of resource.
    pub resource: Resource,
    /// Its name, or what its name begins with.
    pub name: String,
}

impl std::fmt::Display for Permission {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {} {}", self.operation.name(), self.resource.name(), self.name)
    }
}
