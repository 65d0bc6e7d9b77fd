//! Ordinary behaviour: one visit of a person to a brand and what the brand does around it.
//!
//! Ordinary traffic erodes nothing: caps are kept, bought products are not advertised, a no is
//! respected. What builds trust happens here too and is labelled.

use crate::event::kinds::{Basis, Channel, Kind, MessageClass, Permission, PromptType};
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS};

use super::label::Label;
use super::params::{Mix, Params};
use super::prng::{Rng, hash};
use super::step::Step;
use super::story::{BAD_CAMPAIGN, Story};
use super::world::{self, Habits, Privacy, World, salt};

/// How often people visit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Rhythm {
    /// Rounds of visits: in each a pair visits at most once, in the first one always.
    pub(crate) rounds: u32,
    /// Mean chance of a visit in a later round.
    pub(crate) later: f64,
    /// Marketing messages are sent in every n-th round only.
    pub(crate) message_every: u32,
}

impl Rhythm {
    /// The rhythm of these parameters.
    pub(crate) fn new(params: &Params) -> Rhythm {
        let (rounds, later) = match params.mix {
            // A round lasts 1.5 days or longer, so that at most two visits fall into a day.
            Mix::Story => ((params.days * 2 / 3).max(1), 0.45),
            Mix::Bench => (3, 0.30),
        };
        let round_ms = i64::from(params.days) * DAY_MS / i64::from(rounds);
        // Three messages lie more than 2n − 1 rounds apart; a week must hold at most two.
        let message_every = u32::try_from((7 * DAY_MS / round_ms + 1) / 2 + 1).unwrap_or(u32::MAX);
        Rhythm { rounds, later, message_every }
    }
}

/// Whether a pair visits in a round.
pub(crate) fn happens(world: &World, rhythm: Rhythm, pair: u64, round: u32, habits: &Habits) -> bool {
    round == 0 || {
        let mut rng = Rng::new(hash(world.seed, pair, salt::ROUND + (u64::from(round) << 8)));
        rng.chance(rhythm.later * habits.eagerness)
    }
}

/// One visit being written.
pub(crate) struct Visit<'a> {
    pub(crate) world: &'a World,
    pub(crate) rhythm: Rhythm,
    pub(crate) story: Option<&'a Story>,
    pub(crate) pair: u64,
    pub(crate) round: u32,
    pub(crate) habits: Habits,
    pub(crate) rng: Rng,
    pub(crate) at: i64,
    pub(crate) device: u8,
    pub(crate) steps: &'a mut Vec<Step>,
    /// Where labels go; `None` where none are wanted.
    pub(crate) labels: Option<&'a mut Vec<Label>>,
}

impl Visit<'_> {
    /// Writes the whole visit.
    pub(crate) fn write(&mut self) {
        let prompted = self.habits.prompt_round == Some(self.round);
        let was_asked = self.habits.prompt_round.is_some_and(|round| {
            round < self.round && happens(self.world, self.rhythm, self.pair, round, &self.habits)
        });
        let refuses = self.habits.refuses && (was_asked || prompted);
        let privacy = self.world.privacy(self.world.person(self.pair));
        let view = self.rng.word() | 1;
        self.click(Kind::PageView, view);
        if prompted {
            self.prompt();
        }
        self.ads(view, privacy, refuses);
        for _ in 0..self.rng.below(3) {
            self.wait(5, 60);
            let product = self.seen_product();
            let step = self.click(Kind::ProductView, view);
            step.products[0] = product;
        }
        self.cart_or_order(view);
        self.recommendation(view);
        self.recap(view);
        self.messages();
        if !refuses && !privacy.says_no() {
            self.bad_campaign();
        }
    }

    fn wait(&mut self, low_s: i64, high_s: i64) {
        self.at += self.rng.between(low_s * SECOND_MS, high_s * SECOND_MS);
    }

    fn enter(&mut self, step: Step) -> &mut Step {
        self.steps.push(step);
        self.steps.last_mut().expect("a step was just pushed")
    }

    fn step(&mut self, kind: Kind, at: i64) -> &mut Step {
        let step = Step::new(kind, self.pair, self.device, at);
        self.enter(step)
    }

    fn click(&mut self, kind: Kind, view: u64) -> &mut Step {
        let at = self.at;
        let step = self.step(kind, at);
        step.view = view;
        step
    }

    /// Advertised and viewed products are odd, bought ones even: who behaves well stops advertising
    /// what was bought.
    fn seen_product(&mut self) -> u32 {
        self.rng.below(5_000) as u32 * 2 + 1
    }

    fn label(&mut self, pattern: &str, anchor: Option<String>, time: i64, until: i64) {
        let (brand, person) = (self.world.brand(self.pair), self.world.person(self.pair));
        if let Some(labels) = &mut self.labels {
            labels.push(Label {
                pattern: pattern.to_owned(),
                brand_id: world::brand_id(brand),
                person_id: world::person_id(person),
                anchor,
                time,
                until,
                campaign_id: None,
                story: false,
            });
        }
    }

    fn prompt(&mut self) {
        self.wait(1, 5);
        let refuses = self.habits.refuses;
        let asked = self.at;
        self.wait(2, 30);
        let decided = self.at;
        let answer = if refuses { Kind::ConsentRefused } else { Kind::ConsentGranted };
        for (kind, at) in [(Kind::ConsentPrompt, asked), (answer, decided)] {
            let step = self.step(kind, at);
            step.prompt = Some(PromptType::Cookies);
            step.version = 1;
            step.first_layer_reject = Some(true);
        }
    }

    fn ads(&mut self, view: u64, privacy: Privacy, refuses: bool) {
        let respects = refuses || privacy.says_no();
        for index in 0..1 + self.rng.below(3) {
            self.wait(2, 40);
            let word = self.rng.word();
            let (retargeting, basis) = match word & 15 {
                _ if respects => (false, Basis::Contextual),
                0..3 if index < 2 => (true, Basis::FirstPartyBehaviour),
                3..5 => (false, Basis::ThirdParty),
                5..7 => (false, Basis::FirstPartyPurchase),
                7..9 => (false, Basis::Declared),
                9 => (false, Basis::Unknown),
                _ => (false, Basis::Contextual),
            };
            let product = self.seen_product();
            let mut step = Step::new(Kind::Impression, self.pair, self.device, self.at);
            step.view = if index == 0 { view } else { hash(view, index, 0) | 1 };
            step.retargeting = Some(retargeting);
            step.basis = basis;
            step.disclosed = (word & 0x30 != 0).then_some(true);
            step.privacy = privacy;
            step.campaign = 1 + (word >> 8 & 3) as u8;
            step.creative = (word >> 10 & 7) as u8;
            step.products[0] = product;
            self.enter(step);
            if word >> 16 & 3 == 0 {
                self.enter(Step { kind: Kind::Viewable, time: self.at + SECOND_MS, ..step });
            }
            if word >> 18 & 31 == 0 {
                self.enter(Step { kind: Kind::Click, time: self.at + 3 * SECOND_MS, ..step });
            }
            if word >> 24 & 255 == 0 {
                self.enter(Step { kind: Kind::Hide, time: self.at + 4 * SECOND_MS, ..step });
            }
        }
    }

    /// Who buys, orders; who does not, leaves a cart now and then and is reminded once.
    fn cart_or_order(&mut self, view: u64) {
        let cart = self.rng.word() | 1;
        let product = self.rng.below(5_000) as u32 * 2 + 2;
        let buys = self.habits.orders && (self.round == 0 || self.rng.chance(0.3));
        if buys {
            for kind in [Kind::CartAdd, Kind::Checkout, Kind::OrderCompleted] {
                self.wait(10, 120);
                let step = self.click(kind, view);
                step.cart = cart;
                step.products[0] = product;
                step.subject = if kind == Kind::OrderCompleted { cart } else { 0 };
            }
        } else if !self.habits.orders && self.rng.chance(0.04) {
            self.wait(10, 60);
            let step = self.click(Kind::CartAdd, view);
            step.cart = cart;
            step.products[0] = product;
            if self.may_write() && self.rng.chance(0.5) {
                self.cart_reminder(cart);
            }
        }
    }

    fn cart_reminder(&mut self, cart: u64) {
        let at = self.at + self.rng.between(2 * HOUR_MS, 20 * HOUR_MS);
        let message = self.rng.word() | 1;
        let step = self.step(Kind::Sent, at);
        step.channel = Some(Channel::InApp);
        step.class = MessageClass::CartReminder;
        step.permission = Permission::Granted;
        step.message = message;
        step.cart = cart;
        self.label("welcome_cart_reminder", Some(world::thing_id("cart-", cart)), at, at);
    }

    fn recommendation(&mut self, view: u64) {
        if !self.habits.recommended || (self.round != 0 && self.rng.chance(0.5)) {
            return;
        }
        self.wait(2, 20);
        let id = self.rng.word() | 1;
        let word = self.rng.word();
        let welcome = word & 1 == 0;
        let basis = if welcome { Basis::FirstPartyPurchase } else { Basis::Unknown };
        let product = self.seen_product();
        let step = self.click(Kind::RecommendationShown, view);
        (step.subject, step.basis, step.disclosed) = (id, basis, Some(true));
        step.products[0] = product;
        if word >> 8 & 7 == 0 {
            self.wait(10, 90);
            self.click(Kind::RecommendationUsed, view).subject = id;
            if welcome {
                self.label("welcome_recommendation", None, self.at, self.at);
            }
        } else if word >> 8 & 7 == 1 {
            self.wait(10, 90);
            self.click(Kind::RecommendationHidden, view).subject = id;
        }
    }

    fn recap(&mut self, view: u64) {
        if !self.rng.chance(0.005) {
            return;
        }
        self.wait(5, 30);
        let percent = self.rng.below(100) as u8;
        self.click(Kind::RecapViewed, view).viewed_percent = Some(percent);
        if percent >= 50 {
            self.label("nostalgic_recap", None, self.at, self.at);
        }
    }

    /// Whether the person has not unsubscribed; the visit before the unsubscription writes nothing either.
    fn may_write(&self) -> bool {
        self.habits.unsubscribe_round.is_none_or(|round| self.round + 1 < round)
    }

    fn messages(&mut self) {
        let Some(channel) = self.habits.channel else { return };
        if self.habits.unsubscribe_round == Some(self.round) {
            let at = self.at;
            self.step(Kind::Unsubscribed, at).channel = Some(channel);
            return;
        }
        if self.may_write() && self.round.is_multiple_of(self.rhythm.message_every) {
            let at = self.at + self.rng.between(MINUTE_MS, 30 * MINUTE_MS);
            let read = at + self.rng.between(HOUR_MS, 8 * HOUR_MS);
            let answer = match self.rng.below(10) {
                0..3 => Some(Kind::Opened),
                3 => Some(Kind::Clicked),
                4..6 => Some(Kind::Dismissed),
                _ => None,
            };
            self.message(channel, MessageClass::Marketing, at, answer.map(|kind| (kind, read)));
        } else if self.round == 0 || self.rng.chance(0.1) {
            let at = self.at + self.rng.between(MINUTE_MS, 2 * HOUR_MS);
            let class = self.rng.one_of([MessageClass::Requested, MessageClass::Transactional]);
            let soon = self.rng.chance(0.4);
            let read = at + if soon { self.rng.between(MINUTE_MS, 20 * MINUTE_MS) } else { 3 * HOUR_MS };
            let kind = if channel == Channel::Email { Kind::Clicked } else { Kind::Opened };
            self.message(channel, class, at, Some((kind, read)));
            if soon && class == MessageClass::Requested {
                self.label("timely_notification", Some(channel.symbol().to_owned()), read, read);
            }
        }
    }

    fn message(&mut self, channel: Channel, class: MessageClass, at: i64, answer: Option<(Kind, i64)>) {
        let mut sent = Step::new(Kind::Sent, self.pair, self.device, at);
        sent.message = self.rng.word() | 1;
        sent.channel = Some(channel);
        sent.class = class;
        sent.permission = Permission::Granted;
        self.enter(sent);
        self.enter(Step { kind: Kind::Delivered, time: at + 2 * SECOND_MS, ..sent });
        if let Some((kind, time)) = answer {
            self.enter(Step { kind, time, ..sent });
        }
    }

    /// The campaign that turns bad: precise location, undisclosed, and then no end of ads.
    fn bad_campaign(&mut self) {
        let Some(story) = self.story else { return };
        if self.world.brand(self.pair) != story.brand || self.at < story.since.0 {
            return;
        }
        // A burst that the end of the period would cut short is not begun.
        if self.at + 10 * HOUR_MS > self.world.end() || !self.rng.chance(story.share) {
            return;
        }
        let product = self.seen_product();
        let first = self.at + SECOND_MS;
        let mut ad = Step::new(Kind::Impression, self.pair, self.device, first);
        ad.campaign = BAD_CAMPAIGN + 1;
        ad.products[0] = product;
        ad.retargeting = Some(true);
        ad.basis = Basis::PreciseGeo;
        ad.disclosed = Some(false);
        ad.view = self.rng.word() | 1;
        self.enter(ad);
        let planted = self.labels.as_ref().map_or(0, |labels| labels.len());
        self.label("undisclosed_personalisation", None, first, first);
        let count = self.rng.between(12, 14);
        let mut times = Vec::new();
        for _ in 0..count {
            ad.time += self.rng.between(15 * MINUTE_MS, 35 * MINUTE_MS);
            ad.view = self.rng.word() | 1;
            ad.basis = Basis::FirstPartyBehaviour;
            ad.disclosed = Some(true);
            self.enter(ad);
            times.push(ad.time);
        }
        // The sixth ad annoys (the twelfth, had the person just viewed a product); the first was the geo one.
        self.label("relentless_retargeting", None, times[4], ad.time);
        if let Some(labels) = &mut self.labels {
            for label in labels.iter_mut().skip(planted) {
                label.campaign_id = Some(story.campaign_id.clone());
                label.story = true;
            }
        }
    }
}
