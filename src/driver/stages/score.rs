//! `score` on a log: partitions of the brand partials to metrics and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::codec::canonical::encode_incident;
use crate::codec::json::Decoder;
use crate::codec::partial::Partial;
use crate::config::ConfigHash;
use crate::driver::clock::WallTime;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::output::BrandTrust;
use crate::event::raw::RawRecord;
use crate::fold::detect::Taken;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::score::settings::ScoreSettings;
use crate::time::EventTime;

use super::recovery::{Keeper, Past, Start, lost};
use super::{Names, json_record};

/// The stage.
pub struct ScoreStage {
    names: Names,
    keeper: Keeper,
    past: Past<ScoreSettings>,
    partitions: BTreeMap<TopicPartition, Score>,
    output: ScoreOut,
}

impl ScoreStage {
    /// A stage that has no partition yet. The first partition speaks for the pipeline as a whole.
    /// `past`: settings of the fold under the configurations that hold now or held before.
    pub fn new(names: Names, keeper: Keeper, past: Past<ScoreSettings>) -> ScoreStage {
        ScoreStage { names, keeper, past, partitions: BTreeMap::new(), output: ScoreOut::default() }
    }

    fn settings(&self, of: &TopicPartition, config: ConfigHash) -> Result<Arc<ScoreSettings>, StageError> {
        let settings = (self.past)(config).map_err(|error| lost(of, &error))?;
        Ok(Arc::new(ScoreSettings { reports_pipeline: of.partition == 0, ..settings }))
    }

    fn fold(&mut self, from: &TopicPartition, record: RecordRef<'_>) -> Result<(), StageError> {
        let Some(score) = self.partitions.get_mut(from) else { return Ok(()) };
        let refused = |cause: String| StageError::Record {
            topic: from.topic.to_string(),
            partition: from.partition,
            offset: record.offset,
            cause,
        };
        match Partial::decode(record.value).map_err(|error| refused(error.to_string()))? {
            Partial::Incident(value) => {
                let mut decoder = Decoder::new(Topic::BrandIncidents);
                match decoder.decode(&value).map_err(|reject| refused(reject.to_string()))? {
                    RawRecord::Incident(incident) => {
                        let mut encoded = Vec::new();
                        encode_incident(&incident, &mut encoded);
                        score.incident(&incident, &encoded);
                    }
                    RawRecord::Event(_) | RawRecord::Link(_) | RawRecord::Erasure(_) => {}
                }
            }
            Partial::Windows { partition, partitions, frontier, windows, pipeline } => {
                for window in windows {
                    let mark = match window.taken {
                        Taken::Provisional(number) => Mark::Provisional(number),
                        Taken::Closed => Mark::Closed,
                    };
                    let start = EventTime(window.start);
                    score.counts(partition, &window.brand, window.length, start, mark, &window.counts);
                }
                for (length, start, counts) in pipeline {
                    score.pipeline(partition, length, EventTime(start), Mark::Closed, counts);
                }
                score.frontier(partition, EventTime(frontier), partitions);
            }
        }
        score.advance(&mut self.output);
        Ok(())
    }

    fn publish(&mut self, out: &mut Vec<Outgoing>) {
        let topic = |name: &str| self.names.own(name);
        let (history, latest, live) =
            (topic("brand-trust"), topic("brand-trust-latest"), topic("brand-trust-live"));
        let by_window = |record: &BrandTrust| json!({ "brand_id": record.brand_id, "window": record.window });
        for record in self.output.brand_trust.drain(..) {
            let key = json!({ "brand_id": record.brand_id, "window": record.window, "window_start": record.window_start });
            out.push(json_record(&history, &key, &record));
            out.push(json_record(&latest, &by_window(&record), &record));
        }
        for record in self.output.live.drain(..) {
            out.push(json_record(&live, &by_window(&record), &record));
        }
        let patterns = topic("pattern-trust");
        for record in self.output.pattern_trust.drain(..) {
            let key = json!({
                "brand_id": record.brand_id, "window": record.window,
                "window_start": record.window_start, "pattern": record.pattern,
            });
            out.push(json_record(&patterns, &key, &record));
        }
        let alerts = topic("alerts");
        for alert in self.output.alerts.drain(..) {
            out.push(json_record(&alerts, &json!({ "alert_id": alert.alert_id }), &alert));
        }
    }
}

impl Stage for ScoreStage {
    const WHOLE_STEPS: bool = false;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        let Start { from, state, config } = self.keeper.take(of, position)?;
        let settings = self.settings(of, config)?;
        let score = match state {
            Some(bytes) => Score::read_state(settings, &bytes).map_err(|error| lost(of, &error))?,
            None => Score::new(settings),
        };
        self.partitions.insert(of.clone(), score);
        Ok(from)
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.partitions.remove(of);
        self.keeper.release(of);
    }

    fn absorb(
        &mut self,
        from: &TopicPartition,
        records: &mut dyn Records,
        out: &mut Vec<Outgoing>,
    ) -> Result<(), StageError> {
        while let Some(record) = records.next() {
            if let Some(config) = self.keeper.switch_at(from, record.offset) {
                let settings = self.settings(from, config)?;
                if let Some(score) = self.partitions.get_mut(from) {
                    let mut state = Vec::new();
                    score.write_state(&mut state);
                    *score = Score::read_state(settings, &state).map_err(|error| lost(from, &error))?;
                }
            }
            self.fold(from, record)?;
            self.publish(out);
        }
        Ok(())
    }

    fn metadata(&self, of: &TopicPartition) -> String {
        self.keeper.metadata(of)
    }

    fn committed(&mut self, of: &TopicPartition, next: i64, now: WallTime) {
        if let Some(score) = self.partitions.get(of) {
            self.keeper.committed(of, next, now, |out| score.write_state(out));
        }
    }

    fn finish_snapshot(&mut self, of: &TopicPartition, next: i64) {
        if let Some(score) = self.partitions.get(of) {
            self.keeper.finish(of, next, |out| score.write_state(out));
        }
    }
}

impl std::fmt::Debug for ScoreStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreStage").field("partitions", &self.partitions.len()).finish_non_exhaustive()
    }
}
