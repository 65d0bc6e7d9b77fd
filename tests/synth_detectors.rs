//! The detectors held against what the generator planted, through the commands themselves.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;
use std::process::Command;

use trustline::event::output::{BrandTrust, TrustMoment};
use trustline::identity::{PseudonymKey, PseudonymKind};
use trustline::synth::{Generator, Label, Params, Scorecard, evaluate};

const SEED: u64 = 21;
const PERSONS: u64 = 4_000;
const BRANDS: u32 = 3;
const DAYS: u32 = 12;

fn trustline(args: &[&str]) {
    let done = Command::new(env!("CARGO_BIN_EXE_trustline")).args(args).output().unwrap();
    assert!(done.status.success(), "{args:?}: {}", String::from_utf8_lossy(&done.stderr));
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Vec<T> {
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn scorecard(folder: &Path, missing: &str, dirt: &str) -> Scorecard {
    let (input, output) = (folder.join("in"), folder.join("out"));
    let (input, output) = (input.to_str().unwrap(), output.to_str().unwrap());
    let [seed, persons, brands, days] =
        [SEED, PERSONS, u64::from(BRANDS), u64::from(DAYS)].map(|number| number.to_string());
    trustline(&[
        "generate",
        "--out",
        input,
        "--seed",
        &seed,
        "--persons",
        &persons,
        "--brands",
        &brands,
        "--days",
        &days,
        "--missing",
        missing,
        "--dirt",
        dirt,
    ]);
    trustline(&["replay", input, "--out", output]);
    let labels: Vec<Label> = read(&folder.join("in/labels.jsonl"));
    let moments: Vec<TrustMoment> = read(&folder.join("out/moments.jsonl"));
    let key = PseudonymKey::test_key();
    evaluate(&labels, &moments, |person| key.pseudonym(PseudonymKind::Person, person.as_bytes()).to_string())
}

#[test]
fn without_dirt_every_detector_finds_what_was_planted_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    let card = scorecard(folder.path(), "0", "0");
    println!("{card}");
    assert_eq!(card.patterns.len(), 14);
    for (pattern, score) in &card.patterns {
        assert!(score.planted >= 16, "{pattern}: {score:?}");
        assert!(score.recall() >= Some(0.97), "{pattern}: {score:?}");
        assert!(score.precision() >= Some(0.97), "{pattern}: {score:?}");
    }
    the_campaign_is_seen(folder.path());
}

/// The hours after the campaign turned bad score lower than those before it, for its brand only.
fn the_campaign_is_seen(folder: &Path) {
    let params = Params { seed: SEED, persons: PERSONS, brands: BRANDS, days: DAYS, ..Params::default() };
    let story = Generator::new(&params).unwrap().story().unwrap().clone();
    let windows: Vec<BrandTrust> = read(&folder.join("out/brand-trust.jsonl"));
    let mean = |brand: &dyn Fn(&str) -> bool, bad: bool| {
        let of = |window: &&BrandTrust| {
            window.window == "1h" && brand(&window.brand_id) && (window.window_start >= story.since.0) == bad
        };
        let scores: Vec<f64> = windows.iter().filter(of).filter_map(|window| window.experience).collect();
        assert!(scores.len() > 10, "{}", scores.len());
        scores.iter().sum::<f64>() / scores.len() as f64
    };
    let mine = |id: &str| id == story.brand_id;
    let others = |id: &str| id != story.brand_id;
    let (fell, moved) = (mean(&mine, false) - mean(&mine, true), mean(&others, false) - mean(&others, true));
    assert!(fell > 10.0, "the score fell by {fell} only");
    assert!(moved.abs() < 5.0, "the others moved by {moved}");
}

#[test]
fn dirt_and_missing_fields_cost_recall_but_little_precision() {
    let folder = tempfile::tempdir().unwrap();
    let card = scorecard(folder.path(), "0.03", "0.02");
    println!("{card}");
    let (mut moments, mut right) = (0, 0);
    for (pattern, score) in &card.patterns {
        assert!(score.recall() >= Some(0.75), "{pattern}: {score:?}");
        // Where little is planted, a few page views that lost their person weigh much.
        assert!(score.precision() >= Some(0.70), "{pattern}: {score:?}");
        moments += score.moments;
        right += score.right;
    }
    assert!(right as f64 > 0.95 * moments as f64, "{right} of {moments}");
}
