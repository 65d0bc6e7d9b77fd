//! `trustline demo`: the whole pipeline on made-up traffic, in this process, with a page and a table to watch.

mod kafka;
mod memory;
mod screen;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::Failure;
use crate::driver::demo::traffic::Span;
use crate::synth::Params;
use crate::time::{DAY_MS, EventTime, MINUTE_MS};

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
    /// Feed the traffic to topics of these brokers, `host:port[,host:port]`, and run the stages there. All topics
    /// are made anew, with names that begin with `trustline-demo.`.
    #[arg(long, value_name = "BOOTSTRAP")]
    pub kafka: Option<String>,
    /// Delete the topics and groups that an earlier demo has left on these brokers, and do nothing else.
    #[arg(long, requires = "kafka")]
    pub delete: bool,
}

impl Args {
    fn day(&self) -> Duration {
        Duration::from_secs(u64::from(self.day_seconds))
    }
}

/// Days of the story.
const DAYS: u32 = 21;
/// Event time of a step while the days before the story are played.
const HISTORY_STEP_MS: i64 = 20 * MINUTE_MS;
/// Wall time of a step during the story.
const STEP: Duration = Duration::from_millis(100);

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
    match &args.kafka {
        Some(bootstrap) => kafka::run(args, bootstrap, file),
        None => memory::run(args, file),
    }
}

fn params(args: &Args, start: EventTime) -> Params {
    Params { persons: args.persons, days: DAYS, start, ..Params::default() }
}

/// Plays the days before the story as fast as possible, then the story.
fn play<E>(
    span: Span,
    day: Duration,
    stop: &AtomicBool,
    mut advance: impl FnMut(i64) -> Result<(), E>,
) -> Result<(), E> {
    let mut now = span.start;
    while !stop.load(Ordering::Relaxed) && now < span.prelude {
        now += HISTORY_STEP_MS;
        advance(now)?;
    }
    let (began, from) = (Instant::now(), now);
    while !stop.load(Ordering::Relaxed) && now < span.end {
        let passed = began.elapsed().as_secs_f64() / day.as_secs_f64() * DAY_MS as f64;
        now = from + passed as i64;
        advance(now)?;
        thread::sleep(STEP);
    }
    Ok(())
}

fn duration(text: &str) -> Result<Duration, String> {
    let signed: jiff::SignedDuration = text.parse().map_err(|error: jiff::Error| error.to_string())?;
    Duration::try_from(signed).map_err(|_| "a duration must not be negative".to_owned())
}
