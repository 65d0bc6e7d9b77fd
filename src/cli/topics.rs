//! `trustline topics`: what topics there should be, and making them.

use std::path::Path;

use super::out::print;
use super::{Failure, config};
use crate::driver::topics::wanted;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{TopicPlan, TopicState, create_topics, topic_states};

/// What to do about the topics.
#[derive(Debug, clap::Subcommand)]
pub enum TopicsCommand {
    /// Say which topics are there, missing, or not as they should be.
    Plan,
    /// Make the topics that are missing.
    Apply,
}

/// Topics are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("{count} topics are not as they should be")]
struct NotAsWanted {
    count: usize,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the cluster cannot be reached, or an internal topic has another number of
/// partitions than configured.
pub fn run(command: &TopicsCommand, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let wanted = wanted(&config);
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let states = topic_states(&connection, &names).map_err(Failure::running)?;
    let mut plans = Vec::new();
    let mut wrong = 0;
    for (topic, state) in wanted.into_iter().zip(states) {
        match state {
            TopicState::Missing => {
                print(&format!(
                    "{}: missing, to be made with {} partitions\n",
                    topic.name, topic.partitions
                ))?;
                plans.push(TopicPlan {
                    name: topic.name,
                    partitions: topic.partitions,
                    replicas: config.settings.own_topics.replication_factor,
                    settings: topic.settings,
                });
            }
            TopicState::Partitions(count) if topic.fixed && count != topic.partitions => {
                wrong += 1;
                print(&format!(
                    "{}: has {count} partitions where {} are configured; set own_topics to {count}, or empty the topic and make it anew\n",
                    topic.name, topic.partitions
                ))?;
            }
            TopicState::Partitions(count) => print(&format!("{}: there, {count} partitions\n", topic.name))?,
        }
    }
    if matches!(command, TopicsCommand::Apply) && !plans.is_empty() {
        create_topics(&connection, &plans).map_err(Failure::running)?;
        print(&format!("{} topics made\n", plans.len()))?;
    }
    if wrong > 0 { Err(Failure::running(NotAsWanted { count: wrong })) } else { Ok(()) }
}
