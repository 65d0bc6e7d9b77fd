//! `replay`: the whole job on files, in one thread, without a clock.
//!
//! Every file is read and routed, and the folds run over the items of all files once, in order. By default
//! nothing is late: an event's place is its time. As a stream, each file is a source whose lines are in the
//! order of arrival.
//!
//! Files that are in order are merged as they are read. When one turns out not to be, everything is begun anew
//! with all items held in memory, where they are sorted; the output is the same.

pub mod aside;
pub mod foreign;
pub mod ledger;
pub mod load;
pub mod order;
pub mod reader;
pub mod source;
pub mod write;

use std::path::Path;

use crate::codec::canonical::encode_incident;
use crate::codec::frame::item::{ItemKind, put_other};
use crate::config::sections::ForeignInput;
use crate::event::kinds::Topic;
use crate::event::output::TrustMoment;
use crate::event::raw::{RawErasure, RawEvent, RawIncident, RawRecord};
use crate::fold::detect::{self, Detect, Placed};
use crate::fold::route::Route;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::files::{self, InputError, TopicFile};
use crate::time::EventTime;

use self::aside::{Aside, SetAside};
use self::foreign::ForeignFile;
use self::ledger::{Account, Ledger};
use self::load::{Arrival, Items};
use self::order::Merge;
use self::source::{Intake, Source, Stop};

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
        let mut sources = vec![Source::held(self.load_known(&files, &foreign, &mut outcome)?)];
        let given = self.load_foreign(&foreign, &mut outcome, progress)?;
        for file in files.iter().filter(|file| file.topic.is_person_events()) {
            sources.push(Source::open(file)?);
        }
        sources.push(given);
        let before = (self.score.clone(), self.route.quality, outcome.ledger.clone());
        match self.fold(&mut sources, &mut outcome, progress) {
            Err(Stop::Input(error)) => return Err(error),
            Err(Stop::Disorder) => {
                (self.score, self.route.quality, outcome.ledger) = before;
                (outcome.moments, outcome.score) = Default::default();
                for source in &mut sources {
                    source.hold(&mut self.intake(&mut outcome, progress))?;
                }
                if let Err(Stop::Input(error)) = self.fold(&mut sources, &mut outcome, progress) {
                    return Err(error);
                }
            }
            Ok(()) => {}
        }
        for source in sources {
            outcome.aside.append(source.aside);
        }
        Ok(outcome)
    }

    fn intake<'a>(&'a mut self, outcome: &'a mut Outcome, progress: &'a mut dyn Progress) -> Intake<'a> {
        Intake { route: &mut self.route, arrival: self.arrival, ledger: &mut outcome.ledger, progress }
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
            let Some(file) = files.iter().find(|file| file.topic == topic) else { continue };
            let account = ledger.of(topic);
            reader::visit(file, |number, original, record| {
                account.read += 1;
                match record {
                    Ok(record) => {
                        take(std::mem::replace(record, RawRecord::Event(RawEvent::new(topic))), account);
                    }
                    Err(reject) => {
                        account.dead_lettered += 1;
                        let original = original.to_vec();
                        aside.dead(Aside { topic, source: None, record: number, original }, reject);
                    }
                }
            })?;
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

    fn load_foreign<'f>(
        &mut self,
        files: &[ForeignFile],
        outcome: &mut Outcome,
        progress: &mut dyn Progress,
    ) -> Result<Source<'f>, InputError> {
        let mut aside = SetAside::default();
        let accounts = (&mut outcome.ledger, &mut aside);
        let mut items = foreign::load_events(files, &mut self.route, self.arrival, accounts, progress)?;
        let ties = order::sort(&mut items);
        if !ties.is_empty() {
            source::settle(&mut items, &ties, |each| {
                foreign::visit_events(files, |number, _, given| {
                    each(number, given.record.ok().flatten().as_ref());
                })
            })?;
        }
        let mut source = Source::held(items);
        source.aside = aside;
        Ok(source)
    }

    fn fold(
        &mut self,
        sources: &mut [Source<'_>],
        outcome: &mut Outcome,
        progress: &mut dyn Progress,
    ) -> Result<(), Stop> {
        let (reads, total) =
            (sources.iter().any(Source::is_dry), sources.iter().map(Source::in_memory).sum());
        let mut detect = Detect::new(self.detect.clone());
        let mut out = detect::Output::default();
        let mut numbers = Vec::new();
        let mut applied = 0;
        loop {
            for source in sources.iter_mut().filter(|source| source.is_dry()) {
                source.refill(&mut self.intake(outcome, progress))?;
            }
            let Replay { route, score, .. } = self;
            while numbers.len() < route.brands.len() {
                numbers.push(detect.brand(route.brands.name(numbers.len() as u32)));
            }
            let mut merge = Merge::new(sources.iter().map(Source::ready));
            let mut batch = Vec::with_capacity(detect::BATCH_ITEMS);
            loop {
                batch.clear();
                batch.extend(merge.by_ref().take(detect::BATCH_ITEMS).map(|item| Placed {
                    item,
                    place: item.place(),
                    brand: numbers.get(item.brand() as usize).copied().unwrap_or(0),
                    jurisdiction: route.jurisdictions.name(u32::from(item.jurisdiction())),
                }));
                let Some(place) = batch.last().map(|last| last.place) else { break };
                detect.items(&batch, &mut out).expect("the items were written by this process");
                if !out.windows.is_empty() {
                    pass_on(score, &mut out, outcome, Some(place));
                }
                applied += batch.len() as u64;
                if !reads && applied % PROGRESS_EVERY < batch.len() as u64 {
                    progress.applied(PROGRESS_EVERY, total);
                }
            }
            let positions = merge.positions();
            for (source, position) in sources.iter_mut().zip(positions) {
                source.applied_to(position);
            }
            if !sources.iter().any(Source::is_dry) {
                break;
            }
        }
        let Replay { score, .. } = self;
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
        Ok(())
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

/// Tells the progress after a record.
fn progress_after(number: u64, progress: &mut dyn Progress) {
    if number % PROGRESS_EVERY == PROGRESS_EVERY - 1 {
        progress.read(PROGRESS_EVERY);
    }
}
