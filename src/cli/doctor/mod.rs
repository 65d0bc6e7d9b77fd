//! `trustline doctor`: what is wrong with the cluster, the groups and the state, each with its fix.

mod cluster;
mod collect;
mod groups;
mod ledger;
mod picture;
mod state;
#[cfg(test)]
mod tests;

use std::path::Path;

use serde::Serialize;

use self::picture::Picture;
use super::out::{print, print_json};
use super::{Failure, config};
use crate::log::kafka::Connection;

/// Options of `doctor`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Where an instance serves `/metrics`, such as 127.0.0.1:9464: its ledger is checked too. May be given several times.
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Vec<String>,
    /// One JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// The pipeline does not work, or will lose records or state.
    Error,
    /// It works, and something is not as it should be.
    Warning,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Finding {
    severity: Severity,
    /// What was looked at.
    check: &'static str,
    /// Where.
    place: String,
    /// What is wrong there.
    what: String,
    /// What mends it.
    fix: String,
}

impl Finding {
    fn error(check: &'static str, place: impl ToString, what: String, fix: String) -> Finding {
        Finding { severity: Severity::Error, check, place: place.to_string(), what, fix }
    }

    fn warning(check: &'static str, place: impl ToString, what: String, fix: String) -> Finding {
        Finding { severity: Severity::Warning, ..Finding::error(check, place, what, fix) }
    }
}

/// What was found.
#[derive(Serialize)]
struct Report {
    groups: Vec<GroupLine>,
    findings: Vec<Finding>,
    /// What was not looked at, and why.
    unchecked: Vec<String>,
}

/// How a stage's group stands.
#[derive(Debug, PartialEq, Eq, Serialize)]
struct GroupLine {
    group: String,
    state: String,
    members: usize,
    partitions: usize,
    unowned: usize,
    /// Offsets that are not processed yet.
    lag: i64,
}

/// Something is wrong.
#[derive(Debug, thiserror::Error)]
#[error("{0} errors were found")]
struct Ill(usize);

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the cluster cannot be asked, or a finding is an error.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let picture = collect::collect(&config, &connection, &args.metrics)?;
    let report = Report {
        groups: picture.groups.iter().map(|group| groups::line(&picture, group)).collect(),
        findings: examine(&picture),
        unchecked: picture.unchecked.clone(),
    };
    if args.json { print_json(&report) } else { print(&text(&report)) }?;
    match count(&report, Severity::Error) {
        0 => Ok(()),
        errors => Err(Failure::running(Ill(errors))),
    }
}

/// Everything that is wrong, the worst first.
fn examine(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = [
        cluster::topics(picture),
        cluster::copies(picture),
        cluster::permissions(picture),
        cluster::timestamps(picture),
        cluster::clocks(picture),
        cluster::transactions(picture),
        groups::members(picture),
        groups::offsets(picture),
        state::snapshots(picture),
        state::schemas(picture),
        ledger::balance(picture),
    ]
    .concat();
    findings.sort();
    findings
}

fn count(report: &Report, severity: Severity) -> usize {
    report.findings.iter().filter(|finding| finding.severity == severity).count()
}

fn text(report: &Report) -> String {
    let mut text = String::new();
    for GroupLine { group, state, members, partitions, unowned, lag } in &report.groups {
        text += &format!("{group:<24} {state:<20} members {members:<4} partitions {partitions:<5} ");
        text += &format!("unowned {unowned:<5} lag {lag}\n");
    }
    for Finding { severity, check, place, what, fix } in &report.findings {
        let severity = if *severity == Severity::Error { "ERROR" } else { "warning" };
        text += &format!("{severity:<8} {check:<13} {place}: {what}\n{:<8} fix: {fix}\n", "");
    }
    for what in &report.unchecked {
        text += &format!("not checked: {what}\n");
    }
    text + &format!(
        "{} errors, {} warnings\n",
        count(report, Severity::Error),
        count(report, Severity::Warning)
    )
}
