//! The sensitivity run of `evaluate`.

use std::collections::BTreeSet;
use std::fmt;

use serde::Serialize;

use crate::config::{Config, rests_on_judgement};
use crate::fold::score::ScoreOut;
use crate::patterns::Pattern;
use crate::score::published::windows;
use crate::score::sensitivity::{NotReproduced, Shift, Trial, rankings, reproduce};
use crate::telemetry::terminal::visible;

/// What the weights are multiplied by.
const FACTORS: [f64; 2] = [0.5, 1.5];

/// How much the ranking of the brands hangs on judgement.
#[derive(Debug, Serialize)]
pub(super) struct Sensitivity {
    /// Windows whose published trust was computed again from their counts, to the last bit.
    reproduced: usize,
    /// By window length.
    lengths: Vec<Length>,
}

#[derive(Debug, Serialize)]
struct Length {
    window: String,
    /// Brands by mean trust as published, best first.
    ranking: Vec<Ranked>,
    trials: Vec<Outcome>,
}

#[derive(Debug, Serialize)]
struct Ranked {
    brand_id: String,
    mean_trust: f64,
}

#[derive(Debug, Serialize)]
struct Outcome {
    /// The pattern whose weights were multiplied; null for all that rest on judgement at once.
    pattern: Option<&'static str>,
    factor: f64,
    /// Kendall's tau against the published ranking.
    kendall_tau: f64,
    moved: Vec<Moved>,
    /// Greatest change of a brand's mean trust.
    change_max: f64,
}

#[derive(Debug, Serialize)]
struct Moved {
    brand_id: String,
    rank_before: usize,
    rank_after: usize,
}

impl Sensitivity {
    /// Scores what was published again under other weights.
    ///
    /// # Errors
    /// When the published counts do not give a published score.
    pub(super) fn of(config: &Config, score: &ScoreOut) -> Result<Sensitivity, NotReproduced> {
        let (rules, weights) = (&config.settings.score, config.weights());
        let windows = windows(&score.brand_trust, &score.pattern_trust);
        reproduce(rules, &weights, &windows)?;
        let ranked = |patterns: &[Pattern], factor| {
            rankings(rules, &weights, &windows, &Trial { patterns: patterns.to_vec(), factor })
        };
        let judged: Vec<Pattern> =
            Pattern::ALL.into_iter().filter(|pattern| rests_on_judgement(*pattern)).collect();
        let published = ranked(&[], 1.0);
        let mut lengths: Vec<Length> = published
            .iter()
            .map(|(window, ranking)| Length {
                window: window.clone(),
                ranking: ranking
                    .0
                    .iter()
                    .map(|(brand, trust)| Ranked { brand_id: brand.clone(), mean_trust: *trust })
                    .collect(),
                trials: Vec::new(),
            })
            .collect();
        let each = judged.iter().map(|pattern| (Some(pattern.name()), vec![*pattern]));
        for (name, patterns) in each.chain([(None, judged.clone())]) {
            for factor in FACTORS {
                let tried = ranked(&patterns, factor);
                for (length, (before, after)) in
                    lengths.iter_mut().zip(published.values().zip(tried.values()))
                {
                    length.trials.push(Outcome::of(name, factor, before.shift(after)));
                }
            }
        }
        Ok(Sensitivity { reproduced: windows.len(), lengths })
    }
}

impl Outcome {
    fn of(pattern: Option<&'static str>, factor: f64, shift: Shift) -> Outcome {
        let moved = |(brand_id, rank_before, rank_after)| Moved { brand_id, rank_before, rank_after };
        Outcome {
            pattern,
            factor,
            kendall_tau: shift.tau,
            moved: shift.moved.into_iter().map(moved).collect(),
            change_max: shift.change_max,
        }
    }
}

impl fmt::Display for Sensitivity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "Sensitivity: does the ranking of the brands, by mean trust over their windows, hang on weights that rest on\n\
             judgement? The published counts gave all {} published scores again, to the last bit.",
            self.reproduced
        )?;
        for length in &self.lengths {
            let brands = length.ranking.iter();
            let brands: Vec<String> =
                brands.map(|one| format!("{} {:.1}", visible(&one.brand_id), one.mean_trust)).collect();
            writeln!(f, "\n{}: {}", length.window, brands.join(", "))?;
            writeln!(
                f,
                "    {:<28} {:>6} {:>6} {:>15}  ranks that changed",
                "weights of", "factor", "tau", "greatest change"
            )?;
            let mut without = BTreeSet::new();
            for trial in &length.trials {
                let name = trial.pattern.unwrap_or("all of these at once");
                if trial.change_max == 0.0 {
                    without.insert(name);
                    continue;
                }
                let moved = trial.moved.iter();
                let moved: Vec<String> = moved
                    .map(|one| {
                        format!("{} {} to {}", visible(&one.brand_id), one.rank_before, one.rank_after)
                    })
                    .collect();
                writeln!(
                    f,
                    "    {name:<28} {:>6} {:>6.2} {:>+15.2}  {}",
                    trial.factor,
                    trial.kendall_tau,
                    trial.change_max,
                    if moved.is_empty() { "none".to_owned() } else { moved.join(", ") }
                )?;
            }
            if !without.is_empty() {
                let without: Vec<&str> = without.into_iter().collect();
                writeln!(f, "    in no score, too few people at risk: {}", without.join(", "))?;
            }
        }
        Ok(())
    }
}
