//! Who there is: people, devices, brands, and what is fixed about each pair of person and brand.
//!
//! Everything is a function of the seed and a number, so nothing is stored however many there are.

use crate::event::kinds::{Channel, DeviceType};

use super::params::{BRANDS_PER_PERSON, Params};
use super::prng::{below, fraction, hash};

/// What a hash is for; keeps the traits of one number independent of each other.
pub(crate) mod salt {
    pub(crate) const BRAND: u64 = 1;
    pub(crate) const DEVICES: u64 = 2;
    pub(crate) const DEVICE_TYPE: u64 = 3;
    pub(crate) const PRIVACY: u64 = 4;
    pub(crate) const HABITS: u64 = 5;
    pub(crate) const VISIT: u64 = 6;
    pub(crate) const LINK: u64 = 7;
    pub(crate) const ERASURE: u64 = 8;
    pub(crate) const INCIDENT: u64 = 9;
    pub(crate) const ROUND: u64 = 10;
    pub(crate) const PLAN: u64 = 11;
    pub(crate) const SHAPE: u64 = 12;
    pub(crate) const EVENT_ID: u64 = 13;
    pub(crate) const MISSING: u64 = 14;
    pub(crate) const ARRIVAL: u64 = 15;
    pub(crate) const JITTER: u64 = 16;
}

/// The privacy signals that a person's ads carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Privacy {
    /// None.
    Plain,
    /// A TC string with all purposes.
    TcAll,
    /// A TC string without purposes 3 and 4.
    TcNone,
    /// California, GPC on.
    GpcCalifornia,
    /// US, sale not opted out of.
    UsOptedIn,
    /// Tracking authorised on the phone.
    AttAuthorised,
    /// Tracking denied on the phone.
    AttDenied,
}

impl Privacy {
    /// Whether these signals speak against tracking across companies, or against any of it.
    pub(crate) fn says_no(self) -> bool {
        matches!(self, Privacy::TcNone | Privacy::GpcCalifornia | Privacy::AttDenied)
    }
}

/// What is fixed about a pair of person and brand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Habits {
    /// Whether the brand writes to the person, and how.
    pub(crate) channel: Option<Channel>,
    /// Whether the brand recommends.
    pub(crate) recommended: bool,
    /// Whether the person buys (else a filled cart is left).
    pub(crate) orders: bool,
    /// The round of visits in which the person is asked for consent.
    pub(crate) prompt_round: Option<u32>,
    /// Whether the person refuses when asked.
    pub(crate) refuses: bool,
    /// The round of visits in which the person unsubscribes.
    pub(crate) unsubscribe_round: Option<u32>,
    /// Chance of a visit in a round after the first, as a multiple of the mean.
    pub(crate) eagerness: f64,
}

/// The population.
#[derive(Clone)]
pub(crate) struct World {
    pub(crate) seed: u64,
    pub(crate) start: i64,
    pub(crate) length: i64,
    pub(crate) persons: u64,
    pub(crate) brands: u32,
    pub(crate) per_person: u64,
    pub(crate) missing: f64,
}

impl World {
    /// The population of these parameters.
    pub(crate) fn new(params: &Params) -> World {
        World {
            seed: params.seed,
            start: params.start.0,
            length: params.end().0 - params.start.0,
            persons: params.persons,
            brands: params.brands,
            per_person: u64::from(params.brands.min(BRANDS_PER_PERSON)),
            missing: params.missing,
        }
    }

    /// The first instant after the period.
    pub(crate) fn end(&self) -> i64 {
        self.start + self.length
    }

    /// A random word that belongs to this number for this purpose.
    pub(crate) fn trait_of(&self, number: u64, salt: u64) -> u64 {
        hash(self.seed, number, salt)
    }

    /// The person of a pair.
    pub(crate) fn person(&self, pair: u64) -> u64 {
        pair / self.per_person
    }

    /// The brand of a pair; the pairs of one person have different brands.
    pub(crate) fn brand(&self, pair: u64) -> u32 {
        let (person, slot) = (self.person(pair), pair % self.per_person);
        let brands = u64::from(self.brands);
        let mut taken = [u64::MAX; BRANDS_PER_PERSON as usize];
        let mut at = 0;
        for (index, mine) in (0..=slot).zip(0_usize..) {
            let u = fraction(hash(self.seed, person * 4 + index, salt::BRAND));
            // A power of a uniform number makes the first brands the most popular.
            at = ((u * u * self.brands as f64) as u64).min(brands - 1);
            while taken.contains(&at) {
                at = (at + 1) % brands;
            }
            if let Some(slot) = taken.get_mut(mine) {
                *slot = at;
            }
        }
        u32::try_from(at).unwrap_or(0)
    }

    /// How many devices a person has: 1.4 in the mean.
    pub(crate) fn devices(&self, person: u64) -> u8 {
        match below(self.trait_of(person, salt::DEVICES), 100) {
            0..68 => 1,
            68..92 => 2,
            _ => 3,
        }
    }

    /// What kind of device this is; the second one is never a TV.
    pub(crate) fn device_type(&self, person: u64, slot: u8) -> DeviceType {
        let word = self.trait_of(person * 4 + u64::from(slot), salt::DEVICE_TYPE);
        match (slot, below(word, 10)) {
            (0, 0..6) => DeviceType::Phone,
            (0, _) => DeviceType::Desktop,
            (1, 0..7) => DeviceType::Desktop,
            (1, _) => DeviceType::Tablet,
            (_, 0..7) => DeviceType::Tv,
            _ => DeviceType::Other,
        }
    }

    /// The privacy signals of a person.
    pub(crate) fn privacy(&self, person: u64) -> Privacy {
        match below(self.trait_of(person, salt::PRIVACY), 100) {
            0..13 => Privacy::TcAll,
            13..20 => Privacy::TcNone,
            20..24 => Privacy::GpcCalifornia,
            24..40 => Privacy::UsOptedIn,
            40..52 => Privacy::AttAuthorised,
            52..60 => Privacy::AttDenied,
            _ => Privacy::Plain,
        }
    }

    /// What is fixed about a pair, given how many rounds of visits there are.
    pub(crate) fn habits(&self, pair: u64, rounds: u32) -> Habits {
        let word = self.trait_of(pair, salt::HABITS);
        let lane = |index: u32| (word >> (10 * index)) & 1023;
        let share = |index: u32, share: f64| (lane(index) as f64) < share * 1024.0;
        // A second word: a lane that decides whether must not also decide when.
        let other = self.trait_of(pair, salt::SHAPE);
        let round = |bits: u64| u32::try_from(below(bits, u64::from(rounds))).unwrap_or(0);
        let channel = match other & 7 {
            0..4 => Channel::Email,
            4..6 => Channel::Push,
            6 => Channel::InApp,
            _ => Channel::Sms,
        };
        Habits {
            channel: share(0, 0.35).then_some(channel),
            recommended: share(1, 0.10),
            orders: share(2, 0.05),
            prompt_round: share(3, 0.25).then(|| round(other << 8)),
            refuses: share(4, 0.4),
            unsubscribe_round: share(5, 0.03).then(|| round(other << 28)),
            eagerness: 0.5 + fraction(other << 40),
        }
    }
}

/// Id of a brand.
pub(crate) fn brand_id(brand: u32) -> String {
    id(|text| push_brand(text, brand))
}

/// Id of a campaign of a brand.
pub(crate) fn campaign_id(brand: u32, campaign: u8) -> String {
    id(|text| push_campaign(text, brand, campaign))
}

/// Id of a person.
pub(crate) fn person_id(person: u64) -> String {
    id(|text| push_person(text, person))
}

/// Id of a device of a person.
pub(crate) fn device_id(person: u64, slot: u8) -> String {
    id(|text| push_device(text, person, slot))
}

/// Id of a thing: an order, cart, message or page view.
pub(crate) fn thing_id(prefix: &str, number: u64) -> String {
    id(|text| push_hex(text, prefix, number))
}

pub(crate) fn push_brand(text: &mut String, brand: u32) {
    text.push_str("brand-");
    push_decimal(text, u64::from(brand), 3);
}

pub(crate) fn push_campaign(text: &mut String, brand: u32, campaign: u8) {
    push_brand(text, brand);
    text.push_str("-c");
    push_decimal(text, u64::from(campaign), 1);
}

pub(crate) fn push_person(text: &mut String, person: u64) {
    text.push_str("person-");
    push_decimal(text, person, 8);
}

pub(crate) fn push_device(text: &mut String, person: u64, slot: u8) {
    text.push_str("device-");
    push_decimal(text, person, 8);
    text.push('-');
    push_decimal(text, u64::from(slot), 1);
}

pub(crate) fn push_hex(text: &mut String, prefix: &str, number: u64) {
    text.push_str(prefix);
    for nibble in (0..16).rev() {
        let digit = (number >> (4 * nibble)) & 15;
        text.push(char::from(b"0123456789abcdef"[digit as usize]));
    }
}

/// Writes a number with leading zeros to this width at least.
pub(crate) fn push_decimal(text: &mut String, number: u64, width: usize) {
    let mut digits = [b'0'; 20];
    let (mut rest, mut at) = (number, digits.len());
    while at > 0 && (rest > 0 || digits.len() - at < width) {
        at -= 1;
        digits[at] = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    for digit in &digits[at..] {
        text.push(char::from(*digit));
    }
}

fn id(push: impl FnOnce(&mut String)) -> String {
    let mut text = String::with_capacity(24);
    push(&mut text);
    text
}
