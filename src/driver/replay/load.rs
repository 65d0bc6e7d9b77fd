//! From files to items: decode, validate, route; what cannot be used is set aside with its reason.

use crate::codec::frame::item::{ItemKind, put_other};
use crate::codec::json::{self, Decoder};
use crate::event::kinds::Topic;
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::fold::route::{Frontier, Route, Routed};
use crate::log::files::{InputError, Line, Lines, TopicFile};

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
    /// Their bytes.
    pub bytes: Vec<u8>,
    /// Their order, that of the file until they are sorted.
    pub index: Vec<Indexed>,
}

impl Items {
    /// Indexes the items put since the last call.
    pub fn index_new(&mut self, from: usize, record: u64) {
        let mut at = from;
        while let Ok((item, rest)) = crate::codec::frame::item::Item::split(&self.bytes[at..]) {
            self.index.push(Indexed { place: item.place(), time: item.time(), at: at as u64, record });
            at = self.bytes.len() - rest.len();
        }
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

/// Reads every record of a file. `each` takes what is valid.
///
/// # Errors
/// When the file cannot be read on.
pub fn records(
    file: &TopicFile,
    account: &mut Account,
    aside: &mut SetAside,
    mut each: impl FnMut(RawRecord<'_>, u64, &[u8], &mut Account, &mut SetAside),
    mut refused: impl FnMut(&[u8], u64),
) -> Result<(), InputError> {
    let mut decoder = Decoder::new(file.topic);
    let mut lines = Lines::new(file.open()?);
    let mut number = 0;
    let failed = |records, source| InputError::File { path: file.path.clone(), records, source };
    while let Some(line) = lines.next_line().map_err(|source| failed(number, source))? {
        account.read += 1;
        let outcome = match line {
            Line::Whole(line) => match decoder.decode(line) {
                Ok(record) => {
                    each(record, number, line, account, aside);
                    None
                }
                Err(reject) => Some((line.to_vec(), reject)),
            },
            Line::Cut(start) => Some((start.to_vec(), Reject::new(Reason::Oversized, "line"))),
        };
        if let Some((original, reject)) = outcome {
            account.dead_lettered += 1;
            refused(&original, number);
            aside.dead(Aside { topic: file.topic, record: number, original }, reject);
        }
        number += 1;
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
    let from = items.bytes.len();
    let routed = route.event(raw, place, false, |_| &mut items.bytes);
    items.index_new(from, record);
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
    let (kind, brand) = match &readable.brand_id {
        Some(brand) => (ItemKind::DeadLettered, route.brands.number(brand)),
        None => (ItemKind::Unreadable, 0),
    };
    let from = items.bytes.len();
    put_other(&mut items.bytes, kind, place, &[0; 16], brand);
    items.index_new(from, record);
}
