//! P1: the same brand's retargeting, over and over.
//!
//! Triggers on a retargeted impression by how many were counted in 24 hours or in 7 days. An impression
//! is not counted when its page view was counted within 10 minutes, or, where it names no page view, when
//! any was counted within 10 seconds. Interest within 24 hours and several creatives raise the thresholds.

use super::state::{Hit, Page, Signals};
use super::{DAY, Evidence, HOUR, Pair, Pattern, SECOND, WEEK, within};

const PAGE_SPAN: i64 = HOUR / 6;
/// How many page views are remembered at most: a flood must not grow the record without limit.
const PAGES_MAX: usize = 256;
const NO_PAGE_SPAN: i64 = 10 * SECOND;

/// Looks at a retargeted impression.
pub fn on_retargeted(pair: &mut Pair<'_>) {
    let (event, rules) = (pair.event, &pair.rules.relentless_retargeting);
    let t = event.time;
    let record = &mut *pair.record;

    let horizon = event.place - pair.slack;
    record.drop_front_while::<Page>(|page| page.time <= horizon - PAGE_SPAN);
    let ignored = if event.page_view == 0 {
        record.nth_last::<Hit>(1).is_some_and(|hit| within(t, hit.time, NO_PAGE_SPAN))
    } else {
        record.iter::<Page>().any(|page| page.page_view == event.page_view && within(t, page.time, PAGE_SPAN))
    };
    if ignored {
        return;
    }
    if event.page_view != 0 {
        record.push(&Page { time: t, page_view: event.page_view });
        record.keep_last::<Page>(PAGES_MAX);
    }
    record.drop_front_while::<Hit>(|hit| hit.time <= horizon - WEEK);
    record.push(&Hit { time: t, creative: (event.creative ^ (event.creative >> 32)) as u32 });
    let most = rules.in_24h[2].max(rules.in_7d[2]);
    record.keep_last::<Hit>(
        (f64::from(most) * rules.interest_factor * rules.variety_factor).ceil() as usize + 1,
    );

    let counted =
        |n: u32, span| record.nth_last::<Hit>(n as usize).is_some_and(|hit| within(t, hit.time, span));
    if !counted(rules.in_24h[0], DAY) && !counted(rules.in_7d[0], WEEK) {
        return;
    }
    let interested = record.get::<Signals>(0).is_some_and(|s| s.interest > 0 && within(t, s.interest, DAY));
    let mut factor = if interested { rules.interest_factor } else { 1.0 };
    if creatives(record, t, rules.variety_creatives) {
        factor *= rules.variety_factor;
    }
    let raised = |n: u32| (f64::from(n) * factor).ceil() as u32;
    let severity = (0..3u8)
        .rev()
        .find(|&s| {
            let s = usize::from(s);
            counted(raised(rules.in_24h[s]), DAY) || counted(raised(rules.in_7d[s]), WEEK)
        })
        .map(|s| s + 1);
    if let Some(severity) = severity {
        let in_span = |span| record.iter::<Hit>().filter(|hit| within(t, hit.time, span)).count() as i64;
        let evidence = Evidence::two(("in_24h", in_span(DAY)), ("in_7d", in_span(WEEK)));
        pair.trigger(Pattern::RelentlessRetargeting, severity, super::Anchor::None, evidence);
    }
}

/// Whether the impressions counted within 24 hours show at least so many distinct known creatives.
fn creatives(record: &super::state::Record, t: i64, wanted: u32) -> bool {
    let mut seen = [0u32; 16];
    let wanted = (wanted as usize).min(seen.len());
    let mut count = 0;
    for hit in record.iter::<Hit>().filter(|hit| hit.creative != 0 && within(t, hit.time, DAY)) {
        if !seen[..count].contains(&hit.creative) {
            if count + 1 >= wanted {
                return true;
            }
            seen[count] = hit.creative;
            count += 1;
        }
    }
    wanted == 0
}
