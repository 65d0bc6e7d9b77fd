//! `score` on a log: partitions of the brand partials to metrics and alerts.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::json;

use crate::codec::canonical::encode_incident;
use crate::codec::json::Decoder;
use crate::codec::partial::Partial;
use crate::driver::clock::WallTime;
use crate::driver::status::Gauges;
use crate::driver::worker::{Stage, StageError};
use crate::event::kinds::Topic;
use crate::event::output::BrandTrust;
use crate::event::raw::RawRecord;
use crate::fold::detect::Taken;
use crate::fold::score::{Mark, Score, ScoreOut};
use crate::log::{Outgoing, Position, RecordRef, Records, TopicPartition};
use crate::score::settings::ScoreSettings;
use crate::telemetry::board::{Published, Showing};
use crate::time::EventTime;

use super::{Names, json_record};

/// The stage.
#[derive(Debug)]
pub struct ScoreStage {
    names: Names,
    settings: ScoreSettings,
    partitions: BTreeMap<TopicPartition, Score>,
    /// The committed positions with which they were taken over.
    taken_over: BTreeMap<TopicPartition, i64>,
    output: ScoreOut,
    showing: Showing,
}

impl ScoreStage {
    /// A stage that has no partition yet. The first partition speaks for the pipeline as a whole.
    pub fn new(names: Names, settings: ScoreSettings) -> ScoreStage {
        ScoreStage {
            names,
            settings,
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

    fn publish(&mut self, of: &TopicPartition, out: &mut Vec<Outgoing>) {
        let topic = |name: &str| self.names.own(name);
        let (history, latest, live) =
            (topic("brand-trust"), topic("brand-trust-latest"), topic("brand-trust-live"));
        let by_window = |record: &BrandTrust| json!({ "brand_id": record.brand_id, "window": record.window });
        for record in &self.output.brand_trust {
            let key = json!({ "brand_id": record.brand_id, "window": record.window, "window_start": record.window_start });
            out.push(json_record(&history, &key, record));
            out.push(json_record(&latest, &by_window(record), record));
        }
        for record in &self.output.live {
            out.push(json_record(&live, &by_window(record), record));
        }
        let patterns = topic("pattern-trust");
        for record in &self.output.pattern_trust {
            let key = json!({
                "brand_id": record.brand_id, "window": record.window,
                "window_start": record.window_start, "pattern": record.pattern,
            });
            out.push(json_record(&patterns, &key, record));
        }
        let alerts = topic("alerts");
        for alert in &self.output.alerts {
            out.push(json_record(&alerts, &json!({ "alert_id": alert.alert_id }), alert));
        }
        let output = &mut self.output;
        let windows = output.brand_trust.drain(..).map(Published::Window);
        let patterns = output.pattern_trust.drain(..).map(Published::Pattern);
        let alerts = output.alerts.drain(..).map(Published::Alert);
        let records = windows.chain(output.live.drain(..).map(Published::Open)).chain(patterns).chain(alerts);
        self.showing.take(of, records);
    }
}

impl Stage for ScoreStage {
    const WHOLE_STEPS: bool = false;

    fn assigned(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        self.taken_over.insert(of.clone(), position.map_or(0, |position| position.next));
        // The state is a function of the log: it is folded again from the first record.
        let settings = ScoreSettings { reports_pipeline: of.partition == 0, ..self.settings.clone() };
        self.partitions.insert(of.clone(), Score::new(Arc::new(settings)));
        Ok(Some(0))
    }

    fn revoked(&mut self, of: &TopicPartition) {
        self.partitions.remove(of);
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

    fn committed(&mut self, of: &TopicPartition, _next: i64, _now: WallTime) {
        self.showing.committed(of, false);
    }

    fn gauges(&self, of: &TopicPartition) -> Gauges {
        let frontier = self.partitions.get(of).and_then(Score::least_frontier);
        Gauges { frontier: frontier.map(|frontier| frontier.0), ..Gauges::default() }
    }
}
