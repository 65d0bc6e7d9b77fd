//! Which events were applied within the memory of duplicates.
//!
//! Ids are 128-bit keyed hashes of (person, topic, event id), in the order in which they were applied. Places never
//! fall, so the oldest stand at the front, and what is older than the memory goes from there.

mod saved;

use std::collections::VecDeque;

use hashbrown::HashTable;

#[derive(Clone, Copy)]
struct Applied {
    /// The two halves, so that nothing is lost to alignment.
    id: [u64; 2],
    place: i64,
}

fn halves(id: u128) -> [u64; 2] {
    [id as u64, (id >> 64) as u64]
}

/// The ids applied within the memory.
pub struct Duplicates {
    memory_ms: i64,
    limit: usize,
    order: VecDeque<Applied>,
    /// Numbers of entries: the entry with number n stands at `n - first` of the order.
    table: HashTable<u32>,
    first: u32,
    forgotten_early: u64,
}

impl Duplicates {
    /// Remembers ids for so many milliseconds of places, at most `limit` of them.
    pub fn new(memory_ms: i64, limit: usize) -> Duplicates {
        Duplicates {
            memory_ms,
            limit,
            order: VecDeque::new(),
            table: HashTable::new(),
            first: 0,
            forgotten_early: 0,
        }
    }

    /// Takes the id of an event about to be applied at a place; false if it is a duplicate.
    pub fn is_new(&mut self, id: u128, place: i64) -> bool {
        while self.order.front().is_some_and(|oldest| place - oldest.place >= self.memory_ms) {
            self.forget_oldest();
        }
        self.push_new(halves(id), place)
    }

    /// Remembers an id as the newest; false if it is known.
    fn push_new(&mut self, id: [u64; 2], place: i64) -> bool {
        let hash = id[0];
        let (order, first) = (&self.order, self.first);
        let at = |number: u32| &order[number.wrapping_sub(first) as usize];
        if self.table.find(hash, |&number| at(number).id == id).is_some() {
            return false;
        }
        if self.order.len() >= self.limit {
            self.forget_oldest();
            self.forgotten_early += 1;
        }
        let number = self.first.wrapping_add(self.order.len() as u32);
        self.order.push_back(Applied { id, place });
        let (order, first) = (&self.order, self.first);
        self.table.insert_unique(hash, number, |&number| order[number.wrapping_sub(first) as usize].id[0]);
        true
    }

    /// Fetches what [`Duplicates::is_new`] will look at into the processor's caches.
    #[must_use = "pass it to `black_box`"]
    pub fn warm(&self, id: u128) -> bool {
        self.table.find(id as u64, |_| true).is_some()
    }

    /// Fetches what is looked at when time passes `place` and the oldest ids go, at most so many.
    #[must_use = "pass it to `black_box`"]
    pub fn warm_oldest(&self, place: i64, count: usize) -> usize {
        let gone = |oldest: &&Applied| place - oldest.place >= self.memory_ms;
        let oldest = self.order.iter().take(count).take_while(gone);
        oldest.filter(|oldest| self.table.find(oldest.id[0], |_| true).is_some()).count()
    }

    /// How many ids are remembered.
    pub fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many ids went before their time because of the limit.
    pub fn forgotten_early(&self) -> u64 {
        self.forgotten_early
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.order.capacity() * size_of::<Applied>() + self.table.capacity() * 8 / 7 * (size_of::<u32>() + 1)
    }

    fn forget_oldest(&mut self) {
        let Some(oldest) = self.order.front().copied() else { return };
        let number = self.first;
        if let Ok(entry) = self.table.find_entry(oldest.id[0], |&known| known == number) {
            entry.remove();
        }
        self.order.pop_front();
        self.first = self.first.wrapping_add(1);
    }
}

impl std::fmt::Debug for Duplicates {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Duplicates").field("ids", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_within_the_memory_is_a_duplicate_and_does_not_prolong() {
        let mut ids = Duplicates::new(100, 10);
        assert!(ids.is_new(1, 0));
        assert!(!ids.is_new(1, 50));
        assert!(!ids.is_new(1, 99));
        assert!(ids.is_new(1, 100));
        assert_eq!(ids.len(), 1);
    }

    #[test]
    fn the_limit_forgets_the_oldest_and_counts_it() {
        let mut ids = Duplicates::new(1_000, 2);
        assert!(ids.is_new(1, 0) && ids.is_new(2, 1) && ids.is_new(3, 2));
        assert_eq!(ids.forgotten_early(), 1);
        assert!(ids.is_new(1, 3));
        assert!(!ids.is_new(3, 3));
    }
}
