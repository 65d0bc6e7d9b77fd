//! Frames: one record of the log of person events holds many items of one partition.
//!
//! `version, names of brands, names of jurisdictions, items, frontier table`, little-endian.

pub mod item;

use crate::event::kinds::Topic;

use self::item::{DamagedItem, Item, ItemKind};

/// The latest version that this build reads. A frame has the least version that holds what is in it: 2 where
/// there is a [gap](item::ItemKind::Gap).
pub const VERSION: u8 = 2;

/// How far a source has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SourceFrontier {
    /// The source's topic.
    pub topic: Topic,
    /// The source's partition.
    pub partition: u32,
    /// Its frontier after the step, milliseconds.
    pub frontier: i64,
}

/// What a step says of the sources, after its items.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrontierTable {
    /// The sources whose offsets the same transaction commits.
    pub sources: Vec<SourceFrontier>,
    /// The partition counts of the source topics that hold a frontier.
    pub partitions: Vec<(Topic, u32)>,
}

/// A frame cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It was written by a later build.
    #[error(
        "frame version {found} is later than {VERSION}, the latest this build reads: finish the upgrade first"
    )]
    LaterVersion {
        /// The version it has.
        found: u8,
    },
    /// Its bytes are damaged.
    #[error("damaged frame: {0}")]
    Damaged(&'static str),
}

impl From<DamagedItem> for FrameError {
    fn from(damaged: DamagedItem) -> FrameError {
        FrameError::Damaged(damaged.0)
    }
}

/// Collects the items for one partition.
///
/// Items are put with numbers of the caller's own dictionary of names; the frame carries only the names it
/// uses, under the same numbers.
#[derive(Debug, Default)]
pub struct FrameBuilder {
    /// The items, see [`item::put_event`] and [`item::put_other`].
    pub items: Vec<u8>,
}

impl FrameBuilder {
    /// Writes the frame and starts anew. `brand` and `jurisdiction` give the names of the numbers used.
    pub fn finish<'n>(
        &mut self,
        brand: impl Fn(u32) -> &'n str,
        jurisdiction: impl Fn(u16) -> &'n str,
        table: &FrontierTable,
        out: &mut Vec<u8>,
    ) {
        let (mut brands, mut jurisdictions) = (Vec::new(), Vec::new());
        let mut rest = self.items.as_slice();
        let mut version = 1;
        while let Ok((item, tail)) = Item::split(rest) {
            if item.kind() == ItemKind::Gap {
                version = VERSION;
            }
            brands.push(item.brand());
            jurisdictions.push(item.jurisdiction());
            rest = tail;
        }
        brands.sort_unstable();
        brands.dedup();
        jurisdictions.sort_unstable();
        jurisdictions.dedup();
        out.clear();
        out.push(version);
        put_u32(out, brands.len());
        for number in brands {
            out.extend_from_slice(&number.to_le_bytes());
            put_name(out, brand(number));
        }
        put_u32(out, jurisdictions.len());
        for number in jurisdictions {
            out.extend_from_slice(&u32::from(number).to_le_bytes());
            put_name(out, jurisdiction(number));
        }
        put_u32(out, self.items.len());
        out.extend_from_slice(&self.items);
        put_u32(out, table.sources.len());
        for source in &table.sources {
            out.push(source.topic.index());
            out.extend_from_slice(&source.partition.to_le_bytes());
            out.extend_from_slice(&source.frontier.to_le_bytes());
        }
        put_u32(out, table.partitions.len());
        for (topic, count) in &table.partitions {
            out.push(topic.index());
            out.extend_from_slice(&count.to_le_bytes());
        }
        self.items.clear();
    }
}

/// A frame, read in place.
#[derive(Debug)]
pub struct Frame<'a> {
    /// Names of brands by number, ascending.
    pub brands: Vec<(u32, &'a str)>,
    /// Names of jurisdictions by number, ascending.
    pub jurisdictions: Vec<(u32, &'a str)>,
    /// The items.
    pub items: &'a [u8],
    /// The frontier table.
    pub table: FrontierTable,
}

impl<'a> Frame<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// When a later build wrote it or its bytes are damaged; items are checked one by one as they are split.
    pub fn read(bytes: &'a [u8]) -> Result<Frame<'a>, FrameError> {
        let mut cursor = Cursor { rest: bytes };
        let version = cursor.take(1)?[0];
        if version > VERSION {
            return Err(FrameError::LaterVersion { found: version });
        }
        let brands = cursor.names()?;
        let jurisdictions = cursor.names()?;
        let length = cursor.u32()? as usize;
        let items = cursor.take(length)?;
        let mut table = FrontierTable::default();
        for _ in 0..cursor.u32()? {
            let topic = cursor.topic()?;
            let partition = cursor.u32()?;
            let frontier = i64::from_le_bytes(cursor.array()?);
            table.sources.push(SourceFrontier { topic, partition, frontier });
        }
        for _ in 0..cursor.u32()? {
            let topic = cursor.topic()?;
            table.partitions.push((topic, cursor.u32()?));
        }
        if !cursor.rest.is_empty() {
            return Err(FrameError::Damaged("bytes after the end"));
        }
        Ok(Frame { brands, jurisdictions, items, table })
    }
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FrameError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(FrameError::Damaged("too short"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FrameError> {
        let bytes = self.take(N)?;
        bytes.try_into().map_err(|_| FrameError::Damaged("too short"))
    }

    fn u32(&mut self) -> Result<u32, FrameError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    fn topic(&mut self) -> Result<Topic, FrameError> {
        Topic::from_index(self.take(1)?[0]).ok_or(FrameError::Damaged("topic"))
    }

    fn names(&mut self) -> Result<Vec<(u32, &'a str)>, FrameError> {
        let mut names = Vec::new();
        for _ in 0..self.u32()? {
            let number = self.u32()?;
            let length = usize::from(u16::from_le_bytes(self.array()?));
            let name = std::str::from_utf8(self.take(length)?).map_err(|_| FrameError::Damaged("name"))?;
            names.push((number, name));
        }
        Ok(names)
    }
}

fn put_u32(out: &mut Vec<u8>, count: usize) {
    let count = u32::try_from(count).expect("a frame is far smaller than 4 GiB");
    out.extend_from_slice(&count.to_le_bytes());
}

fn put_name(out: &mut Vec<u8>, name: &str) {
    let length = u16::try_from(name.len()).expect("names are at most 4,096 bytes");
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(name.as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::item::{put_gap, put_other};
    use super::*;

    #[test]
    fn a_frame_reads_back_with_the_names_it_uses() {
        let mut builder = FrameBuilder::default();
        put_other(&mut builder.items, ItemKind::Late, 5, &[0; 16], 2);
        put_other(&mut builder.items, ItemKind::Erasure, 6, &[1; 16], 0);
        let table = FrontierTable {
            sources: vec![SourceFrontier { topic: Topic::Messages, partition: 3, frontier: -1 }],
            partitions: vec![(Topic::Messages, 4)],
        };
        let mut bytes = Vec::new();
        let names = ["zero", "one", "two"];
        builder.finish(|number| names[number as usize], |_| "", &table, &mut bytes);
        assert!(builder.items.is_empty());
        let frame = Frame::read(&bytes).unwrap();
        assert_eq!(frame.brands, [(0, "zero"), (2, "two")]);
        assert_eq!(frame.table, table);
        let (first, rest) = Item::split(frame.items).unwrap();
        let (second, rest) = Item::split(rest).unwrap();
        assert_eq!((first.kind(), second.kind(), rest.len()), (ItemKind::Late, ItemKind::Erasure, 0));
        bytes[0] = VERSION + 1;
        assert_eq!(Frame::read(&bytes).unwrap_err(), FrameError::LaterVersion { found: VERSION + 1 });
    }

    #[test]
    fn a_gap_makes_a_frame_of_version_2_and_nothing_else_does() {
        let version = |has_gap: bool| {
            let mut builder = FrameBuilder::default();
            put_other(&mut builder.items, ItemKind::Unreadable, 5, &[0; 16], 0);
            if has_gap {
                put_gap(&mut builder.items, 5, 9);
            }
            let mut bytes = Vec::new();
            builder.finish(|_| "", |_| "", &FrontierTable::default(), &mut bytes);
            let frame = Frame::read(&bytes).unwrap();
            let (_, rest) = Item::split(frame.items).unwrap();
            let gap = (!rest.is_empty()).then(|| Item::split(rest).unwrap().0);
            let gap = gap.map(|gap| (gap.kind(), gap.place(), gap.time(), gap.event_topic()));
            (bytes[0], gap)
        };
        assert_eq!(version(false), (1, None));
        assert_eq!(version(true), (2, Some((ItemKind::Gap, 5, 9, None))));
    }

    proptest! {
        #[test]
        fn damaged_frames_are_refused_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let mut bytes = bytes;
            if let Some(version) = bytes.first_mut() {
                *version = VERSION;
            }
            let _ignored = Frame::read(&bytes).is_ok();
        }
    }
}
