//! The life of a moment: opened by a trigger, raised by a stronger one, taken back, forgotten.

use crate::event::output::{TrustMoment, id_of_parts};
use crate::identity::Pseudonym;
use crate::patterns::state::{Opened, Record};
use crate::patterns::{Anchor, Evidence, Pattern, Trigger};
use crate::time::DAY_MS;

/// How long after its opening a moment is raised rather than opened anew.
const QUIET_MS: i64 = DAY_MS;
/// How long an opening counts as exposure.
const EXPOSURE_MS: i64 = 14 * DAY_MS;
/// An order lives for 30 days and its newest moment can be taken back for as long.
const ORDER_MOMENT_MS: i64 = 30 * DAY_MS;

/// How many moments of a pair are remembered at most: a flood must not grow the record without limit.
const OPENED_MAX: usize = 256;

/// A revision of a moment to publish.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Revision {
    /// The pattern.
    pub pattern: Pattern,
    /// Keeps the pattern's moments apart.
    pub anchor: Anchor,
    /// From 1.
    pub revision: u16,
    /// Whether the moment is taken back.
    pub retracted: bool,
    /// 1 to 3.
    pub severity: u8,
    /// Time of the event that caused this revision.
    pub event_time: i64,
    /// Time of the opening event.
    pub opened_time: i64,
    /// Pseudonym of the opening event's id.
    pub opening_event: [u8; 16],
    /// What made it fire.
    pub evidence: Evidence,
}

/// The patterns that a first touch at `place` is exposed to, a bit each.
pub fn exposed(record: &Record, place: i64) -> u16 {
    record
        .iter::<Opened>()
        .filter(|opened| place - opened.place < EXPOSURE_MS)
        .fold(0, |bits, opened| bits | 1 << opened.pattern)
}

/// Takes a trigger at an event of this time and place; returns what is to be published.
pub fn on_trigger(
    record: &mut Record,
    trigger: Trigger,
    time: i64,
    place: i64,
    event: impl FnOnce() -> [u8; 16],
) -> Option<Revision> {
    let (pattern, anchor) = (trigger.pattern as u8, trigger.anchor.token());
    if let Some((index, opened)) = newest(record, pattern, anchor)
        && time - opened.time < QUIET_MS
    {
        if trigger.severity <= opened.severity {
            return None;
        }
        let raised = Opened { severity: trigger.severity, revision: opened.revision + 1, ..opened };
        record.set(index, &raised);
        return Some(revision(&raised, trigger, false, time));
    }
    record.remove_where::<Opened>(|opened| {
        let kept = if opened.pattern == Pattern::RetargetingAfterPurchase as u8 {
            ORDER_MOMENT_MS
        } else {
            EXPOSURE_MS
        };
        place - opened.place >= kept
    });
    let opened = Opened {
        pattern,
        severity: trigger.severity,
        revision: 1,
        ended: false,
        anchor,
        time,
        place,
        event: u128::from_le_bytes(event()),
    };
    record.push(&opened);
    record.keep_last::<Opened>(OPENED_MAX);
    Some(revision(&opened, trigger, false, time))
}

/// Takes the newest moment of a pattern and anchor back.
pub fn on_retraction(record: &mut Record, pattern: Pattern, anchor: Anchor, time: i64) -> Option<Revision> {
    let (index, opened) = newest(record, pattern as u8, anchor.token())?;
    let ended = Opened { revision: opened.revision + 1, ended: true, ..opened };
    record.set(index, &ended);
    let trigger = Trigger { pattern, severity: opened.severity, anchor, evidence: Evidence::NONE };
    Some(revision(&ended, trigger, true, time))
}

fn newest(record: &Record, pattern: u8, anchor: u64) -> Option<(usize, Opened)> {
    let is = |opened: &Opened| opened.pattern == pattern && opened.anchor == anchor && !opened.ended;
    record.iter::<Opened>().enumerate().rev().find(|(_, opened)| is(opened))
}

fn revision(opened: &Opened, trigger: Trigger, retracted: bool, event_time: i64) -> Revision {
    Revision {
        pattern: trigger.pattern,
        anchor: trigger.anchor,
        revision: opened.revision,
        retracted,
        severity: opened.severity,
        event_time,
        opened_time: opened.time,
        opening_event: opened.event.to_le_bytes(),
        evidence: trigger.evidence,
    }
}

/// The public record of a revision.
pub fn publish(
    revision: Revision,
    brand: &str,
    person: &[u8; 16],
    weight: f64,
    config_hash: &str,
) -> TrustMoment {
    let pattern = revision.pattern.name();
    let (person, opening_event) =
        (Pseudonym(*person).to_string(), Pseudonym(revision.opening_event).to_string());
    let anchor = revision.anchor.text();
    TrustMoment {
        moment_id: id_of_parts(&[pattern, brand, &person, anchor.as_deref().unwrap_or(""), &opening_event]),
        revision: i32::from(revision.revision),
        status: if revision.retracted { "RETRACTED" } else { "OPEN" }.to_owned(),
        brand_id: brand.to_owned(),
        person,
        pattern: pattern.to_owned(),
        severity: i32::from(revision.severity),
        weight,
        event_time: revision.event_time,
        opened_time: revision.opened_time,
        opening_event,
        anchor,
        explanation: explanation(revision.pattern, revision.retracted).to_owned(),
        evidence: revision.evidence.json(),
        config_hash: config_hash.to_owned(),
    }
}

fn explanation(pattern: Pattern, retracted: bool) -> &'static str {
    match (pattern, retracted) {
        (Pattern::RetargetingAfterPurchase, true) => {
            "The order was cancelled or refunded, so ads for it are no longer held against the brand."
        }
        (_, true) => "The person left the channel soon after, so the moment no longer counts as welcome.",
        (Pattern::RelentlessRetargeting, _) => "The person was shown the brand's retargeting over and over.",
        (Pattern::RetargetingAfterPurchase, _) => {
            "The person was shown ads for what they had already bought."
        }
        (Pattern::CrossDeviceFollowing, _) => {
            "Ads followed the person to a device on which they had not visited the brand."
        }
        (Pattern::UnpermittedMessage, _) => "The person was sent a message without permission.",
        (Pattern::ExcessiveMessages, _) => "The person was sent more messages than they welcome.",
        (Pattern::ConsentNagging, _) => {
            "The person was asked for consent again after they had decided or passed."
        }
        (Pattern::TrackingAfterOptOut, _) => "The person was targeted although they had said no.",
        (Pattern::UndisclosedPersonalisation, _) => {
            "The person was shown content from sensitive data or from data nobody told them about."
        }
        (Pattern::CartReminderOverload, _) => {
            "The person was reminded of a cart too often or after they had ordered."
        }
        (Pattern::WelcomeRecommendation, _) => {
            "The person used a recommendation that rests on what they bought, did or said."
        }
        (Pattern::TimelyNotification, _) => {
            "The person reacted at once to a notification they had asked for."
        }
        (Pattern::NostalgicRecap, _) => "The person enjoyed or shared a recap of their own history.",
        (Pattern::ControlHonoured, _) => "The person changed a setting and the brand kept to it.",
        (Pattern::WelcomeCartReminder, _) => "The person got a first cart reminder in time.",
    }
}
