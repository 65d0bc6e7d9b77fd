//! The demo in memory: all stages on one thread, no Kafka.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

use super::{Args, Trouble, params, play, screen};
use crate::cli::out::print;
use crate::cli::{Failure, config};
use crate::config::Config;
use crate::driver::assembly::Assembly;
use crate::driver::demo::Demo;
use crate::identity::PseudonymKey;
use crate::synth::params::DEFAULT_START;
use crate::telemetry::http::{Served, serve};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::view::LiveView;

/// Partitions are for many machines; this is one thread.
const PARTITIONS: i32 = 1;
/// How long requests under way may hold up the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// Runs the demo until it is told to stop or the time is over.
///
/// # Errors
/// When it cannot begin, or the pipeline fails.
pub(super) fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let assembly = assembly(config::load(file)?);
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).map_err(|error| Failure::usage(Trouble::Metrics(error)))?;
    let view = Arc::new(Mutex::new(LiveView::default()));
    let mut demo = Demo::new(&assembly, &params(args, DEFAULT_START), metrics, Arc::clone(&view))
        .map_err(Failure::usage)?;
    let serving = |error| Failure::running(Trouble::Serve(error));
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .map_err(serving)?;
    let listener = runtime
        .block_on(TcpListener::bind(args.listen))
        .map_err(|source| Failure::usage(Trouble::Listen { address: args.listen, source }))?;
    let url = format!("http://{}/", listener.local_addr().map_err(serving)?);
    let stop = Arc::new(AtomicBool::new(false));
    obey_signals(&runtime, &stop).map_err(serving)?;
    print(&format!("{url}\n"))?;
    let (close, closed) = oneshot::channel::<()>();
    let latest = {
        let view = Arc::clone(&view);
        move || view.lock().unwrap_or_else(PoisonError::into_inner).clone()
    };
    let not_ready = {
        let latest = latest.clone();
        Arc::new(move || latest().not_ready())
    };
    let server = runtime.spawn(serve(listener, Served { view, registry, not_ready }, async {
        // Either way it is time to close: the sender spoke, or it is gone.
        drop(closed.await);
    }));
    let pipeline = {
        let (stop, day) = (Arc::clone(&stop), args.day());
        thread::spawn(move || {
            let outcome = play(demo.span(), day, &stop, |to| demo.advance(to));
            // A pipeline that failed ends the demo; one whose story is over is still worth looking at.
            stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        })
    };
    screen::show(&url, &stop, args.run_for, latest);
    close.send(()).ok();
    let outcome = pipeline.join().map_err(|_| Failure::running(Trouble::Panicked))?;
    farewell(&runtime, server).map_err(serving)?;
    outcome.map_err(Failure::running)
}

/// The configuration, cut down to one thread.
fn assembly(config: Config) -> Assembly {
    let mut config = config;
    config.settings.own_topics.person_partitions = PARTITIONS;
    config.settings.own_topics.brand_partitions = PARTITIONS;
    // The people are made up: there is nobody whose pseudonym a secret key would protect.
    let mut assembly = Assembly::new(config, PseudonymKey::test_key());
    assembly.provisional = true;
    assembly
}

fn obey_signals(runtime: &Runtime, stop: &Arc<AtomicBool>) -> std::io::Result<()> {
    let _entered = runtime.enter();
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    let stop = Arc::clone(stop);
    runtime.spawn(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop.store(true, Ordering::Relaxed);
    });
    Ok(())
}

/// Waits for the requests under way, but not for long.
fn farewell(
    runtime: &Runtime,
    server: tokio::task::JoinHandle<std::io::Result<()>>,
) -> Result<(), std::io::Error> {
    match runtime.block_on(async { tokio::time::timeout(GOODBYE, server).await }) {
        Ok(Ok(outcome)) => outcome,
        Ok(Err(error)) => Err(std::io::Error::other(error)),
        // Someone still reads; the process ends all the same.
        Err(_) => Ok(()),
    }
}
