//! `trustline evaluate`: the detectors held against what was planted, and how much hangs on judgement.

mod sensitivity;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use self::sensitivity::Sensitivity;
use super::out::{print, print_json};
use super::pseudonym::configured_key;
use super::replay::Bar;
use super::{Failure, config};
use crate::driver::assembly::Assembly;
use crate::driver::outputs::read;
use crate::driver::replay::Outcome;
use crate::driver::replay::reader::visit;
use crate::event::raw::{RawEvent, RawRecord};
use crate::identity::{PseudonymKey, PseudonymKind};
use crate::log::files::{self, InputError};
use crate::synth::write::{Format, WriteError, write_all};
use crate::synth::{Gap, Gaps, Label, Params, Score, Scorecard, evaluate};

/// Options of `evaluate`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder that `generate` wrote, with `labels.jsonl`. Without one, traffic is generated.
    pub input: Option<PathBuf>,
    /// People to generate.
    #[arg(long, default_value_t = 20_000, conflicts_with = "input")]
    pub persons: u64,
    /// Brands to generate.
    #[arg(long, default_value_t = 5, conflicts_with = "input")]
    pub brands: u32,
    /// Days to generate.
    #[arg(long, default_value_t = 14, conflicts_with = "input")]
    pub days: u32,
    /// Seed of what is generated.
    #[arg(long, default_value_t = 1, conflicts_with = "input")]
    pub seed: u64,
    /// Share of each optional field and id that is missing, 0 to 1.
    #[arg(long, default_value_t = 0.02, conflicts_with = "input")]
    pub missing: f64,
    /// Also multiply each weight that rests on judgement by 0.5 and by 1.5, and compare the rankings of the brands.
    #[arg(long)]
    pub sensitivity: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// The evaluation cannot be made.
#[derive(Debug, thiserror::Error)]
enum EvaluateError {
    #[error("{} holds no labels; `trustline generate --mix story` plants some", path.display())]
    NoLabels { path: PathBuf },
    #[error("no folder for temporary files can be made")]
    Temporary { source: std::io::Error },
}

/// What was measured.
#[derive(Debug, Serialize)]
struct Report {
    patterns: BTreeMap<String, Row>,
    all: Row,
    /// Labels that were missed.
    missed: usize,
    /// Of these, missed in the same traffic with nothing missing too, by pattern; null where that is not known.
    missed_when_complete: Option<BTreeMap<String, u64>>,
    /// What the events behind the missed and the found labels lack.
    gaps: Vec<Gap>,
    /// Records of the input that were set aside.
    dead_letters: u64,
    sensitivity: Option<Sensitivity>,
}

#[derive(Debug, Serialize)]
struct Row {
    planted: u64,
    found: u64,
    moments: u64,
    right: u64,
    recall: Option<f64>,
    precision: Option<f64>,
    recall_when_complete: Option<f64>,
}

/// Traffic with labels, and what the pipeline made of it.
struct Measured {
    labels: Vec<Label>,
    outcome: Outcome,
    card: Scorecard,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the input cannot be read or has no labels, or a published score is not what
/// its counts give.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let key = configured_key(&config).map_err(Failure::usage)?.unwrap_or_else(PseudonymKey::test_key);
    let assembly = Assembly::new(config, key.clone());
    let (measured, gaps, complete) = match &args.input {
        Some(input) => {
            let measured = measure(input, &assembly, &key)?;
            let gaps = gaps(input, &measured.labels).map_err(Failure::usage)?;
            (measured, gaps, None)
        }
        None => {
            let folder = tempfile::tempdir()
                .map_err(|source| Failure::running(EvaluateError::Temporary { source }))?;
            let generated = |name: &str, missing: f64| {
                let input = folder.path().join(name);
                let Args { persons, brands, days, seed, .. } = *args;
                let params = Params { persons, brands, days, seed, missing, ..Params::default() };
                write_all(&input, &params, Format::Avro, 0.0, |_| {}).map_err(|error| match error {
                    WriteError::Params(_) => Failure::usage(error),
                    WriteError::File { .. } => Failure::running(error),
                })?;
                Ok::<_, Failure>((measure(&input, &assembly, &key)?, input))
            };
            let (measured, input) = generated("as-in-real-streams", args.missing)?;
            let gaps = gaps(&input, &measured.labels).map_err(Failure::running)?;
            let complete =
                (args.missing > 0.0).then(|| generated("complete", 0.0)).transpose()?.map(|(one, _)| one);
            (measured, gaps, complete)
        }
    };
    let sensitivity = match args.sensitivity {
        true => Some(Sensitivity::of(assembly.config(), &measured.outcome.score).map_err(Failure::running)?),
        false => None,
    };
    // The labels of complete traffic are the same; if ever not, nothing is claimed.
    let complete =
        complete.filter(|complete| complete.labels == measured.labels).map(|complete| complete.card);
    let report = report(&measured, &gaps, complete.as_ref(), sensitivity);
    if args.json { print_json(&report) } else { print(&text(&report, &measured.card, complete.as_ref())) }
}

fn measure(input: &Path, assembly: &Assembly, key: &PseudonymKey) -> Result<Measured, Failure> {
    let path = input.join("labels.jsonl");
    let mut labels: Vec<Label> = Vec::new();
    read(&path, |label| labels.push(label)).map_err(Failure::usage)?;
    if labels.is_empty() {
        return Err(Failure::usage(EvaluateError::NoLabels { path }));
    }
    let mut bar = Bar::new();
    let outcome = assembly.replay(false).run(input, &mut bar).map_err(Failure::usage)?;
    bar.done();
    let card = evaluate(&labels, &outcome.moments, |person| {
        key.pseudonym(PseudonymKind::Person, person.as_bytes()).to_string()
    });
    Ok(Measured { labels, outcome, card })
}

/// What the events behind the labels lack.
fn gaps(input: &Path, labels: &[Label]) -> Result<Gaps, InputError> {
    let mut gaps = Gaps::new(labels);
    let files = files::find(input)?;
    let steps: [fn(&mut Gaps, &RawEvent<'_>); 2] = [Gaps::learn, Gaps::look];
    for step in steps {
        for file in files.iter().filter(|file| file.topic.is_person_events()) {
            visit(file, |_, _, record| {
                if let Ok(RawRecord::Event(event)) = record {
                    step(&mut gaps, event);
                }
            })?;
        }
    }
    Ok(gaps)
}

fn report(
    measured: &Measured,
    gaps: &Gaps,
    complete: Option<&Scorecard>,
    sensitivity: Option<Sensitivity>,
) -> Report {
    let card = &measured.card;
    let row = |score: Score, complete: Option<Score>| Row {
        planted: score.planted,
        found: score.found,
        moments: score.moments,
        right: score.right,
        recall: score.recall(),
        precision: score.precision(),
        recall_when_complete: complete.and_then(|score| score.recall()),
    };
    let of_pattern = |(pattern, score): (&String, &Score)| {
        let complete = complete.and_then(|complete| complete.patterns.get(pattern)).copied();
        (pattern.clone(), row(*score, complete))
    };
    let missed_too = |complete: &Scorecard| {
        let mut by_pattern: BTreeMap<String, u64> = BTreeMap::new();
        for label in card.missed.iter().filter(|label| complete.missed.binary_search(label).is_ok()) {
            let pattern = measured.labels.get(*label).map(|label| label.pattern.clone());
            *by_pattern.entry(pattern.unwrap_or_default()).or_default() += 1;
        }
        by_pattern
    };
    Report {
        patterns: card.patterns.iter().map(of_pattern).collect(),
        all: row(card.total(), complete.map(Scorecard::total)),
        missed: card.missed.len(),
        missed_when_complete: complete.map(missed_too),
        gaps: gaps.report(&card.missed),
        dead_letters: measured.outcome.ledger.accounts.values().map(|account| account.dead_lettered).sum(),
        sensitivity,
    }
}

fn text(report: &Report, card: &Scorecard, complete: Option<&Scorecard>) -> String {
    let mut text = card.table(complete);
    if report.missed == 0 {
        text.push_str("\nNothing that was planted was missed.\n");
    } else {
        text.push_str(&format!("\n{} planted moments were missed.", report.missed));
        if let Some(too) = &report.missed_when_complete {
            let left: u64 = too.values().sum();
            text.push_str(&format!(
                " In the same traffic with no id or field missing all but {left} of them\nare found: what a stream does not say cannot be detected."
            ));
            if left > 0 {
                let too: Vec<String> =
                    too.iter().map(|(pattern, count)| format!("{pattern} {count}")).collect();
                text.push_str(&format!(" The others: {}.", too.join(", ")));
            }
        }
        if report.dead_letters > 0 {
            text.push_str(&format!(" {} damaged records were set aside.", report.dead_letters));
        }
        text.push_str("\nShare of the planted moments with an event, within 7 days before it or during it, that lacks\n");
        text.push_str(&format!("    {:<14} {:>8} {:>8}\n", "", "missed", "found"));
        for gap in &report.gaps {
            let (missed, found) = (gap.of_missed * 100.0, gap.of_found * 100.0);
            text.push_str(&format!("    {:<14} {missed:>6.1} % {found:>6.1} %\n", gap.field));
        }
    }
    if let Some(sensitivity) = &report.sensitivity {
        text.push('\n');
        text.push_str(&sensitivity.to_string());
    }
    text
}
