//! `trustline topics`: what topics there should be, and making them.

use std::collections::BTreeMap;
use std::path::Path;

use super::acls::{self, AclsArgs};
use super::out::print;
use super::{Failure, config};
use crate::config::Config;
use crate::driver::topics::{Drift, WantedTopic, wanted};
use crate::log::LogError;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{TopicPlan, TopicState, create_topics, topic_settings, topic_states};

/// What to do about the topics.
#[derive(Debug, clap::Subcommand)]
pub enum TopicsCommand {
    /// Say which topics are there, missing, or not as they should be.
    Plan,
    /// Make the topics that are missing.
    Apply,
    /// Print the access that `run` needs, as commands of Kafka's own tool.
    Acls(AclsArgs),
}

/// Topics are not as they should be.
#[derive(Debug, thiserror::Error)]
#[error("{count} of Trustline's own topics are not as they should be")]
struct NotAsWanted {
    count: usize,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the cluster cannot be reached, or an own topic is not as it should be:
/// what is there is not changed, since a shorter retention, for example, deletes.
pub fn run(command: &TopicsCommand, file: Option<&Path>) -> Result<(), Failure> {
    if let TopicsCommand::Acls(args) = command {
        return acls::run(args, file);
    }
    let config = config::load(file)?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let (mut plans, mut wrong) = (Vec::new(), 0);
    for Found { topic, partitions, drift } in find(&connection, wanted(&config)).map_err(Failure::log)? {
        let Some(count) = partitions else {
            print(&format!("{}: missing, to be made with {} partitions\n", topic.name, topic.partitions))?;
            plans.push(TopicPlan {
                name: topic.name,
                partitions: topic.partitions,
                replicas: config.settings.own_topics.replication_factor,
                settings: topic.settings.iter().map(|one| (one.name().to_owned(), one.value())).collect(),
            });
            continue;
        };
        print(&format!("{}: there, {count} partitions\n", topic.name))?;
        let has_other_count = topic.fixed && count != topic.partitions;
        if has_other_count {
            print(&format!("  {} are configured; {}\n", topic.partitions, other_count(count)))?;
        }
        for one in &drift {
            print(&format!("  {one}\n"))?;
        }
        if !drift.is_empty() {
            print(&format!("  {}\n", mend(&config, &topic.name, &drift)))?;
        }
        wrong += usize::from(topic.own && (has_other_count || !drift.is_empty()));
    }
    if matches!(command, TopicsCommand::Apply) && !plans.is_empty() {
        create_topics(&connection, &plans).map_err(Failure::log)?;
        print(&format!("{} topics made\n", plans.len()))?;
    }
    if wrong > 0 { Err(Failure::running(NotAsWanted { count: wrong })) } else { Ok(()) }
}

/// A topic as it should be and as it is.
pub(super) struct Found {
    /// As it should be.
    pub topic: WantedTopic,
    /// How many partitions it has, if it is there.
    pub partitions: Option<i32>,
    /// Its settings that are not as they should be.
    pub drift: Vec<Drift>,
}

/// Looks for topics.
pub(super) fn find(connection: &Connection, wanted: Vec<WantedTopic>) -> Result<Vec<Found>, LogError> {
    let names: Vec<&str> = wanted.iter().map(|topic| topic.name.as_str()).collect();
    let states = topic_states(connection, &names)?;
    let there = |(topic, state): &(&WantedTopic, &TopicState)| {
        **state != TopicState::Missing && !topic.settings.is_empty()
    };
    let there: Vec<&str> =
        wanted.iter().zip(&states).filter(there).map(|(topic, _)| topic.name.as_str()).collect();
    let settings = topic_settings(connection, &there)?;
    let settings: BTreeMap<String, _> = there.iter().map(|name| (*name).to_owned()).zip(settings).collect();
    let found = |(topic, state): (WantedTopic, TopicState)| {
        let drift = settings.get(&topic.name).map_or_else(Vec::new, |settings| topic.drift(settings));
        let partitions = match state {
            TopicState::Missing => None,
            TopicState::Partitions(count) => Some(count),
        };
        Found { topic, partitions, drift }
    };
    Ok(wanted.into_iter().zip(states).map(found).collect())
}

/// What to do about an internal topic with another number of partitions than configured.
pub(super) fn other_count(found: i32) -> String {
    format!("set own_topics to {found}, or delete the topic and make it anew")
}

/// The command of Kafka's own tool that mends settings.
pub(super) fn mend(config: &Config, topic: &str, drift: &[Drift]) -> String {
    let settings: Vec<String> =
        drift.iter().map(|one| format!("{}={}", one.wanted.name(), one.wanted.value())).collect();
    let brokers = config.settings.kafka.brokers.join(",");
    format!(
        "kafka-configs.sh --bootstrap-server {brokers} --alter --entity-type topics --entity-name {topic} --add-config {}",
        settings.join(",")
    )
}
