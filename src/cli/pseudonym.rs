//! `trustline pseudonym`: which pseudonym stands for an id.

use std::path::{Path, PathBuf};

use super::out::print;
use super::{Failure, config, tell};
use crate::config::Config;
use crate::identity::{KeyError, PseudonymKey, PseudonymKind};

/// Options of `pseudonym`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What the id is of.
    pub kind: KindArg,
    /// The id, exactly as the events carry it.
    pub id: String,
}

/// What an id is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum KindArg {
    /// A person.
    Person,
    /// A device.
    Device,
    /// An order.
    Order,
    /// A cart.
    Cart,
    /// An event.
    Event,
}

impl From<KindArg> for PseudonymKind {
    fn from(kind: KindArg) -> PseudonymKind {
        match kind {
            KindArg::Person => PseudonymKind::Person,
            KindArg::Device => PseudonymKind::Device,
            KindArg::Order => PseudonymKind::Order,
            KindArg::Cart => PseudonymKind::Cart,
            KindArg::Event => PseudonymKind::Event,
        }
    }
}

/// Why the pseudonym key cannot be used. Never holds a part of it.
#[derive(Debug, thiserror::Error)]
pub enum KeySourceError {
    /// The file of `privacy.key_file` cannot be read.
    #[error("cannot read the pseudonym key from {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The variable of `privacy.key_env` is not set, or not text.
    #[error("the environment variable {name}, which privacy.key_env names, holds no text")]
    Variable {
        /// The variable.
        name: String,
    },
    /// What was found is no key.
    #[error("what {place} holds is no pseudonym key")]
    Key {
        /// Where it was found.
        place: String,
        /// Why.
        source: KeyError,
    },
}

/// The pseudonym key that the configuration names, if it names one.
///
/// # Errors
/// When it cannot be read or is no key.
pub fn configured_key(config: &Config) -> Result<Option<PseudonymKey>, KeySourceError> {
    let privacy = &config.settings.privacy;
    let (place, given) = match (&privacy.key_file, &privacy.key_env) {
        (Some(file), _) => {
            let path = PathBuf::from(file);
            let given = std::fs::read(&path).map_err(|source| KeySourceError::File { path, source })?;
            (file.clone(), given)
        }
        (None, Some(name)) => {
            let text = std::env::var(name).map_err(|_| KeySourceError::Variable { name: name.clone() })?;
            (name.clone(), text.into_bytes())
        }
        (None, None) => return Ok(None),
    };
    let key = PseudonymKey::read(&privacy.key_name, &given);
    key.map(Some).map_err(|source| KeySourceError::Key { place, source })
}

/// Runs the command.
///
/// # Errors
/// When the configuration or its key cannot be used.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let configured = configured_key(&config::load(file)?).map_err(Failure::usage)?;
    let key = configured.unwrap_or_else(|| {
        tell("no pseudonym key is configured: using the published test key");
        PseudonymKey::test_key()
    });
    print(&format!("{}\n", key.pseudonym(args.kind.into(), args.id.as_bytes())))
}
