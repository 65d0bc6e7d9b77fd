//! Planted behaviour, one scenario per pattern: what happens, and from when on the pattern should hold.

use crate::event::kinds::{Basis, Channel, Kind, MessageClass, Permission, PromptType};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS};

use super::label::Label;
use super::prng::Rng;
use super::step::Step;
use super::world::{self, World};

/// Names of the patterns that can be planted.
pub(crate) const PATTERNS: [&str; 14] = [
    "relentless_retargeting",
    "retargeting_after_purchase",
    "cross_device_following",
    "unpermitted_message",
    "excessive_messages",
    "consent_nagging",
    "tracking_after_opt_out",
    "undisclosed_personalisation",
    "cart_reminder_overload",
    "welcome_recommendation",
    "timely_notification",
    "nostalgic_recap",
    "control_honoured",
    "welcome_cart_reminder",
];

/// Days that the scenario of a pattern may last.
pub(crate) fn span_ms(pattern: &str) -> i64 {
    DAY_MS
        * match pattern {
            "control_honoured" => 8,
            "excessive_messages" | "retargeting_after_purchase" => 6,
            "unpermitted_message" | "cart_reminder_overload" | "consent_nagging" => 5,
            "tracking_after_opt_out" | "welcome_recommendation" => 4,
            "cross_device_following" => 3,
            _ => 1,
        }
}

/// One scenario being written.
pub(crate) struct Scenario<'a> {
    pub(crate) world: &'a World,
    pub(crate) pair: u64,
    pub(crate) start: i64,
    pub(crate) rng: Rng,
    pub(crate) steps: &'a mut Vec<Step>,
}

/// What a scenario plants: since when the pattern holds, until when, and what it is about.
struct Planted {
    time: i64,
    until: i64,
    anchor: Option<String>,
    campaign: Option<u8>,
}

impl Planted {
    fn new(time: i64, until: i64) -> Planted {
        Planted { time, until, anchor: None, campaign: None }
    }

    fn about(self, anchor: String) -> Planted {
        Planted { anchor: Some(anchor), ..self }
    }
}

impl Scenario<'_> {
    /// Writes the scenario of a pattern.
    pub(crate) fn write(&mut self, pattern: &str) -> Label {
        let planted = match pattern {
            "relentless_retargeting" => self.relentless(),
            "retargeting_after_purchase" => self.after_purchase(),
            "cross_device_following" => self.cross_device(),
            "unpermitted_message" => self.unpermitted(),
            "excessive_messages" => self.excessive(),
            "consent_nagging" => self.nagging(),
            "tracking_after_opt_out" => self.opted_out(),
            "undisclosed_personalisation" => self.undisclosed(),
            "cart_reminder_overload" => self.reminders(),
            "welcome_recommendation" => self.recommendation(),
            "timely_notification" => self.timely(),
            "nostalgic_recap" => self.recap(),
            "control_honoured" => self.honoured(),
            _ => self.welcome_reminder(),
        };
        let brand = self.world.brand(self.pair);
        Label {
            pattern: pattern.to_owned(),
            brand_id: world::brand_id(brand),
            person_id: world::person_id(self.world.person(self.pair)),
            anchor: planted.anchor,
            time: planted.time,
            until: planted.until,
            campaign_id: planted.campaign.map(|campaign| world::campaign_id(brand, campaign)),
            story: false,
        }
    }

    fn put(&mut self, kind: Kind, time: i64) -> &mut Step {
        self.steps.push(Step::new(kind, self.pair, 0, time));
        self.steps.last_mut().expect("a step was just pushed")
    }

    /// An ad of campaign `c3`, each in a page view of its own.
    fn ad(&mut self, time: i64, basis: Basis, retargeting: bool) -> &mut Step {
        let view = self.rng.word() | 1;
        let step = self.put(Kind::Impression, time);
        (step.view, step.basis, step.retargeting) = (view, basis, Some(retargeting));
        (step.campaign, step.disclosed) = (4, Some(true));
        step
    }

    fn sent(&mut self, time: i64, channel: Channel, class: MessageClass) -> &mut Step {
        let message = self.rng.word() | 1;
        let step = self.put(Kind::Sent, time);
        (step.message, step.channel, step.class) = (message, Some(channel), class);
        step.permission = Permission::Granted;
        step
    }

    fn campaign(planted: Planted) -> Planted {
        Planted { campaign: Some(3), ..planted }
    }

    fn relentless(&mut self) -> Planted {
        self.put(Kind::PageView, self.start);
        let mut at = self.start;
        let mut times = Vec::new();
        for _ in 0..self.rng.between(7, 22) {
            at += self.rng.between(12 * MINUTE_MS, 50 * MINUTE_MS);
            self.ad(at, Basis::FirstPartyBehaviour, true);
            times.push(at);
        }
        Self::campaign(Planted::new(times[5], at))
    }

    fn after_purchase(&mut self) -> Planted {
        let (order, product) = (self.rng.word() | 1, self.rng.below(5_000) as u32 * 2 + 2);
        for (kind, minutes) in [(Kind::ProductView, 0), (Kind::Checkout, 4), (Kind::OrderCompleted, 6)] {
            let step = self.put(kind, self.start + minutes * MINUTE_MS);
            (step.products[0], step.subject) = (product, order);
        }
        let mut at = self.start + DAY_MS + HOUR_MS;
        let mut times = Vec::new();
        for _ in 0..self.rng.between(3, 11) {
            self.ad(at, Basis::FirstPartyBehaviour, true).products[0] = product;
            times.push(at);
            at += self.rng.between(6 * HOUR_MS, 9 * HOUR_MS);
        }
        let last = times[times.len() - 1];
        Self::campaign(Planted::new(times[1], last)).about(world::thing_id("order-", order))
    }

    fn cross_device(&mut self) -> Planted {
        self.put(Kind::PageView, self.start);
        let mut at = self.start + HOUR_MS;
        let mut times = Vec::new();
        for _ in 0..self.rng.between(3, 5) {
            self.ad(at, Basis::FirstPartyBehaviour, true).device = 1;
            times.push(at);
            at += self.rng.between(4 * HOUR_MS, 10 * HOUR_MS);
        }
        let device = world::device_id(self.world.person(self.pair), 1);
        Self::campaign(Planted::new(times[1], times[times.len() - 1])).about(device)
    }

    fn unpermitted(&mut self) -> Planted {
        let (channel, time) = if self.rng.chance(0.5) {
            self.put(Kind::Unsubscribed, self.start).channel = Some(Channel::Push);
            (Channel::Push, self.start + self.rng.between(HOUR_MS, 3 * DAY_MS))
        } else {
            (Channel::Email, self.start)
        };
        let denied = channel == Channel::Email;
        for hours in [0, 20] {
            let step = self.sent(time + hours * HOUR_MS, channel, MessageClass::Marketing);
            if denied {
                step.permission = Permission::Denied;
            }
        }
        Planted::new(time, time + 20 * HOUR_MS).about(channel.symbol().to_owned())
    }

    fn excessive(&mut self) -> Planted {
        let (channel, limit) =
            self.rng.one_of([(Channel::Push, 6_usize), (Channel::Sms, 3), (Channel::Email, 5)]);
        let mut at = self.start;
        let mut times = Vec::new();
        for _ in 0..limit + 2 + self.rng.below(4) as usize {
            self.sent(at, channel, MessageClass::Marketing);
            times.push(at);
            at += self.rng.between(6 * HOUR_MS, 12 * HOUR_MS);
        }
        Planted::new(times[limit - 1], times[times.len() - 1]).about(channel.symbol().to_owned())
    }

    fn decision(&mut self, kind: Kind, time: i64) {
        let step = self.put(kind, time);
        (step.prompt, step.version) = (Some(PromptType::Cookies), 1);
    }

    fn nagging(&mut self) -> Planted {
        self.decision(Kind::ConsentPrompt, self.start);
        self.decision(Kind::ConsentRefused, self.start + MINUTE_MS);
        let first = self.start + self.rng.between(2 * HOUR_MS, 30 * HOUR_MS);
        let mut at = first;
        let mut last = first;
        for _ in 0..self.rng.between(1, 4) {
            self.decision(Kind::ConsentPrompt, at);
            last = at;
            at += self.rng.between(8 * HOUR_MS, 20 * HOUR_MS);
        }
        Planted::new(first, last).about(PromptType::Cookies.symbol().to_owned())
    }

    fn opted_out(&mut self) -> Planted {
        let by_signal = self.rng.chance(0.4);
        if !by_signal {
            self.decision(Kind::ConsentPrompt, self.start);
            self.decision(Kind::ConsentRefused, self.start + MINUTE_MS);
        }
        let first = self.start + if by_signal { 0 } else { 25 * HOUR_MS };
        let mut at = first;
        let mut last = first;
        for _ in 0..self.rng.between(2, 12) {
            let step = self.ad(at, Basis::ThirdParty, false);
            if by_signal {
                step.privacy = world::Privacy::AttDenied;
            }
            last = at;
            at += self.rng.between(HOUR_MS, 5 * HOUR_MS);
        }
        Self::campaign(Planted::new(first, last))
    }

    fn undisclosed(&mut self) -> Planted {
        let basis = self.rng.one_of([
            Basis::SpecialCategory,
            Basis::PreciseGeo,
            Basis::Inferred,
            Basis::OfflineMatch,
        ]);
        let at_once = matches!(basis, Basis::SpecialCategory | Basis::PreciseGeo);
        let mut times = Vec::new();
        for hours in [0, 3, 7] {
            let time = self.start + hours * HOUR_MS;
            self.ad(time, basis, false).disclosed = Some(false);
            times.push(time);
        }
        Self::campaign(Planted::new(times[usize::from(!at_once)], times[2]))
    }

    fn reminders(&mut self) -> Planted {
        let cart = self.rng.word() | 1;
        self.put(Kind::CartAdd, self.start).cart = cart;
        let mut times = Vec::new();
        // The first one comes within the hour, too early to be welcome.
        for minutes in [30, 26 * 60, 50 * 60, 75 * 60] {
            let time = self.start + minutes * MINUTE_MS;
            self.sent(time, Channel::InApp, MessageClass::CartReminder).cart = cart;
            times.push(time);
        }
        Planted::new(times[2], times[3]).about(world::thing_id("cart-", cart))
    }

    fn recommendation(&mut self) -> Planted {
        let id = self.rng.word() | 1;
        let step = self.put(Kind::RecommendationShown, self.start);
        (step.subject, step.basis, step.disclosed) = (id, Basis::FirstPartyPurchase, Some(true));
        let used = self.start + self.rng.between(MINUTE_MS, 3 * DAY_MS);
        self.put(Kind::RecommendationUsed, used).subject = id;
        Planted::new(used, used)
    }

    fn timely(&mut self) -> Planted {
        let sent = *self.sent(self.start, Channel::Push, MessageClass::Requested);
        let opened = self.start + self.rng.between(MINUTE_MS, 28 * MINUTE_MS);
        self.steps.push(Step { kind: Kind::Opened, time: opened, ..sent });
        Planted::new(opened, opened).about(Channel::Push.symbol().to_owned())
    }

    fn recap(&mut self) -> Planted {
        self.put(Kind::RecapViewed, self.start).viewed_percent = Some(90);
        let shared = self.start + 5 * MINUTE_MS;
        if self.rng.chance(0.5) {
            self.put(Kind::RecapShared, shared);
        }
        Planted::new(self.start, shared)
    }

    fn honoured(&mut self) -> Planted {
        if self.rng.chance(0.5) {
            self.put(Kind::PreferenceChanged, self.start);
        } else {
            self.decision(Kind::ConsentWithdrawn, self.start);
        }
        // It is touched again, and nothing in the touch uses personal data.
        for days in [2, 4] {
            self.ad(self.start + days * DAY_MS, Basis::Contextual, false);
        }
        let matured = self.start + 7 * DAY_MS;
        Planted::new(matured, matured)
    }

    fn welcome_reminder(&mut self) -> Planted {
        let cart = self.rng.word() | 1;
        self.put(Kind::CartAdd, self.start).cart = cart;
        let time = self.start + self.rng.between(HOUR_MS + MINUTE_MS, 22 * HOUR_MS);
        self.sent(time, Channel::InApp, MessageClass::CartReminder).cart = cart;
        Planted::new(time, time).about(world::thing_id("cart-", cart))
    }
}
