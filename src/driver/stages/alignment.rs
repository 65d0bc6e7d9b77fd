//! Keeps sources from running ahead of each other.
//!
//! After an outage sources are read at different speeds, and the fold would have to hold what the fast ones bring.
//! A source that is further ahead of the slowest one than it may be is not read until the lead has halved: that
//! bounds the memory of the fold and changes no result.

use std::collections::{BTreeMap, BTreeSet};

use crate::driver::clock::WallTime;
use crate::log::TopicPartition;

/// How often the frontiers of sources that others read are looked at, milliseconds of wall time.
const LOOK_EVERY_MS: i64 = 1_000;
/// As [`LOOK_EVERY_MS`], while own sources wait for one of them.
const LOOK_SOON_MS: i64 = 200;
/// For how long a source that others read is taken to go on as fast as it last did, milliseconds of wall time:
/// while a backlog is read, what was seen of it is soon old.
const GOES_ON_MS: i64 = 2_000;

/// A source that others read.
#[derive(Clone, Copy, Debug)]
struct Seen {
    frontier: i64,
    /// How much its frontier rose between the last two looks, and in what wall time, milliseconds.
    rose: (i64, i64),
}

impl Seen {
    /// Where it will be so many milliseconds after the look.
    fn after(self, elapsed_ms: i64) -> i64 {
        let (by, within) = self.rose;
        self.frontier + by * elapsed_ms.clamp(0, GOES_ON_MS) / within.max(1)
    }
}

/// The sources that wait for others.
#[derive(Debug)]
pub struct Alignment {
    max_lead_ms: i64,
    /// All sources that hold a frontier.
    all: BTreeSet<TopicPartition>,
    /// Sources that others read, as they were last seen.
    elsewhere: BTreeMap<TopicPartition, Seen>,
    looked: Option<WallTime>,
    held: BTreeSet<TopicPartition>,
    slowest: Option<TopicPartition>,
}

impl Alignment {
    /// Lets no source lead by more than so many milliseconds of event time.
    pub fn new(max_lead_ms: i64, all: BTreeSet<TopicPartition>) -> Alignment {
        let (elsewhere, held) = (BTreeMap::new(), BTreeSet::new());
        Alignment { max_lead_ms, all, elsewhere, looked: None, held, slowest: None }
    }

    /// The sources whose committed frontiers must be looked at now.
    pub fn peers(&self, now: WallTime, own: impl Fn(&TopicPartition) -> bool) -> Vec<TopicPartition> {
        let waits = self.slowest.as_ref().is_some_and(|of| !own(of));
        let every = if waits { LOOK_SOON_MS } else { LOOK_EVERY_MS };
        if self.looked.is_some_and(|looked| now.0 - looked.0 < every) {
            return Vec::new();
        }
        self.all.iter().filter(|of| !own(of)).cloned().collect()
    }

    /// What was seen of them; one without a frontier holds nobody back.
    pub fn glimpsed(&mut self, now: WallTime, frontiers: BTreeMap<TopicPartition, i64>) {
        let took = self.looked.map_or(0, |looked| now.0 - looked.0);
        let seen = |(of, frontier): (TopicPartition, i64)| {
            let by = self.elsewhere.get(&of).map_or(0, |before| (frontier - before.frontier).max(0));
            (of, Seen { frontier, rose: (by, took) })
        };
        self.elsewhere = frontiers.into_iter().map(seen).collect();
        self.looked = Some(now);
    }

    /// The own sources that must wait, with the frontiers that own ones have now.
    pub fn held(&mut self, now: WallTime, own: &BTreeMap<&TopicPartition, i64>) -> &BTreeSet<TopicPartition> {
        let elapsed = self.looked.map_or(0, |looked| now.0 - looked.0);
        let elsewhere = self.elsewhere.iter().filter(|(of, _)| !own.contains_key(of));
        let own_aligned = own.iter().filter(|(of, _)| self.all.contains(**of));
        let all = own_aligned
            .clone()
            .map(|(of, frontier)| (*of, *frontier))
            .chain(elsewhere.map(|(of, seen)| (of, seen.after(elapsed))));
        let slowest = all.min_by_key(|(_, frontier)| *frontier).map(|(of, frontier)| (of.clone(), frontier));
        let ahead = |of: &TopicPartition, frontier: i64| {
            let may = if self.held.contains(of) { self.max_lead_ms / 2 } else { self.max_lead_ms };
            slowest.as_ref().is_some_and(|(_, slowest)| frontier - slowest > may)
        };
        self.held =
            own_aligned.filter(|(of, frontier)| ahead(of, **frontier)).map(|(of, _)| (*of).clone()).collect();
        self.slowest = slowest.map(|(of, _)| of).filter(|_| !self.held.is_empty());
        &self.held
    }

    /// The source that the held ones wait for.
    pub fn slowest(&self) -> Option<&TopicPartition> {
        self.slowest.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;

    fn source(partition: i32) -> TopicPartition {
        TopicPartition { topic: Arc::from("clickstream"), partition }
    }

    fn held_at(now: i64, alignment: &mut Alignment, own: &[(i32, i64)]) -> Vec<i32> {
        let own: Vec<(TopicPartition, i64)> =
            own.iter().map(|(of, frontier)| (source(*of), *frontier)).collect();
        let own = own.iter().map(|(of, frontier)| (of, *frontier)).collect();
        alignment.held(WallTime(now), &own).iter().map(|of| of.partition).collect()
    }

    fn held(alignment: &mut Alignment, own: &[(i32, i64)]) -> Vec<i32> {
        held_at(6_000, alignment, own)
    }

    #[test]
    fn a_source_waits_from_beyond_the_lead_until_it_has_halved() {
        let mut alignment = Alignment::new(100, (0..3).map(source).collect());
        assert!(held(&mut alignment, &[(0, 0), (1, 100)]).is_empty());
        assert_eq!(alignment.slowest(), None);
        assert_eq!(held(&mut alignment, &[(0, 0), (1, 101)]), [1]);
        assert_eq!(alignment.slowest(), Some(&source(0)));
        assert_eq!(held(&mut alignment, &[(0, 50), (1, 101)]), [1]);
        assert!(held(&mut alignment, &[(0, 51), (1, 101)]).is_empty());
        // One that holds no frontier takes no part.
        assert!(held(&mut alignment, &[(0, 0), (7, 1_000)]).is_empty());
    }

    #[test]
    fn sources_of_others_count_and_are_looked_at_once_a_second() {
        let mut alignment = Alignment::new(100, (0..3).map(source).collect());
        let own = |of: &TopicPartition| of.partition == 0;
        assert_eq!(alignment.peers(WallTime(5_000), own), [source(1), source(2)]);
        alignment.glimpsed(WallTime(5_000), BTreeMap::from([(source(1), 40)]));
        assert!(alignment.peers(WallTime(5_999), own).is_empty());
        assert_eq!(alignment.peers(WallTime(6_000), own).len(), 2);
        assert_eq!(held(&mut alignment, &[(0, 141)]), [0]);
        // What was seen of a source before it came here is old.
        assert!(held(&mut alignment, &[(0, 141), (1, 91)]).is_empty());
    }

    #[test]
    fn what_others_read_is_taken_to_go_on_for_a_while_and_looked_at_soon() {
        let mut alignment = Alignment::new(100, (0..3).map(source).collect());
        let own = |of: &TopicPartition| of.partition == 0;
        alignment.glimpsed(WallTime(0), BTreeMap::from([(source(1), 0)]));
        assert_eq!(held_at(500, &mut alignment, &[(0, 101)]), [0]);
        assert!(alignment.peers(WallTime(199), own).is_empty());
        assert_eq!(alignment.peers(WallTime(200), own).len(), 2);
        // 600 in 200 ms: 1,500 more after half a second, and no more than that of two seconds.
        alignment.glimpsed(WallTime(200), BTreeMap::from([(source(1), 600)]));
        assert!(held_at(700, &mut alignment, &[(0, 2_150)]).is_empty());
        assert_eq!(held_at(700, &mut alignment, &[(0, 2_201)]), [0]);
        assert_eq!(held_at(60_000, &mut alignment, &[(0, 6_701)]), [0]);
    }
}
