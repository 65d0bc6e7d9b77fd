//! `trustline replay --what-if`: how two configurations see the same brands.

use std::fmt::Write;

use super::Failure;
use super::out::{print, print_json};
use crate::fold::score::ScoreOut;
use crate::score::compare::{Difference, compare};
use crate::telemetry::terminal::visible;

/// Patterns that are named for a brand.
const MOVERS: usize = 3;

/// Prints the difference between two scorings of the same input.
///
/// # Errors
/// When standard output cannot be written.
pub(super) fn tell_difference(before: &ScoreOut, after: &ScoreOut, json: bool) -> Result<(), Failure> {
    let differences =
        compare((&before.brand_trust, &before.pattern_trust), (&after.brand_trust, &after.pattern_trust));
    if json {
        return print_json(&differences);
    }
    let mut text = String::new();
    table(&differences, &mut text).expect("text takes everything");
    print(&text)
}

fn table(differences: &[Difference], text: &mut String) -> std::fmt::Result {
    writeln!(
        text,
        "Mean trust and mean 95 % interval over the windows that both configurations scored; what moved it in points of\n\
         contribution per 1,000 people reached.\n"
    )?;
    writeln!(
        text,
        "{:<20} {:>6} {:>7}  {:<24} {:<24} {:>7}  moved by",
        "brand", "window", "windows", "this configuration", "the other", "change"
    )?;
    for difference in differences {
        row(difference, text)?;
    }
    let left_out: u64 = differences.iter().map(|one| one.only_before + one.only_after).sum();
    if left_out > 0 {
        writeln!(text, "\n{left_out} windows were scored under one configuration only and are left out.")?;
    }
    Ok(())
}

fn row(difference: &Difference, text: &mut String) -> std::fmt::Result {
    write!(
        text,
        "{:<20} {:>6} {:>7}  ",
        visible(&difference.brand_id),
        visible(&difference.window),
        difference.windows
    )?;
    let (Some(before), Some(after), Some(change)) = (difference.before, difference.after, difference.change)
    else {
        return writeln!(text, "no window that both scored");
    };
    let mut moved: Vec<String> = difference
        .moved_by
        .iter()
        .take(MOVERS)
        .map(|moved| format!("{} {:+.2}", visible(&moved.pattern), moved.change))
        .collect();
    if before.brand_layer != after.brand_layer {
        moved.push(format!("brand layer {:.1} to {:.1}", before.brand_layer, after.brand_layer));
    }
    // The constants of the score itself can move it too: scale and exponent.
    let moved = match (moved.is_empty(), change == 0.0) {
        (true, true) => "nothing".to_owned(),
        (true, false) => "constants of the score".to_owned(),
        (false, _) => moved.join(", "),
    };
    let score = |low: f64, value: f64, high: f64| format!("{value:.2} ({low:.2} to {high:.2})");
    writeln!(
        text,
        "{:<24} {:<24} {change:>+7.2}  {moved}",
        score(before.trust_low, before.trust, before.trust_high),
        score(after.trust_low, after.trust, after.trust_high),
    )
}
