//! Sources that no instance reads, as their group says. Only the group knows: a position that stands still may be that
//! of a source without records, and one without records may be nobody's.

use std::collections::{BTreeMap, BTreeSet};

use super::clock::WallTime;
use crate::log::TopicPartition;

/// How long a source may be nobody's, milliseconds: partitions are while they change hands.
const OWNERLESS_MAX_MS: i64 = 60_000;

/// Sources without an owner, and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Owners(BTreeMap<TopicPartition, WallTime>);

impl Owners {
    /// The group tells which of all sources are read.
    pub(super) fn told(
        &mut self,
        all: &BTreeSet<TopicPartition>,
        owned: &BTreeSet<TopicPartition>,
        now: WallTime,
    ) {
        let since = |of: &TopicPartition| self.0.get(of).copied().unwrap_or(now);
        self.0 = all.difference(owned).map(|of| (of.clone(), since(of))).collect();
    }

    /// The group does not answer: nobody knows.
    pub(super) fn unknown(&mut self) {
        self.0.clear();
    }

    /// Those that have had none for too long, and since when the first of them.
    pub(super) fn without(&self, now: WallTime) -> Option<(Vec<&TopicPartition>, WallTime)> {
        let lasting = |since: &&WallTime| now.0 - since.0 >= OWNERLESS_MAX_MS;
        let since = self.0.values().filter(lasting).min()?;
        Some((self.0.iter().filter(|(_, since)| lasting(since)).map(|(of, _)| of).collect(), *since))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_stays_without_an_owner_for_a_minute_is_named() {
        let of = |partition| TopicPartition { topic: "clickstream".into(), partition };
        let set =
            |partitions: &[i32]| partitions.iter().map(|partition| of(*partition)).collect::<BTreeSet<_>>();
        let (all, mut owners) = (set(&[0, 1, 2]), Owners::default());
        owners.told(&all, &set(&[0]), WallTime(0));
        owners.told(&all, &set(&[1]), WallTime(10_000));
        owners.told(&all, &set(&[0]), WallTime(20_000));
        assert_eq!(owners.without(WallTime(59_999)), None);
        assert_eq!(owners.without(WallTime(60_000)), Some((vec![&of(2)], WallTime(0))));
        assert_eq!(owners.without(WallTime(80_000)), Some((vec![&of(1), &of(2)], WallTime(0))));
        owners.unknown();
        assert_eq!(owners.without(WallTime(80_000)), None);
    }
}
