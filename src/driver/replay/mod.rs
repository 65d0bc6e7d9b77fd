//! `replay`: the whole job on files, in one thread, without a clock.
//!
//! Every file is read and routed, its items are put in order, and the folds run over them once. By default
//! nothing is late: an event's place is its time. As a stream, each file is a source whose lines are in the
//! order of arrival.

pub mod aside;
pub mod ledger;
pub mod load;
pub mod order;
pub mod write;

use std::path::Path;

use crate::codec::canonical::{encode_event, encode_incident};
use crate::codec::frame::item::{ItemKind, put_other};
use crate::event::kinds::Topic;
use crate::event::output::TrustMoment;
use crate::event::raw::{RawErasure, RawEvent, RawIncident, RawRecord};
use crate::fold::detect::{self, Detect, Placed};
use crate::fold::route::{Frontier, Route, Routed};
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::files::{self, InputError, TopicFile};
use crate::time::EventTime;

use self::aside::{Aside, SetAside};
use self::ledger::Ledger;
use self::load::{Arrival, Items};

/// Told how far a replay is.
pub trait Progress {
    /// So many more records were read.
    fn read(&mut self, records: u64);
    /// So many more items of all items were applied.
    fn applied(&mut self, items: u64, of: u64);
}

/// Says nothing.
impl Progress for () {
    fn read(&mut self, _records: u64) {}
    fn applied(&mut self, _items: u64, _of: u64) {}
}

/// What a replay found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Revisions of moments.
    pub moments: Vec<TrustMoment>,
    /// Metrics and alerts.
    pub score: ScoreOut,
    /// What was set aside.
    pub aside: SetAside,
    /// What became of every record.
    pub ledger: Ledger,
    /// (person, brand) pairs with any state at the end.
    pub pairs: usize,
    /// Bytes held for them, and for the memory of duplicates.
    pub bytes: (usize, usize),
}

/// The folds and settings of a replay.
pub struct Replay {
    /// Decides who, where and when.
    pub route: Route,
    /// Settings of the detect fold.
    pub detect: detect::Settings,
    /// The score fold.
    pub score: Score,
    /// How records become items.
    pub arrival: Arrival,
}

const PROGRESS_EVERY: u64 = 1 << 16;

impl Replay {
    /// Replays a folder.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn run(mut self, folder: &Path, progress: &mut dyn Progress) -> Result<Outcome, InputError> {
        let files = files::find(folder)?;
        let mut outcome = Outcome::default();
        let mut known = Items::default();
        for topic in [Topic::IdentityLinks, Topic::BrandIncidents, Topic::Erasures] {
            if let Some(file) = files.iter().find(|file| file.topic == topic) {
                self.load_known(file, &mut outcome, &mut known)?;
            }
        }
        let mut sources = vec![known];
        for file in files.iter().filter(|file| file.topic.is_person_events()) {
            sources.push(self.load_events(file, &mut outcome, progress)?);
        }
        for (items, file) in sources.iter_mut().zip([None].into_iter().chain(events_of(&files).map(Some))) {
            let ties = order::sort(items);
            if let (false, Some(file)) = (ties.is_empty(), file) {
                settle(items, &ties, file)?;
            }
        }
        self.fold(&sources, &mut outcome, progress);
        Ok(outcome)
    }

    fn load_known(
        &mut self,
        file: &TopicFile,
        outcome: &mut Outcome,
        known: &mut Items,
    ) -> Result<(), InputError> {
        let account = outcome.ledger.of(file.topic);
        let (mut incidents, mut erasures): (Vec<RawIncident>, Vec<RawErasure>) = Default::default();
        let links = &mut self.route.links;
        load::records(
            file,
            account,
            &mut outcome.aside,
            |record, _, _, account, _| {
                account.applied += 1;
                match std::mem::replace(record, RawRecord::Event(RawEvent::new(file.topic))) {
                    RawRecord::Link(link) => links.insert(link),
                    RawRecord::Incident(incident) => incidents.push(incident),
                    RawRecord::Erasure(erasure) => erasures.push(erasure),
                    RawRecord::Event(_) => {}
                }
            },
            |_, _| {},
        )?;
        let mut encoded = Vec::new();
        for incident in incidents {
            encoded.clear();
            encode_incident(&incident, &mut encoded);
            self.score.incident(&incident, &encoded);
        }
        erasures.sort_by(|a, b| (a.requested_time, &a.request_id).cmp(&(b.requested_time, &b.request_id)));
        for (number, erasure) in (0..).zip(&erasures) {
            for key in self.route.erasure(erasure).keys {
                known.put(number, |bytes| {
                    put_other(bytes, ItemKind::Erasure, erasure.requested_time, &key, 0)
                });
            }
        }
        Ok(())
    }

    fn load_events(
        &mut self,
        file: &TopicFile,
        outcome: &mut Outcome,
        progress: &mut dyn Progress,
    ) -> Result<Items, InputError> {
        let (arrival, topic) = (self.arrival, file.topic);
        let route = std::cell::RefCell::new(&mut self.route);
        let state = std::cell::RefCell::new((Items::default(), Frontier::default()));
        load::records(
            file,
            outcome.ledger.of(topic),
            &mut outcome.aside,
            |record, number, line, account, aside| {
                let RawRecord::Event(raw) = record else { return };
                let (items, frontier) = &mut *state.borrow_mut();
                match load::route_event(&mut route.borrow_mut(), raw, frontier, arrival, items, number) {
                    Routed::Logged => account.waiting += 1,
                    Routed::Exempt => account.exempt += 1,
                    Routed::TooLate { by_ms } => {
                        account.too_late += 1;
                        aside.late(Aside { topic, record: number, original: line.to_vec() }, by_ms);
                    }
                }
                if number % PROGRESS_EVERY == PROGRESS_EVERY - 1 {
                    progress.read(PROGRESS_EVERY);
                }
            },
            |line, number| {
                let (items, frontier) = &mut *state.borrow_mut();
                load::count_dead(&mut route.borrow_mut(), topic, line, frontier, arrival, items, number);
            },
        )?;
        Ok(state.into_inner().0)
    }

    fn fold(&mut self, sources: &[Items], outcome: &mut Outcome, progress: &mut dyn Progress) {
        let total: u64 = sources.iter().map(|items| items.index.len() as u64).sum();
        let mut detect = Detect::new(self.detect.clone());
        let mut out = detect::Output::default();
        let Replay { route, score, .. } = self;
        let names = &route.brands;
        let numbers: Vec<u32> =
            (0..names.len() as u32).map(|number| detect.brand(names.name(number))).collect();
        let whole = "the items were written by this process";
        let mut batch = Vec::with_capacity(detect::BATCH_ITEMS);
        for (number, item) in (1..).zip(order::Merge::new(sources)) {
            let place = item.place();
            batch.push(Placed {
                item,
                place,
                brand: numbers.get(item.brand() as usize).copied().unwrap_or(0),
                jurisdiction: route.jurisdictions.name(u32::from(item.jurisdiction())),
            });
            if batch.len() == detect::BATCH_ITEMS {
                detect.items(&batch, &mut out).expect(whole);
                batch.clear();
                if !out.windows.is_empty() {
                    pass_on(score, &mut out, outcome, place);
                }
            }
            if number % PROGRESS_EVERY == 0 {
                progress.applied(PROGRESS_EVERY, total);
            }
        }
        detect.items(&batch, &mut out).expect(whole);
        let end = detect.latest_applied().map(|time| time + 1);
        if let Some(end) = end {
            detect.advance(end, &mut out);
        }
        detect.close_all(&mut out);
        pass_on(score, &mut out, outcome, end.unwrap_or(i64::MIN));
        score.finish(&mut outcome.score);
        for topic in Topic::ALL.iter().copied().filter(|topic| topic.is_person_events()) {
            let (tally, account) = (detect.tally(topic), outcome.ledger.of(topic));
            account.waiting -= tally.applied + tally.duplicate + tally.erased;
            account.applied += tally.applied;
            account.duplicate += tally.duplicate;
            account.erased += tally.erased;
        }
        outcome.pairs = detect.pairs();
        outcome.bytes = detect.bytes();
    }
}

fn pass_on(score: &mut Score, out: &mut detect::Output, outcome: &mut Outcome, frontier: i64) {
    outcome.moments.append(&mut out.moments);
    for window in out.windows.drain(..) {
        score.counts(0, &window.brand, window.length, EventTime(window.start), Mark::Closed, &window.counts);
    }
    for (length, start, counts) in out.pipeline.drain(..) {
        score.pipeline(0, length, EventTime(start), Mark::Closed, counts);
    }
    score.frontier(0, EventTime(frontier), 1);
    score.advance(&mut outcome.score);
}

fn events_of(files: &[TopicFile]) -> impl Iterator<Item = &TopicFile> {
    files.iter().filter(|file| file.topic.is_person_events())
}

/// Puts items in order that only the Avro encoding of their records tells apart: reads these again.
fn settle(items: &mut Items, ties: &[std::ops::Range<usize>], file: &TopicFile) -> Result<(), InputError> {
    let mut wanted: Vec<u64> =
        ties.iter().flat_map(|tie| &items.index[tie.clone()]).map(|i| i.record).collect();
    wanted.sort_unstable();
    let mut encoded = std::collections::BTreeMap::new();
    load::visit(file, |number, _, record| {
        if wanted.binary_search(&number).is_ok()
            && let Ok(RawRecord::Event(event)) = record
        {
            let mut bytes = Vec::new();
            encode_event(event, &mut bytes);
            encoded.insert(number, bytes);
        }
    })?;
    for tie in ties {
        items.index[tie.clone()].sort_by(|a, b| encoded.get(&a.record).cmp(&encoded.get(&b.record)));
    }
    Ok(())
}
