//! Dead letters and late events as they stand in their topics: what they were, which of them are meant, and what
//! sending them again would touch.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::codec::json::readable;
use crate::config::Config;
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::event::reject::Reason;
use crate::log::{Outgoing, Position, Record, TopicPartition};
use crate::registry::Schemas;
use crate::time::{EventTime, WindowLength};

use super::stages::source_decoder::SourceDecoder;
use super::stages::source_state::committed_frontier;

/// The own topics of records that were set aside.
pub const TOPICS: [&str; 2] = ["dead-letters", "late-events"];

/// Header of a record that was sent again: when, milliseconds.
pub const REPLAYED: &str = "trustline.replayed";

/// Header of a record that was sent again: how often.
const REPLAYS: &str = "trustline.replays";

/// What the names of our own headers begin with.
const OWN: &str = "trustline.";

/// How long to wait before looking for a schema again.
const SCHEMA_WAIT: Duration = Duration::from_millis(20);

/// How long schemas are waited for in all.
const SCHEMAS_WAIT: Duration = Duration::from_secs(40);

/// Where a record came from: what it is remembered by.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Origin {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
}

/// A record that was set aside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetAside {
    /// Where it came from.
    pub origin: Origin,
    /// Its timestamp there, milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The reason's code.
    pub reason: String,
    /// The field or rule that it failed at.
    pub detail: String,
    /// How late it was, milliseconds.
    pub lateness_ms: Option<i64>,
    /// How often it had been sent again before.
    pub replays: u32,
    /// Whether its value was cut, so that it cannot be sent again.
    pub is_cut: bool,
    /// As it stands in the topic.
    pub record: Record,
}

impl SetAside {
    /// A record of one of the [`TOPICS`]; nothing if its headers do not tell where it came from.
    pub fn of(record: Record) -> Option<SetAside> {
        let text = |name: &str| {
            // Of the record's own headers some may have the same name: ours are the last.
            let found = record.headers.iter().rev().find(|(known, _)| known == name);
            found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let origin = Origin {
            topic: text("trustline.topic")?,
            partition: text("trustline.partition")?.parse().ok()?,
            offset: text("trustline.offset")?.parse().ok()?,
        };
        Some(SetAside {
            origin,
            timestamp_ms: text("trustline.timestamp").and_then(|ms| ms.parse().ok()),
            reason: text("trustline.reason")?,
            detail: text("trustline.detail").unwrap_or_default(),
            lateness_ms: text("trustline.lateness-ms").and_then(|ms| ms.parse().ok()),
            replays: text(REPLAYS).and_then(|count| count.parse().ok()).unwrap_or(0),
            is_cut: text("trustline.cut-from").is_some(),
            record,
        })
    }

    /// The original record, to be sent to where it came from for the `replays`th time.
    pub fn again(&self, now_ms: i64, replays: u32) -> Outgoing {
        let own = [(REPLAYED, now_ms.to_string()), (REPLAYS, replays.to_string())];
        let own = own.map(|(name, value)| (name.to_owned(), value.into_bytes()));
        let original = self.record.headers.iter().filter(|(name, _)| !name.starts_with(OWN)).cloned();
        Outgoing {
            topic: Arc::from(self.origin.topic.as_str()),
            partition: Some(self.origin.partition),
            key: self.record.key.clone(),
            value: self.record.value.clone(),
            headers: original.chain(own).collect(),
        }
    }
}

/// Which records are meant; an empty list means all.
#[derive(Clone, Debug, Default)]
pub struct Filter {
    /// Codes of reasons.
    pub reasons: Vec<String>,
    /// Brands.
    pub brands: Vec<String>,
    /// Names of the topics that they came from.
    pub topics: Vec<String>,
    /// Records with a timestamp of this time or later, milliseconds.
    pub from_ms: Option<i64>,
    /// Records with a timestamp before this time.
    pub to_ms: Option<i64>,
}

impl Filter {
    /// Whether a record of a brand is meant. One without a timestamp counts by when it was set aside.
    pub fn takes(&self, record: &SetAside, brand: Option<&str>) -> bool {
        fn names(list: &[String], name: Option<&str>) -> bool {
            list.is_empty() || name.is_some_and(|name| list.iter().any(|one| one == name))
        }
        let time = record.timestamp_ms.or(record.record.timestamp_ms);
        let is_within = time.map_or(self.from_ms.is_none() && self.to_ms.is_none(), |time| {
            self.from_ms.is_none_or(|from| from <= time) && self.to_ms.is_none_or(|to| time < to)
        });
        is_within
            && names(&self.reasons, Some(&record.reason))
            && names(&self.topics, Some(&record.origin.topic))
            && names(&self.brands, brand)
    }
}

/// What this build reads in a record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Content {
    /// Its brand.
    pub brand: Option<String>,
    /// The place that it would get, if it is an event that would count.
    pub place: Option<i64>,
    /// Why it would be refused again.
    pub refused: Option<Reason>,
}

/// Reads records as `route` would now.
pub struct Contents<'a> {
    config: &'a Config,
    schemas: Option<Schemas>,
    decoders: BTreeMap<Topic, SourceDecoder>,
    positions: BTreeMap<TopicPartition, Position>,
    schemas_wait: Duration,
}

impl<'a> Contents<'a> {
    /// `positions`: those that `route` has committed, with the frontiers of its sources.
    pub fn new(
        config: &'a Config,
        schemas: Option<Schemas>,
        positions: BTreeMap<TopicPartition, Position>,
    ) -> Contents<'a> {
        Contents { config, schemas, decoders: BTreeMap::new(), positions, schemas_wait: SCHEMAS_WAIT }
    }

    /// Reads a record; nothing if it did not come from a source topic.
    pub fn read(&mut self, record: &SetAside) -> Option<Content> {
        let topic =
            *Topic::ALL.iter().find(|topic| self.config.topic(**topic).name == record.origin.topic)?;
        let value = &record.record.value[..];
        let decoder = self.decoders.entry(topic).or_insert_with(|| {
            SourceDecoder::new(topic, self.config.topic(topic).format, self.schemas.clone())
        });
        while decoder.waits_for(value).is_some() && !self.schemas_wait.is_zero() {
            thread::sleep(SCHEMA_WAIT);
            self.schemas_wait = self.schemas_wait.saturating_sub(SCHEMA_WAIT);
        }
        let (brand, event_time, is_test) = match decoder.decode(value) {
            Ok(RawRecord::Event(raw)) => (Some(raw.brand_id.to_owned()), Some(raw.event_time), raw.test),
            Ok(RawRecord::Incident(incident)) => (Some(incident.brand_id), None, false),
            Ok(RawRecord::Link(_) | RawRecord::Erasure(_)) => (None, None, false),
            Err(reject) => {
                let brand = readable(value).brand_id;
                return Some(Content { brand, place: None, refused: Some(reject.reason) });
            }
        };
        let skew = self.config.settings.time.max_future_skew_ms;
        let is_future = |time: i64| record.timestamp_ms.is_some_and(|at| time > at.saturating_add(skew));
        if event_time.is_some_and(is_future) {
            return Some(Content { brand, place: None, refused: Some(Reason::Future) });
        }
        let of = TopicPartition {
            topic: Arc::from(record.origin.topic.as_str()),
            partition: record.origin.partition,
        };
        let frontier = self.positions.get(&of).and_then(committed_frontier).unwrap_or_default();
        let place = event_time.filter(|_| !is_test).map(|time| frontier.place(time));
        Some(Content { brand, place, refused: None })
    }
}

impl std::fmt::Debug for Contents<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Contents").field("positions", &self.positions.len()).finish_non_exhaustive()
    }
}

/// A window of a brand: in the order in which they are told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Window {
    /// The brand.
    pub brand: String,
    /// The window's length.
    pub length: WindowLength,
    /// Its start, milliseconds.
    pub start: i64,
}

/// The windows that hold a place.
pub fn windows<'a>(
    lengths: &'a [WindowLength],
    brand: &'a str,
    place: i64,
) -> impl Iterator<Item = Window> + 'a {
    lengths.iter().map(move |length| Window {
        brand: brand.to_owned(),
        length: *length,
        start: EventTime(place).window_start(length.ms()).0,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: &str, value: &str) -> (String, Vec<u8>) {
        (name.to_owned(), value.as_bytes().to_vec())
    }

    /// A late click of brand `b`, sent again once before.
    fn record(value: &str) -> Record {
        Record {
            from: TopicPartition { topic: Arc::from("trustline.late-events"), partition: 0 },
            offset: 5,
            timestamp_ms: Some(9),
            key: Some(b"k".to_vec()),
            value: value.into(),
            headers: vec![
                header("own", "kept"),
                header("trustline.offset", "not ours"),
                header(REPLAYED, "1"),
                header(REPLAYS, "1"),
                header("trustline.reason", "too_late"),
                header("trustline.lateness-ms", "3600000"),
                header("trustline.topic", "clickstream"),
                header("trustline.partition", "3"),
                header("trustline.offset", "77"),
                header("trustline.timestamp", "1740960000000"),
            ],
        }
    }

    const CLICK: &str =
        r#"{"event_id":"e","event_time":1740960000000,"kind":"PAGE_VIEW","brand_id":"b","person_id":"p"}"#;

    #[test]
    fn provenance_is_read_back_and_the_original_is_restored() {
        let aside = SetAside::of(record(CLICK)).unwrap();
        let origin = Origin { topic: "clickstream".to_owned(), partition: 3, offset: 77 };
        assert_eq!((&aside.origin, aside.replays, aside.is_cut), (&origin, 1, false));
        assert_eq!((aside.lateness_ms, aside.timestamp_ms), (Some(3_600_000), Some(1_740_960_000_000)));
        let again = aside.again(12, 2);
        assert_eq!((&*again.topic, again.partition), ("clickstream", Some(3)));
        assert_eq!((again.key.as_deref(), &again.value[..]), (Some(&b"k"[..]), CLICK.as_bytes()));
        assert_eq!(again.headers, [header("own", "kept"), header(REPLAYED, "12"), header(REPLAYS, "2")]);
        let mut foreign = record(CLICK);
        foreign.headers.truncate(1);
        assert_eq!(SetAside::of(foreign), None);
    }

    #[test]
    fn filters_hold_together() {
        let aside = SetAside::of(record(CLICK)).unwrap();
        let time = 1_740_960_000_000;
        assert!(Filter::default().takes(&aside, None));
        let all = Filter {
            reasons: vec!["future".to_owned(), "too_late".to_owned()],
            brands: vec!["b".to_owned()],
            topics: vec!["clickstream".to_owned()],
            from_ms: Some(time),
            to_ms: Some(time + 1),
        };
        assert!(all.takes(&aside, Some("b")));
        assert!(!all.takes(&aside, Some("c")) && !all.takes(&aside, None));
        for other in [
            Filter { reasons: vec!["future".to_owned()], ..all.clone() },
            Filter { topics: vec!["messages".to_owned()], ..all.clone() },
            Filter { from_ms: Some(time + 1), to_ms: None, ..all.clone() },
            Filter { from_ms: None, to_ms: Some(time), ..all.clone() },
        ] {
            assert!(!other.takes(&aside, Some("b")), "{other:?}");
        }
    }

    #[test]
    fn a_record_counts_where_the_frontier_of_its_source_stands_now() {
        let config = Config::default();
        let of = TopicPartition { topic: Arc::from("clickstream"), partition: 3 };
        let frontier = 1_740_960_000_000 + 5 * 3_600_000;
        let position = Position { next: 100, metadata: format!("f1:{frontier}") };
        let mut contents = Contents::new(&config, None, [(of, position)].into());
        let read = contents.read(&SetAside::of(record(CLICK)).unwrap()).unwrap();
        assert_eq!((read.brand.as_deref(), read.place, read.refused), (Some("b"), Some(frontier), None));
        let lengths = [WindowLength::HOUR, WindowLength::DAY];
        let touched: Vec<i64> = windows(&lengths, "b", frontier).map(|window| window.start).collect();
        assert_eq!(touched, [frontier, 1_740_960_000_000]);

        let refused = contents.read(&SetAside::of(record(r#"{"brand_id":"b"}"#)).unwrap()).unwrap();
        assert_eq!((refused.brand.as_deref(), refused.refused), (Some("b"), Some(Reason::MissingField)));
        let mut future = SetAside::of(record(CLICK)).unwrap();
        future.timestamp_ms = Some(1_740_000_000_000);
        assert_eq!(contents.read(&future).unwrap().refused, Some(Reason::Future));
        future.origin.topic = "elsewhere".to_owned();
        assert_eq!(contents.read(&future), None);
    }
}
