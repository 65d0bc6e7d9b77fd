//! What the events of planted behaviour lack, so that recall below 1 can be explained.

use std::collections::HashMap;

use super::label::Label;
use crate::event::kinds::{Kind, Topic};
use crate::event::raw::RawEvent;
use crate::time::DAY_MS;

/// How long before a planted moment its behaviour may have begun.
const BEFORE_MS: i64 = 7 * DAY_MS;

/// Ids and fields that every event of its topic carries unless they are missing.
const FIELDS: [&str; 5] = ["person_id", "device_id", "page_view_id", "retargeting", "message_id"];

/// Ids and fields that are missing from the events behind each label.
///
/// Feed all events to [`Gaps::learn`], then all of them to [`Gaps::look`].
pub struct Gaps {
    /// Whose device it is, from events that name both.
    owners: HashMap<String, String>,
    /// By brand and person.
    behaviour: HashMap<(String, String), Vec<Behaviour>>,
    /// For each label, which fields some event lacks.
    lacking: Vec<[bool; FIELDS.len()]>,
}

/// Since when, until when, and behind which label.
type Behaviour = (i64, i64, usize);

/// How often a field is missing behind labels.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Gap {
    /// The field.
    pub field: &'static str,
    /// Share of the missed labels that have an event without it.
    pub of_missed: f64,
    /// The same of the found labels.
    pub of_found: f64,
}

impl Gaps {
    /// Nothing is known of the events behind these labels yet.
    pub fn new(labels: &[Label]) -> Gaps {
        let mut behaviour: HashMap<_, Vec<Behaviour>> = HashMap::new();
        for (index, label) in labels.iter().enumerate() {
            let key = (label.brand_id.clone(), label.person_id.clone());
            behaviour.entry(key).or_default().push((label.time - BEFORE_MS, label.until, index));
        }
        Gaps { owners: HashMap::new(), behaviour, lacking: vec![[false; FIELDS.len()]; labels.len()] }
    }

    /// Learns whose device it is.
    pub fn learn(&mut self, event: &RawEvent<'_>) {
        if let (Some(person), Some(device)) = (event.person_id, event.device_id)
            && !self.owners.contains_key(device)
        {
            self.owners.insert(device.to_owned(), person.to_owned());
        }
    }

    /// Looks for what an event lacks.
    pub fn look(&mut self, event: &RawEvent<'_>) {
        let ads = event.topic == Topic::AdDeliveries;
        let of_message = matches!(event.kind, Kind::Sent | Kind::Opened | Kind::Clicked);
        let absent = [
            event.person_id.is_none(),
            event.device_id.is_none(),
            ads && event.page_view_id.is_none(),
            ads && event.retargeting.is_none(),
            of_message && event.message_id.is_none(),
        ];
        let owner = || self.owners.get(event.device_id?).map(String::as_str);
        let Some(person) = event.person_id.or_else(owner) else { return };
        let key = (event.brand_id.to_owned(), person.to_owned());
        for (since, until, label) in self.behaviour.get(&key).into_iter().flatten() {
            if (*since..=*until).contains(&event.event_time) {
                for (lacks, absent) in self.lacking[*label].iter_mut().zip(absent) {
                    *lacks |= absent;
                }
            }
        }
    }

    /// What is missing behind the missed labels, beside the found ones. `missed`: their indices.
    pub fn report(&self, missed: &[usize]) -> Vec<Gap> {
        let found = self.lacking.len() - missed.len();
        let share = |part: usize, whole: usize| if whole > 0 { part as f64 / whole as f64 } else { 0.0 };
        let gap = |(index, field): (usize, &'static str)| {
            let all = self.lacking.iter().filter(|lacks| lacks[index]).count();
            let of_missed = missed.iter().filter(|label| self.lacking[**label][index]).count();
            Gap { field, of_missed: share(of_missed, missed.len()), of_found: share(all - of_missed, found) }
        };
        FIELDS.into_iter().enumerate().map(gap).collect()
    }
}

/// It holds raw ids: they are not shown.
impl std::fmt::Debug for Gaps {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gaps").field("labels", &self.lacking.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn label(person: &str) -> Label {
        Label {
            pattern: "x".to_owned(),
            brand_id: "b".to_owned(),
            person_id: person.to_owned(),
            anchor: None,
            time: 1_000,
            until: 2_000,
            campaign_id: None,
            story: false,
        }
    }

    #[test]
    fn gaps_are_counted_behind_the_labels_that_they_belong_to() {
        let event = |person, device, event_time| RawEvent {
            person_id: person,
            device_id: device,
            event_time,
            brand_id: "b",
            ..RawEvent::new(Topic::Clickstream)
        };
        let events = [
            event(None, Some("d1"), 1_500), // known by its device
            event(Some("ann"), Some("d1"), 5_000),
            event(Some("bob"), None, 2_001), // after all was over
            event(Some("bob"), Some("d2"), 1_000),
            event(None, Some("d3"), 1_000), // nobody knows whose
        ];
        let mut gaps = Gaps::new(&[label("ann"), label("bob")]);
        events.iter().for_each(|event| gaps.learn(event));
        events.iter().for_each(|event| gaps.look(event));
        let report = gaps.report(&[0]);
        assert_eq!(report[0], Gap { field: "person_id", of_missed: 1.0, of_found: 0.0 });
        assert!(report[1..].iter().all(|gap| gap.of_missed == 0.0 && gap.of_found == 0.0), "{report:?}");
    }
}
