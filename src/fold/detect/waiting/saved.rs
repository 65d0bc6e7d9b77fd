//! The state of a partition as bytes.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Flow, Partition, Waiting};
use crate::codec::frame::item::{Item, ItemKind};
use crate::event::kinds::Topic;
use crate::fold::detect::{Detect, FOLD_VERSION, Settings};
use crate::fold::saved::{Reader, Saved, StateError};

impl Partition {
    /// Appends the state, in its one canonical form. What waits stands in the order in which it is held, which
    /// the log decides.
    pub fn write_state(&self, out: &mut Vec<u8>) {
        FOLD_VERSION.save(out);
        self.sources.save(out);
        self.counts.save(out);
        self.frontier.save(out);
        self.detect.save(out);
        self.waiting.len().save(out);
        for waiting in &self.waiting {
            waiting.place.save(out);
            waiting.brand.save(out);
            waiting.jurisdiction.save(out);
            out.extend_from_slice(&waiting.bytes);
        }
        // Where there is none, the form is the one that earlier builds read and wrote.
        if !self.detect.gaps.0.is_empty() {
            self.detect.gaps.0.save(out);
        }
    }

    /// A partition that goes on from what [`Partition::write_state`] wrote under settings with the same windows.
    ///
    /// # Errors
    /// When another version of the fold wrote it, under other windows, or it is damaged.
    pub fn read_state(settings: Settings, bytes: &[u8]) -> Result<Partition, StateError> {
        let mut reader = Reader::start(bytes, FOLD_VERSION)?;
        let from = &mut reader;
        let (sources, counts, frontier) = (Saved::load(from)?, Saved::load(from)?, Saved::load(from)?);
        let mut detect = Detect::load(settings, from)?;
        let mut waiting = Vec::new();
        let mut jurisdictions = BTreeSet::<Arc<str>>::new();
        for _ in 0..usize::load(from)? {
            waiting.push(load_waiting(&detect, &mut jurisdictions, from)?);
        }
        if !from.rest.is_empty() {
            detect.gaps.0 = Saved::load(from)?;
        }
        reader.end()?;
        Ok(Partition { detect, sources, counts, frontier, flow: flow_of(&waiting), waiting })
    }
}

/// Events on their way when a state is loaded: those that wait.
fn flow_of(waiting: &[Waiting]) -> [Flow; Topic::ALL.len()] {
    let mut flow = [Flow::default(); Topic::ALL.len()];
    for topic in waiting.iter().filter_map(|waiting| waiting.item().event_topic()) {
        let flow = &mut flow[usize::from(topic.index())];
        flow.arrived += 1;
        flow.waiting += 1;
    }
    flow
}

fn load_waiting(
    detect: &Detect,
    jurisdictions: &mut BTreeSet<Arc<str>>,
    from: &mut Reader<'_>,
) -> Result<Waiting, StateError> {
    let (place, brand) = (i64::load(from)?, u32::load(from)?);
    detect.check_brand(brand)?;
    let name = from.text()?;
    let jurisdiction = match jurisdictions.get(name) {
        Some(known) => Arc::clone(known),
        None => Arc::from(name),
    };
    jurisdictions.insert(Arc::clone(&jurisdiction));
    let (item, rest) = Item::split(from.rest).map_err(|error| StateError::Damaged(error.0))?;
    if matches!(item.kind(), ItemKind::Event | ItemKind::LateWord) {
        item.event("").map_err(|error| StateError::Damaged(error.0))?;
    }
    from.rest = rest;
    Ok(Waiting { place, brand, jurisdiction, bytes: item.bytes().into() })
}
