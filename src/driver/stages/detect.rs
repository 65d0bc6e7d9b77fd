//! `detect` on a log: partitions of the person events to moments and brand partials.

use std::collections::BTreeMap;

use crate::codec::partial::Partial;
use crate::driver::worker::{Stage, StageError};
use crate::fold::detect::waiting::Partition;
use crate::fold::detect::{Detect, Output, Settings};
use crate::log::{Outgoing, Position, Records, TopicPartition};
use crate::time::MINUTE_MS;

use super::{Names, brand_partition, json_record};

/// Frontiers are told to `score` when they pass a multiple of this, milliseconds of event time: every
/// provisional mark and every close is one.
const TELL_EVERY_MS: i64 = 5 * MINUTE_MS;

/// Settings of the stage.
#[derive(Clone)]
pub struct DetectSettings {
    /// Names of the topics.
    pub names: Names,
    /// Partitions of the log of person events.
    pub person_partitions: i32,
    /// Partitions of the log of brand partials.
    pub brand_partitions: i32,
    /// Settings of the fold.
    pub fold: Settings,
}

/// The stage.
pub struct DetectStage {
    settings: DetectSettings,
    partitions: BTreeMap<TopicPartition, Partition>,
    output: Output,
}

impl DetectStage {
    /// A stage that has no partition yet.
    pub fn new(settings: DetectSettings) -> DetectStage {
        DetectStage { settings, partitions: BTreeMap::new(), output: Output::default() }
    }

    /// The partitions and their folds.
    pub fn partitions(&self) -> &BTreeMap<TopicPartition, Partition> {
        &self.partitions
    }

    fn partials(&mut self, of: &TopicPartition, frontier: i64, out: &mut Vec<Outgoing>) {
        let count = self.settings.brand_partitions;
        let mut by_partition: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for window in self.output.windows.drain(..) {
            by_partition[brand_partition(&window.brand, count) as usize].push(window);
        }
        let pipeline = std::mem::take(&mut self.output.pipeline);
        for (number, windows) in by_partition.into_iter().enumerate() {
            let partial = Partial::Windows {
                partition: of.partition as u32,
                partitions: self.settings.person_partitions as u32,
                frontier,
                windows,
                pipeline: pipeline.clone(),
            };
            let mut value = Vec::new();
            partial.encode(&mut value);
            out.push(Outgoing {
                topic: self.settings.names.own("brand-partials"),
                partition: Some(number as i32),
                key: None,
                value,
                headers: Vec::new(),
            });
        }
    }
}

impl Stage for DetectStage {
    const WHOLE_STEPS: bool = false;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        _position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        // The state is a function of the log: it is folded again from the first record.
        self.partitions.insert(of.clone(), Partition::new(Detect::new(self.settings.fold.clone())));
        Ok(Some(0))
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.partitions.remove(of);
    }

    fn absorb(
        &mut self,
        from: &TopicPartition,
        records: &mut dyn Records,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), StageError> {
        let moments = self.settings.names.own("moments");
        while let Some(record) = records.next() {
            let Some(partition) = self.partitions.get_mut(from) else { continue };
            let before = partition.frontier();
            partition.frame(record.value, &mut self.output).map_err(|error| StageError::Record {
                topic: from.topic.to_string(),
                partition: from.partition,
                offset: record.offset,
                cause: error.to_string(),
            })?;
            let slot = |frontier: i64| frontier.div_euclid(TELL_EVERY_MS);
            let tell =
                partition.frontier().filter(|now| before.is_none_or(|before| slot(before) < slot(*now)));
            for moment in self.output.moments.drain(..) {
                let key = serde_json::json!({ "brand_id": moment.brand_id });
                out.push(json_record(&moments, &key, &moment));
            }
            if let Some(frontier) = tell {
                self.partials(from, frontier, out);
            }
        }
        Ok(())
    }
}

impl std::fmt::Debug for DetectStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DetectStage").field("partitions", &self.partitions.len()).finish_non_exhaustive()
    }
}
