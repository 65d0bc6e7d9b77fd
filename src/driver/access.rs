//! What the stages must be allowed to do on a cluster that refuses the rest, and no more.

use std::collections::BTreeSet;

use crate::config::Config;
use crate::event::kinds::Topic;
use crate::log::access::{Operation, Permission, Resource};
use crate::log::kafka::admin::reading_group;

use super::configs;
use super::stages::StageName;

/// What these stages need, each once.
pub fn needed(config: &Config, stages: &[StageName]) -> BTreeSet<Permission> {
    let group = &config.settings.kafka.group_id;
    let own = |name: &str| format!("{}{name}", config.settings.own_topics.topic_prefix);
    let mut needed = BTreeSet::new();
    for stage in stages {
        let mut need = |operation, resource, names: Vec<String>| {
            needed.extend(names.into_iter().map(|name| Permission { operation, resource, name }));
        };
        let name = stage.group(group);
        let sources = || Topic::ALL.iter().map(|topic| config.topic(*topic).name.clone()).collect();
        let reads = stage.input().map_or_else(sources, |topic| vec![own(topic)]);
        let mut writes: Vec<String> = stage.outputs().iter().map(|topic| own(topic)).collect();
        writes.push(own(configs::TOPIC));
        if *stage == StageName::Route {
            // Tombstones of the links that an erasure ends.
            writes.push(config.topic(Topic::IdentityLinks).name.clone());
        }
        need(Operation::DescribeConfigs, Resource::Topic, [&reads[..], &writes[..]].concat());
        need(Operation::Read, Resource::Topic, reads);
        need(Operation::Write, Resource::Topic, writes);
        need(Operation::Read, Resource::Group, vec![name.clone()]);
        need(Operation::Describe, Resource::Group, vec![reading_group(group)]);
        need(Operation::Write, Resource::TransactionalId, vec![format!("{name}-")]);
    }
    needed
}
