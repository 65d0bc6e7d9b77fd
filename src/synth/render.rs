//! From a step to an event with its texts, some of them missing as in real streams.

use crate::event::kinds::{Basis, Kind, Topic};

use super::event::{OwnedConsent, OwnedEvent, Span};
use super::prng::mix;
use super::step::Step;
use super::tcf::tc_string;
use super::world::{self, Privacy, World, salt};

/// Turns steps into events.
pub(crate) struct Renderer {
    seed: u64,
    salt_missing: u64,
    /// A field is missing when its ten bits lie below this.
    missing_below: u64,
    tc_all: String,
    tc_none: String,
}

impl Renderer {
    /// A renderer for this population.
    pub(crate) fn new(world: &World) -> Renderer {
        Renderer {
            seed: world.trait_of(0, salt::EVENT_ID),
            salt_missing: world.trait_of(0, salt::MISSING),
            missing_below: (world.missing * 1024.0).round() as u64,
            tc_all: tc_string(true),
            tc_none: tc_string(false),
        }
    }

    /// Writes the event of a step; `number` is its number in the stream.
    pub(crate) fn render(&self, world: &World, step: &Step, number: u64, event: &mut OwnedEvent) {
        let missing = Missing { word: mix(number ^ self.salt_missing), below: self.missing_below };
        event.clear();
        event.topic = step.topic();
        event.kind = step.kind;
        event.event_time = step.time;
        // The finaliser is a bijection, so no two numbers share an id.
        let id = mix(number ^ self.seed);
        event.event_id = event.push(|text| world::push_hex(text, "e", id));
        let brand = world.brand(step.pair);
        event.brand_id = event.push(|text| world::push_brand(text, brand));
        let person = world.person(step.pair);
        if !missing.lane(0) {
            event.person_id = Some(event.push(|text| world::push_person(text, person)));
        }
        // One of the two ids is always there.
        if event.person_id.is_none() || !missing.lane(1) {
            event.device_id = Some(event.push(|text| world::push_device(text, person, step.device)));
        }
        match event.topic {
            Topic::Messages => self.message(step, missing, event),
            Topic::Clickstream => self.click(world, step, missing, event),
            _ => self.ad(world, step, missing, event),
        }
    }

    fn ad(&self, world: &World, step: &Step, missing: Missing, event: &mut OwnedEvent) {
        self.content(world, step, missing, event);
        let brand = world.brand(step.pair);
        if let Some(campaign) = step.campaign.checked_sub(1) {
            if !missing.lane(2) {
                event.campaign_id = Some(event.push(|text| world::push_campaign(text, brand, campaign)));
            }
            if !missing.lane(3) {
                event.creative_id = Some(event.push(|text| {
                    world::push_campaign(text, brand, campaign);
                    text.push_str("-k");
                    world::push_decimal(text, u64::from(step.creative), 1);
                }));
            }
        }
        event.retargeting = if missing.lane(4) { None } else { step.retargeting };
        event.rewarded = step.rewarded;
        self.privacy(step.privacy, event);
    }

    fn click(&self, world: &World, step: &Step, missing: Missing, event: &mut OwnedEvent) {
        self.content(world, step, missing, event);
        let subject = (step.subject != 0).then_some(step.subject);
        match step.kind {
            Kind::OrderCompleted | Kind::OrderCancelled | Kind::OrderRefunded => {
                event.order_id = thing(event, "order-", subject);
            }
            Kind::RecommendationShown | Kind::RecommendationUsed | Kind::RecommendationHidden => {
                event.recommendation_id = thing(event, "rec-", subject);
            }
            _ => {}
        }
        event.cart_id = thing(event, "cart-", (step.cart != 0).then_some(step.cart));
        event.viewed_share = step.viewed_percent.map(|percent| f64::from(percent) / 100.0);
        event.prompt_type = step.prompt;
        event.first_layer_reject = step.first_layer_reject;
        if step.version != 0 && !missing.lane(2) {
            event.consent_version = Some(event.push(|text| {
                text.push('v');
                world::push_decimal(text, u64::from(step.version), 1);
            }));
        }
    }

    fn message(&self, step: &Step, missing: Missing, event: &mut OwnedEvent) {
        event.channel = step.channel;
        event.class = step.class;
        event.permission = step.permission;
        event.message_id =
            thing(event, "message-", (step.message != 0 && !missing.lane(2)).then_some(step.message));
        event.cart_id = thing(event, "cart-", (step.cart != 0 && !missing.lane(3)).then_some(step.cart));
    }

    /// What ads and clicks share.
    fn content(&self, world: &World, step: &Step, missing: Missing, event: &mut OwnedEvent) {
        event.device_type = world.device_type(world.person(step.pair), step.device);
        let brand = world.brand(step.pair);
        event.page_view_id = thing(event, "view-", (step.view != 0 && !missing.lane(5)).then_some(step.view));
        for (index, product) in step.products.into_iter().enumerate() {
            if product != 0 {
                event.products[index] = Some(event.push(|text| {
                    text.push_str("sku-");
                    world::push_decimal(text, u64::from(brand), 3);
                    text.push('-');
                    world::push_decimal(text, u64::from(product), 5);
                }));
            }
        }
        if step.category != 0 {
            event.category = Some(event.push(|text| {
                text.push_str("category-");
                world::push_decimal(text, u64::from(step.category), 2);
            }));
        }
        event.basis = step.basis;
        if step.basis != Basis::Unknown {
            event.disclosed = step.disclosed;
        }
    }

    fn privacy(&self, privacy: Privacy, event: &mut OwnedEvent) {
        let none = OwnedConsent::default();
        let (jurisdiction, consent) = match privacy {
            Privacy::Plain => (None, None),
            Privacy::TcAll | Privacy::TcNone => {
                let text = if privacy == Privacy::TcAll { &self.tc_all } else { &self.tc_none };
                let tc_string = Some(event.push(|buffer| buffer.push_str(text)));
                (Some("DE"), Some(OwnedConsent { gdpr_applies: Some(true), tc_string, ..none }))
            }
            Privacy::GpcCalifornia => (Some("US-CA"), Some(OwnedConsent { gpc: Some(true), ..none })),
            Privacy::UsOptedIn => (Some("US-TX"), Some(OwnedConsent { us_privacy: Some("1YNN"), ..none })),
            Privacy::AttAuthorised => (None, Some(OwnedConsent { att_status: Some(3), ..none })),
            Privacy::AttDenied => (None, Some(OwnedConsent { att_status: Some(2), ..none })),
        };
        event.jurisdiction = jurisdiction;
        event.consent = consent;
    }
}

/// Which fields of one event are missing.
#[derive(Clone, Copy)]
struct Missing {
    word: u64,
    below: u64,
}

impl Missing {
    fn lane(self, lane: u32) -> bool {
        (self.word >> (10 * lane)) & 1023 < self.below
    }
}

fn thing(event: &mut OwnedEvent, prefix: &str, number: Option<u64>) -> Option<Span> {
    number.map(|number| event.push(|text| world::push_hex(text, prefix, number)))
}
