//! The remembered ids as bytes, oldest first: how many, their ids, then how much later each was applied than
//! the one before.

use super::{Duplicates, halves};
use crate::fold::saved::{Reader, Saved, StateError};

const ID: usize = 16;

impl Duplicates {
    /// Appends the ids.
    pub(in crate::fold) fn save_ids(&self, out: &mut Vec<u8>) {
        self.forgotten_early.save(out);
        self.order.len().save(out);
        out.reserve(self.order.len() * (ID + 2));
        for applied in &self.order {
            out.extend(applied.id.iter().flat_map(|half| half.to_le_bytes()));
        }
        let mut last = 0;
        for applied in &self.order {
            (applied.place - last).save(out);
            last = applied.place;
        }
    }

    /// Reads ids into an empty memory.
    pub(in crate::fold) fn load_ids(&mut self, from: &mut Reader<'_>) -> Result<(), StateError> {
        let forgotten_early = u64::load(from)?;
        let count = usize::load(from)?;
        let ids = from.take(count.checked_mul(ID).ok_or(StateError::Damaged("number of ids"))?)?;
        let mut place: i64 = 0;
        for id in ids.chunks_exact(ID) {
            let id = halves(u128::from_le_bytes(id.try_into().map_err(|_| StateError::Damaged("id"))?));
            place = place.checked_add(i64::load(from)?).ok_or(StateError::Damaged("place of an id"))?;
            if !self.push_new(id, place) {
                return Err(StateError::Damaged("an id stands there twice"));
            }
        }
        self.forgotten_early = forgotten_early;
        Ok(())
    }
}
