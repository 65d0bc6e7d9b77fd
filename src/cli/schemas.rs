//! `trustline schemas`: what the schema registry has, and registering what is written.

use std::path::Path;

use super::out::print;
use super::{Failure, config};
use crate::registry::{Client, Finding, RegistryError, State, register, survey};

/// Options of `schemas`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    command: SchemasCommand,
    /// One JSON array with an object for each subject, for programs.
    #[arg(long, global = true)]
    json: bool,
}

/// What to do about the schemas.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::Subcommand)]
pub enum SchemasCommand {
    /// List the subjects that are read or written, and how they stand.
    List,
    /// The same, and fail if one of them keeps the pipeline from working.
    Check,
    /// Register the schemas that are written, with their compatibility level; nothing if one is incompatible.
    Register,
}

#[derive(Debug, thiserror::Error)]
enum SchemasError {
    #[error("no schema registry: set registry.url")]
    NoRegistry,
    #[error("{0} subjects keep the pipeline from working")]
    Wrong(usize),
    #[error("nothing was registered: {0} subjects have schemas that do not go together with this build's")]
    Incompatible(usize),
    #[error("the findings cannot be written as JSON")]
    Json(#[source] serde_json::Error),
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the registry cannot be used, or a schema is not as it must be.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let client = Client::of(&config.settings.registry).map_err(Failure::usage)?;
    let client = client.ok_or_else(|| Failure::usage(SchemasError::NoRegistry))?;
    let mut findings = survey(&client, &config).map_err(Failure::running)?;
    let wrong = |of: &dyn Fn(&&Finding) -> bool| findings.iter().filter(of).count();
    let failure = match args.command {
        SchemasCommand::List => None,
        SchemasCommand::Check => {
            Some(wrong(&|finding| finding.is_wrong())).filter(|n| *n > 0).map(SchemasError::Wrong)
        }
        SchemasCommand::Register => Some(wrong(&|finding| finding.state == State::Incompatible))
            .filter(|n| *n > 0)
            .map(SchemasError::Incompatible),
    };
    if args.command == SchemasCommand::Register && failure.is_none() {
        register_all(&client, &mut findings).map_err(Failure::running)?;
    }
    if args.json {
        let text = serde_json::to_string_pretty(&findings).map_err(SchemasError::Json);
        print(&format!("{}\n", text.map_err(Failure::running)?))?;
    } else {
        findings.iter().try_for_each(|finding| print(&line(finding)))?;
    }
    failure.map_or(Ok(()), |failure| Err(Failure::running(failure)))
}

fn register_all(client: &Client, findings: &mut [Finding]) -> Result<(), RegistryError> {
    findings.iter_mut().try_for_each(|finding| register(client, finding))
}

fn line(finding: &Finding) -> String {
    let Finding { subject, record, state, version, id, level, wanted_level, problem, .. } = finding;
    let mut line = format!("{subject}: {}, {record}", state.words());
    if let (Some(version), Some(id)) = (version, id) {
        line += &format!(", version {version} with id {id}");
    }
    match (level.as_deref(), *wanted_level) {
        (Some(level), Some(wanted)) if level != wanted => {
            line += &format!(", level {level} where {wanted} is wanted");
        }
        (Some(level), _) => line += &format!(", level {level}"),
        (None, Some(wanted)) => line += &format!(", no level where {wanted} is wanted"),
        (None, None) => {}
    }
    if let Some(problem) = problem {
        line += &format!(": {problem}");
    }
    line + "\n"
}
