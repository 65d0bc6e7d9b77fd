//! One file per command.

pub mod acls;
pub mod completions;
pub mod config;
pub mod demo;
pub mod dlq;
pub mod doctor;
pub mod evaluate;
pub mod explain;
pub mod generate;
pub mod out;
mod owners;
mod process;
pub mod pseudonym;
mod registry;
pub mod replay;
pub mod run;
pub mod schemas;
mod start;
pub mod topics;
pub mod verify;
mod what_if;

use std::path::PathBuf;
use std::process::ExitCode;

use crate::driver::causes;
use clap::{Parser, Subcommand};

use crate::log::LogError;

/// Finds the moments in which a brand's use of personal data costs or earns trust.
#[derive(Debug, Parser)]
#[command(name = "trustline", version, about)]
pub struct Cli {
    /// Configuration; without one the defaults hold. Variables TRUSTLINE__SECTION__KEY override it.
    #[arg(long, global = true, value_name = "FILE.toml", env = "TRUSTLINE_CONFIG")]
    pub config: Option<PathBuf>,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the whole job over files.
    Replay(replay::Args),
    /// Run the stages on Kafka until told to stop.
    Run(run::Args),
    /// Plan and make the topics, and say what must be allowed on them.
    #[command(subcommand)]
    Topics(topics::TopicsCommand),
    /// Look at the schema registry, and register what is written.
    Schemas(schemas::Args),
    /// Look at dead letters and late events, and send them to where they came from again.
    #[command(subcommand)]
    Dlq(dlq::DlqCommand),
    /// Fold the retained log again and compare a brand's window with what was published, bit for bit.
    Verify(verify::Args),
    /// Look for what is wrong with the cluster, the groups and the state; each finding names its fix.
    Doctor(doctor::Args),
    /// Show the pipeline at work on made-up traffic: no Kafka, a table here and a page.
    Demo(demo::Args),
    /// Write labelled synthetic traffic as files.
    Generate(generate::Args),
    /// Tell why a brand's score is what it is, from the output of `replay`.
    Explain(explain::Args),
    /// Measure the detectors on labelled traffic: precision, recall, and what hangs on judgement.
    Evaluate(evaluate::Args),
    /// Write, check and show the configuration.
    #[command(subcommand)]
    Config(config::ConfigCommand),
    /// Tell which pseudonym stands for an id.
    Pseudonym(pseudonym::Args),
    /// Write the completion script of a shell.
    Completions(completions::Args),
}

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Failed while running.
    Failed = 1,
    /// Wrong usage, configuration or input path.
    Usage = 2,
    /// Kafka refuses: the log-in, a certificate or a permission.
    Refused = 3,
    /// The watchdog ended it: records were there and none was processed.
    Stalled = 4,
    /// Stopping took longer than it may.
    StopTooSlow = 5,
    /// What `verify` needs is no longer there, or not yet.
    Unverifiable = 6,
    /// Told twice to stop.
    Forced = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        ExitCode::from(exit as u8)
    }
}

/// Runs a command; what goes wrong is told on standard error.
pub fn run(cli: &Cli) -> Exit {
    let outcome = match &cli.command {
        Command::Replay(args) => replay::run(args, cli.config.as_deref()),
        Command::Run(args) => run::run(args, cli.config.as_deref()),
        Command::Topics(command) => topics::run(command, cli.config.as_deref()),
        Command::Schemas(args) => schemas::run(args, cli.config.as_deref()),
        Command::Dlq(command) => dlq::run(command, cli.config.as_deref()),
        Command::Verify(args) => verify::run(args, cli.config.as_deref()),
        Command::Doctor(args) => doctor::run(args, cli.config.as_deref()),
        Command::Demo(args) => demo::run(args, cli.config.as_deref()),
        Command::Generate(args) => generate::run(args),
        Command::Explain(args) => explain::run(args, cli.config.as_deref()),
        Command::Evaluate(args) => evaluate::run(args, cli.config.as_deref()),
        Command::Config(command) => config::run(command, cli.config.as_deref()),
        Command::Pseudonym(args) => pseudonym::run(args, cli.config.as_deref()),
        Command::Completions(args) => completions::run(args),
    };
    match outcome {
        Ok(()) => Exit::Done,
        Err(failure) => {
            tell(&format!("trustline: {}", causes(failure.error.as_ref())));
            failure.exit
        }
    }
}

/// Why a command failed, and how the process ends.
#[derive(Debug)]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// Why.
    pub error: Box<dyn std::error::Error>,
}

impl Failure {
    /// The command could not begin: wrong usage, configuration or input path.
    pub fn usage(error: impl std::error::Error + 'static) -> Failure {
        Failure { exit: Exit::Usage, error: Box::new(error) }
    }

    /// Kafka failed, or refuses.
    pub fn log(error: LogError) -> Failure {
        let exit = if matches!(error, LogError::Refused { .. }) { Exit::Refused } else { Exit::Failed };
        Failure { exit, error: Box::new(error) }
    }

    /// The command failed while running.
    pub fn running(error: impl std::error::Error + 'static) -> Failure {
        Failure { exit: Exit::Failed, error: Box::new(error) }
    }
}

/// Writes a line for a person to standard error, or to the log of a process that has one; a line that nobody
/// reads is no failure.
pub fn tell(line: &str) {
    use std::io::Write;
    if tracing::dispatcher::has_been_set() {
        tracing::error!(target: "trustline", "{}", line.strip_prefix("trustline: ").unwrap_or(line));
        return;
    }
    drop(writeln!(std::io::stderr(), "{line}"));
}
