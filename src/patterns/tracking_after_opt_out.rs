//! P6: tracking after a no.
//!
//! Triggers on an impression that the event's own signals or the person's stored decision refuse.

use super::consent_nagging::DECISION_LIFE;
use super::state::{Record, Refused, Tracking};
use super::{Anchor, Evidence, HOUR, Pair, Pattern, WEEK, within};
use crate::event::consent::Signals;
use crate::event::kinds::{Basis, Kind};

/// What the rules say of an impression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Nothing refuses it.
    Allowed,
    /// Only a voluntary signal refuses it.
    Voluntary,
    /// A signal in force or the person's decision refuses it.
    Explicit,
}

/// The first rule that decides a behavioural impression. `cross`: whether data of other companies is used.
pub fn judge(signals: Signals, cross: bool, tracking: Option<Tracking>, t: i64, grace_ms: i64) -> Verdict {
    if signals.contains(Signals::REFUSED_ALL) || cross && signals.contains(Signals::REFUSED_CROSS) {
        return Verdict::Explicit;
    }
    if signals.contains(Signals::ALLOWED) {
        return Verdict::Allowed;
    }
    match tracking {
        Some(Tracking { refused: 0, .. }) => return Verdict::Allowed,
        Some(word) if t - word.refused >= grace_ms => return Verdict::Explicit,
        _ => {}
    }
    if cross && signals.contains(Signals::VOLUNTARY) { Verdict::Voluntary } else { Verdict::Allowed }
}

/// The person's decision on tracking, as far as it is remembered at `t`.
pub fn decision(record: &Record, t: i64) -> Option<Tracking> {
    record.get::<Tracking>(0).filter(|word| within(t, word.last, DECISION_LIFE))
}

/// Whether the signals deny (`Some(false)`) or authorise tracking, else the stored decision, without grace.
pub fn consent_status(signals: Signals, stored: Option<Tracking>) -> Option<bool> {
    signals.authorised().or_else(|| stored.map(|word| word.refused == 0))
}

/// Takes a decision on tracking or cookies that is in time.
pub fn on_decision(record: &mut Record, kind: Kind, t: i64) {
    let old = decision(record, t).unwrap_or(Tracking { refused: 0, granted: 0, last: 0 });
    let refused = match kind {
        Kind::ConsentGranted => 0,
        _ if old.refused == 0 => t,
        _ => old.refused,
    };
    let granted = if kind == Kind::ConsentGranted { t } else { old.granted };
    put(record, &Tracking { refused, granted, last: t });
}

/// Takes a decision that came too late to count: it is stored by its event time.
pub fn on_late_decision(record: &mut Record, kind: Kind, t: i64, now: i64) {
    let old = decision(record, now).unwrap_or(Tracking { refused: 0, granted: 0, last: 0 });
    if t < old.granted || !within(now, old.last.max(t), DECISION_LIFE) {
        return;
    }
    let mut word = Tracking { last: old.last.max(t), ..old };
    if kind != Kind::ConsentGranted {
        word.refused = if old.refused == 0 { t } else { old.refused.min(t) };
    } else {
        word.granted = t;
        if old.last <= t {
            word.refused = 0;
        } else if old.refused != 0 && old.refused < t {
            // Of the refusals after the late grant only the last is known.
            word.refused = old.last;
        }
    }
    put(record, &word);
}

/// Looks at an impression; returns whether an opt-out is in force.
pub fn on_impression(pair: &mut Pair<'_>, cross: bool, behavioural: bool) -> bool {
    let event = pair.event;
    let t = event.time;
    let stored = decision(pair.record, t);
    let grace = i64::from(pair.rules.tracking_after_opt_out.grace_hours) * HOUR;
    let in_force = judge(event.signals, true, stored, t, grace) != Verdict::Allowed;
    if !behavioural {
        return in_force;
    }
    let special = event.basis == Basis::SpecialCategory;
    match judge(event.signals, cross, stored, t, grace) {
        Verdict::Allowed => {}
        Verdict::Voluntary => {
            let severity = if special { 3 } else { 1 };
            pair.trigger(Pattern::TrackingAfterOptOut, severity, Anchor::None, Evidence::one("in_7d", 0));
        }
        Verdict::Explicit => {
            let record = &mut *pair.record;
            let severe = pair.rules.tracking_after_opt_out.severe_in_7d as usize;
            record.push(&Refused { time: t });
            record.drop_front_while::<Refused>(|refused| refused.time <= event.place - pair.slack - WEEK);
            record.keep_last::<Refused>(severe);
            let count = record.iter::<Refused>().filter(|refused| within(t, refused.time, WEEK)).count();
            let many =
                record.nth_last::<Refused>(severe).is_some_and(|refused| within(t, refused.time, WEEK));
            let severity = if special || many { 3 } else { 2 };
            pair.trigger(
                Pattern::TrackingAfterOptOut,
                severity,
                Anchor::None,
                Evidence::one("in_7d", count as i64),
            );
        }
    }
    in_force
}

fn put(record: &mut Record, word: &Tracking) {
    if record.has::<Tracking>() {
        record.set(0, word);
    } else {
        record.push(word);
    }
}
