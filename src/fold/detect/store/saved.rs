//! The pairs as bytes: each as it lies in its slot, in the order of person and brand.

use super::{HEAD, PairKey, Store, slot_bytes};
use crate::fold::saved::{Reader, Saved, StateError};
use crate::patterns::state::Record;

/// Person and brand: what a slot starts with, and what slots are ordered by.
const KEY: usize = 20;

impl Store {
    /// Person, brand, length and record of every pair, in no order.
    fn slots(&self) -> impl Iterator<Item = &[u8]> {
        self.table.iter().map(|handle| {
            let slot = slot_bytes(&self.slabs, *handle);
            &slot[..HEAD + usize::from(u16::from_le_bytes([slot[20], slot[21]]))]
        })
    }

    /// Appends all pairs.
    pub(in crate::fold) fn save_pairs(&self, out: &mut Vec<u8>) {
        // Persons are evenly spread, so their first half nearly always decides.
        let mut slots: Vec<(u64, &[u8])> = self.slots().map(|slot| (first_half(slot), slot)).collect();
        slots.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1[..KEY].cmp(&b.1[..KEY])));
        slots.len().save(out);
        out.reserve(slots.iter().map(|(_, slot)| slot.len()).sum());
        slots.iter().for_each(|(_, slot)| out.extend_from_slice(slot));
    }

    /// Reads pairs of so many brands into an empty store.
    pub(in crate::fold) fn load_pairs(
        &mut self,
        from: &mut Reader<'_>,
        brands: usize,
    ) -> Result<(), StateError> {
        let mut record = Record::default();
        let mut last: &[u8] = &[];
        for _ in 0..usize::load(from)? {
            let key = from.take(KEY)?;
            if key <= last {
                return Err(StateError::Damaged("order of pairs"));
            }
            last = key;
            let (person, brand) = key.split_at(16);
            let pair = PairKey {
                person: person.try_into().map_err(|_| StateError::Damaged("person"))?,
                brand: u32::from_le_bytes(brand.try_into().map_err(|_| StateError::Damaged("brand"))?),
            };
            let length = usize::from(u16::from_le_bytes(from.array()?));
            if pair.brand as usize >= brands || !record.try_load(self.windows, from.take(length)?) {
                return Err(StateError::Damaged("pair"));
            }
            self.save(&pair, None, &record);
        }
        Ok(())
    }
}

fn first_half(slot: &[u8]) -> u64 {
    slot.first_chunk().map_or(0, |half| u64::from_be_bytes(*half))
}
