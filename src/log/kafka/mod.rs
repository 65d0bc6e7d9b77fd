//! The log on Apache Kafka. The only place that names the client.
//!
//! Consumers read committed records of a group and commit nothing themselves; positions go with the outputs
//! in a transaction. Rebalances are noted in the callback, which holds no other state, and handed out by
//! the source's `next`.

pub mod admin;
mod batch;
mod publisher;
mod source;

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::Config;
use crate::log::LogError;

pub use batch::KafkaRecords;
pub use publisher::{KafkaPublisher, KafkaPublishers};
pub use source::KafkaSource;

/// How long a call to the broker may take before it counts as failed.
const CALL_WAIT: Duration = Duration::from_secs(30);

/// A secret cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// From a file.
    #[error("cannot read the secret in {file}")]
    File {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// From the environment.
    #[error("the environment variable {name}, which should hold a secret, is not set")]
    Variable {
        /// The variable.
        name: String,
    },
}

fn secret(file: Option<&str>, variable: Option<&str>) -> Result<Option<String>, SecretError> {
    match (file, variable) {
        (Some(file), _) => {
            let read = std::fs::read_to_string(file);
            let text = read.map_err(|source| SecretError::File { file: file.to_owned(), source })?;
            Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
        }
        (None, Some(name)) => {
            let value = std::env::var(name).map_err(|_| SecretError::Variable { name: name.to_owned() })?;
            Ok(Some(value))
        }
        (None, None) => Ok(None),
    }
}

/// Where and as whom to connect. Not printable: it holds secrets.
#[derive(Clone)]
pub struct Connection {
    /// Settings of the client, by the names of its library; `bootstrap.servers` at least.
    pub client: Vec<(String, String)>,
    /// Stable name of this instance.
    pub instance: String,
    /// How long the group waits for an instance that says nothing, milliseconds.
    pub session_timeout_ms: i32,
    /// How long it waits for one that takes no records, milliseconds.
    pub max_poll_interval_ms: i32,
    /// How long the broker lets a transaction be open, milliseconds.
    pub transaction_timeout_ms: i32,
}

impl Connection {
    /// A connection without security, as to a local broker.
    pub fn plain(bootstrap: &str, instance: &str) -> Connection {
        let client = vec![("bootstrap.servers".to_owned(), bootstrap.to_owned())];
        let kafka = crate::config::sections::Kafka::default();
        Connection {
            client,
            instance: instance.to_owned(),
            session_timeout_ms: kafka.session_timeout_ms,
            max_poll_interval_ms: kafka.max_poll_interval_ms,
            transaction_timeout_ms: kafka.transaction_timeout_ms,
        }
    }

    /// The connection that a configuration describes.
    ///
    /// # Errors
    /// When a secret cannot be read.
    pub fn of(config: &Config) -> Result<Connection, SecretError> {
        let kafka = &config.settings.kafka;
        let mut client = vec![
            ("bootstrap.servers".to_owned(), kafka.brokers.join(",")),
            ("security.protocol".to_owned(), kafka.security.protocol().to_owned()),
        ];
        let mut set = |name: &str, value: &Option<String>| {
            client.extend(value.iter().map(|value| (name.to_owned(), value.clone())));
        };
        set("ssl.ca.location", &kafka.ca_file);
        set("ssl.certificate.location", &kafka.cert_file);
        set("ssl.key.location", &kafka.cert_key_file);
        set("sasl.mechanism", &kafka.mechanism.map(|mechanism| mechanism.name().to_owned()));
        set("sasl.username", &kafka.user);
        set("sasl.password", &secret(kafka.password_file.as_deref(), kafka.password_env.as_deref())?);
        Ok(Connection {
            client,
            instance: kafka.instance_id.clone().unwrap_or_else(host_name),
            session_timeout_ms: kafka.session_timeout_ms,
            max_poll_interval_ms: kafka.max_poll_interval_ms,
            transaction_timeout_ms: kafka.transaction_timeout_ms,
        })
    }

    fn config(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config
    }
}

/// Name of an instance that was given none: one instance a machine is the usual case.
fn host_name() -> String {
    gethostname::gethostname().to_string_lossy().into_owned()
}

/// What the loop must do about an error of the client.
fn failure(doing: &str, error: &KafkaError) -> LogError {
    let (doing, cause) = (doing.to_owned(), error.to_string());
    match error.rdkafka_error_code() {
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed
            | RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism
            | RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::InvalidArgument,
        ) => LogError::Fatal { doing, cause },
        _ => LogError::Unavailable { doing, cause },
    }
}
