//! Thresholds and weights of the patterns, with their defaults and the source of each.
//!
//! The structs are the configuration's own form: their doc comments become the comments of the
//! example file and the descriptions of its JSON Schema.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Pattern;
use crate::section::section;

section! {
    /// P1 `relentless_retargeting`. Customary caps are 3 to 5 a day and 21 to 35 a week; 5 repeats annoy and 10 anger (InSkin/RAPP 2014, a UK survey, from a secondary copy).
    RelentlessRetargeting {
        /// Retargeted impressions in 24 hours from which on the severity is 1, 2, 3.
        in_24h: [u32; 3] = [6, 10, 20],
        /// Retargeted impressions in 7 days from which on the severity is 1, 2, 3.
        in_7d: [u32; 3] = [21, 35, 70],
        /// Factor on the thresholds while the person viewed a product or filled a cart within 24 hours. Judgement.
        interest_factor: f64 = 2.0,
        /// Factor on the thresholds while the counted impressions of 24 hours show several creatives. Judgement.
        variety_factor: f64 = 1.5,
        /// How many distinct creatives count as several.
        variety_creatives: u32 = 3,
        /// Weights at severity 1, 2, 3.
        weights: [f64; 3] = [-0.30, -0.60, -0.90],
    }
}
section! {
    /// P2 `retargeting_after_purchase`. Four in five people dislike it (InSkin/RAPP 2014, from a secondary copy).
    RetargetingAfterPurchase {
        /// Ads after one order from which on the severity is 1, 2, 3.
        counts: [u32; 3] = [2, 5, 10],
        /// Categories that are bought again and again, hence exempt.
        replenishable: Vec<String> = Vec::new(),
        /// Weights at severity 1, 2, 3.
        weights: [f64; 3] = [-0.60, -0.90, -1.00],
    }
}
section! {
    /// P3 `cross_device_following`. Two in three people call it creepy (seed survey).
    CrossDeviceFollowing {
        /// Ads on the other device in 7 days from which on it counts.
        in_7d: u32 = 2,
        /// Weights at severity 1, 2, 3; severity 3 does not occur.
        weights: [f64; 3] = [-0.32, -0.50, -0.50],
    }
}
section! {
    /// P4a `unpermitted_message`. Judgement.
    UnpermittedMessage {
        /// Hours after an unsubscription from which on an e-mail or SMS is a violation.
        grace_email_sms_hours: u32 = 168,
        /// Hours after an unsubscription from which on a push or in-app message is a violation.
        grace_push_in_app_hours: u32 = 0,
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [-0.80, -0.80, -0.80],
    }
}
section! {
    /// P4b `excessive_messages`. Push: Localytics 2015 and 2017 (from secondary copies); SMS and e-mail: judgement.
    ExcessiveMessages {
        /// Push messages in 7 days from which on the severity is 1, 2.
        push_in_7d: [u32; 2] = [6, 11],
        /// SMS in 7 days from which on the severity is 1, 2.
        sms_in_7d: [u32; 2] = [3, 6],
        /// E-mails in 7 days from which on the severity is 1, 2.
        email_in_7d: [u32; 2] = [5, 10],
        /// Share of the last messages opened or clicked from which on messages are welcome.
        welcome_share: f64 = 0.30,
        /// Weights at severity 1, 2, 3; severity 3 does not occur.
        weights: [f64; 3] = [-0.35, -0.525, -0.525],
    }
}
section! {
    /// P5 `consent_nagging`. Six months between prompts are the practice of the Czech authority and the CNIL; weights: judgement.
    ConsentNagging {
        /// Weights at severity 1, 2, 3.
        weights: [f64; 3] = [-0.45, -0.675, -0.90],
    }
}
section! {
    /// P6 `tracking_after_opt_out`. Judgement.
    TrackingAfterOptOut {
        /// Hours after a refusal from which on it is held against the brand.
        grace_hours: u32 = 24,
        /// Explicitly refused impressions in 7 days from which on the severity is 3.
        severe_in_7d: u32 = 10,
        /// Weights at severity 1, 2, 3.
        weights: [f64; 3] = [-0.50, -1.00, -1.00],
    }
}
section! {
    /// P7 `undisclosed_personalisation`. Precise location: 72 % call it creepy (seed survey, from a secondary copy); else judgement.
    UndisclosedPersonalisation {
        /// Undisclosed uses of inferred, third-party or offline data in 7 days from which on the severity is 1.
        in_7d: u32 = 2,
        /// Weights at severity 1, 2, 3.
        weights: [f64; 3] = [-0.35, -0.44, -0.90],
    }
}
section! {
    /// P8 `cart_reminder_overload`. Judgement.
    CartReminderOverload {
        /// Reminders for one cart from which on it is too many.
        reminders: u32 = 3,
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [-0.40, -0.40, -0.40],
    }
}
section! {
    /// P9 `welcome_recommendation`. 73 % call recommendations from past purchases cool (seed survey).
    WelcomeRecommendation {
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [0.46, 0.46, 0.46],
    }
}
section! {
    /// P10 `timely_notification`. Judgement.
    TimelyNotification {
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [0.30, 0.30, 0.30],
    }
}
section! {
    /// P11 `nostalgic_recap`. Judgement.
    NostalgicRecap {
        /// Share of a recap that must be viewed.
        viewed_share: f64 = 0.5,
        /// Weights at severity 1, 2, 3; severity 3 does not occur.
        weights: [f64; 3] = [0.40, 0.60, 0.60],
    }
}
section! {
    /// P12 `control_honoured`. Judgement.
    ControlHonoured {
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [0.20, 0.20, 0.20],
    }
}
section! {
    /// P13 `welcome_cart_reminder`. Profiles of surveys: seed +0.08 (54 % cool), global_2021 -0.08, us_2021 +0.10, later +0.37.
    WelcomeCartReminder {
        /// Weights at severity 1, 2, 3; only severity 1 occurs.
        weights: [f64; 3] = [0.08, 0.08, 0.08],
    }
}

/// What counts as an impression.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CountedAs {
    /// Ad deliveries of kind `IMPRESSION`.
    #[default]
    Served,
    /// Ad deliveries of kind `VIEWABLE`.
    Viewable,
}

section! {
    /// Thresholds and weights of all patterns.
    Rules {
        /// What counts as an impression: `served` or `viewable`.
        count: CountedAs = CountedAs::Served,
        /// Whether opening an e-mail counts (mail programs open by machine).
        email_opens: bool = false,
        /// P1.
        relentless_retargeting: RelentlessRetargeting = RelentlessRetargeting::default(),
        /// P2.
        retargeting_after_purchase: RetargetingAfterPurchase = RetargetingAfterPurchase::default(),
        /// P3.
        cross_device_following: CrossDeviceFollowing = CrossDeviceFollowing::default(),
        /// P4a.
        unpermitted_message: UnpermittedMessage = UnpermittedMessage::default(),
        /// P4b.
        excessive_messages: ExcessiveMessages = ExcessiveMessages::default(),
        /// P5.
        consent_nagging: ConsentNagging = ConsentNagging::default(),
        /// P6.
        tracking_after_opt_out: TrackingAfterOptOut = TrackingAfterOptOut::default(),
        /// P7.
        undisclosed_personalisation: UndisclosedPersonalisation = UndisclosedPersonalisation::default(),
        /// P8.
        cart_reminder_overload: CartReminderOverload = CartReminderOverload::default(),
        /// P9.
        welcome_recommendation: WelcomeRecommendation = WelcomeRecommendation::default(),
        /// P10.
        timely_notification: TimelyNotification = TimelyNotification::default(),
        /// P11.
        nostalgic_recap: NostalgicRecap = NostalgicRecap::default(),
        /// P12.
        control_honoured: ControlHonoured = ControlHonoured::default(),
        /// P13.
        welcome_cart_reminder: WelcomeCartReminder = WelcomeCartReminder::default(),
    }
}

impl Rules {
    /// The weights of a pattern at severity 1, 2, 3.
    pub fn weights(&self, pattern: Pattern) -> [f64; 3] {
        match pattern {
            Pattern::RelentlessRetargeting => self.relentless_retargeting.weights,
            Pattern::RetargetingAfterPurchase => self.retargeting_after_purchase.weights,
            Pattern::CrossDeviceFollowing => self.cross_device_following.weights,
            Pattern::UnpermittedMessage => self.unpermitted_message.weights,
            Pattern::ExcessiveMessages => self.excessive_messages.weights,
            Pattern::ConsentNagging => self.consent_nagging.weights,
            Pattern::TrackingAfterOptOut => self.tracking_after_opt_out.weights,
            Pattern::UndisclosedPersonalisation => self.undisclosed_personalisation.weights,
            Pattern::CartReminderOverload => self.cart_reminder_overload.weights,
            Pattern::WelcomeRecommendation => self.welcome_recommendation.weights,
            Pattern::TimelyNotification => self.timely_notification.weights,
            Pattern::NostalgicRecap => self.nostalgic_recap.weights,
            Pattern::ControlHonoured => self.control_honoured.weights,
            Pattern::WelcomeCartReminder => self.welcome_cart_reminder.weights,
        }
    }
}

/// Rules ready for use: the settings and the tokens of what they name.
#[derive(Clone, Debug, PartialEq)]
pub struct Compiled {
    /// The settings.
    pub rules: Rules,
    /// Tokens of the replenishable categories.
    pub replenishable: Vec<u64>,
}

/// Rules that hold for a brand, a jurisdiction, or a brand in a jurisdiction, instead of the base.
#[derive(Clone, Debug, PartialEq)]
pub struct Override {
    /// The brand; any if absent.
    pub brand: Option<String>,
    /// The jurisdiction; `US` also holds for `US-CA`; any if absent.
    pub jurisdiction: Option<String>,
    /// The whole rules, the base with the override laid over it.
    pub rules: Arc<Compiled>,
}

/// The base rules and what overrides them.
#[derive(Clone, Debug, PartialEq)]
pub struct RuleBook {
    /// Hold where nothing overrides them.
    pub base: Arc<Compiled>,
    /// Overrides; where several fit the last one holds, so the most specific stand last.
    pub overrides: Vec<Override>,
}

/// The rules of one brand.
#[derive(Clone, Debug, PartialEq)]
pub struct BrandRules {
    /// Hold where the jurisdiction overrides nothing.
    pub base: Arc<Compiled>,
    /// By jurisdiction; the last that fits holds.
    pub by_jurisdiction: Vec<(String, Arc<Compiled>)>,
}

impl RuleBook {
    /// A book without overrides; `token` turns the name of a category into its token.
    pub fn new(rules: Rules, token: impl Fn(&[u8]) -> u64) -> RuleBook {
        RuleBook { base: Arc::new(Compiled::new(rules, token)), overrides: Vec::new() }
    }

    /// The rules of a brand.
    pub fn of_brand(&self, brand: &str) -> BrandRules {
        let mut found = BrandRules { base: Arc::clone(&self.base), by_jurisdiction: Vec::new() };
        let fitting = self.overrides.iter().filter(|o| o.brand.as_deref().is_none_or(|b| b == brand));
        for entry in fitting {
            match &entry.jurisdiction {
                None => found.base = Arc::clone(&entry.rules),
                Some(name) => found.by_jurisdiction.push((name.clone(), Arc::clone(&entry.rules))),
            }
        }
        found
    }
}

impl BrandRules {
    /// The rules for an event of this jurisdiction.
    #[inline]
    pub fn in_jurisdiction(&self, jurisdiction: &str) -> &Compiled {
        if self.by_jurisdiction.is_empty() {
            return &self.base;
        }
        let fits = |name: &str| {
            jurisdiction.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
        };
        self.by_jurisdiction.iter().rev().find(|(name, _)| fits(name)).map_or(&self.base, |(_, rules)| rules)
    }
}

impl Compiled {
    /// Rules with the tokens of what they name.
    pub fn new(rules: Rules, token: impl Fn(&[u8]) -> u64) -> Compiled {
        let names = &rules.retargeting_after_purchase.replenishable;
        let replenishable = names.iter().map(|name| token(name.as_bytes())).collect();
        Compiled { rules, replenishable }
    }
}
