//! How good the detectors are: found moments held against the labels.

use std::collections::{BTreeMap, HashMap};
use std::fmt;

use crate::event::output::TrustMoment;
use crate::time::DAY_MS;

use super::label::Label;

/// What became of one pattern.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Score {
    /// Labels.
    pub planted: u64,
    /// Labels with a moment.
    pub found: u64,
    /// Moments, retracted ones left out.
    pub moments: u64,
    /// Moments with a label.
    pub right: u64,
}

impl Score {
    /// Share of the moments that were planted; `None` without moments.
    pub fn precision(&self) -> Option<f64> {
        share(self.right, self.moments)
    }

    /// Share of the planted that was found; `None` where nothing was planted.
    pub fn recall(&self) -> Option<f64> {
        share(self.found, self.planted)
    }
}

/// Precision and recall of every pattern that was planted or found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scorecard {
    /// By name of pattern.
    pub patterns: BTreeMap<String, Score>,
    /// Labels without a moment, by their position.
    pub missed: Vec<usize>,
}

/// Holds moments against labels. A moment lasts a day from its opening; it matches a label of the same
/// brand, person and pattern when the two overlap in time. `pseudonym` turns a label's person id into
/// what the moments call that person.
pub fn evaluate<'a>(
    labels: &[Label],
    moments: impl IntoIterator<Item = &'a TrustMoment>,
    pseudonym: impl Fn(&str) -> String,
) -> Scorecard {
    let mut found: HashMap<Key, Vec<i64>> = HashMap::new();
    for (key, opened) in standing(moments) {
        found.entry(key).or_default().push(opened);
    }
    let mut planted: HashMap<Key, Vec<(i64, i64)>> = HashMap::new();
    let mut card = Scorecard::default();
    for (index, label) in labels.iter().enumerate() {
        let person = pseudonym(&label.person_id);
        let key = (label.brand_id.clone(), person, label.pattern.clone());
        let hit = found
            .get(&key)
            .is_some_and(|opened| opened.iter().any(|opened| overlap(*opened, label.time, label.until)));
        let score = card.patterns.entry(label.pattern.clone()).or_default();
        score.planted += 1;
        score.found += u64::from(hit);
        if !hit {
            card.missed.push(index);
        }
        planted.entry(key).or_default().push((label.time, label.until));
    }
    for (key, opened) in &found {
        let spans = planted.get(key).map_or(&[][..], Vec::as_slice);
        let right = opened.iter().filter(|opened| spans.iter().any(|span| overlap(**opened, span.0, span.1)));
        let score = card.patterns.entry(key.2.clone()).or_default();
        score.moments += opened.len() as u64;
        score.right += right.count() as u64;
    }
    card
}

impl Scorecard {
    /// The scorecard as a table, beside the recall of another one for the same labels, if there is one.
    pub fn table(&self, complete: Option<&Scorecard>) -> String {
        let percent =
            |share: Option<f64>| share.map_or("–".to_owned(), |share| format!("{:.1} %", share * 100.0));
        let row = |name: &str, score: &Score, complete: Option<&Score>| {
            let other = complete.map(|score| format!(" {:>17}", percent(score.recall())));
            format!(
                "{name:<30} {:>8} {:>8} {:>8} {:>10} {:>10}{}\n",
                score.planted,
                score.found,
                score.moments,
                percent(score.recall()),
                percent(score.precision()),
                other.unwrap_or_default()
            )
        };
        let mut text = format!(
            "{:<30} {:>8} {:>8} {:>8} {:>10} {:>10}{}\n",
            "pattern",
            "planted",
            "found",
            "moments",
            "recall",
            "precision",
            if complete.is_some() { "  recall, complete" } else { "" }
        );
        for (pattern, score) in &self.patterns {
            let other = complete.map(|other| other.patterns.get(pattern).copied().unwrap_or_default());
            text.push_str(&row(pattern, score, other.as_ref()));
        }
        text.push_str(&row("all", &self.total(), complete.map(Scorecard::total).as_ref()));
        text
    }

    /// All patterns together.
    pub fn total(&self) -> Score {
        self.patterns.values().fold(Score::default(), |sum, score| Score {
            planted: sum.planted + score.planted,
            found: sum.found + score.found,
            moments: sum.moments + score.moments,
            right: sum.right + score.right,
        })
    }
}

impl fmt::Display for Scorecard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.table(None))
    }
}

/// Brand, person, pattern.
type Key = (String, String, String);

/// The moments that were not retracted, each once.
fn standing<'a>(moments: impl IntoIterator<Item = &'a TrustMoment>) -> Vec<(Key, i64)> {
    let mut by_id: BTreeMap<&str, Option<&TrustMoment>> = BTreeMap::new();
    for moment in moments {
        let standing = by_id.entry(&moment.moment_id).or_insert(Some(moment));
        if moment.status == "RETRACTED" {
            *standing = None;
        }
    }
    let key = |moment: &TrustMoment| (moment.brand_id.clone(), moment.person.clone(), moment.pattern.clone());
    by_id.into_values().flatten().map(|moment| (key(moment), moment.opened_time)).collect()
}

fn overlap(opened: i64, time: i64, until: i64) -> bool {
    opened <= until && time < opened + DAY_MS
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(person: &str, time: i64) -> Label {
        Label {
            pattern: "nostalgic_recap".to_owned(),
            brand_id: "b".to_owned(),
            person_id: person.to_owned(),
            anchor: None,
            time,
            until: time + 10,
            campaign_id: None,
            story: false,
        }
    }

    fn moment(id: &str, person: &str, opened: i64, status: &str) -> TrustMoment {
        TrustMoment {
            moment_id: id.to_owned(),
            revision: 1,
            status: status.to_owned(),
            brand_id: "b".to_owned(),
            person: format!("~{person}"),
            pattern: "nostalgic_recap".to_owned(),
            severity: 1,
            weight: 0.4,
            event_time: opened,
            opened_time: opened,
            opening_event: String::new(),
            anchor: None,
            evidence: "{}".to_owned(),
            explanation: String::new(),
            config_hash: String::new(),
        }
    }

    #[test]
    fn moments_count_once_and_only_where_they_overlap_a_label() {
        let labels = [label("ann", 1_000), label("bob", 1_000), label("cid", 1_000)];
        let moments = [
            moment("1", "ann", 1_005, "OPEN"),
            moment("1", "ann", 1_005, "OPEN"), // a second revision
            moment("2", "bob", 1_011, "OPEN"), // opened after all was over
            moment("3", "cid", 1_005, "OPEN"), // taken back
            moment("3", "cid", 1_005, "RETRACTED"),
            moment("4", "dan", 1_005, "OPEN"),          // never planted
            moment("5", "ann", 1_001 - DAY_MS, "OPEN"), // still open when planted
            moment("6", "ann", 1_000 - DAY_MS, "OPEN"), // just over
        ];
        let card = evaluate(&labels, &moments, |person| format!("~{person}"));
        let score = card.patterns["nostalgic_recap"];
        assert_eq!(score, Score { planted: 3, found: 1, moments: 5, right: 2 });
        assert_eq!(score.precision(), Some(0.4));
        assert_eq!((&card.missed[..], card.total()), (&[1, 2][..], score));
        assert_eq!(Score::default().recall(), None);
        assert!(card.to_string().contains("33.3 %"), "{card}");
    }
}
