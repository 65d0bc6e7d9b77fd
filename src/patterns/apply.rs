//! One event through all patterns, in the order in which they build on each other.

use super::rules::CountedAs;
use super::state::{Record, Signals};
use super::{
    MONTH, Pair, Pattern, cart_reminder_overload, carts, consent_nagging, cross_device_following,
    excessive_messages, nostalgic_recap, relentless_retargeting, retargeting_after_purchase,
    timely_notification, tracking_after_opt_out, undisclosed_personalisation, unpermitted_message,
    welcome_cart_reminder, welcome_recommendation, within,
};
use crate::event::kinds::{Basis, Kind, MessageClass, PromptType};
use crate::event::person::PersonEvent;

/// What an event means for its window, its day and the requests that wait.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// The brand touched the person.
    pub touch: bool,
    /// A bit for each pattern that the person is at risk for.
    pub at_risk: u16,
    /// The person opted out.
    pub opt_out: bool,
    /// At a touch: whether tracking is authorised, where that is known.
    pub consent: Option<bool>,
    /// A prompt for tracking or cookies.
    pub prompted: bool,
    /// A grant of these.
    pub granted: bool,
    /// A refusal of these.
    pub refused: bool,
    /// A withdrawal of these.
    pub withdrawn: bool,
    /// A request that P12 waits for.
    pub request: bool,
}

impl Seen {
    fn risk(&mut self, pattern: Pattern) {
        self.at_risk |= 1 << pattern.index();
    }
}

/// Runs an event through all patterns: changes the pair's record, collects triggers and retractions.
pub fn apply(pair: &mut Pair<'_>) -> Seen {
    let event = pair.event;
    let mut seen = Seen::default();
    let signal = note_signal(pair.record, event);
    if event.device != 0 {
        cross_device_following::on_device(pair.record, event.device, event.time, signal);
    }
    match event.kind {
        Kind::Impression | Kind::Viewable => on_delivery(pair, &mut seen),
        Kind::Hide | Kind::AdComplaint | Kind::Complaint | Kind::AppRemoved => seen.opt_out = true,
        Kind::CartAdd if event.subject != [0; 16] => {
            carts::on_added(pair.record, event.subject_token(), event.time);
        }
        Kind::OrderCompleted => {
            retargeting_after_purchase::on_order(pair);
            carts::on_order(pair.record);
        }
        Kind::OrderCancelled | Kind::OrderRefunded => retargeting_after_purchase::on_order_undone(pair),
        Kind::RecommendationShown => {
            on_touch(pair, &mut seen);
            seen.risk(Pattern::WelcomeRecommendation);
            welcome_recommendation::on_shown(pair.record, event.reference, event.basis, event.time);
            on_personal(pair, &mut seen);
        }
        Kind::RecommendationUsed => {
            seen.risk(Pattern::WelcomeRecommendation);
            welcome_recommendation::on_used(pair);
        }
        Kind::RecommendationHidden => welcome_recommendation::on_hidden(pair.record, event.reference),
        Kind::RecapViewed => {
            on_touch(pair, &mut seen);
            seen.risk(Pattern::NostalgicRecap);
            nostalgic_recap::on_recap(pair);
        }
        Kind::RecapShared => {
            seen.risk(Pattern::NostalgicRecap);
            nostalgic_recap::on_recap(pair);
        }
        Kind::PersonalisationShown => {
            on_touch(pair, &mut seen);
            on_personal(pair, &mut seen);
        }
        Kind::ConsentPrompt => {
            on_touch(pair, &mut seen);
            seen.prompted = is_tracking(event.prompt);
            seen.risk(Pattern::ConsentNagging);
            consent_nagging::on_prompt(pair);
        }
        Kind::ConsentGranted | Kind::ConsentRefused | Kind::ConsentWithdrawn => on_decision(pair, &mut seen),
        Kind::PreferenceChanged => seen.request = true,
        Kind::Sent => on_sent(pair, &mut seen),
        Kind::Opened | Kind::Clicked if event.reference != 0 => {
            let email_opens = pair.rules.email_opens;
            excessive_messages::on_engaged(pair.record, event.reference, event.kind, email_opens);
            timely_notification::on_engaged(pair);
        }
        Kind::Subscribed | Kind::Unsubscribed | Kind::MarkedSpam => {
            unpermitted_message::on_word(pair.record, event.channel, event.kind, event.time);
            if event.kind != Kind::Subscribed {
                seen.opt_out = true;
                timely_notification::on_left(pair);
            }
        }
        _ => {}
    }
    for trigger in pair.triggers.iter() {
        seen.risk(trigger.pattern);
    }
    seen
}

/// Stores a decision or (un)subscription that came too late to count anywhere else.
pub fn apply_late_word(record: &mut Record, event: &PersonEvent<'_>) {
    let (t, now) = (event.time, event.place);
    match event.kind {
        Kind::ConsentGranted | Kind::ConsentRefused | Kind::ConsentWithdrawn => {
            if is_tracking(event.prompt) {
                tracking_after_opt_out::on_late_decision(record, event.kind, t, now);
            }
            consent_nagging::on_late_decision(record, event.prompt, event.kind, t, event.reference, now);
        }
        Kind::Subscribed | Kind::Unsubscribed | Kind::MarkedSpam => {
            unpermitted_message::on_late_word(record, event.channel, event.kind, t, now);
        }
        _ => {}
    }
}

/// TRACKING and COOKIES are the "tracking" decision of P6 and of the published consent counts.
fn is_tracking(prompt: PromptType) -> bool {
    matches!(prompt, PromptType::Tracking | PromptType::Cookies)
}

/// Remembers first-party signals and interest; returns whether the event is such a signal.
fn note_signal(record: &mut Record, event: &PersonEvent<'_>) -> bool {
    let signal = matches!(
        event.kind,
        Kind::PageView | Kind::ProductView | Kind::CartAdd | Kind::Checkout | Kind::OrderCompleted
    );
    if signal {
        let interest = matches!(event.kind, Kind::ProductView | Kind::CartAdd);
        let old = record.get::<Signals>(0);
        let mut entry = old.unwrap_or(Signals { signal: 0, interest: 0 });
        entry.signal = entry.signal.max(event.time);
        if interest {
            entry.interest = entry.interest.max(event.time);
        }
        match old {
            Some(_) => record.set(0, &entry),
            None => record.push(&entry),
        }
    }
    signal
}

fn on_touch(pair: &Pair<'_>, seen: &mut Seen) {
    let stored = tracking_after_opt_out::decision(pair.record, pair.event.time);
    seen.touch = true;
    seen.consent = tracking_after_opt_out::consent_status(pair.event.signals, stored);
}

fn on_personal(pair: &mut Pair<'_>, seen: &mut Seen) {
    if undisclosed_personalisation::at_risk(pair.event) {
        seen.risk(Pattern::UndisclosedPersonalisation);
    }
    undisclosed_personalisation::on_shown(pair);
}

fn on_delivery(pair: &mut Pair<'_>, seen: &mut Seen) {
    let event = pair.event;
    let counted = match pair.rules.count {
        CountedAs::Served => Kind::Impression,
        CountedAs::Viewable => Kind::Viewable,
    };
    if event.kind != counted || event.rewarded {
        return;
    }
    let t = event.time;
    on_touch(pair, seen);
    seen.risk(Pattern::RelentlessRetargeting);
    if retargeting_after_purchase::order_lives(pair.record, t) {
        seen.risk(Pattern::RetargetingAfterPurchase);
    }
    if cross_device_following::several_devices(pair.record, t) {
        seen.risk(Pattern::CrossDeviceFollowing);
    }
    if is_retargeted(event, pair.record) {
        relentless_retargeting::on_retargeted(pair);
        retargeting_after_purchase::on_retargeted(pair);
        cross_device_following::on_retargeted(pair);
    }
    let flagged = event.retargeting == Some(true) && event.basis != Basis::Contextual;
    let cross = flagged
        || matches!(
            event.basis,
            Basis::ThirdParty
                | Basis::Inferred
                | Basis::PreciseGeo
                | Basis::OfflineMatch
                | Basis::SpecialCategory
        );
    let own = matches!(event.basis, Basis::FirstPartyPurchase | Basis::FirstPartyBehaviour);
    if tracking_after_opt_out::on_impression(pair, cross, cross || own) {
        seen.risk(Pattern::TrackingAfterOptOut);
    }
    on_personal(pair, seen);
}

fn is_retargeted(event: &PersonEvent<'_>, record: &Record) -> bool {
    match event.retargeting {
        Some(flag) => flag && event.basis != Basis::Contextual,
        None => {
            let inferable = matches!(
                event.basis,
                Basis::Unknown | Basis::FirstPartyBehaviour | Basis::ThirdParty | Basis::Inferred
            );
            inferable
                && record.get::<Signals>(0).is_some_and(|signals| within(event.time, signals.signal, MONTH))
        }
    }
}

fn on_decision(pair: &mut Pair<'_>, seen: &mut Seen) {
    let event = pair.event;
    let tracking = is_tracking(event.prompt);
    if tracking {
        tracking_after_opt_out::on_decision(pair.record, event.kind, event.time);
    }
    consent_nagging::on_decision(pair.record, event.prompt, event.kind, event.time, event.reference);
    seen.granted = tracking && event.kind == Kind::ConsentGranted;
    seen.refused = tracking && event.kind == Kind::ConsentRefused;
    seen.withdrawn = tracking && event.kind == Kind::ConsentWithdrawn;
    seen.opt_out = event.kind != Kind::ConsentGranted;
    seen.request = event.kind == Kind::ConsentWithdrawn;
}

fn on_sent(pair: &mut Pair<'_>, seen: &mut Seen) {
    let event = pair.event;
    on_touch(pair, seen);
    match event.class {
        MessageClass::Marketing | MessageClass::CartReminder => {
            seen.risk(Pattern::UnpermittedMessage);
            if event.channel != crate::event::kinds::Channel::InApp {
                seen.risk(Pattern::ExcessiveMessages);
            }
            unpermitted_message::on_sent(pair);
            excessive_messages::on_sent(pair);
        }
        MessageClass::Requested => {
            seen.risk(Pattern::TimelyNotification);
            timely_notification::on_sent(pair);
        }
        MessageClass::Transactional => {}
    }
    if event.class == MessageClass::CartReminder {
        seen.risk(Pattern::CartReminderOverload);
        seen.risk(Pattern::WelcomeCartReminder);
        if event.subject != [0; 16] {
            let cart = carts::on_reminder(pair.record, event.subject_token(), event.time);
            cart_reminder_overload::on_reminder(pair, &cart);
            welcome_cart_reminder::on_reminder(pair, &cart);
        }
    }
}
