//! What can be wrong with the stages' groups and their committed positions.

use std::collections::BTreeSet;

use super::picture::{Picture, StageGroup, place};
use super::{Finding, GroupLine};
use crate::driver::stages::StageName;
use crate::log::TopicPartition;

/// What there is to tell about a group.
pub(super) fn line(picture: &Picture<'_>, group: &StageGroup) -> GroupLine {
    let left = |of: &TopicPartition| {
        let extent = picture.extents.get(of)?;
        let next = group.positions.get(of).map_or(extent.oldest, |position| position.next);
        Some((extent.stable_end - next.max(extent.oldest)).max(0))
    };
    // `Dead` is Kafka's word for a group that it does not know.
    let state = match group.group.state.as_str() {
        "" | "Dead" => "not there",
        state => state,
    };
    GroupLine {
        group: group.name.clone(),
        state: state.to_owned(),
        members: group.group.members.len(),
        partitions: group.inputs.len(),
        unowned: unowned(group).len(),
        lag: group.inputs.iter().filter_map(left).sum(),
    }
}

fn unowned(group: &StageGroup) -> Vec<&TopicPartition> {
    let owned: BTreeSet<_> = group.group.members.iter().flat_map(|member| &member.partitions).collect();
    group.inputs.iter().filter(|of| !owned.contains(of)).collect()
}

/// Groups without members, and partitions that no member has.
pub(super) fn members(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &picture.groups {
        let (name, stage) = (&group.name, group.stage.name());
        let GroupLine { state, lag, .. } = line(picture, group);
        if group.group.members.is_empty() {
            let what = format!("no instance runs {stage}; {lag} offsets wait");
            findings.push(Finding::warning("groups", name, what, format!("trustline run --stages {stage}")));
        } else if state != "Stable" {
            let what = format!("it is {state}: its partitions are being given out");
            let fix = "look again in a minute; if it lasts, look at the instances' logs".to_owned();
            findings.push(Finding::warning("groups", name, what, fix));
        } else {
            let unowned: Vec<String> = unowned(group).into_iter().map(place).collect();
            if !unowned.is_empty() {
                let what = format!("no member has {}", unowned.join(", "));
                let fix = "restart the instances one after the other".to_owned();
                findings.push(Finding::error("groups", name, what, fix));
            }
        }
    }
    findings
}

/// Committed positions that the log does not reach.
pub(super) fn offsets(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for group in &picture.groups {
        for (of, position) in &group.positions {
            let Some(extent) = picture.extents.get(of) else { continue };
            let (next, name) = (position.next, &group.name);
            let finding = if next < extent.oldest {
                let lost = extent.oldest - next;
                let what = format!(
                    "position {next} lies before the oldest record, {}: retention has removed {lost} offsets that were not processed",
                    extent.oldest
                );
                let fix = if group.stage == StageName::Route {
                    "set run.on_lost_offsets to \"earliest\" or \"latest\" for one start; keep records for longer than outages last".to_owned()
                } else {
                    "trustline run --rebuild; keep own_topics.internal_retention_ms above outages".to_owned()
                };
                Some((what, fix))
            } else if next > extent.end {
                let what =
                    format!("position {next} lies after the end, {}: the topic was made anew", extent.end);
                let fix = format!(
                    "kafka-consumer-groups.sh --bootstrap-server {} --group {name} --delete-offsets --topic {}, with all instances stopped",
                    picture.brokers(),
                    of.topic
                );
                Some((what, fix))
            } else {
                None
            };
            findings.extend(
                finding.map(|(what, fix)| {
                    Finding::error("offsets", format!("{name}, {}", place(of)), what, fix)
                }),
            );
        }
    }
    findings
}
