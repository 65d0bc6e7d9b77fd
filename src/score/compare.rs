//! Two scorings of the same traffic, brand by brand.

use std::collections::{BTreeMap, HashMap};

use serde::Serialize;

use crate::event::output::{BrandTrust, PatternTrust};

/// Means over windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct MeanTrust {
    /// Trust score.
    pub trust: f64,
    /// Lower ends of the intervals.
    pub trust_low: f64,
    /// Upper ends of the intervals.
    pub trust_high: f64,
    /// Brand layer.
    pub brand_layer: f64,
}

impl MeanTrust {
    fn add(&mut self, record: &BrandTrust, trust: f64) {
        self.trust += trust;
        self.trust_low += record.trust_low.unwrap_or(trust);
        self.trust_high += record.trust_high.unwrap_or(trust);
        self.brand_layer += record.brand_layer;
    }

    fn over(self, windows: u64) -> MeanTrust {
        let mean = |sum: f64| sum / windows as f64;
        MeanTrust {
            trust: mean(self.trust),
            trust_low: mean(self.trust_low),
            trust_high: mean(self.trust_high),
            brand_layer: mean(self.brand_layer),
        }
    }
}

/// How differently two scorings see one brand in one window length.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Difference {
    /// The brand.
    pub brand_id: String,
    /// Length of the windows.
    pub window: String,
    /// Windows that both scored: the only ones that are compared.
    pub windows: u64,
    /// Windows that only the first scored.
    pub only_before: u64,
    /// Windows that only the second scored.
    pub only_after: u64,
    /// The first, over the windows of both; null where there are none.
    pub before: Option<MeanTrust>,
    /// The second.
    pub after: Option<MeanTrust>,
    /// Change of the mean trust.
    pub change: Option<f64>,
    /// Patterns whose mean contribution per 1,000 people changed, the greatest change first.
    pub moved_by: Vec<Moved>,
}

/// A pattern that changed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Moved {
    /// Name of the pattern.
    pub pattern: String,
    /// Change of its mean contribution per 1,000 people.
    pub change: f64,
}

/// One scoring: its windows and their patterns.
pub type Scoring<'a> = (&'a [BrandTrust], &'a [PatternTrust]);

/// Contributions that differ by no more are the same but for rounding.
const CHANGE_MIN: f64 = 1e-9;

type WindowKey<'a> = (&'a str, &'a str, i64);

/// Compares two scorings by brand and window length. A window counts where both gave it a score.
pub fn compare(before: Scoring<'_>, after: Scoring<'_>) -> Vec<Difference> {
    let (first, second) = (scored(before.0), scored(after.0));
    let mut found: BTreeMap<(&str, &str), (Difference, MeanTrust, MeanTrust)> = BTreeMap::new();
    for (key, (record, trust)) in &first {
        let (difference, sum, other_sum) = found.entry((key.0, key.1)).or_default();
        match second.get(key) {
            Some((other, other_trust)) => {
                difference.windows += 1;
                sum.add(record, *trust);
                other_sum.add(other, *other_trust);
            }
            None => difference.only_before += 1,
        }
    }
    for key in second.keys().filter(|key| !first.contains_key(*key)) {
        found.entry((key.0, key.1)).or_default().0.only_after += 1;
    }
    let both = |key: &WindowKey<'_>| first.contains_key(key) && second.contains_key(key);
    let mut moved: HashMap<(&str, &str), BTreeMap<&str, f64>> = HashMap::new();
    for (records, sign) in [(before.1, -1.0), (after.1, 1.0)] {
        for record in records {
            let key = (record.brand_id.as_str(), record.window.as_str(), record.window_start);
            if both(&key) {
                let patterns = moved.entry((key.0, key.1)).or_default();
                *patterns.entry(&record.pattern).or_default() += sign * record.contribution;
            }
        }
    }
    let mut differences = Vec::new();
    for ((brand, window), (difference, sum, other_sum)) in found {
        let windows = difference.windows;
        let means = (windows > 0).then(|| (sum.over(windows), other_sum.over(windows)));
        differences.push(Difference {
            brand_id: brand.to_owned(),
            window: window.to_owned(),
            before: means.map(|(before, _)| before),
            after: means.map(|(_, after)| after),
            change: means.map(|(before, after)| after.trust - before.trust),
            moved_by: movers(moved.remove(&(brand, window)).unwrap_or_default(), windows),
            ..difference
        });
    }
    differences
}

/// The windows with a score, and their trust. In order, so that sums are the same bits in every run.
fn scored(records: &[BrandTrust]) -> BTreeMap<WindowKey<'_>, (&BrandTrust, f64)> {
    let with_key = |record| -> Option<(WindowKey<'_>, (&BrandTrust, f64))> {
        let record: &BrandTrust = record;
        Some(((&record.brand_id, &record.window, record.window_start), (record, record.trust?)))
    };
    records.iter().filter_map(with_key).collect()
}

fn movers(changes: BTreeMap<&str, f64>, windows: u64) -> Vec<Moved> {
    let mean =
        |(pattern, sum): (&str, f64)| Moved { pattern: pattern.to_owned(), change: sum / windows as f64 };
    let mut moved: Vec<Moved> =
        changes.into_iter().map(mean).filter(|moved| moved.change.abs() > CHANGE_MIN).collect();
    moved.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()));
    moved
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn window(brand: &str, start: i64, trust: Option<f64>) -> BrandTrust {
        serde_json::from_value(json!({"brand_id": brand, "window_start": start, "window_end": start + 1,
            "window": "1h", "status": "FINAL", "revision": 1, "brand_layer": 100.0, "completeness": 1.0, "late": 0,
            "dead_lettered": 0, "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c",
            "trust": trust, "trust_low": trust.map(|t| t - 5.0), "trust_high": trust.map(|t| t + 5.0)}))
        .unwrap()
    }

    fn pattern(name: &str, start: i64, contribution: f64) -> PatternTrust {
        serde_json::from_value(json!({"brand_id": "a", "window_start": start, "window_end": start + 1,
            "window": "1h", "status": "FINAL", "revision": 1, "pattern": name, "evaluated": true,
            "contribution": contribution, "config_hash": "c"}))
        .unwrap()
    }

    #[test]
    fn only_windows_that_both_scored_are_compared() {
        let before = [window("a", 0, Some(50.0)), window("a", 1, Some(40.0)), window("a", 2, Some(9.0))];
        let after = [window("a", 0, Some(44.0)), window("a", 1, Some(42.0)), window("a", 2, None)];
        let was =
            [pattern("x", 0, -1.0), pattern("x", 1, -1.0), pattern("y", 1, 1.0), pattern("x", 2, -99.0)];
        let is = [pattern("x", 0, -4.0), pattern("x", 1, -2.0), pattern("y", 1, 1.0)];
        let differences = compare((&before, &was), (&after, &is));
        assert_eq!(differences.len(), 1);
        let found = &differences[0];
        assert_eq!((found.windows, found.only_before, found.only_after), (2, 1, 0));
        let (mean, other) = (found.before.unwrap(), found.after.unwrap());
        assert_eq!((mean.trust, mean.trust_low, mean.trust_high), (45.0, 40.0, 50.0));
        assert_eq!((other.trust, found.change), (43.0, Some(-2.0)));
        assert_eq!(found.moved_by, [Moved { pattern: "x".to_owned(), change: -2.0 }]);
    }

    #[test]
    fn brands_with_nothing_in_common_have_no_numbers() {
        let differences = compare((&[window("a", 0, Some(1.0))], &[]), (&[window("b", 0, Some(2.0))], &[]));
        let summary: Vec<_> = differences
            .iter()
            .map(|d| (d.brand_id.as_str(), d.only_before, d.only_after, d.change))
            .collect();
        assert_eq!(summary, [("a", 1, 0, None), ("b", 0, 1, None)]);
    }
}
