//! Where items come from: a file that is read as they are applied, or items that are held.

use std::ops::Range;

use crate::codec::canonical::encode_event;
use crate::codec::frame::item::ItemKind;
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::event::reject::Reject;
use crate::fold::route::{Frontier, Route};
use crate::log::files::{InputError, TopicFile};

use super::aside::{Aside, SetAside};
use super::ledger::{Account, Ledger};
use super::load::{self, Arrival, Items};
use super::order::{self, Ready};
use super::reader::{self, FileReader, Take};
use super::{Progress, progress_after};

/// Why items cannot be applied as they are read.
#[derive(Debug)]
pub enum Stop {
    /// The file is not in order: all its items must be held.
    Disorder,
    /// It cannot be read on.
    Input(InputError),
}

impl From<InputError> for Stop {
    fn from(error: InputError) -> Stop {
        Stop::Input(error)
    }
}

/// Takes records in.
pub struct Intake<'a> {
    /// Decides who, where and when.
    pub route: &'a mut Route,
    /// How records become items.
    pub arrival: Arrival,
    /// What becomes of every record.
    pub ledger: &'a mut Ledger,
    /// Told how far it is.
    pub progress: &'a mut dyn Progress,
}

/// A sequence of items in order, of which some are in memory.
pub struct Source<'f> {
    /// `None` if the items did not come from a topic's file.
    file: Option<&'f TopicFile>,
    /// `None` once everything is in memory.
    reader: Option<FileReader<'f>>,
    items: Items,
    /// The items that may be applied now.
    ready: Range<usize>,
    /// No item will have a place before this.
    bound: i64,
    /// Places of the items in memory: the first and the last.
    places: (i64, i64),
    frontier: Frontier,
    /// What was set aside.
    pub aside: SetAside,
}

const NO_PLACES: (i64, i64) = (i64::MAX, i64::MIN);

impl<'f> Source<'f> {
    /// Items that are in order.
    pub fn held(items: Items) -> Source<'f> {
        Source {
            file: None,
            reader: None,
            ready: 0..items.index.len(),
            items,
            bound: i64::MIN,
            places: NO_PLACES,
            frontier: Frontier::default(),
            aside: SetAside::default(),
        }
    }

    /// A file of person events.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub fn open(file: &'f TopicFile) -> Result<Source<'f>, InputError> {
        let reader = Some(FileReader::open(file)?);
        Ok(Source { file: Some(file), reader, ..Source::held(Items::default()) })
    }

    /// How many items are in memory.
    pub fn in_memory(&self) -> u64 {
        self.items.index.len() as u64
    }

    /// Whether it must be refilled before items are applied on.
    pub fn is_dry(&self) -> bool {
        self.ready.is_empty() && self.reader.is_some()
    }

    /// The items that may be applied now.
    pub fn ready(&self) -> Ready<'_> {
        Ready { items: &self.items, range: self.ready.clone(), more: self.reader.is_some() }
    }

    /// Takes note that ready items were applied up to a position.
    pub fn applied_to(&mut self, position: usize) {
        self.ready.start = position;
    }

    /// Reads on until items are ready or the file has ended, and puts them in order.
    ///
    /// # Errors
    /// When the file cannot be read, or turns out not to be in order.
    pub fn refill(&mut self, intake: &mut Intake<'_>) -> Result<(), Stop> {
        self.items.keep_from(self.ready.start);
        self.places = match (self.items.index.first(), self.items.index.last()) {
            (Some(first), Some(last)) => (first.place, last.place),
            _ => NO_PLACES,
        };
        // As many again as are left, so that what is left is not sorted over and over.
        let enough = 2 * self.items.index.len();
        let bound = loop {
            if !self.read_some(intake)? {
                self.reader = None;
                break i64::MAX;
            }
            let bound = match intake.arrival.as_stream {
                true => self.frontier.at().unwrap_or(i64::MIN),
                false => self.places.1,
            };
            if self.places.0 < bound && self.items.index.len() >= enough {
                break bound;
            }
        };
        let ties = order::sort(&mut self.items);
        let tied = ties.into_iter().flatten().any(|at| {
            let kind = self.items.item(self.items.index[at]).kind();
            matches!(kind, ItemKind::Event | ItemKind::LateWord)
        });
        if tied || self.places.0 < self.bound {
            return Err(Stop::Disorder);
        }
        self.ready = 0..self.items.index.partition_point(|indexed| indexed.place < bound);
        self.bound = bound;
        Ok(())
    }

    /// Begins anew: reads the whole file and puts its items in order.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn hold(&mut self, intake: &mut Intake<'_>) -> Result<(), InputError> {
        if let Some(file) = self.file {
            *self = Source::open(file)?;
            while self.read_some(intake)? {}
            self.reader = None;
            let ties = order::sort(&mut self.items);
            if !ties.is_empty() {
                settle(&mut self.items, &ties, |each| {
                    reader::visit(file, |number, _, record| each(number, record.as_deref().ok()))
                })?;
            }
        }
        self.ready = 0..self.items.index.len();
        Ok(())
    }

    fn read_some(&mut self, intake: &mut Intake<'_>) -> Result<bool, InputError> {
        let Source { file, reader, items, frontier, aside, places, .. } = self;
        let (Some(file), Some(reader)) = (file, reader) else { return Ok(false) };
        let Intake { route, arrival, ledger, progress } = intake;
        let (topic, old) = (file.topic, items.index.len());
        let (arrival, account) = (*arrival, ledger.of(topic));
        let more = reader.read_some(&mut Routing {
            topic,
            route,
            arrival,
            items,
            frontier,
            account,
            aside,
            progress: *progress,
        })?;
        for indexed in &items.index[old..] {
            *places = (places.0.min(indexed.place), places.1.max(indexed.place));
        }
        Ok(more)
    }
}

/// Routes the records of a file of person events.
struct Routing<'a> {
    topic: Topic,
    route: &'a mut Route,
    arrival: Arrival,
    items: &'a mut Items,
    frontier: &'a mut Frontier,
    account: &'a mut Account,
    aside: &'a mut SetAside,
    progress: &'a mut dyn Progress,
}

impl Take for Routing<'_> {
    fn ahead(&mut self, record: &RawRecord<'_>) {
        if let RawRecord::Event(raw) = record {
            self.route.warm(raw);
        }
    }

    fn record(&mut self, number: u64, original: &[u8], record: Result<&mut RawRecord<'_>, Reject>) {
        let Routing { topic, route, arrival, items, frontier, account, aside, progress } = self;
        account.read += 1;
        let set_aside = || Aside { topic: *topic, source: None, record: number, original: original.to_vec() };
        match record {
            Ok(RawRecord::Event(raw)) => {
                let routed = load::route_event(route, raw, frontier, *arrival, items, number);
                load::account(routed, account, aside, set_aside);
            }
            Ok(_) => {}
            Err(reject) => {
                account.dead_lettered += 1;
                load::count_dead(route, *topic, original, frontier, *arrival, items, number);
                aside.dead(set_aside(), reject);
            }
        }
        progress_after(number, *progress);
    }
}

/// Puts items in order that only the Avro encoding of their records tells apart: has these visited again.
///
/// # Errors
/// When the visit fails.
pub fn settle(
    items: &mut Items,
    ties: &[Range<usize>],
    visit: impl FnOnce(&mut dyn FnMut(u64, Option<&RawRecord<'_>>)) -> Result<(), InputError>,
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
            encode_event(event, &mut bytes);
            encoded.insert(number, bytes);
        }
    })?;
    for tie in ties {
        items.index[tie.clone()].sort_by(|a, b| encoded.get(&a.record).cmp(&encoded.get(&b.record)));
    }
    Ok(())
}
