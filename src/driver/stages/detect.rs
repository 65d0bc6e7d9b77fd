//! `detect` on a log: partitions of the person events to moments and brand partials.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::partial::Partial;
use crate::driver::clock::WallTime;
use crate::driver::replay::ledger::Account;
use crate::driver::status::Gauges;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::fold::detect::waiting::{Flow, Partition};
use crate::fold::detect::{Output, Tally};
use crate::log::{Outgoing, Position, Records, TopicPartition};
use crate::telemetry::board::{Published, Showing};
use crate::time::MINUTE_MS;

use super::encoder::Encoder;
use super::folds::Folds;
use super::{Names, brand_partition};

/// Frontiers are told to `score` when they pass a multiple of this, milliseconds of event time: every
/// provisional mark and every close is one.
const TELL_EVERY_MS: i64 = 5 * MINUTE_MS;

/// Windows in one record of partials, most of them some 300 bytes: a frontier that passes weeks at once, as when an
/// outage is caught up with, closes more than fit into a record.
const WINDOWS_MAX: usize = 500;

/// Settings of the stage.
#[derive(Clone)]
pub struct DetectSettings {
    /// Names of the topics.
    pub names: Names,
    /// Partitions of the log of person events.
    pub person_partitions: i32,
    /// Partitions of the log of brand partials.
    pub brand_partitions: i32,
    /// How moments are written.
    pub encoder: Encoder,
}

/// The stage.
pub struct DetectStage {
    settings: DetectSettings,
    folds: Folds<Partition>,
    taken_over: BTreeMap<TopicPartition, TakenOver>,
    output: Output,
    showing: Showing,
}

/// Where this process took a partition over.
struct TakenOver {
    /// The committed position.
    from: i64,
    /// What had become of its events up to there, by topic; nothing before the state is there.
    before: Option<[(Flow, Tally); Topic::ALL.len()]>,
}

fn so_far(partition: &Partition) -> [(Flow, Tally); Topic::ALL.len()] {
    let mut all = [Default::default(); Topic::ALL.len()];
    for topic in Topic::ALL {
        all[usize::from(topic.index())] = (partition.flow(*topic), partition.detect().tally(*topic));
    }
    all
}

impl DetectStage {
    /// A stage that has no partition yet.
    pub fn new(settings: DetectSettings, folds: Folds<Partition>) -> DetectStage {
        DetectStage {
            settings,
            folds,
            taken_over: BTreeMap::new(),
            output: Output::default(),
            showing: Showing::default(),
        }
    }

    /// Shows what it publishes.
    #[must_use]
    pub fn showing(self, showing: Showing) -> DetectStage {
        DetectStage { showing, ..self }
    }

    /// The partitions and their folds.
    pub fn partitions(&self) -> &BTreeMap<TopicPartition, Partition> {
        self.folds.all()
    }

    /// Tells `score` what was counted up to `frontier`. Until all of it is told, the frontier `before` stands.
    fn partials(&mut self, of: &TopicPartition, before: Option<i64>, frontier: i64, out: &mut Vec<Outgoing>) {
        let topic = self.settings.names.own("brand-partials");
        let count = self.settings.brand_partitions;
        let earliest = self.output.windows.iter().map(|window| window.start).min();
        let before = before.or(earliest).unwrap_or(frontier);
        let mut by_partition: Vec<Vec<_>> = (0..count).map(|_| Vec::new()).collect();
        for window in self.output.windows.drain(..) {
            by_partition[brand_partition(&window.brand, count) as usize].push(window);
        }
        let pipeline = std::mem::take(&mut self.output.pipeline);
        let incomplete = std::mem::take(&mut self.output.incomplete);
        for (number, mut windows) in by_partition.into_iter().enumerate() {
            loop {
                let later = windows.split_off(windows.len().min(WINDOWS_MAX));
                let is_last = later.is_empty();
                let partial = Partial::Windows {
                    partition: of.partition as u32,
                    partitions: self.settings.person_partitions as u32,
                    frontier: if is_last { frontier } else { before },
                    windows,
                    pipeline: if is_last { pipeline.clone() } else { Vec::new() },
                    incomplete: if is_last { incomplete.clone() } else { Vec::new() },
                };
                let mut value = Vec::new();
                partial.encode(&mut value);
                out.push(Outgoing {
                    topic: Arc::clone(&topic),
                    partition: Some(number as i32),
                    key: None,
                    value,
                    headers: Vec::new(),
                });
                if is_last {
                    break;
                }
                windows = later;
            }
        }
    }
}

impl Stage for DetectStage {
    const WHOLE_STEPS: bool = false;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        let from = self.folds.take(of, position)?;
        let taken_over = TakenOver { from: position.map_or(0, |position| position.next), before: None };
        self.taken_over.insert(of.clone(), taken_over);
        Ok(from)
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.folds.release(of);
        self.taken_over.remove(of);
        self.showing.revoked(of);
    }

    fn absorb(
        &mut self,
        from: &TopicPartition,
        records: &mut dyn Records,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), StageError> {
        let moments = self.settings.encoder.topic(&self.settings.names, "moments");
        while let Some(record) = records.next() {
            let Some(partition) = self.folds.at(from, record.offset)? else { continue };
            let taken_over = self.taken_over.get_mut(from).filter(|taken| taken.from <= record.offset);
            let is_new = taken_over.is_some();
            if let Some(taken) = taken_over {
                taken.before.get_or_insert_with(|| so_far(partition));
            }
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
            out.extend(self.output.moments.iter().map(|moment| moments.record(&moment.key(), moment)));
            if is_new {
                self.showing.take(from, self.output.moments.drain(..).map(Published::Moment));
            }
            self.output.moments.clear();
            if let Some(frontier) = tell {
                self.partials(from, before, frontier, out);
            }
        }
        Ok(())
    }

    fn metadata(&self, of: &TopicPartition) -> String {
        self.folds.metadata(of)
    }

    fn gauges(&self, of: &TopicPartition) -> Gauges {
        let Some(partition) = self.folds.all().get(of) else { return Gauges::default() };
        let before = self.taken_over.get(of).and_then(|taken| taken.before.as_ref());
        let account = |topic: &Topic, before: &(Flow, Tally)| {
            let (flow, tally) = (partition.flow(*topic), partition.detect().tally(*topic));
            Account {
                // What waited when the partition was taken over was read by who had it before.
                read: flow.arrived - before.0.arrived + before.0.waiting,
                applied: tally.applied - before.1.applied,
                duplicate: tally.duplicate - before.1.duplicate,
                erased: tally.erased - before.1.erased,
                waiting: flow.waiting,
                ..Account::default()
            }
        };
        let accounts = before.map(|before| {
            let topics = Topic::ALL.iter().filter(|topic| topic.is_person_events());
            topics.map(|topic| (*topic, account(topic, &before[usize::from(topic.index())]))).collect()
        });
        Gauges {
            frontier: partition.frontier(),
            accounts: accounts.unwrap_or_default(),
            snapshot: self.folds.gauges(of),
            ..Gauges::default()
        }
    }

    fn committed(&mut self, of: &TopicPartition, next: i64, now: WallTime) {
        self.showing.committed(of, false);
        self.folds.committed(of, next, now);
    }

    fn finish_snapshot(&mut self, of: &TopicPartition, next: i64) {
        self.folds.finish(of, next);
    }
}

impl std::fmt::Debug for DetectStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DetectStage").field("partitions", &self.folds.all().len()).finish_non_exhaustive()
    }
}
