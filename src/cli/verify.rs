//! `trustline verify`: whether what was published of a brand's window follows from the log.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use serde::Serialize;

use super::dlq::{instant, time};
use super::out::{print, print_json};
use super::pseudonym::configured_key;
use super::run::NoKey;
use super::start::{briefly, snapshot_store};
use super::{Exit, Failure, config};
use crate::config::Config;
use crate::driver::assembly::Assembly;
use crate::driver::configs::{self, Configs};
use crate::driver::stages::StageName;
use crate::driver::stages::brand_partition;
use crate::driver::stages::recovery::Keeping;
use crate::driver::verify::{
    Difference, Extent, Meant, PublishedRecords, VerifyError, compared, differences, refold,
};
use crate::log::kafka::Connection;
use crate::log::kafka::admin::{each_record, positions, records_between};
use crate::log::kafka::picture::extents;
use crate::log::{LogError, TopicPartition};
use crate::telemetry::terminal::visible;
use crate::time::WindowLength;

/// Options of `verify`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The brand.
    pub brand: String,
    /// Start of the window, such as 2026-01-31T10:00Z.
    #[arg(long, value_name = "TIME", value_parser = instant)]
    pub window: i64,
    /// Its length.
    #[arg(long, default_value = "1h", value_parser = length)]
    pub length: WindowLength,
    /// One JSON object, for programs.
    #[arg(long)]
    pub json: bool,
}

fn length(text: &str) -> Result<WindowLength, String> {
    WindowLength::parse(text).ok_or_else(|| "a length is 1h, 2h, …, 12h or 1d".to_owned())
}

#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("no window of {length} begins at {start}")]
    NoWindow { length: WindowLength, start: String },
    #[error("nothing was published of this window, and nothing must have been: is the brand's name right?")]
    Nothing,
    #[error("{0} differences: what was published does not follow from the log")]
    Differs(usize),
}

/// What was found.
#[derive(Serialize)]
struct Verdict<'a> {
    brand: &'a str,
    window: String,
    window_start: i64,
    /// Partitions of the person events whose counts were folded again and found in the log of brand partials.
    counts: usize,
    /// Published records that were compared.
    records: usize,
    differences: Vec<Difference>,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the log cannot be read or does not reach back so far, or something differs.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let Args { brand, window: start, length, .. } = args;
    if start.rem_euclid(length.ms()) != 0 {
        return Err(Failure::usage(Trouble::NoWindow { length: *length, start: time(*start) }));
    }
    let meant = Meant { brand: brand.clone(), length: *length, start: *start };
    let key = configured_key(&config).map_err(Failure::usage)?.ok_or_else(|| Failure::usage(NoKey))?;
    let connection = Connection::of(&config).map_err(Failure::usage)?;
    let mut assembly = Assembly::new(config, key);
    assembly.provisional = true;
    assembly.configs = briefly(|| published_configs(&assembly, &connection)).map_err(Failure::log)?;
    let own = assembly.config().settings.own_topics.clone();
    // That of the later stage first: what it has processed, the other one has written.
    let brand_partition = brand_partition(brand, own.brand_partitions);
    let extents = |stage, partitions: &[i32]| {
        briefly(|| extents_of(&assembly, &connection, stage, partitions)).map_err(Failure::log)
    };
    let brands = extents(StageName::Score, &[brand_partition])?;
    let partitions: Vec<i32> = (0..own.person_partitions).collect();
    let persons = extents(StageName::Detect, &partitions)?;
    if persons.iter().chain(&brands).any(|extent| extent.oldest > 0) {
        assembly.keeping = Some(snapshots(assembly.config())?);
    }
    let read = |of: &TopicPartition,
                span: (i64, i64),
                each: &mut dyn FnMut(crate::log::Record) -> Result<bool, VerifyError>| {
        records_between(&connection, of, span, each)
    };
    let refolded = refold(&assembly, &meant, &persons, &brands[0], &read).map_err(failure)?;
    let mut published = PublishedRecords::default();
    for topic in compared(&assembly) {
        each_record(&connection, &topic, |record| {
            published.take(&meant, record);
            Ok::<(), LogError>(())
        })
        .map_err(Failure::log)?;
    }
    let (records, differing) = differences(&refolded.outputs, published);
    let verdict = Verdict {
        brand,
        window: length.to_string(),
        window_start: *start,
        counts: refolded.counts,
        records,
        differences: [refolded.differences, differing].concat(),
    };
    if verdict.records == 0 && verdict.differences.is_empty() {
        return Err(Failure::usage(Trouble::Nothing));
    }
    if args.json { print_json(&verdict) } else { print(&text(&verdict)) }?;
    match verdict.differences.len() {
        0 => Ok(()),
        number => Err(Failure::running(Trouble::Differs(number))),
    }
}

fn failure(error: VerifyError) -> Failure {
    match error {
        VerifyError::Log(error) => Failure::log(error),
        error if error.is_gone() => Failure { exit: Exit::Unverifiable, error: Box::new(error) },
        error => Failure::running(error),
    }
}

fn published_configs(assembly: &Assembly, connection: &Connection) -> Result<Configs, LogError> {
    let mut found = Configs::new();
    each_record(connection, &assembly.names().own(configs::TOPIC), |record| {
        configs::take(&mut found, &record);
        Ok::<(), LogError>(())
    })?;
    Ok(found)
}

/// Partitions of the log that a stage reads, with its positions.
fn extents_of(
    assembly: &Assembly,
    connection: &Connection,
    stage: StageName,
    partitions: &[i32],
) -> Result<Vec<Extent>, LogError> {
    let topic = assembly.names().own(stage.input().unwrap_or_default());
    let group = stage.group(&assembly.config().settings.kafka.group_id);
    let mut positions: BTreeMap<_, _> = positions(connection, &group, &[&topic])?;
    let of = |partition: &i32| TopicPartition { topic: Arc::clone(&topic), partition: *partition };
    let of: Vec<TopicPartition> = partitions.iter().map(of).collect();
    let found = extents(connection, &of)?;
    if found.len() < of.len() {
        let cause = "partitions are missing or have no leader; see `trustline topics plan`".to_owned();
        return Err(LogError::Unavailable { doing: format!("looking at {topic}"), cause });
    }
    Ok(found
        .into_iter()
        .map(|one| Extent { position: positions.remove(&one.of), of: one.of, oldest: one.oldest })
        .collect())
}

/// The snapshots, where the log does not begin at its start any more.
fn snapshots(config: &Config) -> Result<Keeping, Failure> {
    let store = Arc::new(snapshot_store(config).map_err(Failure::usage)?.read_only());
    let every_ms = config.settings.state.snapshot_every_ms;
    Ok(Keeping { store, every_ms, in_background: false, rebuild: false })
}

fn text(verdict: &Verdict<'_>) -> String {
    let Verdict { brand, window, window_start, counts, records, differences } = verdict;
    let mut text = format!(
        "{} {window} from {}: {counts} counts and {records} records folded again\n",
        visible(brand),
        time(*window_start)
    );
    for Difference { topic, record, field, published, computed } in differences {
        text += &format!(
            "  {} {}: {} is {} and must be {}\n",
            visible(topic),
            visible(record),
            visible(field),
            visible(published),
            visible(computed)
        );
    }
    text + if differences.is_empty() { "equal, bit for bit\n" } else { "DIFFERENT\n" }
}
