//! The patterns of the experience layer: what erodes trust and what builds it.

pub mod rules;

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
