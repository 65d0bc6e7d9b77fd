//! `trustline config`: write, check and show the configuration.

use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde_json::json;

use super::out::{print, print_json};
use super::{Exit, Failure, tell};
use crate::config::{self, Config, ENVIRONMENT_PREFIX, Input, Problems};

/// What to do with the configuration.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Write a commented file with every setting at its default.
    Init {
        /// File to write; standard output without it. An existing file is left alone.
        #[arg(long)]
        out: Option<PathBuf>,
    },
    /// Check a file and the environment, and tell every problem at once.
    Check {
        /// The file; that of `--config` without it.
        file: Option<PathBuf>,
        /// Print the outcome as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Show the settings in force: defaults, file and environment together. It holds no secrets.
    Print {
        /// Print them as JSON.
        #[arg(long)]
        json: bool,
    },
    /// Write the JSON Schema of the file.
    Schema,
}

/// The configuration could not be read, written or shown.
#[derive(Debug, thiserror::Error)]
enum ConfigError {
    #[error("cannot read the configuration {}", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("cannot write the configuration {}", path.display())]
    Write { path: PathBuf, source: std::io::Error },
    #[error("cannot write the configuration as TOML")]
    Toml { source: toml::ser::Error },
}

/// Reads and checks the configuration of a command: its file, if there is one, and the environment.
///
/// # Errors
/// When the file cannot be read, or anything in it or in the environment is wrong.
pub fn load(file: Option<&Path>) -> Result<Config, Failure> {
    Config::load(&input(file)?).map_err(Failure::usage)
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, cannot be read or cannot be written.
pub fn run(command: &ConfigCommand, file: Option<&Path>) -> Result<(), Failure> {
    match command {
        ConfigCommand::Init { out } => init(out.as_deref()),
        ConfigCommand::Check { file: named, json } => check(named.as_deref().or(file), *json),
        ConfigCommand::Print { json } => show(&load(file)?, *json),
        ConfigCommand::Schema => print_json(config::schema()),
    }
}

fn input(file: Option<&Path>) -> Result<Input, Failure> {
    let text = match file {
        Some(path) => std::fs::read_to_string(path)
            .map_err(|source| Failure::usage(ConfigError::Read { path: path.to_owned(), source }))?,
        None => String::new(),
    };
    // Variables that are not UTF-8 cannot be ours by name; a value that is not is shown as it can be.
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value)))
        .filter(|(name, _)| name.starts_with(ENVIRONMENT_PREFIX))
        .map(|(name, value)| (name, value.to_string_lossy().into_owned()))
        .collect();
    Ok(Input { file: file.map(|path| path.display().to_string()), text, environment })
}

fn init(out: Option<&Path>) -> Result<(), Failure> {
    let text = config::example().map_err(|source| Failure::running(ConfigError::Toml { source }))?;
    let Some(path) = out else { return print(&text) };
    let written = std::fs::File::create_new(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()));
    written.map_err(|source| Failure::usage(ConfigError::Write { path: path.to_owned(), source }))
}

fn check(file: Option<&Path>, as_json: bool) -> Result<(), Failure> {
    let outcome = Config::load(&input(file)?);
    if !as_json {
        let config = outcome.map_err(Failure::usage)?;
        tell(&format!("the configuration is right; its hash is {}", config.hash()));
        return Ok(());
    }
    match outcome {
        Ok(config) => {
            print_json(&json!({ "ok": true, "config_hash": config.hash().to_string(), "problems": [] }))
        }
        Err(problems) => {
            print_json(&told(&problems))?;
            Err(Failure { exit: Exit::Usage, error: Box::new(problems) })
        }
    }
}

fn told(problems: &Problems) -> serde_json::Value {
    let one = |problem: &config::Problem| {
        json!({
            "place": problems.locate(problem),
            "path": problem.path,
            "value": problem.value,
            "message": problem.message,
        })
    };
    json!({ "ok": false, "problems": problems.list.iter().map(one).collect::<Vec<_>>() })
}

fn show(config: &Config, as_json: bool) -> Result<(), Failure> {
    if as_json {
        return print_json(&config.settings);
    }
    let settings = config::effective(&config.settings)
        .map_err(|source| Failure::running(ConfigError::Toml { source }))?;
    print(&format!("# Configuration in force, hash {}.\n\n{settings}", config.hash()))
}
