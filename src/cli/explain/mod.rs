//! `trustline explain`: why a brand's score is what it is, from the output of `replay`.

mod text;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::out::{print, print_json};
use super::{Failure, config};
use crate::config::{Config, source};
use crate::driver::outputs::{BrandOutputs, ReadError};
use crate::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use crate::patterns::Pattern;
use crate::patterns::rules::Rules;
use crate::score::rules::ScoreRules;
use crate::score::trust::{PatternWeights, experience_score, trust_score};
use crate::telemetry::terminal::visible;
use crate::time::WindowLength;

/// Options of `explain`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The brand, as the events name it.
    pub brand: String,
    /// Output folder of `replay`; the present folder unless told otherwise.
    #[arg(long, value_name = "OUTPUT_DIR", default_value = ".")]
    pub from: PathBuf,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// How many examples a pattern gets.
const EXAMPLES: usize = 2;
/// How many other brands are named when one is not known.
const NEAREST: usize = 3;
/// A published score and the same from its published parts differ by rounding only.
const SAME: f64 = 1e-6;

/// The folder does not hold what `replay` writes.
#[derive(Debug, thiserror::Error)]
#[error("{} is no output folder of `trustline replay`; name one with --from", folder.display())]
struct NoOutputs {
    folder: PathBuf,
    source: ReadError,
}

/// Nothing is known of a brand.
#[derive(Debug, thiserror::Error)]
#[error("{} knows nothing of the brand {brand:?}; {}", folder.display(), near(nearest))]
struct UnknownBrand {
    folder: PathBuf,
    brand: String,
    nearest: Vec<String>,
}

fn near(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return "it names no brand at all".to_owned();
    }
    let nearest: Vec<String> = nearest.iter().map(|brand| visible(brand)).collect();
    format!("the nearest that it knows: {}", nearest.join(", "))
}

/// Why a brand's score is what it is.
#[derive(Debug, Serialize)]
struct Explanation {
    brand_id: String,
    /// Hash of the configuration that the windows were scored under.
    config_hash: Option<String>,
    /// Whether that is the configuration given here, which the sources of the weights are of.
    same_configuration: bool,
    /// The newest window with numbers of each length, longest first.
    windows: Vec<Window>,
    /// Windows of any length without numbers, because too few people were reached.
    windows_without_numbers: usize,
    /// Alerts of the brand and of the pipeline, each in its last state, open ones first.
    alerts: Vec<TrustAlert>,
    /// Moments that were not retracted, by pattern.
    moments: BTreeMap<String, u64>,
    /// Newest examples of the patterns that pull most. Nothing in them names a person.
    examples: Vec<Example>,
}

/// A window and what made its score.
#[derive(Debug, Serialize)]
struct Window {
    #[serde(flatten)]
    record: BrandTrust,
    /// Newer windows of this length without numbers, because too few people were reached.
    newer_without_numbers: usize,
    /// Points of trust that the brand layer takes.
    brand_layer_pull: Option<f64>,
    /// The patterns, strongest pull first, then those that were not evaluated.
    patterns: Vec<Part>,
}

/// A pattern's part in a window.
#[derive(Debug, Serialize)]
struct Part {
    pattern: String,
    evaluated: bool,
    /// Points of trust that would be missing without it. They do not add up: the score flattens at its ends.
    pull: Option<f64>,
    /// Contribution per 1,000 people reached.
    contribution: f64,
    weight: Option<f64>,
    /// Where the weights come from.
    weight_source: String,
    incidence: Option<f64>,
    incidence_low: Option<f64>,
    incidence_high: Option<f64>,
    at_risk: Option<i64>,
    /// People affected, by highest severity.
    affected: Option<[i64; 3]>,
}

/// A moment without person, anchor and opening event.
#[derive(Debug, Serialize)]
struct Example {
    pattern: String,
    severity: i32,
    weight: f64,
    event_time: i64,
    explanation: String,
    evidence: serde_json::Value,
}

/// Runs the command.
///
/// # Errors
/// When the configuration is wrong, the folder cannot be read, or it does not know the brand.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let config = config::load(file)?;
    let outputs = BrandOutputs::read(&args.from, &args.brand)
        .map_err(|source| Failure::usage(NoOutputs { folder: args.from.clone(), source }))?;
    if !outputs.brands.contains(&args.brand) {
        let nearest = nearest(&args.brand, outputs.brands);
        let (folder, brand) = (args.from.clone(), args.brand.clone());
        return Err(Failure::usage(UnknownBrand { folder, brand, nearest }));
    }
    let explanation = explain(&args.brand, outputs, &config);
    if args.json { print_json(&explanation) } else { print(&text::of(&explanation)) }
}

/// The known names most like this one, the likest first.
fn nearest(brand: &str, known: impl IntoIterator<Item = String>) -> Vec<String> {
    let wanted = brand.to_lowercase();
    let likeness = |name: &String| strsim::normalized_damerau_levenshtein(&wanted, &name.to_lowercase());
    let mut known: Vec<(f64, String)> = known.into_iter().map(|name| (likeness(&name), name)).collect();
    known.sort_by(|a, b| b.0.total_cmp(&a.0));
    known.into_iter().map(|(_, name)| name).take(NEAREST).collect()
}

fn explain(brand: &str, outputs: BrandOutputs, config: &Config) -> Explanation {
    let (rules, table) = (&config.settings.score, config.weights());
    let weights = table.of(brand);
    let windows_without_numbers = outputs.windows.iter().filter(|window| window.trust.is_none()).count();
    let mut newest: BTreeMap<WindowLength, (BrandTrust, usize)> = BTreeMap::new();
    for record in outputs.windows {
        let Some(length) = WindowLength::parse(&record.window) else { continue };
        if record.trust.is_some() {
            newest.insert(length, (record, 0));
        } else if let Some((_, without)) = newest.get_mut(&length) {
            *without += 1;
        }
    }
    let window = |(length, (record, without)): (WindowLength, (BrandTrust, usize))| {
        let of_window = |pattern: &&PatternTrust| {
            (&pattern.window, pattern.window_start) == (&record.window, record.window_start)
        };
        let patterns: Vec<&PatternTrust> = outputs.patterns.iter().filter(of_window).collect();
        explain_window(rules, weights, length, record, without, &patterns)
    };
    let windows: Vec<Window> = newest.into_iter().rev().map(window).collect();
    let standing = standing(outputs.moments);
    let mut moments: BTreeMap<String, u64> = BTreeMap::new();
    for moment in &standing {
        *moments.entry(moment.pattern.clone()).or_default() += 1;
    }
    let config_hash = windows.first().map(|window| window.record.config_hash.clone());
    Explanation {
        brand_id: brand.to_owned(),
        same_configuration: config_hash.as_ref().is_none_or(|hash| *hash == config.hash().to_string()),
        config_hash,
        windows_without_numbers,
        alerts: last_states(outputs.alerts),
        moments,
        examples: examples(&windows, &standing),
        windows,
    }
}

/// Where the weights of a pattern come from.
fn weight_source(name: &str, weights: &PatternWeights) -> String {
    let Some(pattern) = Pattern::ALL.into_iter().find(|pattern| pattern.name() == name) else {
        return String::new();
    };
    if weights[pattern.index()] == Rules::default().weights(pattern) {
        source(pattern).to_owned()
    } else {
        format!("Set by the configuration. The default: {}", source(pattern))
    }
}

fn explain_window(
    rules: &ScoreRules,
    weights: &PatternWeights,
    length: WindowLength,
    record: BrandTrust,
    newer_without_numbers: usize,
    patterns: &[&PatternTrust],
) -> Window {
    // Without a pattern: the same score from the rest of the net contribution.
    let (net, variance) = (record.net.unwrap_or(0.0), record.net_variance.unwrap_or(0.0));
    let experience = |net: f64| experience_score(net, variance, rules.scale(length));
    let trust = |net: f64| trust_score(experience(net), record.brand_layer, rules.brand_exponent).value;
    let published = record.trust.unwrap_or(0.0);
    // Under other constants than those of the run nothing can be said of it.
    let is_same = (trust(net) - published).abs() < SAME;
    let part = |pattern: &&PatternTrust| Part {
        pattern: pattern.pattern.clone(),
        evaluated: pattern.evaluated,
        pull: (is_same && pattern.evaluated).then(|| published - trust(net - pattern.contribution)),
        contribution: pattern.contribution,
        weight: pattern.weight,
        weight_source: weight_source(&pattern.pattern, weights),
        incidence: pattern.incidence,
        incidence_low: pattern.incidence_low,
        incidence_high: pattern.incidence_high,
        at_risk: pattern.at_risk,
        affected: pattern
            .affected_1
            .zip(pattern.affected_2)
            .zip(pattern.affected_3)
            .map(|((a, b), c)| [a, b, c]),
    };
    let mut patterns: Vec<Part> = patterns.iter().map(part).collect();
    patterns.sort_by(|a, b| {
        let strength = |part: &Part| (part.evaluated, part.contribution.abs());
        let (a, b) = (strength(a), strength(b));
        b.0.cmp(&a.0).then(b.1.total_cmp(&a.1))
    });
    let brand_layer_pull = record.trust.zip(record.experience).map(|(trust, experience)| trust - experience);
    Window { record, newer_without_numbers, brand_layer_pull, patterns }
}

/// The newest revision of every moment that was not retracted, newest first.
fn standing(moments: Vec<TrustMoment>) -> Vec<TrustMoment> {
    let mut newest: BTreeMap<String, TrustMoment> = BTreeMap::new();
    for moment in moments {
        let known = newest.get(&moment.moment_id).is_some_and(|known| known.revision > moment.revision);
        if !known {
            newest.insert(moment.moment_id.clone(), moment);
        }
    }
    let mut standing: Vec<TrustMoment> =
        newest.into_values().filter(|moment| moment.status != "RETRACTED").collect();
    standing.sort_by_key(|moment| std::cmp::Reverse(moment.event_time));
    standing
}

/// Each alert in its last state, open ones first, then the newest.
fn last_states(alerts: Vec<TrustAlert>) -> Vec<TrustAlert> {
    let mut last: BTreeMap<String, TrustAlert> = BTreeMap::new();
    for alert in alerts {
        // The file is in the order of time.
        last.insert(alert.alert_id.clone(), alert);
    }
    let mut alerts: Vec<TrustAlert> = last.into_values().collect();
    alerts.sort_by_key(|alert| (alert.state != "OPEN", std::cmp::Reverse(alert.at)));
    alerts
}

/// The newest moments of each pattern: those of the first window by its order, then the others.
fn examples(windows: &[Window], standing: &[TrustMoment]) -> Vec<Example> {
    let by_pull = windows.first().map(|window| &window.patterns[..]).unwrap_or_default();
    let rank = |pattern: &str| by_pull.iter().position(|part| part.pattern == pattern).unwrap_or(usize::MAX);
    let mut by_pattern: BTreeMap<(usize, &str), Vec<Example>> = BTreeMap::new();
    for moment in standing {
        let shown = by_pattern.entry((rank(&moment.pattern), &moment.pattern)).or_default();
        if shown.len() < EXAMPLES {
            shown.push(Example {
                pattern: moment.pattern.clone(),
                severity: moment.severity,
                weight: moment.weight,
                event_time: moment.event_time,
                explanation: moment.explanation.clone(),
                evidence: serde_json::from_str(&moment.evidence).unwrap_or_default(),
            });
        }
    }
    by_pattern.into_values().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_likest_names_come_first_whatever_their_case() {
        let known = ["acme", "Acne", "zebra", "acme.example"].map(str::to_owned);
        assert_eq!(nearest("ACME", known), ["acme", "Acne", "acme.example"]);
    }
}
