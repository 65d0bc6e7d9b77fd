//! The thread that writes snapshots while events go on.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::Duration;

use backon::{BlockingRetryable, ExponentialBuilder};

use super::error::StoreError;
use super::file::Header;
use super::name::Name;
use super::store::SnapshotStore;

/// How many states may wait to be written: each is a whole copy of a partition.
pub const QUEUE: usize = 2;

/// A snapshot that was written or given up, with the key that it was submitted under.
pub type Finished<K> = (K, Result<Name, StoreError>);

/// Too many states wait; this one was not taken. Try again with a later state.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{QUEUE} snapshots wait to be written already")]
pub struct Busy;

struct Job<K> {
    key: K,
    header: Header,
    payload: Vec<u8>,
}

/// Writes the snapshots of a worker on a thread of its own, one after the other.
///
/// One that fails is tried again for a while and then given up: the snapshots before it stand, and the next one
/// is tried as if nothing had been. Dropping the writer gives up what waits; a write that is under way goes on
/// behind it.
#[derive(Debug)]
pub struct Writer<K> {
    jobs: SyncSender<Job<K>>,
    finished: Receiver<Finished<K>>,
}

impl<K: Send + 'static> Writer<K> {
    /// Starts the thread. `retry`: how often and how long a failing store is tried.
    ///
    /// # Errors
    /// When the system has no thread to give.
    pub fn start(store: Arc<SnapshotStore>, retry: ExponentialBuilder) -> std::io::Result<Writer<K>> {
        Writer::start_with(retry, move |header, payload| store.put(header, payload))
    }

    fn start_with(
        retry: ExponentialBuilder,
        mut put: impl FnMut(&Header, &[u8]) -> Result<Name, StoreError> + Send + 'static,
    ) -> std::io::Result<Writer<K>> {
        let (jobs, todo) = sync_channel::<Job<K>>(QUEUE);
        // Where nobody asks what was finished, the thread waits, and then `submit` says that it is busy.
        let (done, finished) = sync_channel(QUEUE + 1);
        thread::Builder::new().name("snapshots".to_owned()).spawn(move || {
            for Job { key, header, payload } in todo {
                let written = (|| put(&header, &payload)).retry(retry).when(StoreError::may_pass).call();
                if done.send((key, written)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Writer { jobs, finished })
    }

    /// Hands a state over to be written; does not wait.
    ///
    /// # Errors
    /// When as many as are allowed wait already.
    ///
    /// # Panics
    /// When the writing thread has panicked.
    pub fn submit(&self, key: K, header: Header, payload: Vec<u8>) -> Result<(), Busy> {
        match self.jobs.try_send(Job { key, header, payload }) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Busy),
            Err(TrySendError::Disconnected(_)) => panic!("the thread that writes snapshots has panicked"),
        }
    }

    /// What was finished since the last call; does not wait.
    pub fn finished(&self) -> Vec<Finished<K>> {
        self.finished.try_iter().collect()
    }

    /// Waits until everything is finished, but no longer than it may take; returns what is.
    pub fn close(self, limit: Duration) -> Vec<Finished<K>> {
        let Writer { jobs, finished } = self;
        drop(jobs);
        let mut all = Vec::new();
        let mut left = limit;
        loop {
            let waits_from = std::time::Instant::now();
            match finished.recv_timeout(left) {
                Ok(one) => all.push(one),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => return all,
            }
            left = left.saturating_sub(waits_from.elapsed());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;

    use super::*;
    use crate::config::ConfigHash;
    use crate::state::name::Fold;

    fn header(offset: i64) -> Header {
        let (config, topic) = (ConfigHash([0; 16]), "t".to_owned());
        Header { fold: Fold::Score, fold_version: 1, config, topic, partition: 0, offset }
    }

    fn failure(source: object_store::Error) -> StoreError {
        StoreError::of("write", "score/0/x".to_owned(), source)
    }

    fn outage() -> StoreError {
        failure(object_store::Error::Generic { store: "S3", source: "503".into() })
    }

    fn quick() -> ExponentialBuilder {
        ExponentialBuilder::new().with_min_delay(Duration::from_millis(1)).with_max_times(3)
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn an_outage_is_waited_out_and_a_long_one_given_up() {
        for (failures, tries) in [(3, 4), (100, 4)] {
            let (tried, tries_made) = channel();
            let mut left = failures;
            let writer = Writer::start_with(quick(), move |header, _| {
                tried.send(()).unwrap();
                left -= 1;
                if left >= 0 { Err(outage()) } else { Ok(Name::new(Fold::Score, 0, header.offset)) }
            });
            let writer = writer.unwrap();
            writer.submit((), header(5), Vec::new()).unwrap();
            let finished = writer.close(LONG);
            assert_eq!(finished[0].1.is_ok(), failures == 3);
            assert_eq!(tries_made.try_iter().count(), tries);
        }
    }

    #[test]
    fn a_full_disk_is_said_once_and_not_tried_again() {
        let (tried, tries_made) = channel();
        let writer = Writer::start_with(quick(), move |_, _| {
            tried.send(()).unwrap();
            let full = std::io::Error::from(std::io::ErrorKind::StorageFull);
            Err(failure(object_store::Error::Generic { store: "LocalFileSystem", source: full.into() }))
        });
        let writer = writer.unwrap();
        writer.submit((), header(5), Vec::new()).unwrap();
        let error = writer.close(LONG).remove(0).1.unwrap_err();
        assert_eq!(error.to_string(), "no space is left to write score/0/x");
        assert_eq!(tries_made.try_iter().count(), 1);
    }

    #[test]
    fn no_more_than_the_queue_holds_waits() {
        let (go, gate) = channel::<()>();
        let (started, starts) = channel();
        let writer = Writer::start_with(quick(), move |header, _| {
            started.send(()).unwrap();
            gate.recv().unwrap();
            Ok(Name::new(Fold::Score, 0, header.offset))
        });
        let writer = writer.unwrap();
        writer.submit(0, header(0), Vec::new()).unwrap();
        starts.recv().unwrap();
        for key in 1..=QUEUE {
            writer.submit(key, header(0), Vec::new()).unwrap();
        }
        assert_eq!(writer.submit(9, header(0), Vec::new()), Err(Busy));
        assert!(writer.finished().is_empty());
        for _ in 0..=QUEUE {
            go.send(()).unwrap();
        }
        let finished = writer.close(LONG);
        assert_eq!(finished.len(), QUEUE + 1);
    }

    #[test]
    fn closing_waits_no_longer_than_it_may() {
        let (_go, gate) = channel::<()>();
        let writer = Writer::start_with(quick(), move |_, _| {
            gate.recv().unwrap_or_default();
            Err(outage())
        });
        let writer = writer.unwrap();
        writer.submit((), header(0), Vec::new()).unwrap();
        assert!(writer.close(Duration::from_millis(20)).is_empty());
    }
}
