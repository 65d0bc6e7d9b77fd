//! The pairs as bytes: each as it lies in its slot, in the order of hash, person and brand.

use super::{HEAD, Handle, PairKey, SIZES, Store, slot_bytes};
use crate::fold::saved::{Reader, Saved, StateError};
use crate::patterns::state::Record;

/// Person and brand: what a slot starts with.
const KEY: usize = 20;

impl Store {
    /// Appends all pairs. A handle knows its hash, so putting them in order looks at no record but where hashes
    /// are equal.
    pub(in crate::fold) fn save_pairs(&self, out: &mut Vec<u8>) {
        let mut handles: Vec<Handle> = self.table.iter().copied().collect();
        let bytes_of = |handle| slot_bytes(&self.slabs, handle);
        handles.sort_unstable_by_key(|handle| handle.hash);
        for equal in handles.chunk_by_mut(|a, b| a.hash == b.hash).filter(|equal| equal.len() > 1) {
            equal.sort_unstable_by(|a, b| bytes_of(*a)[..KEY].cmp(&bytes_of(*b)[..KEY]));
        }
        handles.len().save(out);
        out.reserve(handles.iter().map(|handle| SIZES[usize::from(handle.class)]).sum());
        for handle in handles {
            let slot = bytes_of(handle);
            let length = usize::from(u16::from_le_bytes([slot[20], slot[21]]));
            out.extend_from_slice(&slot[..HEAD + length]);
        }
    }

    /// Reads pairs of so many brands into an empty store.
    pub(in crate::fold) fn load_pairs(
        &mut self,
        from: &mut Reader<'_>,
        brands: usize,
    ) -> Result<(), StateError> {
        let mut record = Record::default();
        let mut last: Option<(u32, &[u8])> = None;
        for _ in 0..usize::load(from)? {
            let key = from.take(KEY)?;
            let (person, brand) = key.split_at(16);
            let pair = PairKey {
                person: person.try_into().map_err(|_| StateError::Damaged("person"))?,
                brand: u32::from_le_bytes(brand.try_into().map_err(|_| StateError::Damaged("brand"))?),
            };
            let place = Some((pair.hash(), key));
            if place <= last {
                return Err(StateError::Damaged("order of pairs"));
            }
            last = place;
            let length = usize::from(u16::from_le_bytes(from.array()?));
            if pair.brand as usize >= brands || !record.try_load(self.windows, from.take(length)?) {
                return Err(StateError::Damaged("pair"));
            }
            self.save(&pair, None, &record);
        }
        Ok(())
    }
}
