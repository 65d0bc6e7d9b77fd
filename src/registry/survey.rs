//! What the registry has of the subjects that concern this build.

use apache_avro::Schema;
use apache_avro::schema_compatibility::SchemaCompatibility;
use serde::Serialize;

use super::{Client, Level, OUTPUTS, Registered, RegistryError};
use crate::codec::avro::{Decoder, schemas};
use crate::config::Config;
use crate::event::kinds::Topic;

/// How a subject stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// The schema of this build is registered.
    Registered,
    /// It is not, and may be.
    Unregistered,
    /// It cannot be registered: it does not go together with what is there.
    Incompatible,
    /// The newest schema of a source topic can be read.
    Readable,
    /// It cannot: all records written under it would be dead letters.
    Unreadable,
    /// A source topic has no schema.
    Absent,
}

impl State {
    /// As words.
    pub const fn words(self) -> &'static str {
        match self {
            State::Registered => "registered",
            State::Unregistered => "not registered",
            State::Incompatible => "INCOMPATIBLE",
            State::Readable => "readable",
            State::Unreadable => "UNREADABLE",
            State::Absent => "no schema",
        }
    }
}

/// What there is to say about a subject.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// The subject.
    pub subject: String,
    /// The record that this build writes or reads under it.
    pub record: &'static str,
    /// How it stands.
    pub state: State,
    /// The newest version that is registered, or the one that is this build's.
    pub version: Option<u32>,
    /// The id of that version's schema.
    pub id: Option<u32>,
    /// The compatibility level that the subject has.
    pub level: Option<String>,
    /// The level that it should have; none for source topics, which are their producers'.
    pub wanted_level: Option<&'static str>,
    /// What is wrong.
    pub problem: Option<String>,
    /// What is to be registered, if it is written.
    #[serde(skip)]
    pub(super) output: Option<(&'static str, Level)>,
}

impl Finding {
    /// A subject that is written, for tests.
    #[cfg(test)]
    pub(crate) fn written(subject: &str, state: State, level: Option<&str>) -> Finding {
        Finding {
            subject: subject.to_owned(),
            record: "record",
            state,
            version: None,
            id: None,
            level: level.map(str::to_owned),
            wanted_level: Some("BACKWARD"),
            problem: None,
            output: None,
        }
    }

    /// Whether it keeps the pipeline from working.
    pub fn is_wrong(&self) -> bool {
        matches!(self.state, State::Incompatible | State::Unreadable)
    }
}

/// Looks at every subject that is read or written under a configuration.
///
/// # Errors
/// When the registry cannot be asked or refuses.
pub fn survey(client: &Client, config: &Config) -> Result<Vec<Finding>, RegistryError> {
    let mut findings = Vec::new();
    for topic in Topic::ALL {
        findings.push(of_source(client, *topic, &config.topic(*topic).name)?);
    }
    for topic in OUTPUTS {
        for (subject, schema) in topic.subjects(&config.settings.own_topics.topic_prefix) {
            findings.push(of_output(client, subject, schema, topic.level)?);
        }
    }
    Ok(findings)
}

/// Sets the level of an output's subject and registers the schema of this build, where that is not done yet.
///
/// # Errors
/// When the registry cannot be asked or refuses.
pub fn register(client: &Client, finding: &mut Finding) -> Result<(), RegistryError> {
    let Some((schema, level)) = finding.output else { return Ok(()) };
    if finding.level.as_deref() != Some(level.name()) {
        client.set_level(&finding.subject, level)?;
        finding.level = Some(level.name().to_owned());
    }
    if finding.state == State::Unregistered {
        finding.id = Some(client.register(&finding.subject, schema)?.0);
        finding.version = client.versions(&finding.subject)?.last().copied();
        finding.state = State::Registered;
    }
    Ok(())
}

fn of_source(client: &Client, topic: Topic, name: &str) -> Result<Finding, RegistryError> {
    let subject = format!("{name}-value");
    let newest = match client.versions(&subject)?.last() {
        Some(version) => client.version(&subject, *version)?,
        None => None,
    };
    let (state, problem) = match &newest {
        None => (State::Absent, None),
        Some(newest) => match Decoder::compile(&newest.schema, topic) {
            Ok(_) => (State::Readable, None),
            Err(error) => (State::Unreadable, Some(error.to_string())),
        },
    };
    Ok(Finding {
        record: record_of(schemas::input_schema(topic)),
        state,
        version: newest.as_ref().map(|newest| newest.version),
        id: newest.as_ref().map(|newest| newest.id.0),
        level: client.level(&subject)?,
        wanted_level: None,
        problem,
        output: None,
        subject,
    })
}

fn of_output(
    client: &Client,
    subject: String,
    schema: &'static str,
    level: Level,
) -> Result<Finding, RegistryError> {
    let mut versions = Vec::new();
    for version in client.versions(&subject)? {
        versions.extend(client.version(&subject, version)?);
    }
    let ours = client.id(&subject, schema)?;
    let ours = versions.iter().find(|version| Some(version.id) == ours);
    let problem = match ours {
        Some(_) => None,
        None => incompatible(schema, &versions, level),
    };
    let state = match (ours, &problem) {
        (Some(_), _) => State::Registered,
        (None, None) => State::Unregistered,
        (None, Some(_)) => State::Incompatible,
    };
    let shown = ours.or(versions.last());
    Ok(Finding {
        record: record_of(schema),
        state,
        version: shown.map(|shown| shown.version),
        id: shown.map(|shown| shown.id.0),
        level: client.level(&subject)?,
        wanted_level: Some(level.name()),
        problem,
        output: Some((schema, level)),
        subject,
    })
}

/// Why a schema must not follow these versions. The registry is not asked: its level may not be the wanted one yet,
/// and not every registry says why.
fn incompatible(schema: &str, versions: &[Registered], level: Level) -> Option<String> {
    let parse = |text: &str| Schema::parse_str(text).map_err(|error| error.to_string());
    let compare = |with: &Registered| -> Result<(), String> {
        let (ours, theirs) = (parse(schema)?, parse(&with.schema)?);
        let outcome = match level {
            Level::Backward => SchemaCompatibility::can_read(&theirs, &ours),
            Level::FullTransitive => SchemaCompatibility::mutual_read(&theirs, &ours),
        };
        outcome.map(|_| ()).map_err(|error| error.to_string())
    };
    let compared = match level {
        Level::Backward => versions.last().into_iter().collect::<Vec<_>>(),
        Level::FullTransitive => versions.iter().collect(),
    };
    compared.into_iter().find_map(|with| {
        let cause = compare(with).err()?;
        Some(format!("not {} with version {}: {cause}", level.name(), with.version))
    })
}

fn record_of(schema: &str) -> &'static str {
    schemas::ALL.iter().find(|(_, known)| *known == schema).map_or("", |(name, _)| name)
}
