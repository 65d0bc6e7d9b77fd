//! The consent strings decoded last: the same few travel with millions of events.

use xxhash_rust::xxh3::xxh3_64;

/// Slots. With strings of a few hundred bytes the cache has about a megabyte, with the longest 32.
const SLOTS: usize = 4_096;

/// A direct-mapped cache from a string to what it says.
///
/// A string has one slot and displaces whatever was in it. Strings are compared in full, so a
/// collision costs time and never an answer. A hit allocates nothing.
pub(super) struct Cache<V> {
    decode: fn(&str) -> V,
    slots: Box<[Slot<V>]>,
}

/// An empty slot holds the answer for the empty string.
#[derive(Clone)]
struct Slot<V> {
    string: String,
    value: V,
}

impl<V: Copy> Cache<V> {
    /// A cache of what `decode` says.
    pub(super) fn new(decode: fn(&str) -> V) -> Cache<V> {
        let empty = Slot { string: String::new(), value: decode("") };
        Cache { decode, slots: vec![empty; SLOTS].into_boxed_slice() }
    }

    /// What the string says: remembered, else decoded now.
    pub(super) fn get(&mut self, string: &str) -> V {
        // The remainder is less than SLOTS, so that it fits and the slot exists.
        let at = (xxh3_64(string.as_bytes()) % SLOTS as u64) as usize;
        let slot = &mut self.slots[at];
        if slot.string != string {
            string.clone_into(&mut slot.string);
            slot.value = (self.decode)(string);
        }
        slot.value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_function_however_often_slots_are_fought_for() {
        let mut cache = Cache::new(|string| string.len());
        assert_eq!(cache.get(""), 0);
        for round in 0..3 {
            for number in 0..3 * SLOTS {
                let string = "x".repeat(number % 300) + &number.to_string();
                assert_eq!(cache.get(&string), string.len(), "round {round}");
                assert_eq!(cache.get(&string), string.len(), "round {round}");
            }
        }
    }

    #[test]
    fn a_string_is_decoded_once_while_it_is_remembered() {
        use std::sync::atomic::{AtomicU32, Ordering};
        static DECODED: AtomicU32 = AtomicU32::new(0);
        let mut cache = Cache::new(|string| {
            DECODED.fetch_add(u32::from(!string.is_empty()), Ordering::Relaxed);
            string.len()
        });
        for _ in 0..10 {
            assert_eq!(cache.get("CP1R2oAP1R2oAAKABBENCWEgADAAAAAAAAYgABqAAAAA"), 44);
        }
        assert_eq!(DECODED.load(Ordering::Relaxed), 1);
    }
}
