//! `score` on a log: partitions of the brand partials to metrics and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::avro::{KnownPlan, schemas};
use crate::codec::partial::Partial;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::detect::Taken;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::score::settings::ScoreSettings;
use crate::time::EventTime;

use super::Names;
use super::encoder::Encoder;

/// The stage.
pub struct ScoreStage {
    names: Names,
    encoder: Encoder,
    settings: ScoreSettings,
    incidents: KnownPlan,
    partitions: BTreeMap<TopicPartition, Score>,
    output: ScoreOut,
}

impl ScoreStage {
    /// A stage that has no partition yet. The first partition speaks for the pipeline as a whole.
    pub fn new(names: Names, encoder: Encoder, settings: ScoreSettings) -> ScoreStage {
        let incidents = KnownPlan::compile(schemas::BRAND_INCIDENT, Topic::BrandIncidents);
        ScoreStage {
            names,
            encoder,
            settings,
            incidents: incidents.expect("a test reads this build's own schemas"),
            partitions: BTreeMap::new(),
            output: ScoreOut::default(),
        }
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
            Partial::Incident(datum) => {
                let (read, _) =
                    self.incidents.decode(&datum).map_err(|reject| refused(reject.to_string()))?;
                if let RawRecord::Incident(incident) = read {
                    score.incident(&incident, &datum);
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
        let topic = |name: &str| self.encoder.topic(&self.names, name);
        let (history, latest, live) =
            (topic("brand-trust"), topic("brand-trust-latest"), topic("brand-trust-live"));
        for record in self.output.brand_trust.drain(..) {
            out.push(history.record(&record.key(), &record));
            out.push(latest.record(&record.latest_key(), &record));
        }
        out.extend(self.output.live.drain(..).map(|record| live.record(&record.latest_key(), &record)));
        let patterns = topic("pattern-trust");
        out.extend(self.output.pattern_trust.drain(..).map(|record| patterns.record(&record.key(), &record)));
        let alerts = topic("alerts");
        out.extend(self.output.alerts.drain(..).map(|alert| alerts.record(&alert.key(), &alert)));
    }
}

impl Stage for ScoreStage {
    const WHOLE_STEPS: bool = false;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        _position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        // The state is a function of the log: it is folded again from the first record.
        let settings = ScoreSettings { reports_pipeline: of.partition == 0, ..self.settings.clone() };
        self.partitions.insert(of.clone(), Score::new(Arc::new(settings)));
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
        while let Some(record) = records.next() {
            self.fold(from, record)?;
            self.publish(out);
        }
        Ok(())
    }
}

impl std::fmt::Debug for ScoreStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreStage").field("partitions", &self.partitions.len()).finish_non_exhaustive()
    }
}
