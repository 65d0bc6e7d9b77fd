//! From a checked configuration to the folds and stages.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::Config;
use crate::event::kinds::Topic;
use crate::fold::detect;
use crate::fold::route::Route;
use crate::fold::score::Score;
use crate::identity::PseudonymKey;
use crate::log::TopicPartition;
use crate::registry::Schemas;
use crate::score::settings::ScoreSettings;
use crate::state::StoreError;

use super::clock::WallTime;
use super::configs::{self, Configs};
use super::replay::Replay;
use super::replay::load::Arrival;
use super::stages::Names;
use super::stages::breaker::BreakerSettings;
use super::stages::detect::{DetectSettings, DetectStage};
use super::stages::encoder::Encoder;
use super::stages::folds::{Folds, Kept};
use super::stages::recovery::Keeping;
use super::stages::route::{RouteSettings, RouteStage};
use super::stages::score::ScoreStage;
use super::stages::source_decoder::SourceDecoder;

/// A configuration with the key that makes its pseudonyms.
#[derive(Clone)]
pub struct Assembly {
    config: Arc<Config>,
    key: PseudonymKey,
    /// Whether open windows publish provisional records.
    pub provisional: bool,
    /// Where states are kept; without, they are folded from the log alone.
    pub keeping: Option<Keeping>,
    /// Configurations that held before, as far as they are known beside those that are kept with the states.
    pub configs: Configs,
    /// How public records are written.
    pub encoder: Encoder,
    /// Schemas of source records in Avro, if there is a registry.
    pub schemas: Option<Schemas>,
}

impl Assembly {
    /// Puts the folds together under a configuration.
    pub fn new(config: Config, key: PseudonymKey) -> Assembly {
        Assembly {
            config: Arc::new(config),
            key,
            provisional: false,
            encoder: Encoder::default(),
            schemas: None,
            keeping: None,
            configs: Configs::new(),
        }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Names of the topics.
    pub fn names(&self) -> Names {
        Names::of(&self.config)
    }

    /// The route fold, which knows no links yet.
    pub fn route(&self) -> Route {
        let mut late_memory_ms = [0; Topic::ALL.len()];
        for topic in Topic::ALL {
            late_memory_ms[usize::from(topic.index())] = self.config.topic(*topic).late_memory_ms;
        }
        let consent = self.config.settings.consent.clone();
        Route::new(self.key.clone(), self.config.accepted_matches(), consent, late_memory_ms)
    }

    /// Settings of the detect fold.
    pub fn detect(&self) -> detect::Settings {
        let time = &self.config.settings.time;
        detect::Settings {
            lengths: self.config.windows(),
            rules: self.config.rule_book(|name| self.key.token(name).get()),
            late_memory_ms: self.config.duplicate_memory_ms(),
            dup_ids_max: usize::try_from(time.dup_ids_max).unwrap_or(usize::MAX),
            provisional: self.provisional,
            hash_seed: self.key.token(b"duplicates").get(),
            key: self.key.clone(),
            config_hash: Arc::from(self.config.hash().to_string()),
        }
    }

    /// Settings of the score fold.
    pub fn score(&self) -> ScoreSettings {
        ScoreSettings {
            rules: self.config.settings.score.clone(),
            weights: self.config.weights(),
            config_hash: self.config.hash().to_string(),
            reports_pipeline: true,
            provisional: self.provisional,
        }
    }

    /// A replay of files.
    pub fn replay(&self, as_stream: bool) -> Replay {
        let mut out_of_orderness_ms = [0; Topic::ALL.len()];
        for topic in Topic::ALL {
            out_of_orderness_ms[usize::from(topic.index())] = self.config.topic(*topic).out_of_orderness_ms;
        }
        Replay {
            route: self.route(),
            detect: self.detect(),
            score: Score::new(Arc::new(self.score())),
            arrival: Arrival { as_stream, out_of_orderness_ms },
            inputs: self.config.settings.inputs.clone(),
        }
    }

    /// A decoder of the records of a source topic.
    pub fn source_decoder(&self, topic: Topic) -> SourceDecoder {
        SourceDecoder::new(topic, self.config.topic(topic).format, self.schemas.clone())
    }

    /// The route stage. `source_partitions`: of each source topic that is there.
    pub fn route_stage(
        &self,
        route: Route,
        source_partitions: &BTreeMap<Topic, u32>,
        now: WallTime,
    ) -> RouteStage {
        let own = &self.config.settings.own_topics;
        let holding = |topic: &Topic| topic.is_person_events() && self.config.topic(*topic).holds_frontier;
        let settings = RouteSettings {
            names: self.names(),
            person_partitions: own.person_partitions,
            brand_partitions: own.brand_partitions,
            source_partitions: source_partitions
                .iter()
                .filter(|(topic, _)| holding(topic))
                .map(|(topic, count)| (*topic, *count))
                .collect(),
            topics: Topic::ALL.iter().map(|topic| self.config.topic(*topic).clone()).collect(),
            schemas: self.schemas.clone(),
            encoder: self.encoder.clone(),
            frame_bytes: usize::try_from(self.config.settings.frames.frame_bytes).unwrap_or(usize::MAX),
            max_lead_ms: self.config.settings.time.max_lead_ms,
            max_future_skew_ms: self.config.settings.time.max_future_skew_ms,
            breaker: BreakerSettings::of(&self.config.settings.breaker),
            suspend_after_ms: self.config.settings.time.suspend_after_ms,
            tells_gaps: self.config.settings.frames.version > 1,
        };
        RouteStage::new(settings, route, now)
    }

    /// The detect stage.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn detect_stage(&self) -> std::io::Result<DetectStage> {
        let own = &self.config.settings.own_topics;
        let settings = DetectSettings {
            names: self.names(),
            person_partitions: own.person_partitions,
            brand_partitions: own.brand_partitions,
            encoder: self.encoder.clone(),
        };
        Ok(DetectStage::new(settings, self.folds(|assembly, _| assembly.detect())?))
    }

    /// The score stage.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn score_stage(&self) -> std::io::Result<ScoreStage> {
        // The first partition speaks for the pipeline as a whole.
        let settings = |assembly: &Assembly, of: &TopicPartition| {
            Arc::new(ScoreSettings { reports_pipeline: of.partition == 0, ..assembly.score() })
        };
        Ok(ScoreStage::new(&self.names(), &self.encoder, self.folds(settings)?))
    }

    /// The folds of a stage, each with its settings under this configuration or one that is kept with the
    /// snapshots.
    fn folds<F: Kept<Settings: 'static>>(
        &self,
        settings: impl Fn(&Assembly, &TopicPartition) -> F::Settings + Send + Sync + 'static,
    ) -> std::io::Result<Folds<F>> {
        let assembly = self.clone();
        let past = move |of: &TopicPartition, hash| {
            if let Some(config) = assembly.configs.get(&hash) {
                let past = Assembly { config: Arc::clone(config), ..assembly.clone() };
                return Ok(settings(&past, of));
            }
            let keeping = assembly.keeping.as_ref().filter(|_| hash != assembly.config.hash());
            let Some(keeping) = keeping else { return Ok(settings(&assembly, of)) };
            let text = keeping.store.config(hash)?;
            let config = configs::under(hash, &text).ok_or_else(|| StoreError::Damaged {
                place: format!("configuration {hash}"),
                cause: "this build reads another configuration in it",
            })?;
            let past = Assembly { config: Arc::new(config), ..assembly.clone() };
            Ok(settings(&past, of))
        };
        Folds::new(self.config.hash(), self.keeping.clone(), Arc::new(past))
    }
}

impl std::fmt::Debug for Assembly {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assembly").field("config", &self.config.hash()).finish_non_exhaustive()
    }
}
