//! The log on Apache Kafka. The only place that names the client.
//!
//! Consumers read committed records of a group and commit nothing themselves; positions go with the outputs
//! in a transaction. Rebalances are noted in the callback, which holds no other state, and handed out by
//! [`KafkaSource::next`].

mod publisher;
mod source;

use std::time::Duration;

use rdkafka::config::ClientConfig;

pub use publisher::{KafkaPublisher, KafkaPublishers};
pub use source::KafkaSource;

/// How long a call to the broker may take before it counts as failed.
const CALL_WAIT: Duration = Duration::from_secs(30);

/// Where and as whom to connect.
#[derive(Clone, Debug)]
pub struct Connection {
    /// Settings of the client, by the names of its library; `bootstrap.servers` at least.
    pub client: Vec<(String, String)>,
    /// Stable name of this instance.
    pub instance: String,
}

impl Connection {
    /// A connection without security, as to a local broker.
    pub fn plain(bootstrap: &str, instance: &str) -> Connection {
        let client = vec![("bootstrap.servers".to_owned(), bootstrap.to_owned())];
        Connection { client, instance: instance.to_owned() }
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config
    }
}
