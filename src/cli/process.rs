//! What surrounds the stages of `run`: HTTP, signals, the watchdog and the end.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use prometheus::Registry;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};

use super::{Exit, Failure};
use crate::config::Config;
use crate::driver::clock::SystemClock;
use crate::driver::health::{Health, Limits};
use crate::telemetry::board::Board;
use crate::telemetry::http::{Served, serve};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::occurrence::{
    self, ReadinessChanged, Starting, StopForced, StopTooSlow, Stopped, Stopping, WatchdogEnds,
};
use crate::telemetry::pipeline::Pipeline;
use crate::telemetry::view::{LiveView, Progress};

/// How often the watchdog looks.
const TICK: Duration = Duration::from_millis(500);
/// How long requests under way may hold up the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// What surrounds the stages cannot begin.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot listen on http.listen = \"{address}\"")]
    Listen { address: String, source: std::io::Error },
    #[error("the web server or the signals cannot be set up")]
    Runtime(#[source] std::io::Error),
    #[error("the metrics cannot be declared")]
    Metrics(#[source] prometheus::Error),
}

/// A process that runs stages.
pub(super) struct Process {
    /// Set once the process is to end.
    pub(super) stop: Arc<AtomicBool>,
    /// How it is.
    pub(super) health: Arc<Health>,
    /// What the stages show.
    pub(super) board: Arc<Board>,
    /// Where it listens.
    pub(super) listen: SocketAddr,
    has_ended: Arc<AtomicBool>,
    runtime: Runtime,
}

impl Process {
    /// Serves HTTP, obeys signals and watches.
    ///
    /// # Errors
    /// When the address cannot be had.
    pub(super) fn begin(config: &Config, instance: &str, stages: &str) -> Result<Process, Failure> {
        let run = &config.settings.run;
        let millis = |ms: i64| Duration::from_millis(u64::try_from(ms).unwrap_or(0));
        let limits = Limits {
            stalled_after: millis(run.stalled_after_ms),
            exit_after: millis(run.stalled_exit_after_ms),
        };
        let health = Arc::new(Health::new(SystemClock::new(), limits));
        let registry = Registry::new();
        let metrics = |error| Failure::usage(Trouble::Metrics(error));
        let board = Metrics::register(&registry).map_err(metrics)?;
        registry.register(Box::new(Pipeline(Arc::clone(&health)))).map_err(metrics)?;
        registry.register(Box::new(occurrence::counters())).map_err(metrics)?;
        let view = Arc::new(Mutex::new(LiveView::default()));
        let board = Arc::new(Board::new(Arc::clone(&view), board));

        let failed = |error| Failure::usage(Trouble::Runtime(error));
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(failed)?;
        let address = config.settings.http.listen.clone();
        let listener = runtime
            .block_on(TcpListener::bind(&address))
            .map_err(|source| Failure::usage(Trouble::Listen { address, source }))?;
        let listen = listener.local_addr().map_err(failed)?;
        let reasons = Arc::clone(&health);
        let served = Served { view, registry, not_ready: Arc::new(move || reasons.reasons()) };
        runtime.spawn(serve(listener, served, std::future::pending()));

        let process =
            Process { stop: Arc::default(), health, board, listen, has_ended: Arc::default(), runtime };
        process.obey_signals().map_err(failed)?;
        process.watch(millis(run.shutdown_limit_ms));
        Starting {
            version: &env!("CARGO_PKG_VERSION"),
            instance: &instance,
            stages: &stages,
            listen: &listen,
        }
        .note();
        Ok(process)
    }

    fn obey_signals(&self) -> std::io::Result<()> {
        let _entered = self.runtime.enter();
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = Arc::clone(&self.stop);
        self.runtime.spawn(async move {
            for signals in 1.. {
                let why = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                if signals > 1 {
                    StopForced { signals: &signals }.note();
                    std::process::exit(Exit::Forced as i32);
                }
                Stopping { why: &why }.note();
                stop.store(true, Ordering::Relaxed);
            }
        });
        Ok(())
    }

    /// Watches over the workers, tells changes of readiness, and over the end, which may take so long.
    fn watch(&self, limit: Duration) {
        let (stop, has_ended) = (Arc::clone(&self.stop), Arc::clone(&self.has_ended));
        let (health, board) = (Arc::clone(&self.health), Arc::clone(&self.board));
        thread::spawn(move || {
            let (mut before, mut stopping, mut was_ready) = (Instant::now(), None, None);
            while !has_ended.load(Ordering::Relaxed) {
                let passed = before.elapsed();
                before = Instant::now();
                if stop.load(Ordering::Relaxed) {
                    if stopping.is_none() && health.is_waiting() {
                        // A call to the log may still wait for an answer, but nothing has begun.
                        Stopped { commits: &0 }.note();
                        std::process::exit(Exit::Done as i32);
                    }
                    let since: Instant = *stopping.get_or_insert_with(|| {
                        health.stops();
                        Instant::now()
                    });
                    if since.elapsed() >= limit {
                        StopTooSlow { limit_s: &limit.as_secs() }.note();
                        std::process::exit(Exit::StopTooSlow as i32);
                    }
                } else if let Some(cause) = health.watch(passed) {
                    WatchdogEnds { cause: &cause }.note();
                    std::process::exit(Exit::Stalled as i32);
                }
                let reasons: Vec<String> = health.reasons().into_iter().map(|reason| reason.what).collect();
                let is_ready = reasons.is_empty();
                if was_ready != Some(is_ready) {
                    was_ready = Some(is_ready);
                    ReadinessChanged { ready: &is_ready, reasons: &reasons.join("; ") }.note();
                }
                show(&health, &board, reasons);
                thread::sleep(TICK);
            }
        });
    }

    /// The stages have ended.
    pub(super) fn end(self) {
        self.has_ended.store(true, Ordering::Relaxed);
        self.runtime.shutdown_timeout(GOODBYE);
        Stopped { commits: &self.health.workers().iter().map(|status| status.shown().commits).sum::<u64>() }
            .note();
    }
}

/// Shows on the page how far the pipeline is, as far as this process knows, and what is wrong.
fn show(health: &Health, board: &Board, reasons: Vec<String>) {
    let mut progress = Progress::default();
    let mut has_frontier = true;
    for status in health.workers() {
        let (is_route, is_detect) = (status.stage == "route", status.stage == "detect");
        for partition in status.shown().partitions.values() {
            let gauges = &partition.gauges;
            progress.newest_event = progress.newest_event.max(gauges.newest_event);
            if is_detect {
                has_frontier &= gauges.frontier.is_some();
                progress.frontier = progress.frontier.into_iter().chain(gauges.frontier).min();
            }
            for (_, account) in &gauges.accounts {
                if is_route {
                    progress.read += account.read;
                    progress.dead_lettered += account.dead_lettered;
                    progress.late += account.too_late;
                } else {
                    progress.applied += account.applied;
                }
            }
        }
    }
    progress.frontier = progress.frontier.filter(|_| has_frontier);
    board.progress(progress, reasons);
}
