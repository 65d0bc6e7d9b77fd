//! `trustline dlq`: dead letters and late events, and sending them to where they came from again.

mod inspect;
mod replay;

use std::path::Path;
use std::sync::Arc;

use crate::config::Config;
use crate::driver::dlq::Filter;
use crate::driver::stages::Names;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{TopicState, topic_states};

use super::{Failure, config};

/// What to do about dead letters and late events.
#[derive(Debug, clap::Subcommand)]
pub enum DlqCommand {
    /// Count them by reason and origin, and list the newest.
    Inspect(inspect::Args),
    /// Send them to where they came from again; without `--yes`, say what that would do.
    Replay(replay::Args),
}

/// Which records are meant; each option may be given several times.
#[derive(Debug, clap::Args)]
struct FilterArgs {
    /// Only records with this reason, such as `too_late` or `missing_field`.
    #[arg(long, value_delimiter = ',')]
    reason: Vec<String>,
    /// Only records of this brand.
    #[arg(long)]
    brand: Vec<String>,
    /// Only records from this source topic.
    #[arg(long)]
    topic: Vec<String>,
    /// Only records with a timestamp of this time or later, such as `2026-01-31T10:00Z`.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    from: Option<i64>,
    /// Only records with a timestamp before this time.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    to: Option<i64>,
}

impl FilterArgs {
    fn filter(&self) -> Filter {
        Filter {
            reasons: self.reason.clone(),
            brands: self.brand.clone(),
            topics: self.topic.clone(),
            from_ms: self.from,
            to_ms: self.to,
        }
    }
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the cluster cannot be reached, or something is not sent.
pub fn run(command: &DlqCommand, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    match command {
        DlqCommand::Inspect(args) => inspect::run(args, &config),
        DlqCommand::Replay(args) => replay::run(args, &config),
    }
}

/// A topic is missing.
#[derive(Debug, thiserror::Error)]
#[error("the topic {0} is missing; `trustline topics apply` makes it")]
struct NoTopic(Arc<str>);

/// The names of own topics, which must be there.
fn own_topics(config: &Config, connection: &Connection, names: &[&str]) -> Result<Vec<Arc<str>>, Failure> {
    let all = Names::of(config);
    let names: Vec<Arc<str>> = names.iter().map(|name| all.own(name)).collect();
    let asked: Vec<&str> = names.iter().map(|name| &**name).collect();
    let states = topic_states(connection, &asked).map_err(Failure::log)?;
    match names.iter().zip(states).find(|(_, state)| *state == TopicState::Missing) {
        Some((name, _)) => Err(Failure::usage(NoTopic(Arc::clone(name)))),
        None => Ok(names),
    }
}

pub(super) fn instant(text: &str) -> Result<i64, String> {
    let at: jiff::Timestamp = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Ok(at.as_millisecond())
}

/// A time as text.
pub(super) fn time(ms: i64) -> String {
    jiff::Timestamp::from_millisecond(ms).map_or_else(|_| format!("{ms} ms"), |at| at.to_string())
}

/// `1 record`, `2 records`.
fn count(number: u64, noun: &str) -> String {
    format!("{number} {noun}{}", if number == 1 { "" } else { "s" })
}
