//! `generate`: labelled synthetic traffic as files.

use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};

use crate::cli::{Failure, tell};
use crate::synth::write::{Format, WriteError, write_all};
use crate::synth::{Mix, Params};

/// Write labelled synthetic traffic.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder for one file per topic and `labels.jsonl`.
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Seed: the same one gives the same bytes.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// People.
    #[arg(long, default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..=1_000_000_000))]
    pub persons: u64,
    /// Brands.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub brands: u32,
    /// Days of event time.
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub days: u32,
    /// Form of the files.
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
    /// Share of the events that arrive late, twice or damaged, 0 to 1.
    #[arg(long, default_value_t = 0.0, value_parser = share)]
    pub dirt: f64,
    /// Share of each optional field and id that is missing, 0 to 1.
    #[arg(long, default_value_t = 0.02, value_parser = share)]
    pub missing: f64,
    /// Proportions: `story` with planted moments, `bench` for measuring.
    #[arg(long, value_enum, default_value_t = Mix::Story)]
    pub mix: Mix,
    /// Planted moments of each pattern [default: one for 250 people, at least 4].
    #[arg(long)]
    pub planted: Option<u32>,
}

/// Writes the files.
///
/// # Errors
/// When the numbers make no sense or a file cannot be written.
pub fn run(args: &Args) -> Result<(), Failure> {
    let params = Params {
        seed: args.seed,
        persons: args.persons,
        brands: args.brands,
        days: args.days,
        mix: args.mix,
        missing: args.missing,
        planted: args.planted,
        ..Params::default()
    };
    // Hidden unless standard error is a terminal.
    let bar = ProgressBar::new(1_000);
    if let Ok(style) = ProgressStyle::with_template("{wide_bar} {percent} % {eta}") {
        bar.set_style(style);
    }
    let outcome = write_all(&args.out, &params, args.format, args.dirt, |done| {
        bar.set_position((done * 1_000.0) as u64);
    });
    bar.finish_and_clear();
    let written = outcome.map_err(|error| match error {
        WriteError::Params(_) => Failure::usage(error),
        WriteError::File { .. } => Failure::running(error),
    })?;
    tell(&format!("{} records, {} labels in {}", written.records, written.labels, args.out.display()));
    Ok(())
}

fn share(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("a number from 0 to 1".to_owned()),
    }
}
