//! What snapshots are called.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::str::FromStr;

const EXTENSION: &str = ".snap";

/// A fold that has state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fold {
    /// `detect`, over the person events.
    Detect,
    /// `score`, over the brand partials.
    Score,
}

impl Fold {
    /// All of them.
    pub const ALL: [Fold; 2] = [Fold::Detect, Fold::Score];

    /// The name of its stage.
    pub const fn name(self) -> &'static str {
        match self {
            Fold::Detect => "detect",
            Fold::Score => "score",
        }
    }
}

/// The name of a snapshot: `detect/12/4711-09af09af09af09af.snap`, at most 60 ASCII characters. The order is that
/// of folds, partitions and offsets.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Name {
    /// Whose state it is.
    pub fold: Fold,
    /// The input partition.
    pub partition: i32,
    /// The offset of the first record that is not in the state.
    pub offset: i64,
    /// Keeps apart what different instances write at one offset.
    pub random: u64,
}

/// A text is not the name of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not the name of a snapshot")]
pub struct BadName(pub String);

impl Name {
    /// A name that nothing had before.
    pub fn new(fold: Fold, partition: i32, offset: i64) -> Name {
        // Every `RandomState` hashes with other keys, which come from the system's randomness.
        Name { fold, partition, offset, random: RandomState::new().build_hasher().finish() }
    }

    /// The folder of a partition's snapshots.
    pub(super) fn folder(fold: Fold, partition: i32) -> String {
        format!("{}/{partition}", fold.name())
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Name { fold, partition, offset, random } = self;
        write!(f, "{}/{partition}/{offset}-{random:016x}{EXTENSION}", fold.name())
    }
}

impl FromStr for Name {
    type Err = BadName;

    fn from_str(text: &str) -> Result<Name, BadName> {
        let parse = || {
            let (fold, rest) = text.split_once('/')?;
            let (partition, rest) = rest.split_once('/')?;
            let (offset, random) = rest.strip_suffix(EXTENSION)?.split_once('-')?;
            Some(Name {
                fold: Fold::ALL.into_iter().find(|known| known.name() == fold)?,
                partition: partition.parse().ok()?,
                offset: offset.parse().ok()?,
                random: u64::from_str_radix(random, 16).ok()?,
            })
        };
        // Written again it must be the same text, which excludes signs, leading zeros and capitals.
        parse().filter(|name| name.to_string() == text).ok_or_else(|| BadName(text.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back_and_are_short() {
        let name = Name { fold: Fold::Detect, partition: 12, offset: 4_711, random: 0x9af };
        assert_eq!(name.to_string(), "detect/12/4711-00000000000009af.snap");
        for name in [name, Name::new(Fold::Score, i32::MAX, i64::MAX)] {
            assert_eq!(name.to_string().parse(), Ok(name));
            assert!(name.to_string().len() <= 60);
        }
        assert_ne!(Name::new(Fold::Score, 0, 0), Name::new(Fold::Score, 0, 0));
    }

    #[test]
    fn nothing_else_is_a_name() {
        for text in [
            "",
            "detect/12/4711-00000000000009af",
            "route/12/4711-00000000000009af.snap",
            "detect/12/4711-9af.snap",
            "detect/12/4711-00000000000009AF.snap",
            "detect/+12/4711-00000000000009af.snap",
            "detect/12/04711-00000000000009af.snap",
            "detect/12/../4711-00000000000009af.snap",
            "detect/12/4711-00000000000009af.snap#1",
        ] {
            assert_eq!(text.parse::<Name>(), Err(BadName(text.to_owned())));
        }
    }
}
