//! `route` on a log: source records to the person partitions, with the sources' frontiers.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::codec::canonical::encode_incident;
use crate::codec::confluent::SchemaId;
use crate::codec::frame::item::{ItemKind, put_gap, put_other};
use crate::codec::frame::{FrameBuilder, FrontierTable, SourceFrontier};
use crate::codec::json;
use crate::codec::partial::Partial;
use crate::config::TopicSettings;
use crate::driver::clock::WallTime;
use crate::driver::dlq::REPLAYED;
use crate::driver::replay::ledger::Account;
use crate::driver::status::{Gauges, SourceGauges};
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::output::ErasureReceipt;
use crate::event::raw::{RawErasure, RawEvent, RawIncident, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::fold::route::{Frontier, Route, Routed};
use crate::identity::Links;
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::registry::{Look, Schemas};

use super::alignment::Alignment;
use super::aside::aside;
use super::breaker::BreakerSettings;
use super::encoder::Encoder;
use super::source_decoder::SourceDecoder;
use super::source_state::{SourceState, committed_frontier};
use super::{Names, brand_partition};

/// How often a person partition gets a frontier table at least, milliseconds of wall time.
const TABLE_EVERY_MS: i64 = 1_000;

/// A log in which nothing was committed for so long, milliseconds of wall time, is not only failing for one source.
const COMMITTED_WITHIN_MS: i64 = 15_000;

/// Settings of the stage.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// Names of the topics.
    pub names: Names,
    /// Partitions of the log of person events.
    pub person_partitions: i32,
    /// Partitions of the log of brand partials.
    pub brand_partitions: i32,
    /// Partitions of each source topic that holds a frontier.
    pub source_partitions: BTreeMap<Topic, u32>,
    /// Settings of each source topic, in the order of [`Topic::ALL`].
    pub topics: Vec<TopicSettings>,
    /// Schemas of records in Avro, if there is a registry.
    pub schemas: Option<Schemas>,
    /// How receipts are written.
    pub encoder: Encoder,
    /// Size of a frame at which a step ends, bytes.
    pub frame_bytes: usize,
    /// How far a source may be ahead of the slowest, milliseconds of event time.
    pub max_lead_ms: i64,
    /// How far ahead of the record's timestamp an event time may be, milliseconds.
    pub max_future_skew_ms: i64,
    /// When to stop reading a source of dead letters, if ever.
    pub breaker: Option<BreakerSettings>,
    /// Wall time after which a source that cannot be read is given up, milliseconds.
    pub suspend_after_ms: i64,
    /// Whether the log may say what event time it lacks because of that.
    pub tells_gaps: bool,
}

impl RouteSettings {
    fn topic(&self, topic: Topic) -> &TopicSettings {
        self.topics.get(usize::from(topic.index())).expect("there are settings for each topic")
    }
}

/// The stage.
pub struct RouteStage {
    settings: RouteSettings,
    route: Route,
    sources: BTreeMap<TopicPartition, SourceState>,
    /// What became of the committed records.
    accounts: BTreeMap<TopicPartition, Account>,
    decoders: [Option<SourceDecoder>; Topic::ALL.len()],
    alignment: Alignment,
    /// Sources whose next record waits for its schema.
    waiting: BTreeMap<TopicPartition, SchemaId>,
    builders: Vec<FrameBuilder>,
    /// Whether the items of some partition fill a frame.
    is_full: bool,
    last_table: Vec<WallTime>,
    /// Sources that are not read at the moment.
    held: BTreeSet<TopicPartition>,
    last_commit: WallTime,
    now: WallTime,
}

impl RouteStage {
    /// A stage that has read nothing but the identity links.
    pub fn new(settings: RouteSettings, route: Route, now: WallTime) -> RouteStage {
        let partitions = settings.person_partitions.max(1) as usize;
        let all = settings.names.source_partitions(&settings.source_partitions).collect();
        let alignment = Alignment::new(settings.max_lead_ms, all);
        RouteStage {
            route,
            sources: BTreeMap::new(),
            accounts: BTreeMap::new(),
            decoders: Default::default(),
            alignment,
            waiting: BTreeMap::new(),
            builders: (0..partitions).map(|_| FrameBuilder::default()).collect(),
            is_full: false,
            last_table: vec![WallTime(i64::MIN); partitions],
            held: BTreeSet::new(),
            last_commit: now,
            settings,
            now,
        }
    }

    /// The items of a person's partition. Sets `is_full` when they fill a frame already.
    fn person_items<'b>(
        builders: &'b mut [FrameBuilder],
        is_full: &mut bool,
        frame_bytes: usize,
        person: &[u8; 16],
    ) -> &'b mut Vec<u8> {
        let items = &mut builders[person_partition(person, builders.len())].items;
        *is_full |= items.len() >= frame_bytes;
        items
    }

    fn event(
        &mut self,
        raw: &RawEvent<'_>,
        record: &RecordRef<'_>,
        frontier: &mut Frontier,
    ) -> Result<Routed, Reject> {
        let timestamp = record.timestamp_ms.unwrap_or(self.now.0);
        if raw.event_time > timestamp.saturating_add(self.settings.max_future_skew_ms) {
            return Err(Reject::new(Reason::Future, "event_time"));
        }
        let place = frontier.place(raw.event_time);
        // Headers are looked at only where they can make a difference.
        let is_late = place - raw.event_time >= self.settings.topic(raw.topic).late_memory_ms;
        let was_sent_again = is_late && record.headers.headers().iter().any(|(name, _)| name == REPLAYED);
        let (builders, is_full) = (&mut self.builders, &mut self.is_full);
        let frame_bytes = self.settings.frame_bytes;
        let routed = self.route.event(raw, place, was_sent_again, |person| {
            Self::person_items(builders, is_full, frame_bytes, person)
        });
        frontier.raise(raw.event_time, timestamp, self.settings.topic(raw.topic).out_of_orderness_ms);
        Ok(routed)
    }

    fn record(
        &mut self,
        of: (&TopicPartition, Topic),
        record: &RecordRef<'_>,
        decoder: &mut SourceDecoder,
        source: &mut SourceState,
        out: &mut Vec<Outgoing>,
    ) {
        let (from, topic) = of;
        let SourceState { frontier, account, .. } = source;
        account.read += 1;
        let outcome = match decoder.decode(record.value) {
            Ok(RawRecord::Event(raw)) => self.event(&raw, record, frontier),
            Ok(RawRecord::Incident(incident)) => {
                self.incident(&incident, out);
                Ok(Routed::Logged)
            }
            Ok(RawRecord::Link(link)) => {
                self.route.links.insert_from(link, from.partition);
                Ok(Routed::Logged)
            }
            Ok(RawRecord::Erasure(erasure)) => {
                self.erasure(&erasure, out);
                Ok(Routed::Logged)
            }
            Err(_) if topic == Topic::IdentityLinks && forget_device(&mut self.route.links, record) => {
                Ok(Routed::Logged)
            }
            Err(reject) => Err(reject),
        };
        match outcome {
            Ok(Routed::Logged) => account.applied += 1,
            Ok(Routed::Exempt) => account.exempt += 1,
            Ok(Routed::TooLate { by_ms }) => {
                account.too_late += 1;
                let reason = ("trustline.reason".to_owned(), b"too_late".to_vec());
                let lateness = ("trustline.lateness-ms".to_owned(), by_ms.to_string().into_bytes());
                out.push(aside(self.settings.names.own("late-events"), from, record, vec![reason, lateness]));
            }
            Err(reject) => {
                account.dead_lettered += 1;
                if topic.is_person_events()
                    && let Some(place) = frontier.at()
                {
                    let brand = json::readable(record.value).brand_id;
                    self.route.dead_letter(brand.as_deref(), place, &mut self.builders[0].items);
                }
                let reason = reject.reason.code().as_bytes().to_vec();
                let mut more = vec![("trustline.reason".to_owned(), reason)];
                more.push(("trustline.detail".to_owned(), reject.detail.into_bytes()));
                out.push(aside(self.settings.names.own("dead-letters"), from, record, more));
            }
        }
    }

    /// Passes an erasure on to the partitions of whom it is about, removes the links and says so in a receipt.
    fn erasure(&mut self, erasure: &RawErasure, out: &mut Vec<Outgoing>) {
        let erase = self.route.erasure(erasure);
        for key in &erase.keys {
            let (builders, is_full) = (&mut self.builders, &mut self.is_full);
            let items = Self::person_items(builders, is_full, self.settings.frame_bytes, key);
            put_other(items, ItemKind::Erasure, erasure.requested_time, key, 0);
        }
        let links: Arc<str> = Arc::from(self.settings.names.source(Topic::IdentityLinks));
        out.extend(erase.tombstones.into_iter().map(|(device, partition)| Outgoing {
            topic: Arc::clone(&links),
            partition: Some(partition),
            key: Some(device.into_bytes()),
            value: Vec::new(),
            headers: Vec::new(),
        }));
        let partition = erase.keys.first().map_or(0, |key| person_partition(key, self.builders.len()));
        let receipt = ErasureReceipt {
            request_id: erasure.request_id.clone(),
            received_time: self.now.0,
            done_time: self.now.0,
            partition: partition as i32,
            pairs_deleted: None,
            events_dropped: None,
            links_removed: erase.links as i64,
        };
        let topic = self.settings.encoder.topic(&self.settings.names, "erasure-receipts");
        out.push(topic.record(&receipt.key(), &receipt));
    }

    /// The topic of a source that holds a frontier.
    fn holds_frontier(&self, of: &TopicPartition) -> Option<Topic> {
        let topic = self.settings.names.source_of(&of.topic);
        topic.filter(|topic| self.settings.source_partitions.contains_key(topic))
    }

    /// Lets time go on without the sources that have been out of reach for too long, and tells every partition
    /// what event time it lacks.
    fn suspend(&mut self, now: WallTime) {
        let RouteSettings { suspend_after_ms, tells_gaps, .. } = self.settings;
        let holding: Vec<_> =
            self.sources.keys().filter_map(|of| Some((of.clone(), self.holds_frontier(of)?))).collect();
        for (of, topic) in holding {
            let slack = self.settings.topic(topic).out_of_orderness_ms;
            let gap = self
                .sources
                .get_mut(&of)
                .and_then(|source| source.suspend(&of, now, suspend_after_ms, slack));
            if let Some((from, to)) = gap.filter(|_| tells_gaps) {
                self.builders.iter_mut().for_each(|builder| put_gap(&mut builder.items, from, to));
            }
        }
    }

    fn incident(&self, incident: &RawIncident, out: &mut Vec<Outgoing>) {
        let (mut datum, mut value) = (Vec::new(), Vec::new());
        encode_incident(incident, &mut datum);
        Partial::Incident(datum).encode(&mut value);
        out.push(Outgoing {
            topic: self.settings.names.own("brand-partials"),
            partition: Some(brand_partition(&incident.brand_id, self.settings.brand_partitions)),
            key: None,
            value,
            headers: Vec::new(),
        });
    }
}

/// The partition of a person or device among so many.
fn person_partition(key: &[u8; 16], partitions: usize) -> usize {
    let number = u64::from_le_bytes([key[8], key[9], key[10], key[11], key[12], key[13], key[14], key[15]]);
    (number % partitions as u64) as usize
}

/// Whether a record of the topic of links is a tombstone, whose device is forgotten then: its key is the device's
/// id.
pub fn forget_device(links: &mut Links, record: &RecordRef<'_>) -> bool {
    let device = record.key.filter(|_| record.value.is_empty()).and_then(|key| std::str::from_utf8(key).ok());
    device.map(|device| links.forget_device(device)).is_some()
}

impl Stage for RouteStage {
    const WHOLE_STEPS: bool = true;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        let source = SourceState::taken_over(position, self.settings.breaker, self.now);
        self.sources.insert(of.clone(), source);
        Ok(position.map(|position| position.next))
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.sources.remove(of);
        self.waiting.remove(of);
        self.builders.iter_mut().for_each(|builder| builder.items.clear());
        self.is_full = false;
    }

    fn absorb(
        &mut self,
        from: &TopicPartition,
        records: &mut dyn Records,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), StageError> {
        let (Some(topic), Some(mut source)) =
            (self.settings.names.source_of(&from.topic), self.sources.get(from).copied())
        else {
            while records.next().is_some() {}
            return Ok(());
        };
        let slot = usize::from(topic.index());
        let mut decoder = self.decoders[slot].take().unwrap_or_else(|| {
            SourceDecoder::new(topic, self.settings.topic(topic).format, self.settings.schemas.clone())
        });
        while !self.is_full && !source.breaker.holds(self.now) {
            if let Some(id) = records.peek_value().and_then(|value| decoder.waits_for(value)) {
                self.waiting.insert(from.clone(), id);
                break;
            }
            let Some(record) = records.next() else { break };
            let dead = source.account.dead_lettered;
            self.record((from, topic), &record, &mut decoder, &mut source, out);
            if let Some(breaker) = self.settings.breaker {
                let is_dead = source.account.dead_lettered > dead;
                let change = source.breaker.note(breaker, is_dead, self.now);
                source.tell(from, change, record.offset);
            }
            source.took_a_record(self.now);
        }
        self.decoders[slot] = Some(decoder);
        self.sources.insert(from.clone(), source);
        Ok(())
    }

    fn is_full(&self) -> bool {
        self.is_full
    }

    fn held(&mut self, now: WallTime) -> BTreeSet<TopicPartition> {
        let frontiers = self.sources.iter().filter_map(|(of, source)| Some((of, source.frontier.at()?)));
        let mut held = self.alignment.held(now, &frontiers.collect()).clone();
        if let Some(schemas) = &self.settings.schemas {
            self.waiting.retain(|_, id| schemas.look(*id) == Look::NotYet);
        }
        held.extend(self.waiting.keys().cloned());
        let tripped = self.sources.iter().filter(|(_, source)| source.breaker.holds(now));
        held.extend(tripped.map(|(of, _)| of.clone()));
        self.held.clone_from(&held);
        held
    }

    fn peers(&self, now: WallTime) -> Vec<TopicPartition> {
        self.alignment.peers(now, |of| self.sources.contains_key(of))
    }

    fn glimpsed(&mut self, now: WallTime, positions: Vec<(TopicPartition, Option<Position>)>) {
        let frontier = |position: Option<Position>| committed_frontier(&position?)?.at();
        let seen = positions.into_iter().filter_map(|(of, position)| Some((of, frontier(position)?)));
        self.alignment.glimpsed(now, seen.collect());
    }

    fn asks_for_end(&self, now: WallTime) -> Vec<TopicPartition> {
        let silent = |(of, source): &(&TopicPartition, &SourceState)| {
            self.settings
                .names
                .source_of(&of.topic)
                .and_then(|topic| self.settings.topic(topic).idle_after_ms)
                .is_some_and(|idle_after| now.0 - source.last_record.0 >= idle_after)
        };
        self.sources.iter().filter(silent).map(|(of, _)| of.clone()).collect()
    }

    fn doubts(&self, now: WallTime) -> Vec<TopicPartition> {
        let in_doubt = |(of, source): &(&TopicPartition, &SourceState)| {
            self.holds_frontier(of).is_some() && !self.held.contains(*of) && source.is_in_doubt(now)
        };
        self.sources.iter().filter(in_doubt).map(|(of, _)| of.clone()).collect()
    }

    fn left(&mut self, now: WallTime, left: Vec<(TopicPartition, Option<i64>)>) {
        // While nothing is committed, nobody can tell what ails a source.
        let is_failing = now.0 - self.last_commit.0 > COMMITTED_WITHIN_MS;
        for (of, left) in left {
            let Some(source) = self.sources.get_mut(&of) else { continue };
            match left {
                Some(_) => source.can_be_read(now),
                None => source.cannot_be_read(now, is_failing),
            }
        }
    }

    fn finish(
        &mut self,
        now: WallTime,
        at_end: &[TopicPartition],
        out: &mut Vec<Outgoing>,
    ) -> Vec<TopicPartition> {
        self.now = now;
        self.is_full = false;
        for of in at_end {
            let Some(topic) = self.settings.names.source_of(&of.topic) else { continue };
            let slack = self.settings.topic(topic).out_of_orderness_ms;
            if let Some(source) = self.sources.get_mut(of) {
                source.frontier.raise(now.0, now.0, slack);
                source.can_be_read(now);
            }
        }
        self.suspend(now);
        let mut table = FrontierTable::default();
        for (of, source) in &self.sources {
            if let (Some(topic), Some(frontier)) = (self.holds_frontier(of), source.frontier.at()) {
                table.sources.push(SourceFrontier { topic, partition: of.partition as u32, frontier });
            }
        }
        table.partitions =
            self.settings.source_partitions.iter().map(|(topic, count)| (*topic, *count)).collect();
        let log = self.settings.names.own("person-events");
        let (route, last_table) = (&self.route, &mut self.last_table);
        let before = out.len();
        for (number, builder) in self.builders.iter_mut().enumerate() {
            let due =
                now.0.saturating_sub(last_table[number].0) >= TABLE_EVERY_MS && !table.sources.is_empty();
            if builder.items.is_empty() && !due {
                continue;
            }
            last_table[number] = now;
            let mut value = Vec::new();
            let jurisdiction = |number| route.jurisdictions.name(u32::from(number));
            builder.finish(|number| route.brands.name(number), jurisdiction, &table, &mut value);
            let topic = Arc::clone(&log);
            out.push(Outgoing {
                topic,
                partition: Some(number as i32),
                key: None,
                value,
                headers: Vec::new(),
            });
        }
        // A table's entries stand in the transaction that commits their sources' positions.
        if out.len() > before { self.sources.keys().cloned().collect() } else { Vec::new() }
    }

    fn metadata(&self, of: &TopicPartition) -> String {
        self.sources.get(of).map_or_else(String::new, SourceState::metadata)
    }

    fn committed(&mut self, of: &TopicPartition, _next: i64, now: WallTime) {
        self.last_commit = now;
        if let Some(source) = self.sources.get_mut(of) {
            self.accounts.entry(of.clone()).or_default().add(&std::mem::take(&mut source.account));
        }
    }

    fn gauges(&self, of: &TopicPartition) -> Gauges {
        let topic = self.settings.names.source_of(&of.topic);
        let frontier = self.sources.get(of).and_then(|source| source.frontier.at());
        let slack = topic.map_or(0, |topic| self.settings.topic(topic).out_of_orderness_ms);
        let account = self.accounts.get(of).copied().unwrap_or_default();
        Gauges {
            frontier,
            newest_event: frontier.map(|frontier| frontier + slack),
            accounts: topic.map(|topic| (topic, account)).into_iter().collect(),
            source: self.sources.get(of).map(|source| SourceGauges {
                tripped: source.breaker.tripped(),
                suspended: source.suspended,
            }),
            ..Gauges::default()
        }
    }
}

impl std::fmt::Debug for RouteStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RouteStage").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}
