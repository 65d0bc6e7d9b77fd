//! Kafka and the schema registry.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::section::section;

/// How connections to the brokers are secured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Security {
    /// Not at all.
    Plaintext,
    /// TLS.
    Ssl,
    /// A log-in without TLS.
    SaslPlaintext,
    /// TLS and a log-in.
    SaslSsl,
}

impl Security {
    /// Whether there is a log-in.
    pub fn has_login(self) -> bool {
        matches!(self, Security::SaslPlaintext | Security::SaslSsl)
    }

    /// Whether there is TLS.
    pub fn has_tls(self) -> bool {
        matches!(self, Security::Ssl | Security::SaslSsl)
    }

    /// The name in Kafka clients.
    pub fn protocol(self) -> &'static str {
        match self {
            Security::Plaintext => "plaintext",
            Security::Ssl => "ssl",
            Security::SaslPlaintext => "sasl_plaintext",
            Security::SaslSsl => "sasl_ssl",
        }
    }
}

/// How a log-in works.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Mechanism {
    /// Name and password.
    #[serde(rename = "PLAIN")]
    Plain,
    /// Salted challenge, SHA-256.
    #[serde(rename = "SCRAM-SHA-256")]
    ScramSha256,
    /// Salted challenge, SHA-512.
    #[serde(rename = "SCRAM-SHA-512")]
    ScramSha512,
    /// OAuth 2 client credentials.
    #[serde(rename = "OAUTHBEARER")]
    OauthBearer,
}

impl Mechanism {
    /// The name in Kafka clients.
    pub fn name(self) -> &'static str {
        match self {
            Mechanism::Plain => "PLAIN",
            Mechanism::ScramSha256 => "SCRAM-SHA-256",
            Mechanism::ScramSha512 => "SCRAM-SHA-512",
            Mechanism::OauthBearer => "OAUTHBEARER",
        }
    }
}

/// Who shares partitions out among the members of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupProtocol {
    /// One of the members.
    Classic,
    /// The brokers (KIP-848).
    Consumer,
}

section! {
    /// Kafka. Secrets stand in files or environment variables, never here.
    Kafka {
        /// Brokers to ask first, `host:port` each.
        #[schemars(length(min = 1))]
        brokers: Vec<String> = vec!["127.0.0.1:9092".to_owned()],
        /// Name of the consumer groups and transactional ids; each stage adds its own.
        #[schemars(length(min = 1))]
        group_id: String = "trustline".to_owned(),
        /// Name of this instance, the same after a restart and no other's; by default the host's. A StatefulSet's ordinal, for example.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"trustline-0")]
        instance_id: Option<String> = None,
        /// "plaintext", "ssl", "sasl_plaintext" or "sasl_ssl".
        security: Security = Security::Plaintext,
        /// Certificates that brokers are checked against, PEM; by default the system's.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/etc/trustline/ca.pem")]
        ca_file: Option<String> = None,
        /// Own certificate, PEM.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/etc/trustline/client.pem")]
        cert_file: Option<String> = None,
        /// Key of the own certificate, PEM.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/etc/trustline/client.key")]
        cert_key_file: Option<String> = None,
        /// Log-in: "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512" or "OAUTHBEARER".
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(example = &"SCRAM-SHA-512")]
        mechanism: Option<Mechanism> = None,
        /// User, or the client's id with OAUTHBEARER.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"trustline")]
        user: Option<String> = None,
        /// File that holds the password, or the client's secret with OAUTHBEARER.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/run/secrets/kafka")]
        password_file: Option<String> = None,
        /// Environment variable that holds the password instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"KAFKA_PASSWORD")]
        password_env: Option<String> = None,
        /// Where OAUTHBEARER gets its tokens.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"https://login.example.com/token")]
        token_url: Option<String> = None,
        /// Scope that OAUTHBEARER asks for.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"kafka")]
        token_scope: Option<String> = None,
        /// Certificates that the server of `token_url` is checked against, PEM; by default the system's.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/etc/trustline/ca.pem")]
        token_ca_file: Option<String> = None,
        /// Who shares partitions out: "classic", the instances; "consumer", the brokers (KIP-848), from Kafka 4.0 on.
        group_protocol: GroupProtocol = GroupProtocol::Classic,
        /// Whether a restart within the session timeout moves no partitions. Those of an instance that is stopped for good then wait for so long.
        static_membership: bool = false,
        /// Wall time without a sign of life after which an instance counts as gone, milliseconds; with "consumer" the brokers' group.consumer.session.timeout.ms says it. 45 s; default of Kafka's clients since 3.0.
        #[schemars(range(min = 6_000, max = 1_800_000))]
        session_timeout_ms: i32 = 45_000,
        /// Wall time between two polls after which an instance counts as stuck, milliseconds. 5 min; default of Kafka's clients.
        #[schemars(range(min = 10_000, max = 3_600_000))]
        max_poll_interval_ms: i32 = 300_000,
        /// Wall time after which the broker aborts a transaction, milliseconds. 10 s: so long a killed instance holds readers back.
        #[schemars(range(min = 1_000, max = 900_000))]
        transaction_timeout_ms: i32 = 10_000,
    }
}

section! {
    /// Schema registry, needed for topics in Avro; with one, public records are Avro too. Secrets stand in files or environment variables, never here.
    Registry {
        /// Address.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"https://registry.example.com")]
        url: Option<String> = None,
        /// Folder in which schemas that were seen are kept, to start from while the registry is down.
        #[schemars(length(min = 1))]
        schemas_folder: String = "schemas".to_owned(),
        /// Certificates that the registry is checked against, PEM; by default the system's.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/etc/trustline/ca.pem")]
        ca_file: Option<String> = None,
        /// User, for a log-in by name and password; without one the secret is a bearer token.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"trustline")]
        user: Option<String> = None,
        /// File that holds the password or bearer token.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"/run/secrets/registry")]
        secret_file: Option<String> = None,
        /// Environment variable that holds the password or bearer token instead.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schemars(length(min = 1), example = &"REGISTRY_SECRET")]
        secret_env: Option<String> = None,
        /// Wall time of "not found" after which a record with an unknown schema id is a dead letter, milliseconds. 30 s: a registry can lag behind (judgement).
        #[schemars(range(min = 0, max = 3_600_000))]
        unknown_schema_after_ms: i64 = 30_000,
    }
}
