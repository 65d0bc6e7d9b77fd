//! The fold's frontier and the items that wait for it.

mod saved;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::frame::item::{Item, ItemKind};
use crate::codec::frame::{Frame, FrameError};
use crate::event::kinds::Topic;

use super::{BATCH_ITEMS, Detect, Output, Placed};

/// One partition of the person events: frames in, the frontier's moves and the fold's outputs out.
pub struct Partition {
    detect: Detect,
    sources: BTreeMap<(Topic, u32), i64>,
    counts: BTreeMap<Topic, u32>,
    frontier: Option<i64>,
    waiting: Vec<Waiting>,
    flow: [Flow; Topic::ALL.len()],
}

/// Events of one topic on their way through a partition.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Events that arrived since this value was made.
    pub arrived: u64,
    /// Events that wait.
    pub waiting: u64,
}

/// An item that waits, with the names its numbers stand for.
struct Waiting {
    place: i64,
    brand: u32,
    jurisdiction: Arc<str>,
    bytes: Box<[u8]>,
}

impl Waiting {
    fn item(&self) -> Item<'_> {
        Item::split(&self.bytes).expect("only whole items wait").0
    }
}

impl Partition {
    /// A partition that has seen nothing.
    pub fn new(detect: Detect) -> Partition {
        Partition {
            detect,
            sources: BTreeMap::new(),
            counts: BTreeMap::new(),
            frontier: None,
            waiting: Vec::new(),
            flow: Default::default(),
        }
    }

    /// The frontier: the least of all sources named so far, once each has one.
    pub fn frontier(&self) -> Option<i64> {
        self.frontier
    }

    /// How many items wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// The events of a topic on their way.
    pub fn flow(&self, topic: Topic) -> Flow {
        self.flow[usize::from(topic.index())]
    }

    /// The fold.
    pub fn detect(&self) -> &Detect {
        &self.detect
    }

    /// Takes a frame in and applies what its frontier table lets pass.
    ///
    /// # Errors
    /// When the frame cannot be read.
    pub fn frame(&mut self, bytes: &[u8], out: &mut Output) -> Result<(), FrameError> {
        let frame = Frame::read(bytes)?;
        let brands: BTreeMap<u32, u32> =
            frame.brands.iter().map(|(number, name)| (*number, self.detect.brand(name))).collect();
        let jurisdictions: BTreeMap<u32, Arc<str>> =
            frame.jurisdictions.iter().map(|(number, name)| (*number, Arc::from(*name))).collect();
        let mut rest = frame.items;
        while !rest.is_empty() {
            let (item, tail) = Item::split(rest)?;
            rest = tail;
            if matches!(item.kind(), ItemKind::Event | ItemKind::LateWord) {
                item.event("")?;
            }
            let jurisdiction = jurisdictions.get(&u32::from(item.jurisdiction()));
            let flow = item.event_topic().map(|topic| &mut self.flow[usize::from(topic.index())]);
            self.waiting.push(Waiting {
                // What arrives below the frontier is placed at it.
                place: self.frontier.map_or(item.place(), |frontier| frontier.max(item.place())),
                brand: brands.get(&item.brand()).copied().ok_or(FrameError::Damaged("brand number"))?,
                jurisdiction: jurisdiction.cloned().ok_or(FrameError::Damaged("jurisdiction number"))?,
                bytes: item.bytes().into(),
            });
            if let Some(flow) = flow {
                flow.arrived += 1;
                flow.waiting += 1;
            }
        }
        for (topic, count) in frame.table.partitions {
            let known = self.counts.entry(topic).or_default();
            *known = if count == 0 { 0 } else { count.max(*known) };
        }
        for source in frame.table.sources {
            let known = self.sources.entry((source.topic, source.partition)).or_insert(source.frontier);
            *known = source.frontier.max(*known);
        }
        self.advance(out);
        Ok(())
    }

    fn advance(&mut self, out: &mut Output) {
        let named =
            |(topic, partition): &(Topic, u32)| self.counts.get(topic).is_some_and(|count| partition < count);
        let all: u32 = self.counts.values().sum();
        let known = self.sources.keys().filter(|source| named(source)).count();
        if known < all as usize || all == 0 {
            return;
        }
        let least =
            self.sources.iter().filter(|(source, _)| named(source)).map(|(_, frontier)| *frontier).min();
        self.frontier = self.frontier.max(least);
        let Some(frontier) = self.frontier else { return };
        let mut ready = Vec::new();
        let mut index = 0;
        while index < self.waiting.len() {
            if self.waiting[index].place < frontier {
                let next = self.waiting.swap_remove(index);
                if let Some(topic) = next.item().event_topic() {
                    self.flow[usize::from(topic.index())].waiting -= 1;
                }
                ready.push(next);
            } else {
                index += 1;
            }
        }
        ready.sort_by(|a, b| a.place.cmp(&b.place).then_with(|| a.item().cmp_applied(&b.item())));
        let mut batch = Vec::with_capacity(BATCH_ITEMS);
        for some in ready.chunks(BATCH_ITEMS) {
            batch.clear();
            batch.extend(some.iter().map(|waiting| Placed {
                item: waiting.item(),
                place: waiting.place,
                brand: waiting.brand,
                jurisdiction: &waiting.jurisdiction,
            }));
            self.detect.items(&batch, out).expect("events are checked when they arrive");
        }
        self.detect.advance(frontier, out);
    }
}

impl std::fmt::Debug for Partition {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Partition")
            .field("frontier", &self.frontier)
            .field("waiting", &self.waiting.len())
            .finish()
    }
}
