//! What can be wrong with snapshots and schemas.

use std::collections::BTreeSet;

use super::Finding;
use super::picture::{Picture, Snapshot, place};
use crate::registry::State;

/// Snapshots that others cannot read, or that the log does not reach back to.
pub(super) fn snapshots(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    let members = picture.groups.iter().flat_map(|group| &group.group.members);
    let hosts: BTreeSet<&str> = members.map(|member| member.host.as_str()).collect();
    if picture.is_local && hosts.len() > 1 {
        let what = format!("they stand in a folder of one machine, and instances run on {}", hosts.len());
        let fix = "set state.url to an object store that all machines reach".to_owned();
        findings.push(Finding::error("snapshots", &picture.config.settings.state.url, what, fix));
    }
    for Snapshot { of, offset, written_ms } in &picture.snapshots {
        let place = place(of);
        let Some(written_ms) = written_ms else {
            let what = format!("the snapshot at offset {offset} that the position names is missing");
            let fix =
                "bring it back, or let the next two be taken before an instance is restarted".to_owned();
            findings.push(Finding::error("snapshots", place, what, fix));
            continue;
        };
        let oldest = picture.extents.get(of).map_or(0, |extent| extent.oldest);
        let retention = picture.topic(&of.topic).and_then(|seen| seen.settings.get("retention.ms"));
        let retention_ms = retention.and_then(|ms| ms.parse::<i64>().ok()).filter(|ms| *ms >= 0);
        let age_ms = picture.now_ms - written_ms;
        let fix =
            "let an instance run until it has taken new snapshots, or raise own_topics.internal_retention_ms"
                .to_owned();
        if *offset < oldest {
            let what = format!(
                "the log begins at {oldest}, after the snapshot at {offset}: no state can go on from it"
            );
            findings.push(Finding::error("snapshots", place, what, fix));
        } else if let Some(retention_ms) = retention_ms.filter(|retention_ms| age_ms > *retention_ms) {
            let what = format!(
                "the snapshot at {offset} is {} s old, and the log is kept for {} s",
                age_ms / 1_000,
                retention_ms / 1_000
            );
            findings.push(Finding::warning("snapshots", place, what, fix));
        }
    }
    findings
}

/// Schemas as `schemas check` sees them.
pub(super) fn schemas(picture: &Picture<'_>) -> Vec<Finding> {
    let subjects = match &picture.subjects {
        None => return Vec::new(),
        Some(Err(cause)) => {
            let fix = "start the registry, or check registry.url and its log-in".to_owned();
            let url = picture.config.settings.registry.url.as_deref().unwrap_or("registry");
            return vec![Finding::error("schemas", url, cause.clone(), fix)];
        }
        Some(Ok(subjects)) => subjects,
    };
    let mut findings = Vec::new();
    for subject in subjects {
        let place = &subject.subject;
        let problem = subject.problem.clone().unwrap_or_else(|| subject.state.words().to_owned());
        let finding = match subject.state {
            State::Incompatible => {
                Some((problem, "move the topic's readers to new names, or delete the subject"))
            }
            State::Unreadable => Some((problem, "register a schema that has the fields of schemas/")),
            State::Unregistered => Some((problem, "trustline schemas register")),
            State::Registered | State::Readable | State::Absent => None,
        };
        findings.extend(finding.map(|(what, fix)| Finding::error("schemas", place, what, fix.to_owned())));
        if let Some(wanted) = subject.wanted_level
            && subject.state == State::Registered
            && subject.level.as_deref() != Some(wanted)
        {
            let what =
                format!("its compatibility level is {}", subject.level.as_deref().unwrap_or("not set"));
            let fix = format!("trustline schemas register sets it to {wanted}");
            findings.push(Finding::warning("schemas", place, what, fix));
        }
    }
    findings
}
