//! From records to items: routed, indexed, accounted for.

use crate::codec::frame::item::Item;
use crate::codec::json;
use crate::event::kinds::Topic;
use crate::event::raw::RawEvent;
use crate::fold::route::{Frontier, Route, Routed};

use super::aside::{Aside, SetAside};
use super::ledger::Account;

/// An item's place in the order in which items are applied, and where it stands.
#[derive(Clone, Copy, Debug)]
pub struct Indexed {
    /// Its place, milliseconds.
    pub place: i64,
    /// Where its bytes start.
    pub at: u64,
    /// The number of its record in the file, from 0.
    pub record: u64,
}

/// Items of one file.
#[derive(Debug, Default)]
pub struct Items {
    /// Their bytes, in chunks, so that nothing is copied as they become more.
    chunks: Vec<Vec<u8>>,
    /// Empty chunks to be used again.
    spare: Vec<Vec<u8>>,
    /// Their order, that of the file until they are sorted.
    pub index: Vec<Indexed>,
}

/// A chunk takes no further items from this length on.
const CHUNK_BYTES: usize = 1 << 20;

impl Items {
    /// Puts items of a record and indexes them.
    pub fn put<T>(&mut self, record: u64, put: impl FnOnce(&mut Vec<u8>) -> T) -> T {
        if self.chunks.last().is_none_or(|chunk| chunk.len() >= CHUNK_BYTES) {
            let spare = self.spare.pop();
            self.chunks.push(spare.unwrap_or_else(|| Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 16)));
        }
        let number = self.chunks.len() - 1;
        let chunk = &mut self.chunks[number];
        let mut at = chunk.len();
        let outcome = put(chunk);
        while let Ok((item, rest)) = Item::split(&chunk[at..]) {
            let position = (number as u64) << 32 | at as u64;
            self.index.push(Indexed { place: item.place(), at: position, record });
            at = chunk.len() - rest.len();
        }
        outcome
    }

    /// Drops the items of the index before a position.
    pub fn keep_from(&mut self, position: usize) {
        let mut old = std::mem::take(self);
        self.spare = std::mem::take(&mut old.spare);
        for indexed in old.index.iter().skip(position) {
            self.put(indexed.record, |bytes| bytes.extend_from_slice(old.item(*indexed).bytes()));
        }
        self.spare.extend(old.chunks.into_iter().map(|mut chunk| {
            chunk.clear();
            chunk
        }));
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

/// Accounts for an event that was routed.
pub fn account(
    routed: Routed,
    account: &mut Account,
    set_aside: &mut SetAside,
    aside: impl FnOnce() -> Aside,
) {
    match routed {
        Routed::Logged => account.waiting += 1,
        Routed::Exempt => account.exempt += 1,
        Routed::TooLate { by_ms } => {
            account.too_late += 1;
            set_aside.late(aside(), by_ms);
        }
    }
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
