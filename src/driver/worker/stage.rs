//! What the step loop drives.

use std::collections::BTreeSet;

use crate::driver::clock::WallTime;
use crate::driver::status::Gauges;
use crate::log::{Outgoing, Position, Records, TopicPartition};

/// A fold as the step loop sees it.
pub trait Stage {
    /// Whether outputs belong to the step as a whole rather than to one input partition.
    const WHOLE_STEPS: bool;

    /// A partition is this worker's, with its committed position. Returns the offset to read from (the oldest
    /// record if `None`): outputs of records before the committed position are dropped.
    ///
    /// # Errors
    /// When the state before that offset cannot be had.
    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError>;

    /// A partition is this worker's no longer: its state goes.
    fn revoked(&mut self, of: &TopicPartition);

    /// Takes records of a partition in, until there are no more, the step [is full](Stage::is_full) or the
    /// partition must [wait](Stage::held). Outputs are those of the partition.
    ///
    /// # Errors
    /// When a record cannot be processed by this build.
    fn absorb(
        &mut self,
        from: &TopicPartition,
        records: &mut dyn Records,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), StageError>;

    /// Whether the step must be published before more is taken in; never by default.
    fn is_full(&self) -> bool {
        false
    }

    /// The assigned partitions that must not be read for now; none by default.
    fn held(&mut self, _now: WallTime) -> BTreeSet<TopicPartition> {
        BTreeSet::new()
    }

    /// The partitions whose committed positions the stage must know, its own or not; none by default.
    fn peers(&self, _now: WallTime) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// The positions of those that it asked for.
    fn glimpsed(&mut self, _now: WallTime, _positions: Vec<(TopicPartition, Option<Position>)>) {}

    /// The assigned partitions of which the stage must know whether anything is left to read; none by default.
    fn asks_for_end(&self, _now: WallTime) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// The assigned partitions of which the stage must know whether they can be read at all; none by default.
    fn doubts(&self, _now: WallTime) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// How many records are left in each of those; none where the log cannot tell.
    fn left(&mut self, _now: WallTime, _left: Vec<(TopicPartition, Option<i64>)>) {}

    /// Ends a step. `at_end`: those asked for of which nothing is left to read. Returns outputs of the step as
    /// a whole, and the partitions whose standing position must be committed with them; none by default.
    fn finish(
        &mut self,
        _now: WallTime,
        _at_end: &[TopicPartition],
        _out: &mut Vec<Outgoing>,
    ) -> Vec<TopicPartition> {
        Vec::new()
    }

    /// What must be remembered with a partition's position; nothing by default.
    fn metadata(&self, _of: &TopicPartition) -> String {
        String::new()
    }

    /// What there is to tell about a partition; nothing by default.
    fn gauges(&self, _of: &TopicPartition) -> Gauges {
        Gauges::default()
    }

    /// A partition's position was committed, and the state is what it is after the records before it.
    fn committed(&mut self, _of: &TopicPartition, _next: i64, _now: WallTime) {}

    /// The worker ends in good order, and the state of a partition is what it is after the records before this
    /// offset: takes a snapshot, which the next [`Stage::metadata`] names.
    fn finish_snapshot(&mut self, _of: &TopicPartition, _next: i64) {}
}

/// A stage cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum StageError {
    /// State is needed that cannot be had, for now.
    #[error("the state of {topic} {partition} cannot be had for now: {cause}")]
    Restore {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why.
        cause: String,
    },
    /// State is needed that cannot be had.
    #[error("the state of {topic} {partition} is lost: {cause}")]
    Lost {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// Why, and what helps.
        cause: String,
    },
    /// A record of an internal log cannot be read.
    #[error("record {offset} of {topic} {partition} cannot be read: {cause}")]
    Record {
        /// The topic.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
        /// Why.
        cause: String,
    },
}
