//! P7: "how did you know that about me": sensitive or undisclosed data.
//!
//! Triggers on an impression, recommendation or personalisation from a special category at once, from an
//! undisclosed precise location at once, and from undisclosed inferred, third-party or offline data from
//! the second in 7 days on.

use super::state::Undisclosed;
use super::{Anchor, Evidence, Pair, Pattern, WEEK, within};
use crate::event::kinds::Basis;
use crate::event::person::PersonEvent;

/// Whether the event can be judged: who sends no disclosure is not judged clean.
pub fn at_risk(event: &PersonEvent<'_>) -> bool {
    match event.basis {
        Basis::Contextual | Basis::Unknown => false,
        Basis::SpecialCategory => true,
        _ => event.disclosed.is_some(),
    }
}

/// Looks at an impression, `RECOMMENDATION_SHOWN` or `PERSONALISATION_SHOWN`.
pub fn on_shown(pair: &mut Pair<'_>) {
    let event = pair.event;
    let t = event.time;
    if event.basis != Basis::SpecialCategory && event.disclosed != Some(false) {
        return;
    }
    let (severity, count) = match event.basis {
        Basis::SpecialCategory => (3, 0),
        Basis::PreciseGeo => (2, 0),
        Basis::Inferred | Basis::ThirdParty | Basis::OfflineMatch => {
            let record = &mut *pair.record;
            let wanted = pair.rules.undisclosed_personalisation.in_7d as usize;
            record.push(&Undisclosed { time: t });
            record.keep_last::<Undisclosed>(wanted);
            let enough =
                record.nth_last::<Undisclosed>(wanted).is_some_and(|use_| within(t, use_.time, WEEK));
            (u8::from(enough), record.iter::<Undisclosed>().filter(|use_| within(t, use_.time, WEEK)).count())
        }
        _ => (0, 0),
    };
    if severity > 0 {
        let evidence = Evidence::one("in_7d", count as i64);
        pair.trigger(Pattern::UndisclosedPersonalisation, severity, Anchor::None, evidence);
    }
}
