//! The log on Apache Kafka. The only place that names the client.
//!
//! Consumers read committed records of a group and commit nothing themselves; positions go with the outputs
//! in a transaction. Rebalances are noted in the callback, which holds no other state, and handed out by
//! the source's `next`.

pub mod admin;
mod batch;
pub mod inquiry;
mod lost;
mod member;
mod offsets;
pub mod picture;
mod publisher;
mod source;

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::config::sections::{GroupProtocol, Mechanism};
use crate::config::{Config, Secret, SecretError};
use crate::log::LogError;

pub use batch::KafkaRecords;
pub use publisher::{KafkaPublisher, KafkaPublishers};
pub use source::KafkaSource;

/// Under which names the client logs.
pub const LOG_TARGETS: [&str; 2] = ["rdkafka", "librdkafka"];

/// How long a call to the broker may take before it counts as failed.
const CALL_WAIT: Duration = Duration::from_secs(30);

/// Where and as whom to connect. Not printable: it holds secrets.
#[derive(Clone)]
pub struct Connection {
    /// Settings of the client, by the names of its library; `bootstrap.servers` at least.
    pub client: Vec<(String, String)>,
    /// What the names of all groups begin with.
    pub group: String,
    /// Stable name of this instance.
    pub instance: String,
    /// Who shares partitions out among the group's readers.
    pub group_protocol: GroupProtocol,
    /// Whether a reader that comes back under its name gets its partitions again.
    pub static_membership: bool,
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
            group: instance.to_owned(),
            instance: instance.to_owned(),
            group_protocol: kafka.group_protocol,
            static_membership: kafka.static_membership,
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
        let mut set = |name: &str, value: Option<&str>| {
            client.extend(value.map(|value| (name.to_owned(), value.to_owned())));
        };
        if kafka.security.has_tls() {
            // Where systems keep their certificates: the library is not linked against the system's.
            set("ssl.ca.location", kafka.ca_file.as_deref().or(Some("probe")));
        }
        set("ssl.certificate.location", kafka.cert_file.as_deref());
        set("ssl.key.location", kafka.cert_key_file.as_deref());
        set("sasl.mechanism", kafka.mechanism.map(Mechanism::name));
        let secret = Secret::read(kafka.password_file.as_deref(), kafka.password_env.as_deref())?;
        let (user, secret) = (kafka.user.as_deref(), secret.as_ref().map(Secret::reveal));
        if kafka.mechanism == Some(Mechanism::OauthBearer) {
            set("sasl.oauthbearer.method", Some("oidc"));
            set("sasl.oauthbearer.client.id", user);
            set("sasl.oauthbearer.client.secret", secret);
            set("sasl.oauthbearer.token.endpoint.url", kafka.token_url.as_deref());
            set("sasl.oauthbearer.scope", kafka.token_scope.as_deref());
            set("https.ca.location", kafka.token_ca_file.as_deref());
        } else {
            set("sasl.username", user);
            set("sasl.password", secret);
        }
        Ok(Connection {
            client,
            group: kafka.group_id.clone(),
            instance: kafka.instance_id.clone().unwrap_or_else(host_name),
            group_protocol: kafka.group_protocol,
            static_membership: kafka.static_membership,
            session_timeout_ms: kafka.session_timeout_ms,
            max_poll_interval_ms: kafka.max_poll_interval_ms,
            transaction_timeout_ms: kafka.transaction_timeout_ms,
        })
    }

    fn has_tokens(&self) -> bool {
        self.client.iter().any(|(name, _)| name == "sasl.oauthbearer.method")
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
    sorted(doing, error.rdkafka_error_code(), error.to_string())
}

/// As [`failure`], of a code alone.
fn failure_code(doing: &str, code: RDKafkaErrorCode) -> LogError {
    sorted(doing, Some(code), code.to_string())
}

fn sorted(doing: &str, code: Option<RDKafkaErrorCode>, cause: String) -> LogError {
    let doing = doing.to_owned();
    match code {
        Some(
            RDKafkaErrorCode::TopicAuthorizationFailed
            | RDKafkaErrorCode::GroupAuthorizationFailed
            | RDKafkaErrorCode::ClusterAuthorizationFailed
            | RDKafkaErrorCode::TransactionalIdAuthorizationFailed,
        ) => LogError::Refused {
            doing,
            cause: format!("{cause}; `trustline topics acls` prints what to allow"),
        },
        Some(
            RDKafkaErrorCode::Authentication
            | RDKafkaErrorCode::SaslAuthenticationFailed
            | RDKafkaErrorCode::UnsupportedSASLMechanism,
        ) => LogError::Refused { doing, cause },
        Some(
            RDKafkaErrorCode::UnsupportedVersion
            | RDKafkaErrorCode::Fatal
            | RDKafkaErrorCode::InvalidArgument,
        ) => LogError::Fatal { doing, cause },
        _ => LogError::Unavailable { doing, cause },
    }
}

/// The client goes on by itself after these.
fn is_passing(error: &KafkaError) -> bool {
    matches!(
        error.rdkafka_error_code(),
        Some(
            RDKafkaErrorCode::AllBrokersDown
                | RDKafkaErrorCode::BrokerTransportFailure
                | RDKafkaErrorCode::Resolve
                | RDKafkaErrorCode::OperationTimedOut
        )
    )
}
