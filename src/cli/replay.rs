//! `trustline replay`: the whole job over files.

use std::path::{Path, PathBuf};
use std::time::Instant;

use indicatif::{ProgressBar, ProgressStyle};

use super::pseudonym::configured_key;
use super::{Failure, config, tell, what_if};
use crate::config::sections::ForeignInput;
use crate::driver::assembly::Assembly;
use crate::driver::replay::{Outcome, Progress, write};
use crate::identity::PseudonymKey;

/// Options of `replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder with one file per topic: `<topic>.jsonl` (or `.jsonl.gz`, `.jsonl.zst`, `.avro`).
    pub input: PathBuf,
    /// Folder for the output; made if it is not there.
    #[arg(long)]
    pub out: PathBuf,
    /// Each file is one source and its lines are in the order of arrival, so records can be late.
    #[arg(long)]
    pub as_stream: bool,
    /// Read foreign files, found by pattern below the input folder, through a mapping: a shipped one or a
    /// `.toml` file, optionally with its variables. Goes before `[[input]]` of the configuration.
    #[arg(long, value_name = "FILES=MAPPING[,VARIABLE=VALUE]...", value_parser = parse_input)]
    pub mapping: Vec<ForeignInput>,
    /// Also run under this configuration, and print how the trust in each brand would differ.
    #[arg(long, value_name = "OTHER.toml")]
    pub what_if: Option<PathBuf>,
    /// Print the difference as JSON.
    #[arg(long, requires = "what_if")]
    pub json: bool,
}

fn parse_input(text: &str) -> Result<ForeignInput, String> {
    let wanted = "must be FILES=MAPPING or FILES=MAPPING,VARIABLE=VALUE";
    let (files, rest) = text.split_once('=').ok_or(wanted)?;
    let mut parts = rest.split(',');
    let mapping = parts.next().unwrap_or_default();
    let variables =
        parts.map(|part| part.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
    let variables = variables.collect::<Option<_>>().ok_or(wanted)?;
    if files.is_empty() || mapping.is_empty() {
        return Err(wanted.to_owned());
    }
    Ok(ForeignInput { files: files.to_owned(), mapping: mapping.to_owned(), variables })
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the input cannot be read, the output cannot be written, or the ledger does not balance.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let started = Instant::now();
    let mut config = config::load(file)?;
    config.settings.inputs.splice(..0, args.mapping.iter().cloned());
    let mut other = args.what_if.as_deref().map(|other| config::load(Some(other))).transpose()?;
    if let Some(other) = &mut other {
        // The same input for both.
        other.settings.inputs.clone_from(&config.settings.inputs);
    }
    let key = configured_key(&config).map_err(Failure::usage)?.unwrap_or_else(|| {
        tell("no pseudonym key is configured: using the published test key, so pseudonyms are not secret");
        PseudonymKey::test_key()
    });
    let mut bar = Bar::new();
    let replay = Assembly::new(config, key.clone()).replay(args.as_stream);
    let mut outcome = replay.run(&args.input, &mut bar).map_err(Failure::usage)?;
    bar.done();
    write::write_all(&mut outcome, &args.out).map_err(Failure::running)?;
    report(&outcome, started.elapsed().as_secs_f64());
    let unbalanced: Vec<String> = outcome.ledger.unbalanced().map(|(topic, _)| topic.to_owned()).collect();
    if !unbalanced.is_empty() {
        return Err(Failure::running(Unbalanced { topics: unbalanced.join(", ") }));
    }
    let Some(other) = other else { return Ok(()) };
    let mut bar = Bar::new();
    let replay = Assembly::new(other, key).replay(args.as_stream);
    let after = replay.run(&args.input, &mut bar).map_err(Failure::usage)?;
    bar.done();
    what_if::tell_difference(&outcome.score, &after.score, args.json)
}

/// Records are not accounted for.
#[derive(Debug, thiserror::Error)]
#[error("the ledger does not balance for {topics}: this is a fault of trustline")]
struct Unbalanced {
    topics: String,
}

fn report(outcome: &Outcome, seconds: f64) {
    let accounts = &outcome.ledger.accounts;
    let read: u64 = accounts.values().map(|account| account.read).sum();
    let applied: u64 = accounts.values().map(|account| account.applied).sum();
    tell(&format!("{read} records read, {applied} applied in {seconds:.1} s"));
    tell(&format!(
        "{} moments, {} windows, {} alerts",
        outcome.moments.len(),
        outcome.score.brand_trust.len(),
        outcome.score.alerts.len()
    ));
    for (topic, account) in accounts.iter().filter(|(_, account)| account.read > account.applied) {
        tell(&format!(
            "{topic}: {} duplicate, {} too late, {} dead letters, {} exempt, {} erased",
            account.duplicate, account.too_late, account.dead_lettered, account.exempt, account.erased
        ));
    }
    for (reason, count) in outcome.aside.reasons() {
        tell(&format!("dead letters, {reason}: {count}"));
    }
}

/// A progress bar; hidden where standard error is no terminal.
pub(super) struct Bar {
    bar: ProgressBar,
}

impl Bar {
    pub(super) fn new() -> Bar {
        let bar = ProgressBar::new_spinner();
        let style = ProgressStyle::with_template("{msg} {human_pos}/{human_len} {bar:40} {elapsed}");
        bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
        bar.set_message("reading");
        Bar { bar }
    }

    pub(super) fn done(&self) {
        self.bar.finish_and_clear();
    }
}

impl Progress for Bar {
    fn read(&mut self, records: u64) {
        self.bar.inc_length(records);
        self.bar.inc(records);
    }

    fn applied(&mut self, items: u64, of: u64) {
        if self.bar.length() != Some(of) {
            self.bar.set_message("applying");
            self.bar.set_length(of);
            self.bar.set_position(0);
        }
        self.bar.inc(items);
    }
}
