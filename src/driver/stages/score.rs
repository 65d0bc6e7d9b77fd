//! `score` on a log: partitions of the brand partials to metrics and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::codec::avro::{KnownPlan, schemas};
use crate::codec::partial::Partial;
use crate::config::ConfigHash;
use crate::driver::clock::WallTime;
use crate::driver::status::Gauges;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::detect::Taken;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::score::settings::ScoreSettings;
use crate::telemetry::board::{Published, Showing};
use crate::time::EventTime;

use super::Names;
use super::encoder::Encoder;
use super::recovery::{Keeper, Past, Start, lost};

/// The stage.
pub struct ScoreStage {
    names: Names,
    encoder: Encoder,
    keeper: Keeper,
    past: Past<ScoreSettings>,
    incidents: KnownPlan,
    partitions: BTreeMap<TopicPartition, Score>,
    /// The committed positions with which they were taken over.
    taken_over: BTreeMap<TopicPartition, i64>,
    output: ScoreOut,
    showing: Showing,
}

impl ScoreStage {
    /// A stage that has no partition yet. The first partition speaks for the pipeline as a whole.
    /// `past`: settings of the fold under the configurations that hold now or held before.
    pub fn new(names: Names, encoder: Encoder, keeper: Keeper, past: Past<ScoreSettings>) -> ScoreStage {
        let incidents = KnownPlan::compile(schemas::BRAND_INCIDENT, Topic::BrandIncidents);
        ScoreStage {
            names,
            encoder,
            keeper,
            past,
            incidents: incidents.expect("a test reads this build's own schemas"),
            partitions: BTreeMap::new(),
            taken_over: BTreeMap::new(),
            output: ScoreOut::default(),
            showing: Showing::default(),
        }
    }

    /// Shows what it publishes.
    #[must_use]
    pub fn showing(self, showing: Showing) -> ScoreStage {
        ScoreStage { showing, ..self }
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

    fn publish(&mut self, of: &TopicPartition, out: &mut Vec<Outgoing>) {
        let topic = |name: &str| self.encoder.topic(&self.names, name);
        let (history, latest, live) =
            (topic("brand-trust"), topic("brand-trust-latest"), topic("brand-trust-live"));
        let (patterns, alerts) = (topic("pattern-trust"), topic("alerts"));
        let output = &mut self.output;
        for record in &output.brand_trust {
            out.push(history.record(&record.key(), record));
            out.push(latest.record(&record.latest_key(), record));
        }
        out.extend(output.live.iter().map(|record| live.record(&record.latest_key(), record)));
        out.extend(output.pattern_trust.iter().map(|record| patterns.record(&record.key(), record)));
        out.extend(output.alerts.iter().map(|alert| alerts.record(&alert.key(), alert)));
        let windows = output.brand_trust.drain(..).map(Published::Window);
        let open = output.live.drain(..).map(Published::Open);
        let patterns = output.pattern_trust.drain(..).map(Published::Pattern);
        let alerts = output.alerts.drain(..).map(Published::Alert);
        self.showing.take(of, windows.chain(open).chain(patterns).chain(alerts));
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
        self.taken_over.insert(of.clone(), position.map_or(0, |position| position.next));
        Ok(from)
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.partitions.remove(of);
        self.taken_over.remove(of);
        self.showing.revoked(of);
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
            let is_old = self.taken_over.get(from).is_some_and(|taken_over| record.offset < *taken_over);
            self.fold(from, record)?;
            self.publish(from, out);
            if is_old {
                self.showing.committed(from, true);
            }
        }
        Ok(())
    }

    fn metadata(&self, of: &TopicPartition) -> String {
        self.keeper.metadata(of)
    }

    fn gauges(&self, of: &TopicPartition) -> Gauges {
        let frontier = self.partitions.get(of).and_then(Score::least_frontier);
        let frontier = frontier.map(|frontier| frontier.0);
        Gauges { frontier, snapshot: self.keeper.gauges(of), ..Gauges::default() }
    }

    fn committed(&mut self, of: &TopicPartition, next: i64, now: WallTime) {
        self.showing.committed(of, false);
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
