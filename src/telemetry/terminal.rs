//! The live view as text for a terminal.

use std::fmt::Write;

use super::view::{LiveView, Moment, Series};
use crate::event::output::BrandTrust;

/// Columns of the interval's axis.
const AXIS: usize = 25;
/// Brands in the table.
const BRANDS: usize = 12;
/// Moments below it.
const MOMENTS: usize = 6;
/// The window length that is shown.
const WINDOW: &str = "1h";

/// The whole view, least trusted brands first.
pub fn table(view: &LiveView, url: &str) -> String {
    let mut text = format!("Trustline demo · {url}\n\n");
    for banner in &view.banners {
        push(&mut text, format_args!("  {banner}\n"));
    }
    push(&mut text, format_args!("  {}\n\n", progress(view)));
    push(
        &mut text,
        format_args!(
            "  {:<14} {:>5}  {:<13} {:<AXIS$} {:>7}  moved by, per 1,000 people\n",
            "brand (1h)", "trust", "95 % interval", "0 – 50 – 100", "change"
        ),
    );
    for (brand, series) in ranked(view).into_iter().take(BRANDS) {
        row(&mut text, brand, series);
    }
    text.push_str("\n  fresh moments\n");
    for moment in view.moments.iter().rev().take(MOMENTS) {
        let Moment { brand_id, explanation, .. } = moment;
        push(&mut text, format_args!("  {:<14} {}\n", visible(brand_id), visible(explanation)));
    }
    for alert in view.alerts.values() {
        push(&mut text, format_args!("  ! {}\n", visible(&alert.summary)));
    }
    text
}

/// The view in one line.
pub fn line(view: &LiveView) -> String {
    let mut text = progress(view);
    for (brand, series) in ranked(view).into_iter().take(3) {
        if let Some((trust, low, high)) = newest(series).and_then(numbers) {
            push(&mut text, format_args!(" · {} {trust:.0} ({low:.0}–{high:.0})", visible(brand)));
        }
    }
    for banner in view.banners.iter().skip(1) {
        push(&mut text, format_args!(" · {banner}"));
    }
    text
}

fn progress(view: &LiveView) -> String {
    let progress = &view.progress;
    let at = progress.frontier.and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok());
    let at = at.map_or_else(|| "–".to_owned(), |at| at.strftime("%Y-%m-%d %H:%M UTC").to_string());
    format!(
        "frontier {at} · {} read · {} applied · {} too late · {} dead letters",
        progress.read, progress.applied, progress.late, progress.dead_lettered
    )
}

fn row(text: &mut String, brand: &str, series: &Series) {
    let Some(window) = newest(series) else { return };
    let Some((trust, low, high)) = numbers(window) else {
        push(text, format_args!("  {:<14} {}\n", visible(brand), "too few people in this hour"));
        return;
    };
    let change = series.change.map_or_else(|| "–".to_owned(), |change| format!("{change:+.1}"));
    let interval = format!("{low:.1}–{high:.1}");
    push(
        text,
        format_args!(
            "  {:<14} {trust:>5.1}  {interval:<13} {} {change:>7}  {}\n",
            visible(brand),
            axis(trust, low, high),
            movers(series)
        ),
    );
}

/// Brands whose newest window has a number first, the least trusted before others.
fn ranked(view: &LiveView) -> Vec<(&str, &Series)> {
    let trust = |series: &Series| newest(series).and_then(|window| window.trust).unwrap_or(f64::INFINITY);
    let mut brands: Vec<(&str, &Series)> = view.series(WINDOW).collect();
    brands.sort_by(|a, b| trust(a.1).total_cmp(&trust(b.1)));
    brands
}

fn newest(series: &Series) -> Option<&BrandTrust> {
    series.closed.as_ref().or(series.open.as_ref())
}

fn numbers(window: &BrandTrust) -> Option<(f64, f64, f64)> {
    let trust = window.trust?;
    Some((trust, window.trust_low.unwrap_or(trust), window.trust_high.unwrap_or(trust)))
}

fn axis(trust: f64, low: f64, high: f64) -> String {
    let at = |value: f64| (value.clamp(0.0, 100.0) / 100.0 * (AXIS - 1) as f64).round() as usize;
    (0..AXIS)
        .map(|column| match column {
            _ if column == at(trust) => '●',
            _ if (at(low)..=at(high)).contains(&column) => '─',
            _ if column == AXIS / 2 => '│',
            _ => '·',
        })
        .collect()
}

fn movers(series: &Series) -> String {
    let mut patterns: Vec<_> = series.patterns.iter().filter(|pattern| pattern.contribution != 0.0).collect();
    patterns.sort_by(|a, b| b.contribution.abs().total_cmp(&a.contribution.abs()));
    let shown = patterns.iter().take(2);
    let shown: Vec<String> = shown
        .map(|pattern| format!("{} {:+.1}", pattern.pattern.replace('_', " "), pattern.contribution))
        .collect();
    shown.join(", ")
}

/// A foreign text without characters that steer a terminal.
pub fn visible(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

fn push(text: &mut String, what: std::fmt::Arguments<'_>) {
    text.write_fmt(what).expect("text takes everything");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(brand: &str, trust: f64) -> BrandTrust {
        serde_json::from_value(serde_json::json!({"brand_id": brand, "window_start": 0, "window_end": 3_600_000,
            "window": "1h", "status": "FINAL", "revision": 1, "brand_layer": 97.5, "completeness": 1.0, "late": 0,
            "dead_lettered": 0, "unreadable_share": 0.0, "partitions_incomplete": 0, "config_hash": "c",
            "trust": trust, "trust_low": trust - 8.0, "trust_high": trust + 8.0}))
        .unwrap()
    }

    #[test]
    fn the_least_trusted_brand_comes_first_and_steers_no_terminal() {
        let mut view = LiveView::default();
        view.on_brand_trust(&window("good", 75.0));
        view.on_brand_trust(&window("\x1b[2Jbad", 25.0));
        view.banners = vec!["planted".to_owned(), "found".to_owned()];
        let table = table(&view, "http://x/");
        assert!(!table.contains('\x1b'));
        let rows: Vec<&str> = table.lines().filter(|line| line.contains('●')).collect();
        assert_eq!(rows.len(), 2);
        assert!(rows[0].contains("\u{fffd}[2Jbad") && rows[0].contains("····──●──···│····"), "{}", rows[0]);
        assert!(rows[1].contains("67.0–83.0"), "{}", rows[1]);
        assert!(line(&view).ends_with(" · good 75 (67–83) · found"), "{}", line(&view));
    }
}
