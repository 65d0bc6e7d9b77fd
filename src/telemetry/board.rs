//! What the stages of this process publish, for the page and the metrics, once it is committed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::metrics::Metrics;
use super::view::{LiveView, MOMENTS_MAX, Progress};
use crate::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use crate::log::TopicPartition;

/// A record that was published.
#[derive(Clone, Debug)]
pub enum Published {
    /// A revision of a moment.
    Moment(TrustMoment),
    /// A closed window.
    Window(BrandTrust),
    /// An open window.
    Open(BrandTrust),
    /// A pattern of a closed window.
    Pattern(PatternTrust),
    /// A change of an alert.
    Alert(TrustAlert),
}

/// Someone who hears everything that is published, and has something to say about it above the page.
pub trait Audience: Send {
    /// Hears a record.
    fn hear(&mut self, record: &Published);

    /// What it says when the pipeline has come so far, milliseconds of event time.
    fn banners(&self, frontier: Option<i64>) -> Vec<String>;
}

/// The page's view and the metrics of what was published.
pub struct Board {
    view: Arc<Mutex<LiveView>>,
    metrics: Mutex<Metrics>,
    audience: Mutex<Option<Box<dyn Audience>>>,
}

impl Board {
    /// A board that fills a view and metrics.
    pub fn new(view: Arc<Mutex<LiveView>>, metrics: Metrics) -> Board {
        Board { view, metrics: Mutex::new(metrics), audience: Mutex::default() }
    }

    /// From now on it has this audience.
    pub fn seat(&self, audience: Box<dyn Audience>) {
        *self.audience() = Some(audience);
    }

    fn audience(&self) -> MutexGuard<'_, Option<Box<dyn Audience>>> {
        self.audience.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows how far the pipeline is, and `more` banners below those of the audience.
    pub fn progress(&self, progress: Progress, more: Vec<String>) {
        self.metrics().progress(&progress);
        let audience = self.audience();
        let mut banners =
            audience.as_ref().map_or_else(Vec::new, |audience| audience.banners(progress.frontier));
        drop(audience);
        banners.extend(more);
        let mut view = self.view();
        view.progress(progress);
        view.banners = banners;
    }

    /// The view.
    pub fn view(&self) -> MutexGuard<'_, LiveView> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The metrics.
    pub fn metrics(&self) -> MutexGuard<'_, Metrics> {
        self.metrics.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Shows what was published. What is `old` was counted by who published it.
    fn show(&self, records: &[Published], old: bool) {
        let mut view = self.view();
        let moments = records.iter().filter(|record| matches!(record, Published::Moment(_))).count();
        let mut too_many = moments.saturating_sub(MOMENTS_MAX);
        for record in records {
            match record {
                Published::Moment(_) if too_many > 0 => too_many -= 1,
                Published::Moment(moment) => view.on_moment(moment),
                Published::Window(window) | Published::Open(window) => view.on_brand_trust(window),
                Published::Pattern(pattern) => view.on_pattern_trust(pattern),
                Published::Alert(alert) => view.on_alert(alert),
            }
        }
        drop(view);
        if let Some(audience) = &mut *self.audience() {
            records.iter().for_each(|record| audience.hear(record));
        }
        if old {
            return;
        }
        let mut metrics = self.metrics();
        for record in records {
            match record {
                Published::Moment(moment) => metrics.moment(moment),
                Published::Window(window) => metrics.brand_trust(window),
                Published::Alert(alert) => metrics.alert(alert),
                Published::Open(_) | Published::Pattern(_) => {}
            }
        }
    }
}

impl std::fmt::Debug for Board {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Board").finish_non_exhaustive()
    }
}

/// A stage's way to a board, if there is one: records wait here until their step is committed.
#[derive(Debug, Default)]
pub struct Showing {
    board: Option<Arc<Board>>,
    waiting: BTreeMap<TopicPartition, Vec<Published>>,
}

impl Showing {
    /// Shows on a board.
    pub fn on(board: Arc<Board>) -> Showing {
        Showing { board: Some(board), waiting: BTreeMap::new() }
    }

    /// Takes records that were caused by a partition.
    pub fn take(&mut self, of: &TopicPartition, records: impl Iterator<Item = Published>) {
        if self.board.is_none() {
            return;
        }
        match self.waiting.get_mut(of) {
            Some(waiting) => waiting.extend(records),
            None => drop(self.waiting.insert(of.clone(), records.collect())),
        }
    }

    /// What waits of a partition was published; if it is `old`, by an earlier owner.
    pub fn committed(&mut self, of: &TopicPartition, old: bool) {
        if let (Some(board), Some(waiting)) = (&self.board, self.waiting.get_mut(of))
            && !waiting.is_empty()
        {
            board.show(waiting, old);
            waiting.clear();
        }
    }

    /// What waits of a partition will be published by others.
    pub fn revoked(&mut self, of: &TopicPartition) {
        self.waiting.remove(of);
    }
}
