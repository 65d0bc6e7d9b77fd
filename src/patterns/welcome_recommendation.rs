//! P9: a recommendation that was used.
//!
//! Triggers on `RECOMMENDATION_USED` within 7 days after the last showing of it that rested on what the
//! person bought, did or said, unless it was hidden in between. The last 32 are remembered.

use super::state::{Record, Shown};
use super::{Anchor, Evidence, Pair, Pattern, WEEK, within};
use crate::event::kinds::Basis;

const REMEMBERED: usize = 32;

/// Notes a showing on a fitting basis.
pub fn on_shown(record: &mut Record, recommendation: u64, basis: Basis, t: i64) {
    let fits = matches!(basis, Basis::FirstPartyPurchase | Basis::FirstPartyBehaviour | Basis::Declared);
    if recommendation == 0 || !fits {
        return;
    }
    on_hidden(record, recommendation);
    record.push(&Shown { recommendation, time: t });
    record.keep_last::<Shown>(REMEMBERED);
}

/// Notes that a recommendation was hidden.
pub fn on_hidden(record: &mut Record, recommendation: u64) {
    if let Some((index, _)) = record.find::<Shown>(|shown| shown.recommendation == recommendation) {
        record.remove::<Shown>(index);
    }
}

/// Looks at a use.
pub fn on_used(pair: &mut Pair<'_>) {
    let event = pair.event;
    if event.reference == 0 {
        return;
    }
    let shown = pair.record.find::<Shown>(|shown| shown.recommendation == event.reference);
    if let Some((_, shown)) = shown
        && within(event.time, shown.time, WEEK)
    {
        let evidence = Evidence::one("after_ms", event.time - shown.time);
        pair.trigger(Pattern::WelcomeRecommendation, 1, Anchor::None, evidence);
    }
}
