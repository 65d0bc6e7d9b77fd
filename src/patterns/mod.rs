//! The patterns of the experience layer: what erodes trust and what builds it.

mod apply;
pub mod cart_reminder_overload;
pub mod carts;
pub mod consent_nagging;
pub mod control_honoured;
pub mod cross_device_following;
pub mod excessive_messages;
pub mod nostalgic_recap;
pub mod relentless_retargeting;
pub mod retargeting_after_purchase;
pub mod rules;
#[cfg(test)]
pub(crate) mod scenario;
pub mod state;
#[cfg(test)]
mod tests;
pub mod timely_notification;
pub mod tracking_after_opt_out;
pub mod undisclosed_personalisation;
pub mod unpermitted_message;
pub mod welcome_cart_reminder;
pub mod welcome_recommendation;

pub use apply::{Seen, apply, apply_late_word};

use self::rules::Rules;
use self::state::Record;
use crate::event::kinds::{Channel, PromptType};
use crate::event::person::{PersonEvent, half};
use crate::identity::Pseudonym;

const SECOND: i64 = crate::time::SECOND_MS;
const HOUR: i64 = crate::time::HOUR_MS;
const DAY: i64 = crate::time::DAY_MS;
const WEEK: i64 = 7 * DAY;
const MONTH: i64 = 30 * DAY;

/// Whether `t` lies within `span` of an earlier event at `s`.
#[inline]
fn within(t: i64, s: i64, span: i64) -> bool {
    t - s < span
}

/// The severity, from 1, that a count reaches by ascending thresholds.
fn severity(count: u32, thresholds: &[u32]) -> Option<u8> {
    severity_by(thresholds, |threshold| count >= threshold)
}

/// The severity, from 1, of the highest threshold that is reached.
fn severity_by(thresholds: &[u32], reached: impl Fn(u32) -> bool) -> Option<u8> {
    let highest = thresholds.iter().rposition(|&threshold| reached(threshold))?;
    u8::try_from(highest + 1).ok()
}

/// What moments of one pattern are kept apart by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Anchor {
    /// Nothing: one moment at a time.
    None,
    /// An order, device or cart, by its pseudonym.
    Pseudonym([u8; 16]),
    /// A channel.
    Channel(Channel),
    /// A prompt type.
    Prompt(PromptType),
}

impl Anchor {
    /// A number that tells the anchors of one pattern apart.
    pub fn token(self) -> u64 {
        match self {
            Anchor::None => 0,
            Anchor::Pseudonym(pseudonym) => half(&pseudonym),
            Anchor::Channel(channel) => u64::from(channel.index()) + 1,
            Anchor::Prompt(prompt) => u64::from(prompt.index()) + 1,
        }
    }

    /// The anchor as it is published.
    pub fn text(self) -> Option<String> {
        match self {
            Anchor::None => None,
            Anchor::Pseudonym(pseudonym) => Some(Pseudonym(pseudonym).to_string()),
            Anchor::Channel(channel) => Some(channel.symbol().to_owned()),
            Anchor::Prompt(prompt) => Some(prompt.symbol().to_owned()),
        }
    }
}

/// The counts and times that made a pattern fire, by name; at most two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Evidence([Option<(&'static str, i64)>; 2]);

impl Evidence {
    /// The event says it all.
    pub const NONE: Evidence = Evidence([None, None]);

    /// One number.
    pub const fn one(name: &'static str, value: i64) -> Evidence {
        Evidence([Some((name, value)), None])
    }

    /// Two numbers.
    pub const fn two(first: (&'static str, i64), second: (&'static str, i64)) -> Evidence {
        Evidence([Some(first), Some(second)])
    }

    /// A JSON object.
    pub fn json(self) -> String {
        let pairs: Vec<String> =
            self.0.iter().flatten().map(|(name, value)| format!("\"{name}\":{value}")).collect();
        format!("{{{}}}", pairs.join(","))
    }
}

/// The condition of a pattern held at an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The pattern.
    pub pattern: Pattern,
    /// 1 to 3.
    pub severity: u8,
    /// Keeps the pattern's moments apart.
    pub anchor: Anchor,
    /// What made it fire.
    pub evidence: Evidence,
}

/// One event and everything its patterns look at and change.
#[derive(Debug)]
pub struct Pair<'a> {
    /// The event.
    pub event: &'a PersonEvent<'a>,
    /// The rules for the brand and the event's jurisdiction.
    pub rules: &'a Rules,
    /// Tokens of the categories that are bought again and again.
    pub replenishable: &'a [u64],
    /// How much earlier than its place an event may have happened, milliseconds.
    pub slack: i64,
    /// What is remembered of the pair.
    pub record: &'a mut Record,
    /// What triggered.
    pub triggers: &'a mut Vec<Trigger>,
    /// Whose newest moment is taken back.
    pub retractions: &'a mut Vec<(Pattern, Anchor)>,
}

impl Pair<'_> {
    fn trigger(&mut self, pattern: Pattern, severity: u8, anchor: Anchor, evidence: Evidence) {
        self.triggers.push(Trigger { pattern, severity, anchor, evidence });
    }

    fn retract(&mut self, pattern: Pattern, anchor: Anchor) {
        self.retractions.push((pattern, anchor));
    }
}

/// One pattern of the experience layer. The order is the order in which sums run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Pattern {
    /// P1: the same brand's retargeting over and over.
    RelentlessRetargeting,
    /// P2: ads for what was already bought.
    RetargetingAfterPurchase,
    /// P3: ads that follow a person to another device.
    CrossDeviceFollowing,
    /// P4a: messages without permission.
    UnpermittedMessage,
    /// P4b: too many messages.
    ExcessiveMessages,
    /// P5: asking for consent again and again.
    ConsentNagging,
    /// P6: tracking after a no.
    TrackingAfterOptOut,
    /// P7: personalisation from sensitive or undisclosed data.
    UndisclosedPersonalisation,
    /// P8: too many cart reminders.
    CartReminderOverload,
    /// P9: a recommendation that was used.
    WelcomeRecommendation,
    /// P10: a requested notification that was opened at once.
    TimelyNotification,
    /// P11: a recap that was viewed or shared.
    NostalgicRecap,
    /// P12: a choice that was honoured.
    ControlHonoured,
    /// P13: a first cart reminder in time.
    WelcomeCartReminder,
}

impl Pattern {
    /// How many there are.
    pub const COUNT: usize = 14;
    /// All patterns, in order.
    pub const ALL: [Pattern; Pattern::COUNT] = [
        Pattern::RelentlessRetargeting,
        Pattern::RetargetingAfterPurchase,
        Pattern::CrossDeviceFollowing,
        Pattern::UnpermittedMessage,
        Pattern::ExcessiveMessages,
        Pattern::ConsentNagging,
        Pattern::TrackingAfterOptOut,
        Pattern::UndisclosedPersonalisation,
        Pattern::CartReminderOverload,
        Pattern::WelcomeRecommendation,
        Pattern::TimelyNotification,
        Pattern::NostalgicRecap,
        Pattern::ControlHonoured,
        Pattern::WelcomeCartReminder,
    ];

    /// Position in [`Pattern::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The name as it is published.
    pub const fn name(self) -> &'static str {
        match self {
            Pattern::RelentlessRetargeting => "relentless_retargeting",
            Pattern::RetargetingAfterPurchase => "retargeting_after_purchase",
            Pattern::CrossDeviceFollowing => "cross_device_following",
            Pattern::UnpermittedMessage => "unpermitted_message",
            Pattern::ExcessiveMessages => "excessive_messages",
            Pattern::ConsentNagging => "consent_nagging",
            Pattern::TrackingAfterOptOut => "tracking_after_opt_out",
            Pattern::UndisclosedPersonalisation => "undisclosed_personalisation",
            Pattern::CartReminderOverload => "cart_reminder_overload",
            Pattern::WelcomeRecommendation => "welcome_recommendation",
            Pattern::TimelyNotification => "timely_notification",
            Pattern::NostalgicRecap => "nostalgic_recap",
            Pattern::ControlHonoured => "control_honoured",
            Pattern::WelcomeCartReminder => "welcome_cart_reminder",
        }
    }
}
