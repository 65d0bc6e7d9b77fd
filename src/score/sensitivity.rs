//! How much the ranking of the brands hangs on weights that rest on judgement.

use std::collections::BTreeMap;

use super::published::PublishedWindow;
use super::rules::ScoreRules;
use super::settings::WeightTable;
use crate::patterns::Pattern;

/// The weights of some patterns, multiplied.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The patterns.
    pub patterns: Vec<Pattern>,
    /// What their weights are multiplied by.
    pub factor: f64,
}

/// The brands in one window length, best first: mean trust over their windows with numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Ranking(pub Vec<(String, f64)>);

/// What a trial does to the ranking of one window length.
#[derive(Clone, Debug, PartialEq)]
pub struct Shift {
    /// Kendall's tau of the two rankings: 1 the same, −1 reversed.
    pub tau: f64,
    /// Brands that changed their rank: brand, rank before and after, from 1.
    pub moved: Vec<(String, usize, usize)>,
    /// Greatest change of a brand's mean trust, with its sign.
    pub change_max: f64,
}

/// A published trust score is not what its counts give.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error(
    "the trust of {brand} in the window {window} from {window_start} was published as {published}, but its counts give {recomputed:?}"
)]
pub struct NotReproduced {
    /// The brand.
    pub brand: String,
    /// Length of the window.
    pub window: String,
    /// Its start, milliseconds.
    pub window_start: i64,
    /// As published.
    pub published: f64,
    /// From the published counts.
    pub recomputed: Option<f64>,
}

/// Checks that the published counts give every published trust score again, to the last bit.
///
/// # Errors
/// The first one that they do not give.
pub fn reproduce(
    rules: &ScoreRules,
    weights: &WeightTable,
    windows: &[PublishedWindow<'_>],
) -> Result<(), NotReproduced> {
    for window in windows {
        let recomputed = window.recompute(rules, weights.of(&window.record.brand_id));
        let recomputed = recomputed.map(|trust| trust.value);
        if recomputed != Some(window.trust) {
            return Err(NotReproduced {
                brand: window.record.brand_id.clone(),
                window: window.record.window.clone(),
                window_start: window.record.window_start,
                published: window.trust,
                recomputed,
            });
        }
    }
    Ok(())
}

/// The rankings by window length under a trial.
pub fn rankings(
    rules: &ScoreRules,
    weights: &WeightTable,
    windows: &[PublishedWindow<'_>],
    trial: &Trial,
) -> BTreeMap<String, Ranking> {
    let mut sums: BTreeMap<&str, BTreeMap<&str, (f64, u32)>> = BTreeMap::new();
    for window in windows {
        let brand = window.record.brand_id.as_str();
        let mut tried = *weights.of(brand);
        for pattern in &trial.patterns {
            tried[pattern.index()] = tried[pattern.index()].map(|weight| weight * trial.factor);
        }
        let Some(trust) = window.recompute(rules, &tried) else { continue };
        let sum = sums.entry(&window.record.window).or_default().entry(brand).or_default();
        *sum = (sum.0 + trust.value, sum.1 + 1);
    }
    let ranked = |brands: BTreeMap<&str, (f64, u32)>| {
        let mean = |(brand, (sum, count)): (&str, (f64, u32))| (brand.to_owned(), sum / f64::from(count));
        let mut means: Vec<(String, f64)> = brands.into_iter().map(mean).collect();
        // Stable: ties stay in the order of the names.
        means.sort_by(|a, b| b.1.total_cmp(&a.1));
        Ranking(means)
    };
    sums.into_iter().map(|(window, brands)| (window.to_owned(), ranked(brands))).collect()
}

impl Ranking {
    /// What became of this ranking in another one of the same brands.
    pub fn shift(&self, after: &Ranking) -> Shift {
        let later: BTreeMap<&str, (usize, f64)> =
            (1..).zip(&after.0).map(|(rank, (brand, trust))| (brand.as_str(), (rank, *trust))).collect();
        let (mut moved, mut change_max) = (Vec::new(), 0.0_f64);
        let mut pairs = Vec::new();
        for (rank, (brand, trust)) in (1..).zip(&self.0) {
            let Some((later_rank, later_trust)) = later.get(brand.as_str()) else { continue };
            if *later_rank != rank {
                moved.push((brand.clone(), rank, *later_rank));
            }
            let change = later_trust - trust;
            if change.abs() > change_max.abs() {
                change_max = change;
            }
            pairs.push((*trust, *later_trust));
        }
        Shift { tau: kendall_tau(&pairs), moved, change_max }
    }
}

/// Kendall's tau: the share of pairs in the same order less that of pairs in reversed order. A pair that is
/// tied in both is in the same order, one that is tied in one only counts for neither.
fn kendall_tau(values: &[(f64, f64)]) -> f64 {
    let (mut sum, mut pairs) = (0.0, 0.0);
    for (index, a) in values.iter().enumerate() {
        for b in values.iter().skip(index + 1) {
            let (before, after) = (a.0.total_cmp(&b.0), a.1.total_cmp(&b.1));
            pairs += 1.0;
            if before == after {
                sum += 1.0;
            } else if before == after.reverse() {
                sum -= 1.0;
            }
        }
    }
    if pairs > 0.0 { sum / pairs } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ranking(brands: &[(&str, f64)]) -> Ranking {
        Ranking(brands.iter().map(|(brand, trust)| ((*brand).to_owned(), *trust)).collect())
    }

    #[test]
    fn a_shift_tells_ranks_tau_and_the_greatest_change() {
        let before = ranking(&[("a", 60.0), ("b", 50.0), ("c", 40.0)]);
        assert_eq!(before.shift(&before), Shift { tau: 1.0, moved: Vec::new(), change_max: 0.0 });
        let swapped = before.shift(&ranking(&[("a", 59.0), ("c", 52.0), ("b", 51.0)]));
        assert!((swapped.tau - 1.0 / 3.0).abs() < 1e-12);
        assert_eq!(swapped.moved, [("b".to_owned(), 2, 3), ("c".to_owned(), 3, 2)]);
        assert_eq!(swapped.change_max, 12.0);
        let reversed = before.shift(&ranking(&[("c", 3.0), ("b", 2.0), ("a", 1.0)]));
        assert_eq!((reversed.tau, reversed.change_max), (-1.0, -59.0));
    }

    #[test]
    fn ties_count_only_where_both_have_them() {
        assert_eq!(kendall_tau(&[(1.0, 5.0), (1.0, 5.0)]), 1.0);
        assert_eq!(kendall_tau(&[(1.0, 5.0), (1.0, 6.0)]), 0.0);
        assert_eq!(kendall_tau(&[]), 1.0);
    }
}
