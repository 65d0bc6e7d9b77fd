//! Items in the order in which they are applied.

use std::cmp::Ordering;
use std::ops::Range;

use crate::codec::frame::item::Item;

use super::load::{Indexed, Items};

/// Compares two items of one topic as they are applied; what only the original records can decide is equal.
fn compare(items: &Items, a: Indexed, b: Indexed) -> Ordering {
    a.place.cmp(&b.place).then_with(|| items.item(a).cmp_key(&items.item(b)))
}

/// Sorts the items of one file, unless they are in order already. Returns the positions of items that only
/// their original records tell apart, as ranges of the sorted index.
pub fn sort(items: &mut Items) -> Vec<Range<usize>> {
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

/// Items of one source that may be applied now, in order.
#[derive(Debug)]
pub struct Ready<'a> {
    /// Holds them.
    pub items: &'a Items,
    /// Their positions in its index.
    pub range: Range<usize>,
    /// Whether the source gives more after them.
    pub more: bool,
}

/// Ready items of several sources as one sequence, up to where a source must give more.
pub struct Merge<'a> {
    sources: Vec<(Ready<'a>, Option<Head<'a>>)>,
    dry: bool,
}

/// The next item of a source.
struct Head<'a> {
    place: i64,
    item: Item<'a>,
}

impl<'a> Ready<'a> {
    fn head(&self) -> Option<Head<'a>> {
        let indexed = *self.items.index[self.range.clone()].first()?;
        Some(Head { place: indexed.place, item: self.items.item(indexed) })
    }
}

impl<'a> Merge<'a> {
    /// Merges what is ready.
    pub fn new(ready: impl Iterator<Item = Ready<'a>>) -> Merge<'a> {
        let sources: Vec<_> = ready
            .map(|ready| {
                let head = ready.head();
                (ready, head)
            })
            .collect();
        let dry = sources.iter().any(|(ready, head)| head.is_none() && ready.more);
        Merge { sources, dry }
    }

    /// For each source the position up to which its items were given.
    pub fn positions(self) -> Vec<usize> {
        self.sources.into_iter().map(|(ready, _)| ready.range.start).collect()
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = Item<'a>;

    fn next(&mut self) -> Option<Item<'a>> {
        if self.dry {
            return None;
        }
        let mut least: Option<(usize, &Head<'a>)> = None;
        for (number, (_, head)) in self.sources.iter().enumerate() {
            if let Some(head) = head
                && least.is_none_or(|(_, least)| {
                    head.place < least.place
                        || (head.place == least.place && head.item.cmp_key(&least.item).is_lt())
                })
            {
                least = Some((number, head));
            }
        }
        let (number, _) = least?;
        let (ready, head) = &mut self.sources[number];
        let item = head.take()?.item;
        ready.range.start += 1;
        *head = ready.head();
        self.dry = head.is_none() && ready.more;
        Some(item)
    }
}
