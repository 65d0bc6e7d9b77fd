//! `score` on a log: partitions of the brand partials to metrics and alerts.

use std::collections::BTreeMap;

use crate::codec::avro::{KnownPlan, schemas};
use crate::codec::partial::Partial;
use crate::driver::clock::WallTime;
use crate::driver::status::Gauges;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::raw::RawRecord;
use crate::fold::detect::Taken;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::telemetry::board::{Published, Showing};
use crate::time::EventTime;

use super::Names;
use super::encoder::{Encoder, PublicTopic};
use super::folds::Folds;

/// The topics that it writes.
struct Topics {
    history: PublicTopic,
    latest: PublicTopic,
    live: PublicTopic,
    patterns: PublicTopic,
    alerts: PublicTopic,
}

/// The stage.
pub struct ScoreStage {
    topics: Topics,
    folds: Folds<Score>,
    incidents: KnownPlan,
    /// The committed positions with which they were taken over.
    taken_over: BTreeMap<TopicPartition, i64>,
    output: ScoreOut,
    showing: Showing,
}

impl ScoreStage {
    /// A stage that has no partition yet.
    pub fn new(names: &Names, encoder: &Encoder, folds: Folds<Score>) -> ScoreStage {
        let topic = |name: &str| encoder.topic(names, name);
        let incidents = KnownPlan::compile(schemas::BRAND_INCIDENT, Topic::BrandIncidents);
        ScoreStage {
            topics: Topics {
                history: topic("brand-trust"),
                latest: topic("brand-trust-latest"),
                live: topic("brand-trust-live"),
                patterns: topic("pattern-trust"),
                alerts: topic("alerts"),
            },
            folds,
            incidents: incidents.expect("a test reads this build's own schemas"),
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

    fn fold(&mut self, from: &TopicPartition, record: RecordRef<'_>) -> Result<(), StageError> {
        let Some(score) = self.folds.at(from, record.offset)? else { return Ok(()) };
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
            Partial::Windows { partition, partitions, frontier, windows, pipeline, incomplete } => {
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
                for (length, start) in incomplete {
                    score.incomplete(partition, length, EventTime(start));
                }
                score.frontier(partition, EventTime(frontier), partitions);
            }
        }
        score.advance(&mut self.output);
        Ok(())
    }

    fn publish(&mut self, of: &TopicPartition, out: &mut Vec<Outgoing>) {
        let Topics { history, latest, live, patterns, alerts } = &self.topics;
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
        let from = self.folds.take(of, position)?;
        self.taken_over.insert(of.clone(), position.map_or(0, |position| position.next));
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
        while let Some(record) = records.next() {
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
        self.folds.metadata(of)
    }

    fn gauges(&self, of: &TopicPartition) -> Gauges {
        let frontier = self.folds.all().get(of).and_then(Score::least_frontier);
        let frontier = frontier.map(|frontier| frontier.0);
        Gauges { frontier, snapshot: self.folds.gauges(of), ..Gauges::default() }
    }

    fn committed(&mut self, of: &TopicPartition, next: i64, now: WallTime) {
        self.showing.committed(of, false);
        self.folds.committed(of, next, now);
    }

    fn finish_snapshot(&mut self, of: &TopicPartition, next: i64) {
        self.folds.finish(of, next);
    }
}

impl std::fmt::Debug for ScoreStage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ScoreStage").field("partitions", &self.folds.all().len()).finish_non_exhaustive()
    }
}
