//! An explanation as text.

use std::fmt::Write;

use super::{Explanation, Part, Window};
use crate::telemetry::terminal::visible;

/// Patterns whose moments are shown.
const PATTERNS: usize = 5;

/// The explanation for a reader.
pub(super) fn of(explanation: &Explanation) -> String {
    let mut text = String::new();
    explain(explanation, &mut text).expect("text takes everything");
    text
}

fn explain(explanation: &Explanation, text: &mut String) -> std::fmt::Result {
    let brand = visible(&explanation.brand_id);
    writeln!(
        text,
        "Why the trust in {brand} is what it is. 50 is neutral; scores of different window lengths cannot be compared;\n\
         an interval is a lower bound of the uncertainty. Times are UTC."
    )?;
    if !explanation.same_configuration {
        writeln!(
            text,
            "The run had another configuration than this one: sources of weights may differ; give its file with --config."
        )?;
    }
    if explanation.windows.is_empty() {
        writeln!(
            text,
            "\nNo window has numbers: too few people were reached in {} published windows.",
            explanation.windows_without_numbers
        )?;
    }
    for window in &explanation.windows {
        writeln!(text)?;
        self::window(window, text)?;
    }
    sources(explanation, text)?;
    alerts(explanation, text)?;
    examples(explanation, text)
}

fn window(window: &Window, text: &mut String) -> std::fmt::Result {
    let record = &window.record;
    let number = |value: Option<f64>| value.unwrap_or(f64::NAN);
    writeln!(
        text,
        "{}  {} to {}   trust {:.1} (95 % interval {:.1} to {:.1})",
        record.window,
        minute(record.window_start),
        minute(record.window_end),
        number(record.trust),
        number(record.trust_low),
        number(record.trust_high)
    )?;
    let layer = match window.brand_layer_pull {
        Some(pull) if pull < -0.05 => format!(", {pull:.1} by the brand layer of {:.1}", record.brand_layer),
        _ => format!(", brand layer {:.1}", record.brand_layer),
    };
    writeln!(
        text,
        "    experience {:.1}{layer}; {} people reached",
        number(record.experience),
        record.people_reached.unwrap_or(0)
    )?;
    writeln!(
        text,
        "    completeness {:.3}: {} late, {} dead letters, {:.2} % unreadable",
        record.completeness,
        record.late,
        record.dead_lettered,
        100.0 * record.unreadable_share
    )?;
    if window.newer_without_numbers > 0 {
        writeln!(
            text,
            "    newer windows without numbers, too few people reached: {}",
            window.newer_without_numbers
        )?;
    }
    writeln!(
        text,
        "    {:<28} {:>6} {:>9} {:>7} {:>10}  {:<17} affected of at risk",
        "pattern", "pull", "per 1,000", "weight", "incidence", "95 % interval"
    )?;
    for part in window.patterns.iter().filter(|part| part.evaluated) {
        self::part(part, text)?;
    }
    let not_judged: Vec<String> =
        window.patterns.iter().filter(|part| !part.evaluated).map(|part| visible(&part.pattern)).collect();
    if !not_judged.is_empty() {
        writeln!(text, "    not judged, too few people at risk: {}", not_judged.join(", "))?;
    }
    Ok(())
}

fn part(part: &Part, text: &mut String) -> std::fmt::Result {
    let percent = |share: Option<f64>| 100.0 * share.unwrap_or(f64::NAN);
    let affected = part.affected.map_or_else(String::new, |by_severity| {
        let people: i64 = by_severity.iter().sum();
        let severe = match by_severity {
            [_, 0, 0] => String::new(),
            [one, two, three] => format!(" (severity 1: {one}, 2: {two}, 3: {three})"),
        };
        format!("{people} of {}{severe}", part.at_risk.unwrap_or(0))
    });
    let pull = part.pull.map_or_else(|| "–".to_owned(), |pull| format!("{pull:+.2}"));
    let interval = format!("{:.2} to {:.2} %", percent(part.incidence_low), percent(part.incidence_high));
    writeln!(
        text,
        "    {:<28} {pull:>6} {:>+9.2} {:>+7.2} {:>8.2} %  {interval:<17} {affected}",
        visible(&part.pattern),
        part.contribution,
        part.weight.unwrap_or(f64::NAN),
        percent(part.incidence),
    )
}

fn sources(explanation: &Explanation, text: &mut String) -> std::fmt::Result {
    let mut shown: Vec<(&str, &str)> = Vec::new();
    for part in explanation.windows.iter().flat_map(|window| &window.patterns) {
        let entry = (part.pattern.as_str(), part.weight_source.as_str());
        if part.evaluated && !shown.contains(&entry) {
            shown.push(entry);
        }
    }
    if shown.is_empty() {
        return Ok(());
    }
    writeln!(
        text,
        "\nA pull is the points of trust that would be missing without the pattern; pulls do not add up, because the score\n\
         flattens towards its ends. Where the weights come from:"
    )?;
    for (pattern, source) in shown {
        writeln!(text, "    {:<28} {source}", visible(pattern))?;
    }
    Ok(())
}

fn alerts(explanation: &Explanation, text: &mut String) -> std::fmt::Result {
    let (incidents, others): (Vec<_>, Vec<_>) =
        explanation.alerts.iter().partition(|alert| alert.kind == "BRAND_INCIDENT");
    for (title, alerts) in [("Brand incidents", incidents), ("Alerts", others)] {
        if alerts.is_empty() {
            writeln!(text, "\n{title}: none")?;
            continue;
        }
        writeln!(text, "\n{title}")?;
        for alert in alerts {
            writeln!(
                text,
                "    {:<9} since {}: {}",
                alert.state,
                minute(alert.since),
                visible(&alert.summary)
            )?;
        }
    }
    Ok(())
}

fn examples(explanation: &Explanation, text: &mut String) -> std::fmt::Result {
    if explanation.examples.is_empty() {
        return writeln!(text, "\nMoments: none");
    }
    writeln!(text, "\nMoments: the newest of the patterns that pull most, without the person")?;
    let mut shown: Vec<&str> = Vec::new();
    for example in &explanation.examples {
        if !shown.contains(&example.pattern.as_str()) {
            if shown.len() == PATTERNS {
                break;
            }
            shown.push(&example.pattern);
            let count = explanation.moments.get(&example.pattern).copied().unwrap_or(0);
            writeln!(
                text,
                "    {} ({count} in all): {}",
                visible(&example.pattern),
                visible(&example.explanation)
            )?;
        }
        writeln!(
            text,
            "        {}  severity {}, weight {:+.2}{}",
            minute(example.event_time),
            example.severity,
            example.weight,
            evidence(&example.evidence)
        )?;
    }
    let others = explanation.moments.iter().filter(|(pattern, _)| !shown.contains(&pattern.as_str()));
    let others: Vec<String> =
        others.map(|(pattern, count)| format!("{} {count}", visible(pattern))).collect();
    if !others.is_empty() {
        writeln!(text, "    others: {}", others.join(", "))?;
    }
    Ok(())
}

fn evidence(evidence: &serde_json::Value) -> String {
    let pairs = evidence.as_object().into_iter().flatten();
    let mut text = String::new();
    for (name, value) in pairs {
        text.push_str(&format!(", {} {value}", visible(&name.replace('_', " "))));
    }
    text
}

fn minute(ms: i64) -> String {
    match jiff::Timestamp::from_millisecond(ms) {
        Ok(at) => at.strftime("%Y-%m-%d %H:%M").to_string(),
        Err(_) => format!("{ms} ms"),
    }
}
