//! The pseudonyms computed last: the same people come back within seconds.

use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::prefetch::prefetch;
use super::{Pseudonym, PseudonymKey, PseudonymKind};

/// Slots. Each is one cache line, so that the cache has 4 MiB.
const SLOTS: usize = 1 << 16;
/// Longest id that is remembered: what a slot has room for. UUIDs have 36 bytes.
const ID_BYTES_MAX: usize = 46;

/// A direct-mapped cache of the pseudonyms of one key.
///
/// An id has one slot and displaces whatever was in it. Ids are compared in full, so a collision
/// costs time and never an answer. It holds raw ids: it can be neither printed nor serialised.
pub struct PseudonymCache {
    key: PseudonymKey,
    slots: Box<[Slot]>,
}

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Slot {
    pseudonym: Pseudonym,
    /// The kind, as its number; `None` in an empty slot.
    kind: Option<PseudonymKind>,
    id_length: u8,
    id: [u8; ID_BYTES_MAX],
}

const EMPTY: Slot = Slot { pseudonym: Pseudonym([0; 16]), kind: None, id_length: 0, id: [0; ID_BYTES_MAX] };
const _: () = assert!(size_of::<Slot>() == 64, "a slot is one cache line");

impl PseudonymCache {
    /// An empty cache.
    pub fn new(key: PseudonymKey) -> PseudonymCache {
        PseudonymCache { key, slots: vec![EMPTY; SLOTS].into_boxed_slice() }
    }

    /// The key whose pseudonyms these are.
    pub fn key(&self) -> &PseudonymKey {
        &self.key
    }

    /// Begins to fetch what [`PseudonymCache::pseudonym`] will look at.
    pub fn warm(&self, kind: PseudonymKind, id: &[u8]) {
        prefetch(&self.slots[slot_of(kind, id)]);
    }

    /// [`PseudonymKey::pseudonym`], remembered where possible.
    pub fn pseudonym(&mut self, kind: PseudonymKind, id: &[u8]) -> Pseudonym {
        let length = match u8::try_from(id.len()) {
            Ok(length) if id.len() <= ID_BYTES_MAX => length,
            _ => return self.key.pseudonym(kind, id),
        };
        let slot = &mut self.slots[slot_of(kind, id)];
        if slot.kind == Some(kind) && slot.id_length == length && slot.id[..id.len()] == *id {
            return slot.pseudonym;
        }
        let pseudonym = self.key.pseudonym(kind, id);
        *slot = Slot { pseudonym, kind: Some(kind), id_length: length, ..EMPTY };
        slot.id[..id.len()].copy_from_slice(id);
        pseudonym
    }
}

fn slot_of(kind: PseudonymKind, id: &[u8]) -> usize {
    // The remainder is less than SLOTS, so that it fits and the slot exists.
    (xxh3_64_with_seed(id, kind as u64) % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_those_of_the_key_however_often_slots_are_fought_for() {
        let key = PseudonymKey::test_key();
        let mut cache = PseudonymCache::new(key.clone());
        for number in (0..2 * SLOTS).chain(0..1_000) {
            let id = format!("{}{number}", "i".repeat(number % 50));
            for kind in [PseudonymKind::Person, PseudonymKind::Device] {
                let expected = key.pseudonym(kind, id.as_bytes());
                assert_eq!(cache.pseudonym(kind, id.as_bytes()), expected, "{id}");
                assert_eq!(cache.pseudonym(kind, id.as_bytes()), expected, "{id}");
            }
        }
    }

    #[test]
    fn ids_that_differ_in_length_only_are_told_apart() {
        let key = PseudonymKey::test_key();
        let mut cache = PseudonymCache::new(key.clone());
        for length in (0..60).chain((0..60).rev()) {
            let id = vec![0; length];
            let expected = key.pseudonym(PseudonymKind::Order, &id);
            assert_eq!(cache.pseudonym(PseudonymKind::Order, &id), expected, "{length}");
        }
    }
}
