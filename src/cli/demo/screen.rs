//! What is drawn on standard error: a table on a terminal, else a line now and then.

use std::io::IsTerminal;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::cli::tell;
use crate::telemetry::terminal;
use crate::telemetry::view::LiveView;

/// How often the table is drawn.
const REDRAW: Duration = Duration::from_millis(500);
/// How often a line is written where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(3);
/// How often it looks whether it is the end.
const TICK: Duration = Duration::from_millis(50);

/// Draws until told to stop, or until the time is over, which it then tells.
pub(super) fn show(url: &str, stop: &AtomicBool, run_for: Option<Duration>, view: impl Fn() -> LiveView) {
    let is_live = std::io::stderr().is_terminal();
    let (began, mut due) = (Instant::now(), Duration::ZERO);
    while !stop.load(Ordering::Relaxed) {
        let passed = began.elapsed();
        if run_for.is_some_and(|limit| passed >= limit) {
            stop.store(true, Ordering::Relaxed);
        } else if passed >= due {
            due = passed + if is_live { REDRAW } else { LINE_EVERY };
            draw(&view(), url, is_live);
        }
        thread::sleep(TICK);
    }
    if is_live {
        tell("\x1b[?7h");
    }
}

fn draw(view: &LiveView, url: &str, is_live: bool) {
    if is_live {
        // Home, lines that are not wrapped, each erased to its end, and nothing below them.
        let table = terminal::table(view, url).replace('\n', "\x1b[K\n");
        tell(&format!("\x1b[H\x1b[?7l{table}\x1b[J"));
    } else {
        tell(&terminal::line(view));
    }
}
