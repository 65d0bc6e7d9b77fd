//! The output files of a replay, in a stated order, so that two runs are byte-identical.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use crate::patterns::Pattern;
use crate::time::WindowLength;

use super::Outcome;

/// An output cannot be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}", path.display())]
pub struct OutputError {
    /// The file or folder.
    pub path: PathBuf,
    /// Why.
    pub source: io::Error,
}

/// Writes all outputs into a folder, which is made if it is not there.
///
/// # Errors
/// When the folder or a file cannot be written.
pub fn write_all(outcome: &mut Outcome, folder: &Path) -> Result<(), OutputError> {
    let failed = |path: &Path, source| OutputError { path: path.to_owned(), source };
    std::fs::create_dir_all(folder).map_err(|source| failed(folder, source))?;
    sort(outcome);
    let file = |name: &str, lines: &mut dyn Iterator<Item = serde_json::Result<String>>| {
        let path = folder.join(name);
        write_lines(&path, lines).map_err(|source| failed(&path, source))
    };
    file("moments.jsonl", &mut json(&outcome.moments))?;
    file("brand-trust.jsonl", &mut json(&outcome.score.brand_trust))?;
    file("pattern-trust.jsonl", &mut json(&outcome.score.pattern_trust))?;
    file("alerts.jsonl", &mut json(&outcome.score.alerts))?;
    file("dead-letters.jsonl", &mut outcome.aside.dead_lines())?;
    file("late-events.jsonl", &mut outcome.aside.late_lines())?;
    file("ledger.json", &mut std::iter::once(serde_json::to_string_pretty(&outcome.ledger)))
}

fn json<T: Serialize>(records: &[T]) -> impl Iterator<Item = serde_json::Result<String>> + '_ {
    records.iter().map(serde_json::to_string)
}

fn write_lines(path: &Path, lines: &mut dyn Iterator<Item = serde_json::Result<String>>) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    for line in lines {
        file.write_all(line?.as_bytes())?;
        file.write_all(b"\n")?;
    }
    file.into_inner()?.sync_all()
}

/// By event time or window end, brand, pattern or window length, person, anchor, revision.
fn sort(outcome: &mut Outcome) {
    outcome.moments.sort_by(|a, b| moment_key(a).cmp(&moment_key(b)));
    outcome.score.brand_trust.sort_by(|a, b| window_key(a).cmp(&window_key(b)));
    outcome.score.pattern_trust.sort_by(|a, b| pattern_key(a).cmp(&pattern_key(b)));
    outcome.score.alerts.sort_by(|a, b| alert_key(a).cmp(&alert_key(b)));
}

fn moment_key(moment: &TrustMoment) -> (i64, &str, usize, &str, Option<&str>, i64, i32) {
    (
        moment.event_time,
        &moment.brand_id,
        rank(&moment.pattern),
        &moment.person,
        moment.anchor.as_deref(),
        moment.opened_time,
        moment.revision,
    )
}

fn window_key(record: &BrandTrust) -> (i64, &str, i64, i32) {
    (record.window_end, &record.brand_id, length(&record.window), record.revision)
}

fn pattern_key(record: &PatternTrust) -> (i64, &str, i64, usize, i32) {
    (record.window_end, &record.brand_id, length(&record.window), rank(&record.pattern), record.revision)
}

fn alert_key(alert: &TrustAlert) -> (i64, Option<&str>, Option<i64>, &str, &str, &str) {
    let window = alert.window.as_deref().map(length);
    (alert.at, alert.brand_id.as_deref(), window, &alert.kind, &alert.alert_id, &alert.state)
}

fn rank(pattern: &str) -> usize {
    Pattern::ALL.iter().position(|known| known.name() == pattern).unwrap_or(Pattern::COUNT)
}

fn length(window: &str) -> i64 {
    WindowLength::parse(window).map_or(0, WindowLength::ms)
}
