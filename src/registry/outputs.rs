//! The topics that this build writes in Avro, and the ids of their schemas.

use std::collections::BTreeMap;

use super::{Client, Folder, RegistryError};
use crate::codec::avro::schemas;
use crate::codec::confluent::SchemaId;

/// What a subject's name ends with, for keys and for values.
pub(super) const ENDINGS: [&str; 2] = ["key", "value"];

/// Ids of the schemas of keys and values, by the name of the topic without the prefix.
pub type OutputIds = BTreeMap<&'static str, [SchemaId; 2]>;

/// Which schemas may follow each other under one subject.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Level {
    /// A reader with the new schema reads the records of the one before.
    Backward,
    /// Readers with any schema read the records of any other.
    FullTransitive,
}

impl Level {
    /// Its name in the registry.
    pub const fn name(self) -> &'static str {
        match self {
            Level::Backward => "BACKWARD",
            Level::FullTransitive => "FULL_TRANSITIVE",
        }
    }
}

/// A topic that is written in Avro.
#[derive(Clone, Copy, Debug)]
pub struct OutputTopic {
    /// Its name without the prefix of the own topics.
    pub name: &'static str,
    /// The schemas of its keys and values.
    pub schemas: [&'static str; 2],
    /// What holds for its subjects.
    pub level: Level,
}

macro_rules! outputs {
    ($($name:literal: $key:ident $value:ident $level:ident,)+) => {
        /// The topics that are written in Avro.
        pub const OUTPUTS: &[OutputTopic] = &[$(OutputTopic {
            name: $name,
            schemas: [schemas::$key, schemas::$value],
            level: Level::$level,
        }),+];
    };
}

outputs! {
    "moments": TRUST_MOMENT_KEY TRUST_MOMENT FullTransitive,
    "brand-trust": BRAND_TRUST_KEY BRAND_TRUST Backward,
    "brand-trust-latest": BRAND_TRUST_LATEST_KEY BRAND_TRUST Backward,
    "brand-trust-live": BRAND_TRUST_LATEST_KEY BRAND_TRUST Backward,
    "pattern-trust": PATTERN_TRUST_KEY PATTERN_TRUST Backward,
    "alerts": TRUST_ALERT_KEY TRUST_ALERT Backward,
    "erasure-receipts": ERASURE_RECEIPT_KEY ERASURE_RECEIPT Backward,
}

impl OutputTopic {
    /// Its subjects with their schemas, keys first: the topic's name decides, not the record's.
    pub fn subjects(&self, prefix: &str) -> [(String, &'static str); 2] {
        let [key, value] = self.schemas;
        let [of_key, of_value] = ENDINGS.map(|ending| format!("{prefix}{}-{ending}", self.name));
        [(of_key, key), (of_value, value)]
    }
}

/// The ids of everything that is written cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum OutputIdsError {
    /// The registry cannot be asked, and what was kept of it is not enough.
    #[error(transparent)]
    Registry(#[from] RegistryError),
    /// It does not know the schemas of this build.
    #[error("the registry lacks the schemas of {0}; `trustline schemas register` registers them")]
    Missing(String),
}

/// The ids of everything that is written. While the registry is down those that the folder keeps.
///
/// # Errors
/// When the registry cannot be asked and the folder does not hold them all, or schemas are not registered.
pub fn output_ids(client: &Client, folder: &Folder, prefix: &str) -> Result<OutputIds, OutputIdsError> {
    let asked = ids(prefix, |subject, schema| client.id(subject, schema));
    let (ids, missing) = match asked {
        Ok(asked) => asked,
        Err(error @ RegistryError::Unavailable { .. }) => {
            let kept = folder.subjects();
            let kept_id = |subject: &str, schema: &str| {
                let id = kept.get(subject).copied();
                Ok(id.filter(|id| folder.schema(*id).is_some_and(|kept| kept == schema)))
            };
            let (ids, missing) = ids(prefix, kept_id)?;
            return if missing.is_empty() { Ok(ids) } else { Err(error.into()) };
        }
        Err(error) => return Err(error.into()),
    };
    if !missing.is_empty() {
        return Err(OutputIdsError::Missing(missing.join(", ")));
    }
    Ok(ids)
}

type Asked = (OutputIds, Vec<String>);

fn ids(
    prefix: &str,
    mut ask: impl FnMut(&str, &str) -> Result<Option<SchemaId>, RegistryError>,
) -> Result<Asked, RegistryError> {
    let (mut ids, mut missing) = (OutputIds::new(), Vec::new());
    for topic in OUTPUTS {
        let mut of_topic = [SchemaId(0); 2];
        for (id, (subject, schema)) in of_topic.iter_mut().zip(topic.subjects(prefix)) {
            match ask(&subject, schema)? {
                Some(found) => *id = found,
                None => missing.push(subject),
            }
        }
        ids.insert(topic.name, of_topic);
    }
    Ok((ids, missing))
}

/// Keeps the ids of what is written, to start from while the registry is down.
///
/// # Errors
/// When they cannot be written.
pub fn keep_output_ids(ids: &OutputIds, folder: &Folder, prefix: &str) -> std::io::Result<()> {
    let mut subjects = BTreeMap::new();
    for topic in OUTPUTS {
        let of_topic = ids.get(topic.name).into_iter().flatten();
        for (id, (subject, schema)) in of_topic.zip(topic.subjects(prefix)) {
            folder.keep(*id, schema)?;
            subjects.insert(subject, *id);
        }
    }
    folder.keep_subjects(&subjects)
}
