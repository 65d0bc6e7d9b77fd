//! The folds of a stage's partitions: taken over with their state, and kept.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::ConfigHash;
use crate::driver::clock::WallTime;
use crate::driver::status::SnapshotGauges;
use crate::driver::worker::StageError;
use crate::fold::detect::waiting::Partition;
use crate::fold::detect::{self, Detect};
use crate::fold::saved::StateError;
use crate::fold::score::{self, Score};
use crate::log::{Position, TopicPartition};
use crate::score::settings::ScoreSettings;
use crate::state::{Fold, StoreError};

use super::recovery::{Keeper, Keeping, Start, lost};

/// The settings of a partition's fold under a configuration that holds now or held before.
pub type Past<S> = Arc<dyn Fn(&TopicPartition, ConfigHash) -> Result<S, StoreError> + Send + Sync>;

/// The fold of a partition, whose state can be kept.
pub trait Kept: Sized {
    /// Under which it folds.
    type Settings;
    /// Which one it is.
    const FOLD: Fold;
    /// Its version in this build.
    const VERSION: u32;

    /// One that has taken nothing in.
    fn fresh(settings: Self::Settings) -> Self;

    /// One that goes on from a state.
    ///
    /// # Errors
    /// When the state is of another version or damaged, or does not go with the settings.
    fn read(settings: Self::Settings, state: &[u8]) -> Result<Self, StateError>;

    /// Appends its state.
    fn write(&self, out: &mut Vec<u8>);
}

impl Kept for Partition {
    type Settings = detect::Settings;
    const FOLD: Fold = Fold::Detect;
    const VERSION: u32 = detect::FOLD_VERSION;

    fn fresh(settings: detect::Settings) -> Partition {
        Partition::new(Detect::new(settings))
    }

    fn read(settings: detect::Settings, state: &[u8]) -> Result<Partition, StateError> {
        Partition::read_state(settings, state)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.write_state(out);
    }
}

impl Kept for Score {
    type Settings = Arc<ScoreSettings>;
    const FOLD: Fold = Fold::Score;
    const VERSION: u32 = score::FOLD_VERSION;

    fn fresh(settings: Arc<ScoreSettings>) -> Score {
        Score::new(settings)
    }

    fn read(settings: Arc<ScoreSettings>, state: &[u8]) -> Result<Score, StateError> {
        Score::read_state(settings, state)
    }

    fn write(&self, out: &mut Vec<u8>) {
        self.write_state(out);
    }
}

/// The folds of a stage's partitions.
pub struct Folds<F: Kept> {
    keeper: Keeper,
    past: Past<F::Settings>,
    all: BTreeMap<TopicPartition, F>,
}

impl<F: Kept> Folds<F> {
    /// No folds yet. Without `keeping`, states are folded from the log alone.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn new(
        config: ConfigHash,
        keeping: Option<Keeping>,
        past: Past<F::Settings>,
    ) -> std::io::Result<Folds<F>> {
        let keeper = Keeper::new(F::FOLD, F::VERSION, config, keeping)?;
        Ok(Folds { keeper, past, all: BTreeMap::new() })
    }

    /// All of them.
    pub fn all(&self) -> &BTreeMap<TopicPartition, F> {
        &self.all
    }

    /// A partition was assigned, with its committed position. Returns the offset to fold from.
    ///
    /// # Errors
    /// When the state before that offset cannot be had.
    pub fn take(
        &mut self,
        of: &TopicPartition,
        position: Option<&Position>,
    ) -> Result<Option<i64>, StageError> {
        let Start { from, state, config } = self.keeper.take(of, position)?;
        let fold = match state {
            Some(state) => self.go_on(of, config, &state)?,
            None => F::fresh(self.settings(of, config)?),
        };
        self.all.insert(of.clone(), fold);
        Ok(from)
    }

    fn settings(&self, of: &TopicPartition, config: ConfigHash) -> Result<F::Settings, StageError> {
        (self.past)(of, config).map_err(|error| lost(of, &error))
    }

    fn go_on(&self, of: &TopicPartition, config: ConfigHash, state: &[u8]) -> Result<F, StageError> {
        F::read(self.settings(of, config)?, state).map_err(|error| lost(of, &error))
    }

    /// The fold that takes in the record at an offset, under the configuration that holds there.
    ///
    /// # Errors
    /// When the configuration changes there, and the state cannot go on under the new one.
    pub fn at(&mut self, of: &TopicPartition, offset: i64) -> Result<Option<&mut F>, StageError> {
        if let Some(config) = self.keeper.switch_at(of, offset)
            && let Some(fold) = self.all.get(of)
        {
            let mut state = Vec::new();
            fold.write(&mut state);
            let fold = self.go_on(of, config, &state)?;
            self.all.insert(of.clone(), fold);
        }
        Ok(self.all.get_mut(of))
    }

    /// A partition went.
    pub fn release(&mut self, of: &TopicPartition) {
        self.all.remove(of);
        self.keeper.release(of);
    }

    /// What must be remembered with a partition's position.
    pub fn metadata(&self, of: &TopicPartition) -> String {
        self.keeper.metadata(of)
    }

    /// What is known of the snapshots of a partition.
    pub fn gauges(&self, of: &TopicPartition) -> Option<SnapshotGauges> {
        self.keeper.gauges(of)
    }

    /// A position was committed, and the state is what it is after the records before it.
    pub fn committed(&mut self, of: &TopicPartition, next: i64, now: WallTime) {
        if let Some(fold) = self.all.get(of) {
            self.keeper.committed(of, next, now, |out| fold.write(out));
        }
    }

    /// Takes a snapshot at once and waits for it.
    pub fn finish(&mut self, of: &TopicPartition, next: i64) {
        if let Some(fold) = self.all.get(of) {
            self.keeper.finish(of, next, |out| fold.write(out));
        }
    }
}
