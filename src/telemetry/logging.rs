//! Where log lines go: standard error, as text or one JSON object a line.

use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::{SubscriberInitExt, TryInitError};

use crate::config::sections::{Level, LogFormat, Telemetry};
use crate::log::kafka;

/// Sends log lines of this process, and those of the Kafka client, to standard error.
///
/// # Errors
/// When the process has a log already.
pub fn begin(settings: &Telemetry) -> Result<(), TryInitError> {
    let level = match settings.level {
        Level::Error => LevelFilter::ERROR,
        Level::Warn => LevelFilter::WARN,
        Level::Info => LevelFilter::INFO,
        Level::Debug => LevelFilter::DEBUG,
        Level::Trace => LevelFilter::TRACE,
    };
    // Of libraries only what is wrong matters, but who looks for a fault wants all that the Kafka client says.
    let of_client = if level > LevelFilter::INFO { level } else { level.min(LevelFilter::WARN) };
    let filter = Targets::new()
        .with_default(level.min(LevelFilter::WARN))
        .with_target("trustline", level)
        .with_targets(kafka::LOG_TARGETS.map(|target| (target, of_client)));
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_ansi(false);
    let lines = match settings.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    tracing_subscriber::registry().with(lines.with_filter(filter)).try_init()
}
