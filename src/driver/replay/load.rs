//! From files to items: decode, validate, route; what cannot be used is set aside with its reason.

use crate::codec::container::ContainerReader;
use crate::codec::frame::item::Item;
use crate::codec::{avro, json};
use crate::event::kinds::Topic;
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::fold::route::{Frontier, Route, Routed};
use crate::log::files::{Format, InputError, Line, Lines, TopicFile};

use super::aside::{Aside, SetAside};
use super::ledger::Account;

/// An item's place in the order in which items are applied, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Indexed {
    /// Its place, milliseconds.
    pub place: i64,
    /// Its event time, milliseconds.
    pub time: i64,
    /// Where its bytes start.
    pub at: u64,
    /// The number of its record in the file, from 0.
    pub record: u64,
}

/// All items of one file.
#[derive(Debug, Default)]
pub struct Items {
    /// Their bytes, in chunks, so that nothing is copied as they become more.
    chunks: Vec<Vec<u8>>,
    /// Their order, that of the file until they are sorted.
    pub index: Vec<Indexed>,
}

/// A chunk takes no further items from this length on.
const CHUNK_BYTES: usize = 1 << 20;

impl Items {
    /// Puts items of a record and indexes them.
    pub fn put<T>(&mut self, record: u64, put: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES) {
            self.chunks.push(Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 16));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let mut at = chunk.len();
        let outcome = put(chunk);
        while let Ok((item, rest)) = Item::split(&chunk[at..]) {
            let position = (number as u64) << 32 | at as u64;
            self.index.push(Indexed { place: item.place(), time: item.time(), at: position, record });
            at = chunk.len() - rest.len();
        }
        outcome
    }

    /// An item of the index.
    pub fn item(&self, indexed: Indexed) -> Item<'_> {
        let chunk = &self.chunks[(indexed.at >> 32) as usize];
        let (item, _) =
            Item::split(&chunk[indexed.at as u32 as usize..]).expect("only whole items are indexed");
        item
    }
}

/// How records become items.
#[derive(Clone, Copy, Debug)]
pub struct Arrival {
    /// Whether the file is a source whose lines are in the order of arrival.
    pub as_stream: bool,
    /// How far event time may be out of order, milliseconds, by topic.
    pub out_of_orderness_ms: [i64; Topic::ALL.len()],
}

/// Reads every record of a file and accounts for it. `each` takes what is valid.
///
/// # Errors
/// When the file cannot be read on.
pub fn records(
    file: &TopicFile,
    account: &mut Account,
    aside: &mut SetAside,
    mut each: impl FnMut(&mut RawRecord<'_>, u64, &[u8], &mut Account, &mut SetAside),
    mut refused: impl FnMut(&[u8], u64),
) -> Result<(), InputError> {
    visit(file, |number, original, record| {
        account.read += 1;
        match record {
            Ok(record) => each(record, number, original, account, aside),
            Err(reject) => {
                account.dead_lettered += 1;
                refused(original, number);
                let original = original.to_vec();
                aside.dead(Aside { topic: file.topic, record: number, original }, reject);
            }
        }
    })
}

/// Reads every record of a file: its number from 0, its bytes, and what they hold.
///
/// # Errors
/// When the file cannot be read on.
pub fn visit(
    file: &TopicFile,
    each: impl FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>),
) -> Result<(), InputError> {
    match file.format {
        Format::Avro => visit_avro(file, each),
        Format::JsonLines | Format::JsonLinesGzip | Format::JsonLinesZstd => visit_json(file, each),
    }
}

fn visit_json(
    file: &TopicFile,
    mut each: impl FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>),
) -> Result<(), InputError> {
    let mut decoder = json::Decoder::new(file.topic);
    let mut lines = Lines::new(file.open()?);
    let mut number = 0;
    let failed = |records, source| InputError::File { path: file.path.clone(), records, source };
    while let Some(line) = lines.next_line().map_err(|source| failed(number, source))? {
        match line {
            Line::Whole(line) => match decoder.decode(line) {
                Ok(mut record) => each(number, line, Ok(&mut record)),
                Err(reject) => each(number, line, Err(reject)),
            },
            Line::Cut(start) => each(number, start, Err(Reject::new(Reason::Oversized, "line"))),
        }
        number += 1;
    }
    Ok(())
}

fn visit_avro(
    file: &TopicFile,
    mut each: impl FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>),
) -> Result<(), InputError> {
    let mut number = 0;
    let failed = |records, error: Box<dyn std::error::Error + Send + Sync>| InputError::File {
        path: file.path.clone(),
        records,
        source: std::io::Error::other(error),
    };
    let mut container = ContainerReader::new(file.open()?).map_err(|error| failed(0, error.into()))?;
    let decoder = avro::Decoder::compile(container.schema_json(), file.topic);
    let decoder = decoder.map_err(|error| failed(0, error.into()))?;
    let mut block = Vec::new();
    while let Some(count) = container.next_block(&mut block).map_err(|error| failed(number, error.into()))? {
        // A count that the block cannot hold is damage too: no record is empty.
        let count = count.min(block.len() as u64);
        let mut rest = block.as_slice();
        let mut record = RawRecord::Event(RawEvent::new(file.topic));
        for left in (0..count).rev() {
            let before = rest;
            match decoder.next(&mut rest, &mut record) {
                Ok((original, valid)) => each(number, original, valid.map(|()| &mut record)),
                Err(reject) => {
                    // Nothing more can be found in the block: what is left of it is set aside whole, and every
                    // record that it should hold is accounted for.
                    each(number, before, Err(reject));
                    for missing in 0..left {
                        let reject = Reject::new(Reason::Undecodable, "behind a damaged record of its block");
                        each(number + 1 + missing, &[], Err(reject));
                    }
                    number += left + 1;
                    break;
                }
            }
            number += 1;
        }
    }
    Ok(())
}

/// Routes an event of a file.
pub fn route_event(
    route: &mut Route,
    raw: &RawEvent<'_>,
    frontier: &mut Frontier,
    arrival: Arrival,
    items: &mut Items,
    record: u64,
) -> Routed {
    let place = if arrival.as_stream { frontier.place(raw.event_time) } else { raw.event_time };
    let routed = items.put(record, |bytes| route.event(raw, place, false, |_| bytes));
    if arrival.as_stream {
        let slack = arrival.out_of_orderness_ms[usize::from(raw.topic.index())];
        frontier.raise(raw.event_time, raw.event_time, slack);
    }
    routed
}

/// Counts a dead letter in its window, if it has one.
pub fn count_dead(
    route: &mut Route,
    topic: Topic,
    line: &[u8],
    frontier: &Frontier,
    arrival: Arrival,
    items: &mut Items,
    record: u64,
) {
    let readable = json::readable(line);
    let place = if arrival.as_stream { frontier.at() } else { readable.event_time };
    let (Some(place), true) = (place, topic.is_person_events()) else { return };
    items.put(record, |bytes| route.dead_letter(readable.brand_id.as_deref(), place, bytes));
}
