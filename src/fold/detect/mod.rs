//! `detect`: events of people in the order of their places to moments and counts.
//!
//! The fold of one partition of the person events. It is told each event in order (the caller sorts and
//! knows the frontier) and closes windows, publishes provisional marks and matures requests on the way,
//! each at its own instant, before the events of that millisecond.

pub mod duplicates;
mod gaps;
pub mod moments;
mod saved;
pub mod store;
#[cfg(test)]
mod tests;
pub mod waiting;
pub mod windows;

use std::collections::VecDeque;
use std::sync::Arc;

use hashbrown::HashMap;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use self::duplicates::Duplicates;
use self::gaps::Gaps;
use self::store::{Handle, PairKey, Store};
use self::windows::WindowTally;
use super::counts::{Counts, PipelineCounts};
use crate::codec::frame::item::{DamagedItem, Item, ItemKind};
use crate::event::kinds::Topic;
use crate::event::output::TrustMoment;
use crate::event::person::{KeyKind, PersonEvent};
use crate::identity::{PseudonymKey, PseudonymKind};
use crate::patterns::rules::{BrandRules, RuleBook};
use crate::patterns::state::{Record, Request, WindowState};
use crate::patterns::{Anchor, Evidence, Pair, Pattern, Seen, Trigger, control_honoured};
use crate::time::WindowLength;

/// What the fold is told once.
#[derive(Clone)]
pub struct Settings {
    /// Window lengths, at most [`crate::patterns::state::WINDOWS_MAX`].
    pub lengths: Vec<WindowLength>,
    /// Thresholds and weights.
    pub rules: RuleBook,
    /// How long ids are remembered and how late an event may be, milliseconds.
    pub late_memory_ms: i64,
    /// How many ids are remembered at most.
    pub dup_ids_max: usize,
    /// Whether open windows publish provisional marks.
    pub provisional: bool,
    /// Keys the hashes of ids.
    pub hash_seed: u64,
    /// Makes the pseudonyms of opening events.
    pub key: PseudonymKey,
    /// Published with every moment.
    pub config_hash: Arc<str>,
}

/// Version of this fold: raised when the same log gives another state or output, or the state another form.
pub const FOLD_VERSION: u32 = 2;

/// How many items [`Detect::items`] is best given at once.
pub const BATCH_ITEMS: usize = 32;

/// An item about to be applied, with the names its numbers stand for.
#[derive(Clone, Copy, Debug)]
pub struct Placed<'a> {
    /// The item.
    pub item: Item<'a>,
    /// Where it is applied, milliseconds.
    pub place: i64,
    /// The brand's number in the fold.
    pub brand: u32,
    /// The jurisdiction, empty where unknown.
    pub jurisdiction: &'a str,
}

/// When a window's counts were taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Taken {
    /// At this provisional mark, counted from 1.
    Provisional(u32),
    /// At the close.
    Closed,
}

/// Cumulative counts of one brand in one window.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WindowCounts {
    /// The brand.
    pub brand: Arc<str>,
    /// The window's length.
    pub length: WindowLength,
    /// The window's start, milliseconds.
    pub start: i64,
    /// When they were taken.
    pub taken: Taken,
    /// The counts.
    pub counts: Counts,
}

/// What the fold hands out.
#[derive(Clone, Debug, Default)]
pub struct Output {
    /// Revisions of moments.
    pub moments: Vec<TrustMoment>,
    /// Counts of windows, in the order of their instants.
    pub windows: Vec<WindowCounts>,
    /// Records of all brands, per closed window.
    pub pipeline: Vec<(WindowLength, i64, PipelineCounts)>,
    /// Closed windows that lack a source.
    pub incomplete: Vec<(WindowLength, i64)>,
}

/// What became of the person events of one topic.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Applied.
    pub applied: u64,
    /// Copies of an applied one.
    pub duplicate: u64,
    /// From before an erasure.
    pub erased: u64,
}

/// A record that is no event but counts in a window's completeness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// Too late, of a brand.
    Late(u32),
    /// A dead letter of a brand.
    DeadLettered(u32),
    /// A dead letter whose brand cannot be read.
    Unreadable,
}

struct Brand {
    name: Arc<str>,
    rules: BrandRules,
    tallies: Vec<Option<Box<WindowTally>>>,
}

#[derive(Clone, Default)]
struct OpenWindow {
    /// The window's number; −1 before the first.
    number: i64,
    marks: u32,
    active: Vec<u32>,
    pipeline: PipelineCounts,
}

/// The fold of one partition.
pub struct Detect {
    settings: Settings,
    brands: Vec<Brand>,
    brand_numbers: HashMap<Arc<str>, u32>,
    store: Store,
    duplicates: Duplicates,
    open: Vec<OpenWindow>,
    requests: VecDeque<(i64, PairKey)>,
    erased: HashMap<[u8; 16], i64>,
    gaps: Gaps,
    tallies: [Tally; Topic::ALL.len()],
    latest_applied: Option<i64>,
    record: Record,
    triggers: Vec<Trigger>,
    retractions: Vec<(Pattern, Anchor)>,
    hashes: Vec<u128>,
    handles: Vec<Handle>,
}

impl Detect {
    /// A fold that has seen nothing.
    pub fn new(settings: Settings) -> Detect {
        let lengths = settings.lengths.len();
        assert!(lengths <= crate::patterns::state::WINDOWS_MAX, "the configuration limits the lengths");
        Detect {
            store: Store::new(lengths),
            duplicates: Duplicates::new(settings.late_memory_ms, settings.dup_ids_max),
            open: vec![OpenWindow { number: -1, ..OpenWindow::default() }; lengths],
            settings,
            brands: Vec::new(),
            brand_numbers: HashMap::new(),
            requests: VecDeque::new(),
            erased: HashMap::new(),
            gaps: Gaps::default(),
            tallies: Default::default(),
            latest_applied: None,
            record: Record::default(),
            triggers: Vec::new(),
            retractions: Vec::new(),
            hashes: Vec::new(),
            handles: Vec::new(),
        }
    }

    /// The number of a brand in this fold.
    pub fn brand(&mut self, name: &str) -> u32 {
        if let Some(&number) = self.brand_numbers.get(name) {
            return number;
        }
        let number = u32::try_from(self.brands.len()).expect("brands are far fewer than 2^32");
        let name: Arc<str> = Arc::from(name);
        self.brands.push(Brand {
            name: Arc::clone(&name),
            rules: self.settings.rules.of_brand(&name),
            tallies: vec![None; self.settings.lengths.len()],
        });
        self.brand_numbers.insert(name, number);
        number
    }

    /// What became of the events of a topic.
    pub fn tally(&self, topic: Topic) -> Tally {
        self.tallies[usize::from(topic.index())]
    }

    /// Number of pairs with any state.
    pub fn pairs(&self) -> usize {
        self.store.len()
    }

    /// How many ids the memory of duplicates holds.
    pub fn remembered_ids(&self) -> usize {
        self.duplicates.len()
    }

    /// The latest event time of an applied event, milliseconds.
    pub fn latest_applied(&self) -> Option<i64> {
        self.latest_applied
    }

    /// Bytes held for pairs, and for the memory of duplicates.
    pub fn bytes(&self) -> (usize, usize) {
        (self.store.bytes(), self.duplicates.bytes())
    }

    /// Applies the next items, in order. What they need is fetched for all of them first, so that the waits
    /// for memory overlap: batches of [`BATCH_ITEMS`] are best.
    ///
    /// # Errors
    /// At an item that is to be an event and does not hold one; what came before it is applied.
    pub fn items(&mut self, items: &[Placed<'_>], out: &mut Output) -> Result<(), DamagedItem> {
        let mut hashes = std::mem::take(&mut self.hashes);
        let mut handles = std::mem::take(&mut self.handles);
        hashes.clear();
        handles.clear();
        // One short loop after the other: the shorter, the more of its waits overlap.
        handles.extend(items.iter().filter_map(|Placed { item, brand, .. }| {
            self.store.probably(&PairKey { person: item.person(), brand: *brand })
        }));
        handles.iter().for_each(|handle| self.store.warm(*handle));
        hashes.extend(
            items.iter().map(|Placed { item, .. }| {
                self.event_hash(item.topic_index(), item.person(), item.event_id())
            }),
        );
        for id in &hashes {
            std::hint::black_box(self.duplicates.warm(*id));
        }
        if let Some(last) = items.last() {
            std::hint::black_box(self.duplicates.warm_oldest(last.place, items.len()));
        }
        let applied = items.iter().zip(&hashes).try_for_each(|(placed, id)| self.item(placed, *id, out));
        (self.hashes, self.handles) = (hashes, handles);
        applied
    }

    /// Applies the next event.
    pub fn event(&mut self, brand: u32, event: &PersonEvent<'_>, out: &mut Output) {
        let id = self.event_hash(event.topic.index(), event.person, event.event_id);
        self.hashed_event(brand, event, id, out);
    }

    fn hashed_event(&mut self, brand: u32, event: &PersonEvent<'_>, id: u128, out: &mut Output) {
        self.advance(event.place, out);
        let topic = usize::from(event.topic.index());
        if self.is_erased(event) {
            self.tallies[topic].erased += 1;
            return;
        }
        if !self.duplicates.is_new(id, event.place) {
            self.tallies[topic].duplicate += 1;
            return;
        }
        self.tallies[topic].applied += 1;
        self.count_record(event.place);
        self.latest_applied = self.latest_applied.max(Some(event.time));

        let key = PairKey { person: event.person, brand };
        let stood = self.store.load(&key, &mut self.record);
        let exposed = moments::exposed(&self.record, event.place);
        let rules = self.brands[brand as usize].rules.in_jurisdiction(event.jurisdiction);
        let seen = crate::patterns::apply(&mut Pair {
            event,
            rules: &rules.rules,
            replenishable: &rules.replenishable,
            slack: self.settings.late_memory_ms,
            record: &mut self.record,
            triggers: &mut self.triggers,
            retractions: &mut self.retractions,
        });
        let device_key = event.key == KeyKind::Device;
        control_honoured::note(&mut self.record, seen.touch, self.triggers.iter().map(|t| t.pattern));
        if seen.request {
            let pseudonym = self.settings.key.pseudonym(PseudonymKind::Event, event.event_id).0;
            if let Some(due) =
                control_honoured::on_request(&mut self.record, event.place, pseudonym, device_key)
            {
                self.requests.push_back((due, key));
            }
        }
        self.count(&key, &seen, exposed, device_key, |counts| {
            counts.applied += 1;
            counts.touches += u64::from(seen.touch);
        });
        self.publish(&key, event.time, event.place, event.event_id, event.jurisdiction, out);
        self.store.save(&key, stood, &self.record);
    }

    fn item(&mut self, placed: &Placed<'_>, id: u128, out: &mut Output) -> Result<(), DamagedItem> {
        let Placed { item, place, brand, jurisdiction } = *placed;
        match item.kind() {
            kind @ (ItemKind::Event | ItemKind::LateWord) => {
                let mut event = item.event(jurisdiction)?;
                event.place = place;
                if kind == ItemKind::Event {
                    self.hashed_event(brand, &event, id, out);
                } else {
                    self.late_word(brand, &event, out);
                }
            }
            ItemKind::Erasure => {
                self.erase(item.person(), place, out);
            }
            ItemKind::Late => self.quality(place, Quality::Late(brand), out),
            ItemKind::DeadLettered => self.quality(place, Quality::DeadLettered(brand), out),
            ItemKind::Unreadable => self.quality(place, Quality::Unreadable, out),
            ItemKind::Gap => {
                self.advance(place, out);
                self.gaps.add(item.place(), item.time());
            }
        }
        Ok(())
    }

    /// Stores a decision or (un)subscription that came too late to count anywhere else.
    pub fn late_word(&mut self, brand: u32, event: &PersonEvent<'_>, out: &mut Output) {
        self.advance(event.place, out);
        if self.is_erased(event) {
            return;
        }
        let key = PairKey { person: event.person, brand };
        let stood = self.store.load(&key, &mut self.record);
        crate::patterns::apply_late_word(&mut self.record, event);
        self.store.save(&key, stood, &self.record);
    }

    /// Counts a record that is no event.
    pub fn quality(&mut self, place: i64, quality: Quality, out: &mut Output) {
        self.advance(place, out);
        self.count_record(place);
        for length in 0..self.open.len() {
            match quality {
                Quality::Late(brand) => self.tally_of(length, brand).counts.late += 1,
                Quality::DeadLettered(brand) => self.tally_of(length, brand).counts.dead_lettered += 1,
                Quality::Unreadable => self.open[length].pipeline.unreadable += 1,
            }
        }
    }

    /// Forgets a person (or a device that stands for itself) from `requested` on; returns how many pairs
    /// were deleted.
    pub fn erase(&mut self, person: [u8; 16], requested: i64, out: &mut Output) -> u64 {
        self.advance(requested, out);
        let mark = self.erased.entry(person).or_insert(requested);
        *mark = requested.max(*mark);
        let mut deleted = 0;
        for brand in 0..self.brands.len() as u32 {
            let key = PairKey { person, brand };
            if self.store.load(&key, &mut self.record).is_none() {
                continue;
            }
            for index in 0..self.open.len() {
                let WindowState { number, bits } = self.record.windows[index];
                if i64::from(number) == self.open[index].number && bits != 0 {
                    let day = self.settings.lengths[index].is_day();
                    self.tally_of(index, brand).shift(bits, 0, day);
                }
            }
            self.store.remove(&key);
            deleted += 1;
        }
        deleted
    }

    /// Lets time reach `to`: closes windows, takes marks and matures requests up to then, in order.
    pub fn advance(&mut self, to: i64, out: &mut Output) {
        loop {
            let boundary = self.next_boundary();
            let request = self.requests.front().map_or(i64::MAX, |(due, _)| *due);
            if boundary.min(request) > to {
                break;
            }
            if boundary <= request {
                self.cross(boundary, out);
            } else if let Some((due, key)) = self.requests.pop_front() {
                self.open_windows(due);
                self.mature(due, key, out);
            }
        }
        self.open_windows(to);
    }

    /// Closes every open window, whatever its end.
    pub fn close_all(&mut self, out: &mut Output) {
        let mut order: Vec<usize> = (0..self.open.len()).filter(|&i| self.open[i].number >= 0).collect();
        order.sort_by_key(|&index| self.end_of(index));
        for index in order {
            self.close(index, out);
        }
    }

    fn mature(&mut self, due: i64, key: PairKey, out: &mut Output) {
        let stood = self.store.load(&key, &mut self.record);
        let Some(request) = control_honoured::take_due(&mut self.record, due) else { return };
        let Request { event, touched, broken, device_key, .. } = request;
        let seen = Seen { at_risk: 1 << Pattern::ControlHonoured.index(), ..Seen::default() };
        let honoured = touched && !broken;
        if honoured {
            let (pattern, evidence) = (Pattern::ControlHonoured, Evidence::NONE);
            self.triggers.push(Trigger { pattern, severity: 1, anchor: Anchor::None, evidence });
        }
        self.count(&key, &seen, 0, device_key, |counts| counts.matured += 1);
        self.publish_with(&key, due, due, "", || event.to_le_bytes(), out);
        self.store.save(&key, stood, &self.record);
    }

    /// Moves the pair's words in the open windows and their counts.
    fn count(
        &mut self,
        key: &PairKey,
        seen: &Seen,
        exposed: u16,
        device_key: bool,
        also: impl Fn(&mut Counts),
    ) {
        for index in 0..self.open.len() {
            let length = self.settings.lengths[index];
            let number = self.open[index].number;
            let number =
                u32::try_from(number).expect("a window is open, and places lie between 2000 and 2100");
            let state = self.record.windows[index];
            let old = if state.number == number { state.bits } else { 0 };
            let mut new = windows::after(old, seen, exposed, device_key);
            for trigger in &self.triggers {
                new = windows::affected(new, trigger.pattern, trigger.severity);
            }
            self.record.windows[index] = WindowState { number, bits: new };
            let tally = self.tally_of(index, key.brand);
            also(&mut tally.counts);
            tally.shift(old, new, length.is_day());
        }
    }

    fn publish(
        &mut self,
        key: &PairKey,
        time: i64,
        place: i64,
        event_id: &[u8],
        jurisdiction: &str,
        out: &mut Output,
    ) {
        if self.triggers.is_empty() && self.retractions.is_empty() {
            return;
        }
        let pseudonyms = self.settings.key.clone();
        let opening = || pseudonyms.pseudonym(PseudonymKind::Event, event_id).0;
        self.publish_with(key, time, place, jurisdiction, opening, out);
    }

    fn publish_with(
        &mut self,
        key: &PairKey,
        time: i64,
        place: i64,
        jurisdiction: &str,
        event: impl Fn() -> [u8; 16],
        out: &mut Output,
    ) {
        let brand = &self.brands[key.brand as usize];
        let rules = &brand.rules.in_jurisdiction(jurisdiction).rules;
        let record = &mut self.record;
        let mut publish = |revision: Option<moments::Revision>| {
            if let Some(revision) = revision {
                let weight = rules.weights(revision.pattern)[usize::from(revision.severity) - 1];
                let hash = &self.settings.config_hash;
                out.moments.push(moments::publish(revision, &brand.name, &key.person, weight, hash));
            }
        };
        for trigger in self.triggers.drain(..) {
            publish(moments::on_trigger(record, trigger, time, place, &event));
        }
        for (pattern, anchor) in self.retractions.drain(..) {
            publish(moments::on_retraction(record, pattern, anchor, time));
        }
    }

    fn is_erased(&self, event: &PersonEvent<'_>) -> bool {
        !self.erased.is_empty()
            && self.erased.get(&event.person).is_some_and(|&requested| event.time < requested)
    }

    /// What the event is known by among those applied. The person's pseudonym is a keyed hash already.
    fn event_hash(&self, topic: u8, person: [u8; 16], event_id: &[u8]) -> u128 {
        let seed = self.settings.hash_seed.wrapping_add(u64::from(topic));
        xxh3_128_with_seed(event_id, seed) ^ u128::from_le_bytes(person)
    }

    fn count_record(&mut self, place: i64) {
        debug_assert!(self.open.iter().zip(&self.settings.lengths).all(|(w, l)| w.number == place / l.ms()));
        for window in &mut self.open {
            window.pipeline.records += 1;
        }
    }

    fn tally_of(&mut self, index: usize, brand: u32) -> &mut WindowTally {
        let slot = &mut self.brands[brand as usize].tallies[index];
        if slot.is_none() {
            self.open[index].active.push(brand);
        }
        slot.get_or_insert_default()
    }

    fn end_of(&self, index: usize) -> i64 {
        (self.open[index].number + 1) * self.settings.lengths[index].ms()
    }

    /// The next instant at which a window that is open closes or takes a mark.
    fn next_boundary(&self) -> i64 {
        let open = (0..self.open.len()).filter(|&index| self.open[index].number >= 0);
        open.map(|index| self.next_mark(index).min(self.end_of(index))).min().unwrap_or(i64::MAX)
    }

    fn next_mark(&self, index: usize) -> i64 {
        if !self.settings.provisional {
            return i64::MAX;
        }
        let length = self.settings.lengths[index];
        let window = &self.open[index];
        window.number * length.ms() + i64::from(window.marks + 1) * length.provisional_every_ms()
    }

    fn cross(&mut self, instant: i64, out: &mut Output) {
        for index in 0..self.open.len() {
            if self.open[index].number < 0 {
                continue;
            }
            if self.end_of(index) == instant {
                self.close(index, out);
            } else if self.next_mark(index) == instant {
                self.open[index].marks += 1;
                let taken = Taken::Provisional(self.open[index].marks);
                for &brand in &self.open[index].active {
                    let brand = &self.brands[brand as usize];
                    if let Some(tally) = &brand.tallies[index] {
                        out.windows.push(WindowCounts {
                            brand: Arc::clone(&brand.name),
                            length: self.settings.lengths[index],
                            start: self.open[index].number * self.settings.lengths[index].ms(),
                            taken,
                            counts: tally.cumulative(),
                        });
                    }
                }
            }
        }
    }

    fn close(&mut self, index: usize, out: &mut Output) {
        let length = self.settings.lengths[index];
        let window =
            std::mem::replace(&mut self.open[index], OpenWindow { number: -1, ..OpenWindow::default() });
        let start = window.number * length.ms();
        for brand in window.active {
            let brand = &mut self.brands[brand as usize];
            if let Some(tally) = brand.tallies[index].take() {
                let brand = Arc::clone(&brand.name);
                out.windows.push(WindowCounts {
                    brand,
                    length,
                    start,
                    taken: Taken::Closed,
                    counts: tally.cumulative(),
                });
            }
        }
        if window.pipeline.records > 0 {
            out.pipeline.push((length, start, window.pipeline));
        }
        if self.gaps.touch(start, start + length.ms()) {
            out.incomplete.push((length, start));
        }
    }

    fn open_windows(&mut self, at: i64) {
        for (window, length) in self.open.iter_mut().zip(&self.settings.lengths) {
            if window.number < 0 {
                window.number = at / length.ms();
                let since = at - window.number * length.ms();
                window.marks = u32::try_from(since / length.provisional_every_ms()).unwrap_or(0);
            }
        }
    }
}

impl std::fmt::Debug for Detect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Detect").field("pairs", &self.store).finish_non_exhaustive()
    }
}
