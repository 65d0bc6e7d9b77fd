//! `trustline demo`: the whole pipeline on made-up traffic, in this process, with a page and a table to watch.

use std::io::IsTerminal;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use super::out::print;
use super::{Failure, config, tell};
use crate::config::Config;
use crate::driver::assembly::Assembly;
use crate::driver::demo::{Demo, DemoError};
use crate::identity::PseudonymKey;
use crate::synth::Params;
use crate::telemetry::http::{Served, serve};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::terminal;
use crate::telemetry::view::LiveView;
use crate::time::{DAY_MS, MINUTE_MS};

/// Options of `demo`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Address of the page, its data and the metrics; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    pub listen: SocketAddr,
    /// End by itself after so long, such as `20s` or `5m`.
    #[arg(long = "for", value_name = "DURATION", value_parser = duration)]
    pub run_for: Option<Duration>,
    /// People in the traffic. With fewer, hours have too few of them for scores.
    #[arg(long, value_name = "COUNT", default_value_t = 12_000)]
    pub persons: u64,
    /// Seconds that a day of the story takes; the days before it are played as fast as possible.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub day_seconds: u32,
}

/// Days of the story.
const DAYS: u32 = 21;
/// Partitions are for many machines; this is one thread.
const PARTITIONS: i32 = 1;
/// Event time of a step while the days before the story are played.
const HISTORY_STEP_MS: i64 = 20 * MINUTE_MS;
/// Wall time of a step during the story.
const STEP: Duration = Duration::from_millis(100);
/// How often the table is drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How long requests under way may hold up the end.
const GOODBYE: Duration = Duration::from_secs(2);

/// The demo cannot begin or go on.
#[derive(Debug, thiserror::Error)]
enum Trouble {
    #[error("cannot listen on {address}")]
    Listen { address: SocketAddr, source: std::io::Error },
    #[error("the web server cannot run")]
    Serve(#[source] std::io::Error),
    #[error("the metrics cannot be declared")]
    Metrics(#[source] prometheus::Error),
    #[error("the pipeline panicked: this is a fault of trustline")]
    Panicked,
}

/// Runs the command until it is told to stop or the time is over.
///
/// # Errors
/// When it cannot begin, or the pipeline fails.
pub fn run(args: &Args, file: Option<&Path>) -> Result<(), Failure> {
    let assembly = assembly(config::load(file)?);
    let registry = prometheus::Registry::new();
    let metrics = Metrics::register(&registry).map_err(|error| Failure::usage(Trouble::Metrics(error)))?;
    let view = Arc::new(Mutex::new(LiveView::default()));
    let params = Params { persons: args.persons, days: DAYS, ..Params::default() };
    let demo = Demo::new(&assembly, &params, metrics, Arc::clone(&view)).map_err(Failure::usage)?;
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
    let mut told = {
        let _entered = runtime.enter();
        (signal(SignalKind::terminate()).map_err(serving)?, signal(SignalKind::interrupt()).map_err(serving)?)
    };
    print(&format!("{url}\n"))?;
    let (close, closed) = oneshot::channel::<()>();
    let not_ready = {
        let view = Arc::clone(&view);
        Arc::new(move || view.lock().unwrap_or_else(PoisonError::into_inner).not_ready())
    };
    let server =
        runtime.spawn(serve(listener, Served { view: Arc::clone(&view), registry, not_ready }, async {
            // Either way it is time to close: the sender spoke, or it is gone.
            drop(closed.await);
        }));
    let stop = Arc::new(AtomicBool::new(false));
    let day = Duration::from_secs(u64::from(args.day_seconds));
    let pipeline = {
        let stop = Arc::clone(&stop);
        thread::spawn(move || {
            let outcome = play(demo, day, &stop);
            // A pipeline that failed ends the demo; one whose story is over is still worth looking at.
            stop.fetch_or(outcome.is_err(), Ordering::Relaxed);
            outcome
        })
    };
    let screen = Screen::new(&url);
    runtime.block_on(watch(&screen, &view, &stop, args.run_for, &mut told));
    stop.store(true, Ordering::Relaxed);
    screen.leave();
    close.send(()).ok();
    let outcome = pipeline.join().map_err(|_| Failure::running(Trouble::Panicked))?;
    farewell(&runtime, server).map_err(serving)?;
    outcome.map_err(Failure::running)
}

/// The configuration, cut down to one thread and the form of the generated records.
fn assembly(config: Config) -> Assembly {
    let mut config = config;
    config.settings.own_topics.person_partitions = PARTITIONS;
    config.settings.own_topics.brand_partitions = PARTITIONS;
    // The people are made up: there is nobody whose pseudonym a secret key would protect.
    let mut assembly = Assembly::new(config, PseudonymKey::test_key());
    assembly.provisional = true;
    assembly
}

/// Plays the days before the story as fast as possible, then the story.
fn play(mut demo: Demo, day: Duration, stop: &AtomicBool) -> Result<(), DemoError> {
    while !stop.load(Ordering::Relaxed) && demo.now() < demo.prelude() {
        demo.advance(demo.now() + HISTORY_STEP_MS)?;
    }
    let (began, from) = (Instant::now(), demo.now());
    while !stop.load(Ordering::Relaxed) && !demo.is_over() {
        let passed = began.elapsed().as_secs_f64() / day.as_secs_f64() * DAY_MS as f64;
        demo.advance(from + passed as i64)?;
        thread::sleep(STEP);
    }
    Ok(())
}

/// Draws until told to stop.
///
/// # Cancel safety
/// Dropping the future leaves the screen as it was drawn last.
async fn watch(
    screen: &Screen,
    view: &Mutex<LiveView>,
    stop: &AtomicBool,
    run_for: Option<Duration>,
    told: &mut (Signal, Signal),
) {
    let mut redraw = tokio::time::interval(if screen.live { REDRAW } else { LINE_EVERY });
    let over = async {
        match run_for {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    tokio::pin!(over);
    while !stop.load(Ordering::Relaxed) {
        tokio::select! {
            biased;
            _ = told.0.recv() => return,
            _ = told.1.recv() => return,
            () = &mut over => return,
            _ = redraw.tick() => {
                let view = view.lock().unwrap_or_else(PoisonError::into_inner).clone();
                screen.draw(&view);
            }
        }
    }
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

/// What is drawn on standard error: a table on a terminal, else a line now and then.
struct Screen {
    live: bool,
    url: String,
}

impl Screen {
    fn new(url: &str) -> Screen {
        Screen { live: std::io::stderr().is_terminal(), url: url.to_owned() }
    }

    fn draw(&self, view: &LiveView) {
        if self.live {
            // Home, lines that are not wrapped, each erased to its end, and nothing below them.
            let table = terminal::table(view, &self.url).replace('\n', "\x1b[K\n");
            tell(&format!("\x1b[H\x1b[?7l{table}\x1b[J"));
        } else {
            tell(&terminal::line(view));
        }
    }

    fn leave(&self) {
        if self.live {
            tell("\x1b[?7h");
        }
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(signed).map_err(|_| "a duration must not be negative".to_owned())
}
