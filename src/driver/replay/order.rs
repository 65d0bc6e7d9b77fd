//! Items in the order in which they are applied.

use std::cmp::Ordering;

use crate::codec::frame::item::Item;

use super::load::{Indexed, Items};

/// Compares two items of one topic as they are applied; what only the original records can decide is equal.
fn compare(items: &Items, a: Indexed, b: Indexed) -> Ordering {
    a.place.cmp(&b.place).then_with(|| items.item(a).cmp_key(&items.item(b)))
}

/// Sorts the items of one file, unless they are in order already. Returns the positions of items that only
/// their original records tell apart, as ranges of the sorted index.
pub fn sort(items: &mut Items) -> Vec<std::ops::Range<usize>> {
    let mut index = std::mem::take(&mut items.index);
    if !index.is_sorted_by(|a, b| compare(items, *a, *b).is_le()) {
        index.sort_by(|a, b| compare(items, *a, *b));
    }
    let mut ties = Vec::new();
    let mut start = 0;
    for at in 1..=index.len() {
        if at == index.len() || compare(items, index[start], index[at]) != Ordering::Equal {
            let differs = |i: &Indexed| items.item(*i).bytes() != items.item(index[start]).bytes();
            if at - start > 1 && index[start..at].iter().any(differs) {
                ties.push(start..at);
            }
            start = at;
        }
    }
    items.index = index;
    ties
}

/// Sorted items of several files as one sequence.
#[derive(Debug)]
pub struct Merge<'a> {
    sources: Vec<(&'a Items, usize)>,
}

impl<'a> Merge<'a> {
    /// Merges sorted items.
    pub fn new(sources: &'a [Items]) -> Merge<'a> {
        Merge { sources: sources.iter().map(|items| (items, 0)).collect() }
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        let mut least: Option<(usize, Item<'a>)> = None;
        for (number, (items, at)) in self.sources.iter().enumerate() {
            if let Some(&indexed) = items.index.get(*at) {
                let candidate = items.item(indexed);
                if least.as_ref().is_none_or(|(_, item)| candidate.cmp_key(item).is_lt()) {
                    least = Some((number, candidate));
                }
            }
        }
        let (number, item) = least?;
        self.sources[number].1 += 1;
        Some(item)
    }
}
