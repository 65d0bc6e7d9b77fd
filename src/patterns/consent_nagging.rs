//! P5: asking for consent again and again.
//!
//! Triggers on a prompt that repeats what the person refused within 182 days, unless the consent text is
//! known to have changed since; and on undecided prompts of one type on three UTC days within a week.

use super::state::{Decision, PromptDay, Record, Repeat};
use super::{Anchor, DAY, Evidence, MONTH, Pair, Pattern, WEEK, within};
use crate::event::kinds::{Kind, PromptType};

/// How long a decision, and what was counted since, is remembered.
pub const DECISION_LIFE: i64 = 182 * DAY;
const DAYS: usize = 3;
const REPEATS: usize = 3;

/// Looks at a prompt.
pub fn on_prompt(pair: &mut Pair<'_>) {
    let (event, record) = (pair.event, &mut *pair.record);
    let (t, prompt) = (event.time, event.prompt.index());
    expire(record, prompt, t);

    let mut severity = 0;
    let mut repeats = 0;
    if let Some((index, mut decision)) = record.find::<Decision>(|decision| decision.prompt == prompt) {
        let changed = event.reference != 0 && decision.version != 0 && event.reference != decision.version;
        if decision.refused && !changed {
            decision.repeats = decision.repeats.saturating_add(1);
            repeats = decision.repeats;
            record.set(index, &decision);
            record.push(&Repeat { prompt, time: t });
            let third = record.iter::<Repeat>().rev().filter(|r| r.prompt == prompt).nth(REPEATS - 1);
            severity = match (repeats, third) {
                (_, Some(third)) if within(t, third.time, MONTH) => 3,
                (1, _) => 1,
                _ => 2,
            };
            if record.iter::<Repeat>().filter(|r| r.prompt == prompt).count() >= REPEATS {
                forget_first_repeat(record, prompt);
            }
        }
    }
    note_day(record, prompt, event.place, t);
    let recent = |day: &PromptDay| day.prompt == prompt && within(t, day.time, WEEK);
    let days = record.iter::<PromptDay>().filter(recent).count();
    if severity == 0 && days >= DAYS {
        severity = 1;
    }
    if severity == 0 {
        return;
    }
    if event.first_layer_reject == Some(false) {
        severity = (severity + 1).min(3);
    }
    let evidence = Evidence::two(("repeats", i64::from(repeats)), ("days_in_7d", days as i64));
    pair.trigger(Pattern::ConsentNagging, severity, Anchor::Prompt(event.prompt), evidence);
}

/// Takes a decision that is in time.
pub fn on_decision(record: &mut Record, prompt: PromptType, kind: Kind, t: i64, version: u64) {
    let prompt = prompt.index();
    expire(record, prompt, t);
    let old = record.find::<Decision>(|decision| decision.prompt == prompt);
    let refused = kind != Kind::ConsentGranted;
    let repeats = if refused { old.map_or(0, |(_, decision)| decision.repeats) } else { 0 };
    let decision = Decision { prompt, refused, time: t, version, repeats };
    match old {
        Some((index, _)) => record.set(index, &decision),
        None => record.push(&decision),
    }
    record.remove_where::<PromptDay>(|day| day.prompt == prompt);
    if !refused {
        record.remove_where::<Repeat>(|repeat| repeat.prompt == prompt);
    }
}

/// Takes a decision that came too late to count. One older than the last word changes nothing.
pub fn on_late_decision(record: &mut Record, prompt: PromptType, kind: Kind, t: i64, version: u64, now: i64) {
    expire(record, prompt.index(), now);
    let newer = record.find::<Decision>(|known| known.prompt == prompt.index() && known.time > t);
    if newer.is_none() && within(now, t, DECISION_LIFE) {
        on_decision(record, prompt, kind, t, version);
    }
}

fn expire(record: &mut Record, prompt: u8, now: i64) {
    let decision = record.find::<Decision>(|decision| decision.prompt == prompt);
    if let Some((index, decision)) = decision
        && !within(now, decision.time, DECISION_LIFE)
    {
        record.remove::<Decision>(index);
        record.remove_where::<PromptDay>(|day| day.prompt == prompt);
        record.remove_where::<Repeat>(|repeat| repeat.prompt == prompt);
    }
}

/// Notes a prompt under the UTC day of its place.
fn note_day(record: &mut Record, prompt: u8, place: i64, t: i64) {
    let day = (place / DAY) as u16;
    match record.find::<PromptDay>(|known| known.prompt == prompt && known.day == day) {
        Some((index, known)) => record.set(index, &PromptDay { time: known.time.max(t), ..known }),
        None => {
            record.remove_where::<PromptDay>(|known| known.day + 9 < day);
            record.push(&PromptDay { prompt, day, time: t });
        }
    }
}

fn forget_first_repeat(record: &mut Record, prompt: u8) {
    if let Some((index, _)) = record.find::<Repeat>(|repeat| repeat.prompt == prompt) {
        record.remove::<Repeat>(index);
    }
}
