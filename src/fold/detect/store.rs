//! All pairs of one partition: a hash table of handles into slabs of packed records.
//!
//! A slot holds `person (16), brand (4), length (2), record`. Slots come in size classes 32 bytes apart at
//! the small end; a record that outgrows its slot moves. Person pseudonyms are keyed hashes, so their
//! bytes serve as the hash.

mod saved;

use hashbrown::HashTable;

use crate::identity::prefetch::prefetch;
use crate::patterns::state::Record;

const HEAD: usize = 22;
/// Bytes that the processor fetches at once.
const CACHE_LINE: usize = 64;
/// How much of a slot is fetched ahead: most records are shorter.
const WARM_LINES: usize = 6;
/// A chunk has a power of two of slots: as many as fit, at least one.
const CHUNK_BYTES: usize = 1 << 18;

/// Slot sizes: 64 to 512 by 32, then by a quarter to over 256 KiB.
const CLASSES: usize = 43;
const SIZES: [usize; CLASSES] = {
    let mut sizes = [0; CLASSES];
    let mut index = 0;
    let mut size = 64;
    while index < CLASSES {
        sizes[index] = size;
        size += if size < 512 { 32 } else { size / 4 / 16 * 16 };
        index += 1;
    }
    sizes
};

/// The binary logarithm of the slots of a chunk.
const SHIFTS: [u32; CLASSES] = {
    let mut shifts = [0; CLASSES];
    let mut index = 0;
    while index < CLASSES && SIZES[index] <= CHUNK_BYTES {
        shifts[index] = (CHUNK_BYTES / SIZES[index]).ilog2();
        index += 1;
    }
    shifts
};

/// Who and with which brand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PairKey {
    /// The person's pseudonym.
    pub person: [u8; 16],
    /// The brand's number in this partition.
    pub brand: u32,
}

impl PairKey {
    fn hash(&self) -> u32 {
        let half = u64::from_le_bytes([
            self.person[0],
            self.person[1],
            self.person[2],
            self.person[3],
            self.person[4],
            self.person[5],
            self.person[6],
            self.person[7],
        ]);
        let mixed = (half ^ u64::from(self.brand)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 32) as u32
    }
}

/// Where a pair's record stands, until the pair is saved or removed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Handle {
    hash: u32,
    class: u8,
    slot: [u8; 3],
}

impl Handle {
    fn new(hash: u32, class: usize, slot: u32) -> Handle {
        let [a, b, c, d] = slot.to_le_bytes();
        assert!(d == 0, "a size class holds at most 2^24 slots in one partition");
        Handle { hash, class: class as u8, slot: [a, b, c] }
    }

    fn slot(self) -> usize {
        u32::from_le_bytes([self.slot[0], self.slot[1], self.slot[2], 0]) as usize
    }
}

/// Spreads a 32-bit hash so that both ends of the table's 64-bit hash vary.
fn spread(hash: u32) -> u64 {
    u64::from(hash) << 32 | u64::from(hash)
}

#[derive(Default)]
struct Slab {
    chunks: Vec<Box<[u8]>>,
    used: u32,
    free: Vec<u32>,
}

impl Slab {
    fn take(&mut self, class: usize) -> u32 {
        if let Some(slot) = self.free.pop() {
            return slot;
        }
        let slot = self.used;
        if slot as usize >> SHIFTS[class] == self.chunks.len() {
            self.chunks.push(vec![0; SIZES[class] << SHIFTS[class]].into_boxed_slice());
        }
        self.used += 1;
        slot
    }

    fn bytes(&self, slot: usize, class: usize) -> &[u8] {
        let at = (slot & ((1 << SHIFTS[class]) - 1)) * SIZES[class];
        &self.chunks[slot >> SHIFTS[class]][at..at + SIZES[class]]
    }

    fn bytes_mut(&mut self, slot: usize, class: usize) -> &mut [u8] {
        let at = (slot & ((1 << SHIFTS[class]) - 1)) * SIZES[class];
        &mut self.chunks[slot >> SHIFTS[class]][at..at + SIZES[class]]
    }
}

/// The records of all pairs of a partition.
pub struct Store {
    table: HashTable<Handle>,
    slabs: Vec<Slab>,
    windows: usize,
}

impl Store {
    /// An empty store for records that follow so many windows.
    pub fn new(windows: usize) -> Store {
        Store { table: HashTable::new(), slabs: (0..CLASSES).map(|_| Slab::default()).collect(), windows }
    }

    /// Number of pairs.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.table.is_empty()
    }

    /// Bytes held for pairs: slabs and table.
    pub fn bytes(&self) -> usize {
        let slabs: usize = self.slabs.iter().flat_map(|slab| &slab.chunks).map(|chunk| chunk.len()).sum();
        slabs + self.table.capacity() * 8 / 7 * (size_of::<Handle>() + 1)
    }

    /// Unpacks the record of a pair, an empty one if nothing is known of it; returns where it stands.
    pub fn load(&self, key: &PairKey, record: &mut Record) -> Option<Handle> {
        let hash = key.hash();
        let is = |handle: &Handle| handle.hash == hash && matches_key(&self.slabs, *handle, key);
        let found = self.table.find(spread(hash), is).copied();
        match found {
            Some(handle) => {
                let bytes = slot_bytes(&self.slabs, handle);
                let length = usize::from(u16::from_le_bytes([bytes[20], bytes[21]]));
                record.load(self.windows, &bytes[HEAD..HEAD + length]);
            }
            None => record.clear(),
        }
        found
    }

    /// Where the record of a pair probably stands, for [`Store::warm`]. Calls for several pairs in a row overlap
    /// their waits for memory.
    pub fn probably(&self, key: &PairKey) -> Option<Handle> {
        let hash = key.hash();
        self.table.find(spread(hash), |handle| handle.hash == hash).copied()
    }

    /// Begins to fetch a record.
    pub fn warm(&self, handle: Handle) {
        let slot = slot_bytes(&self.slabs, handle);
        slot.iter().step_by(CACHE_LINE).take(WARM_LINES).for_each(prefetch);
    }

    /// Packs the record of a pair, which stood where [`Store::load`] said.
    ///
    /// # Panics
    /// If the record exceeds 64 KiB, which the limits on its sections exclude.
    pub fn save(&mut self, key: &PairKey, stood: Option<Handle>, record: &Record) {
        let length = record.stored_len(self.windows);
        let stored = u16::try_from(length).expect("sections are limited so that a record stays below 64 KiB");
        let class = class_of(HEAD + length);
        let slot = match stood {
            Some(handle) if usize::from(handle.class) == class => handle.slot(),
            _ => self.place(key.hash(), stood, class),
        };
        let bytes = self.slabs[class].bytes_mut(slot, class);
        bytes[..16].copy_from_slice(&key.person);
        bytes[16..20].copy_from_slice(&key.brand.to_le_bytes());
        bytes[20..22].copy_from_slice(&stored.to_le_bytes());
        record.store(self.windows, &mut bytes[HEAD..HEAD + length]);
    }

    /// Gives a record, new or grown or shrunk, a slot of another class.
    fn place(&mut self, hash: u32, stood: Option<Handle>, class: usize) -> usize {
        let slot = self.slabs[class].take(class);
        let handle = Handle::new(hash, class, slot);
        match stood {
            Some(old) => {
                self.slabs[usize::from(old.class)].free.push(old.slot() as u32);
                let known = self.table.find_mut(spread(hash), |known| *known == old);
                *known.expect("a pair stands where it was found until it is saved") = handle;
            }
            None => {
                self.table.insert_unique(spread(hash), handle, |handle| spread(handle.hash));
            }
        }
        slot as usize
    }

    /// Forgets a pair; returns whether it was known.
    pub fn remove(&mut self, key: &PairKey) -> bool {
        let hash = key.hash();
        let slabs = &mut self.slabs;
        let found = self
            .table
            .find_entry(spread(hash), |handle| handle.hash == hash && matches_key(slabs, *handle, key));
        let Ok(entry) = found else { return false };
        let (handle, _) = entry.remove();
        let class = usize::from(handle.class);
        slabs[class].bytes_mut(handle.slot(), class).fill(0);
        slabs[class].free.push(handle.slot() as u32);
        true
    }
}

/// The class of the smallest slots that hold so many bytes.
fn class_of(length: usize) -> usize {
    match length {
        ..=512 => length.saturating_sub(SIZES[0]).div_ceil(32),
        _ => SIZES.partition_point(|&size| size < length),
    }
}

impl std::fmt::Debug for Store {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Store").field("pairs", &self.len()).field("bytes", &self.bytes()).finish()
    }
}

fn slot_bytes(slabs: &[Slab], handle: Handle) -> &[u8] {
    let class = usize::from(handle.class);
    slabs[class].bytes(handle.slot(), class)
}

fn matches_key(slabs: &[Slab], handle: Handle, key: &PairKey) -> bool {
    let bytes = slot_bytes(slabs, handle);
    bytes[..16] == key.person && bytes[16..20] == key.brand.to_le_bytes()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::patterns::state::Refused;

    fn key(number: u8) -> PairKey {
        let mut person = [0; 16];
        person[0] = number;
        PairKey { person, brand: 7 }
    }

    #[test]
    fn a_class_is_the_smallest_that_fits() {
        for length in 1..=2_000 {
            assert_eq!(class_of(length), SIZES.partition_point(|&size| size < length), "{length}");
        }
    }

    proptest! {
        /// The store behaves like a map, whatever grows, shrinks or goes.
        #[test]
        fn a_store_is_a_map(steps in prop::collection::vec((0u8..20, 0usize..400), 1..200)) {
            let mut store = Store::new(2);
            let mut model = std::collections::BTreeMap::new();
            for (number, size) in steps {
                if size < 20 {
                    prop_assert_eq!(store.remove(&key(number)), model.remove(&number).is_some());
                    continue;
                }
                let mut record = Record::default();
                for time in 0..size {
                    record.push(&Refused { time: time as i64 });
                }
                let stood = store.load(&key(number), &mut Record::default());
                store.save(&key(number), stood, &record);
                model.insert(number, record);
            }
            prop_assert_eq!(store.len(), model.len());
            let mut record = Record::default();
            for number in 0..20 {
                prop_assert_eq!(store.load(&key(number), &mut record).is_some(), model.contains_key(&number));
                if let Some(expected) = model.get(&number) {
                    prop_assert_eq!(&record, expected);
                }
            }
        }
    }
}
