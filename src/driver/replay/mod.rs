//! `replay`: the whole job on files, in one thread, without a clock.
//!
//! Every file is read and routed, its items are put in order, and the folds run over them once. By default
//! nothing is late: an event's place is its time. As a stream, each file is a source whose lines are in the
//! order of arrival.

pub mod aside;
pub mod foreign;
pub mod ledger;
pub mod load;
pub mod order;
pub mod write;

use std::path::Path;

use crate::codec::canonical::{encode_event, encode_incident};
use crate::codec::frame::item::{Item, ItemKind, put_other};
use crate::config::sections::ForeignInput;
use crate::event::kinds::Topic;
use crate::event::output::TrustMoment;
use crate::event::raw::{RawErasure, RawIncident, RawRecord};
use crate::fold::detect::{self, Detect};
use crate::fold::route::{Frontier, Route};
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::files::{self, InputError, TopicFile};
use crate::time::EventTime;

use self::aside::{Aside, SetAside};
use self::foreign::ForeignFile;
use self::ledger::{Account, Ledger};
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
    /// Foreign files to read beside those of the topics.
    pub inputs: Vec<ForeignInput>,
}

const PROGRESS_EVERY: u64 = 1 << 16;

impl Replay {
    /// Replays a folder.
    ///
    /// # Errors
    /// When the folder or a file in it cannot be read.
    pub fn run(mut self, folder: &Path, progress: &mut dyn Progress) -> Result<Outcome, InputError> {
        let foreign = foreign::find(folder, &self.inputs)?;
        let files = files::find(folder)?;
        if files.is_empty() && foreign.is_empty() {
            return Err(InputError::Empty { path: folder.to_owned() });
        }
        let mut outcome = Outcome::default();
        let known = self.load_known(&files, &foreign, &mut outcome)?;
        let mut sources = vec![known];
        for file in events_of(&files) {
            sources.push(self.load_events(file, &mut outcome, progress)?);
        }
        for (items, file) in sources.iter_mut().zip([None].into_iter().chain(events_of(&files).map(Some))) {
            let ties = order::sort(items);
            if let (false, Some(file)) = (ties.is_empty(), file) {
                settle(items, &ties, |each| {
                    load::visit(file, |number, _, record| each(number, record.ok()))
                })?;
            }
        }
        if !foreign.is_empty() {
            let accounts = (&mut outcome.ledger, &mut outcome.aside);
            let mut items =
                foreign::load_events(&foreign, &mut self.route, self.arrival, accounts, progress)?;
            let ties = order::sort(&mut items);
            if !ties.is_empty() {
                settle(&mut items, &ties, |each| {
                    foreign::visit_events(&foreign, |number, _, given| {
                        each(number, given.record.ok().flatten());
                    })
                })?;
            }
            sources.push(items);
        }
        self.fold(&sources, &mut outcome, progress);
        Ok(outcome)
    }

    /// Loads what is known beforehand: links, incidents, and erasures, which become items.
    fn load_known(
        &mut self,
        files: &[TopicFile],
        foreign: &[ForeignFile],
        outcome: &mut Outcome,
    ) -> Result<Items, InputError> {
        let Outcome { aside, ledger, .. } = outcome;
        let (mut incidents, mut erasures): (Vec<RawIncident>, Vec<RawErasure>) = Default::default();
        let links = &mut self.route.links;
        let mut take = |record: RawRecord<'_>, account: &mut Account| {
            account.applied += 1;
            match record {
                RawRecord::Link(link) => links.insert(link),
                RawRecord::Incident(incident) => incidents.push(incident),
                RawRecord::Erasure(erasure) => erasures.push(erasure),
                RawRecord::Event(_) => {}
            }
        };
        for topic in [Topic::IdentityLinks, Topic::BrandIncidents, Topic::Erasures] {
            if let Some(file) = files.iter().find(|file| file.topic == topic) {
                let account = ledger.of(topic);
                load::records(
                    file,
                    account,
                    aside,
                    |record, _, _, account, _| take(record, account),
                    |_, _| {},
                )?;
            }
        }
        for file in foreign {
            file.visit(
                |topic| !topic.is_person_events(),
                |given| {
                    let account = ledger.of(given.topic);
                    if let Some(record) = given.account(account, aside) {
                        take(record, account);
                    }
                },
            )?;
        }
        let mut encoded = Vec::new();
        for incident in incidents {
            encoded.clear();
            encode_incident(&incident, &mut encoded);
            self.score.incident(&incident, &encoded);
        }
        let mut known = Items::default();
        erasures.sort_by(|a, b| (a.requested_time, &a.request_id).cmp(&(b.requested_time, &b.request_id)));
        for (number, erasure) in (0..).zip(&erasures) {
            for key in self.route.erasure(erasure).keys {
                known.put(number, |bytes| {
                    put_other(bytes, ItemKind::Erasure, erasure.requested_time, &key, 0)
                });
            }
        }
        Ok(known)
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
                let routed =
                    load::route_event(&mut route.borrow_mut(), &raw, frontier, arrival, items, number);
                load::account(routed, account, aside, || Aside {
                    topic,
                    source: None,
                    record: number,
                    original: line.to_vec(),
                });
                progress_after(number, progress);
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
        let brand_of = |item: &Item<'_>| numbers.get(item.brand() as usize).copied().unwrap_or(0);
        let mut batch = Vec::with_capacity(detect::BATCH_EVENTS);
        for (number, item) in (1..).zip(order::Merge::new(sources)) {
            let (kind, brand, place) = (item.kind(), brand_of(&item), item.place());
            let jurisdiction = route.jurisdictions.name(u32::from(item.jurisdiction()));
            let whole = "the item was written by this process";
            if kind == ItemKind::Event {
                batch.push((brand, item.event(jurisdiction).expect(whole)));
            } else {
                detect.events(&batch, &mut out);
                batch.clear();
                detect.item(&item, brand, place, jurisdiction, &mut out).expect(whole);
            }
            if batch.len() == detect::BATCH_EVENTS {
                detect.events(&batch, &mut out);
                batch.clear();
            }
            if batch.is_empty() && !out.windows.is_empty() {
                pass_on(score, &mut out, outcome, Some(place));
            }
            if number % PROGRESS_EVERY == 0 {
                progress.applied(PROGRESS_EVERY, total);
            }
        }
        detect.events(&batch, &mut out);
        let end = detect.latest_applied().map(|time| time + 1);
        if let Some(end) = end {
            detect.advance(end, &mut out);
        }
        detect.close_all(&mut out);
        pass_on(score, &mut out, outcome, end);
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

/// Hands what `detect` gave to `score`, and how far event time has come; where no event was applied it stands still.
fn pass_on(score: &mut Score, out: &mut detect::Output, outcome: &mut Outcome, frontier: Option<i64>) {
    outcome.moments.append(&mut out.moments);
    for window in out.windows.drain(..) {
        score.counts(0, &window.brand, window.length, EventTime(window.start), Mark::Closed, &window.counts);
    }
    for (length, start, counts) in out.pipeline.drain(..) {
        score.pipeline(0, length, EventTime(start), Mark::Closed, counts);
    }
    if let Some(frontier) = frontier {
        score.frontier(0, EventTime(frontier), 1);
        score.advance(&mut outcome.score);
    }
}

fn events_of(files: &[TopicFile]) -> impl Iterator<Item = &TopicFile> {
    files.iter().filter(|file| file.topic.is_person_events())
}

/// Tells the progress after a record.
fn progress_after(number: u64, progress: &mut dyn Progress) {
    if number % PROGRESS_EVERY == PROGRESS_EVERY - 1 {
        progress.read(PROGRESS_EVERY);
    }
}

/// Puts items in order that only the Avro encoding of their records tells apart: has these visited again.
fn settle(
    items: &mut Items,
    ties: &[std::ops::Range<usize>],
    visit: impl FnOnce(&mut dyn FnMut(u64, Option<RawRecord<'_>>)) -> Result<(), InputError>,
) -> Result<(), InputError> {
    let mut wanted: Vec<u64> =
        ties.iter().flat_map(|tie| &items.index[tie.clone()]).map(|i| i.record).collect();
    wanted.sort_unstable();
    let mut encoded = std::collections::BTreeMap::new();
    visit(&mut |number, record| {
        if wanted.binary_search(&number).is_ok()
            && let Some(RawRecord::Event(event)) = record
        {
            let mut bytes = Vec::new();
            encode_event(&event, &mut bytes);
            encoded.insert(number, bytes);
        }
    })?;
    for tie in ties {
        items.index[tie.clone()].sort_by(|a, b| encoded.get(&a.record).cmp(&encoded.get(&b.record)));
    }
    Ok(())
}
