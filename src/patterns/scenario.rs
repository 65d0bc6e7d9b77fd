//! Scenarios as text, for tests of the patterns and of the fold around them.
//!
//! A scenario is a list of steps, divided by `;`. A step is `kind@offset`, then fields as `key=value`:
//!
//! - `imp@0*6/1h` are six retargeted impressions an hour apart, the first at the start (a Monday, 0:00 UTC);
//! - an offset is a sum: `24h-1ms`, `7d+1h`; units are `d h m s ms`; `place=` takes one, too;
//! - `imp` is an impression with `retargeting = true`, `ad` one with `retargeting = false`, every other kind
//!   is its symbol in small letters with `-`;
//! - `who`, `brand`, `dev`, `page`, `creative`, `cat`, `prod`, `ref`, `sub`, `in` and `id` take any name; `prod=a+b` are
//!   two; ids are numbered in the order of the text unless given;
//! - `late` makes it a word that came too late to count, `erase@…` is an erasure of `who`, `end@…` lets time pass;
//! - `unreadable@…`, `dead@…`, `too-late@…` are records that are no events.
//!
//! Steps run in the order of their places, as the fold is told them. What is expected are the published
//! moments in their order, `P1:1 P1:2`, a retraction as `P2:R`.

use std::sync::Arc;

use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

use super::Pattern;
use super::rules::{RuleBook, Rules};
use crate::event::consent::Signals;
use crate::event::kinds::{Basis, Channel, DeviceType, Kind, MessageClass, Permission, PromptType, Topic};
use crate::event::output::TrustMoment;
use crate::event::person::{KeyKind, PersonEvent};
use crate::fold::detect::{Detect, Output, Quality, Settings};
use crate::identity::PseudonymKey;
use crate::time::{DAY_MS, HOUR_MS, MINUTE_MS, SECOND_MS, WindowLength};

/// The start of every scenario: Monday, 2025-03-03, 0:00 UTC.
pub(crate) const START: i64 = 1_740_960_000_000;

/// The names of the patterns in expectations.
pub(crate) const SHORT: [&str; Pattern::COUNT] =
    ["P1", "P2", "P3", "P4a", "P4b", "P5", "P6", "P7", "P8", "P9", "P10", "P11", "P12", "P13"];

/// Runs a scenario with the default rules and compares what is published.
#[track_caller]
pub(crate) fn check(scenario: &str, expected: &str) {
    check_with(Rules::default(), scenario, expected);
}

/// Runs a scenario with other rules.
#[track_caller]
pub(crate) fn check_with(rules: Rules, scenario: &str, expected: &str) {
    let out = run(settings(RuleBook::new(rules, token)), scenario).1;
    assert_eq!(published(&out.moments), expected, "{scenario}");
}

/// Settings without provisional marks, with windows of an hour and a day.
pub(crate) fn settings(rules: RuleBook) -> Settings {
    Settings {
        lengths: vec![WindowLength::HOUR, WindowLength::DAY],
        rules,
        late_memory_ms: HOUR_MS,
        dup_ids_max: 100_000,
        provisional: false,
        hash_seed: 1,
        key: PseudonymKey::test_key(),
        config_hash: Arc::from("test"),
    }
}

/// The default settings of [`settings`] with the default rules.
pub(crate) fn default_settings() -> Settings {
    settings(RuleBook::new(Rules::default(), token))
}

/// Runs a scenario, without closing what is open at its end.
pub(crate) fn run(settings: Settings, scenario: &str) -> (Detect, Output) {
    run_steps(settings, &steps(scenario))
}

/// Runs steps in the order of their places.
pub(crate) fn run_steps(settings: Settings, steps: &[Step]) -> (Detect, Output) {
    let (mut detect, mut out) = (Detect::new(settings), Output::default());
    let mut order: Vec<&Step> = steps.iter().collect();
    order.sort_by(|a, b| a.order().cmp(&b.order()));
    for step in order {
        step.apply(&mut detect, &mut out);
    }
    (detect, out)
}

/// Moments in the form of expectations.
pub(crate) fn published(moments: &[TrustMoment]) -> String {
    let text = |moment: &TrustMoment| {
        let pattern = Pattern::ALL.iter().position(|p| p.name() == moment.pattern).expect("a pattern");
        let what = if moment.status == "OPEN" { moment.severity.to_string() } else { "R".to_owned() };
        format!("{}:{what}", SHORT[pattern])
    };
    moments.iter().map(text).collect::<Vec<_>>().join(" ")
}

/// The token of a name.
pub(crate) fn token(name: &[u8]) -> u64 {
    xxh3_64(name)
}

/// The pseudonym of a name.
pub(crate) fn pseudonym(name: &str) -> [u8; 16] {
    xxh3_128(name.as_bytes()).to_le_bytes()
}

/// Milliseconds of a sum such as `7d-1ms`.
pub(crate) fn offset(text: &str) -> i64 {
    let (mut sum, mut rest) = (0, text);
    while !rest.is_empty() {
        let sign = if rest.starts_with('-') { -1 } else { 1 };
        rest = rest.trim_start_matches(['+', '-']);
        let digits = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let number: i64 = rest[..digits].parse().expect(text);
        rest = &rest[digits..];
        let unit = rest.find(['+', '-']).unwrap_or(rest.len());
        sum += sign
            * number
            * match &rest[..unit] {
                "d" => DAY_MS,
                "h" => HOUR_MS,
                "m" => MINUTE_MS,
                "s" => SECOND_MS,
                "ms" => 1,
                "" if number == 0 => 0,
                other => panic!("no unit {other:?} in {text:?}"),
            };
        rest = &rest[unit..];
    }
    sum
}

/// What a step does.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum What {
    Event(Kind),
    LateWord(Kind),
    Erase,
    End,
    Unreadable,
    Dead,
    TooLate,
}

/// One step, which owns what an event borrows.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) what: What,
    pub(crate) brand: String,
    pub(crate) who: String,
    id: String,
    products: Vec<u8>,
    jurisdiction: String,
    event: PersonEvent<'static>,
}

impl Step {
    fn order(&self) -> (i64, bool, i64, &[u8], Topic) {
        let is_event = matches!(self.what, What::Event(_) | What::LateWord(_));
        (self.event.place, is_event, self.event.time, self.id.as_bytes(), self.event.topic)
    }

    fn apply(&self, detect: &mut Detect, out: &mut Output) {
        let event = PersonEvent {
            event_id: self.id.as_bytes(),
            products: &self.products,
            jurisdiction: &self.jurisdiction,
            ..self.event
        };
        let place = event.place;
        let brand = detect.brand(&self.brand);
        match self.what {
            What::Event(_) => detect.event(brand, &event, out),
            What::LateWord(_) => detect.late_word(brand, &event, out),
            What::Erase => drop(detect.erase(event.person, place, out)),
            What::End => detect.advance(place, out),
            What::Unreadable => detect.quality(place, Quality::Unreadable, out),
            What::Dead => detect.quality(place, Quality::DeadLettered(brand), out),
            What::TooLate => detect.quality(place, Quality::Late(brand), out),
        }
    }

    fn set(&mut self, key: &str, value: &str) {
        let event = &mut self.event;
        let yes = || match value {
            "yes" => Some(true),
            "no" => Some(false),
            "null" => None,
            other => panic!("{key}={other}"),
        };
        let symbol = value.to_uppercase().replace('-', "_");
        match key {
            "who" => {
                event.person = pseudonym(value);
                self.who = value.to_owned();
            }
            "brand" => self.brand = value.to_owned(),
            "id" => self.id = value.to_owned(),
            "in" => self.jurisdiction = value.to_owned(),
            "place" => event.place = START + offset(value),
            "dev" => {
                event.device = token(value.as_bytes());
                event.named_device = pseudonym(value);
            }
            "type" => event.device_type = DeviceType::from_symbol(&symbol).expect(value),
            "key" => {
                event.key = match value {
                    "inferred" => KeyKind::Inferred,
                    "device" => KeyKind::Device,
                    other => panic!("key={other}"),
                }
            }
            "basis" => event.basis = Basis::from_symbol(&symbol).expect(value),
            "retargeting" => event.retargeting = yes(),
            "disclosed" => event.disclosed = yes(),
            "reject" => event.first_layer_reject = yes(),
            "sig" => event.signals = signals(value),
            "page" => event.page_view = token(value.as_bytes()),
            "creative" => event.creative = token(value.as_bytes()),
            "cat" => event.category = token(value.as_bytes()),
            "ref" => event.reference = token(value.as_bytes()),
            "sub" => event.subject = pseudonym(value),
            "prod" => {
                self.products = value.split('+').flat_map(|p| token(p.as_bytes()).to_le_bytes()).collect();
            }
            "share" => event.viewed_share = Some(value.parse().expect(value)),
            "prompt" => event.prompt = PromptType::from_symbol(&symbol).expect(value),
            "channel" => event.channel = Channel::from_symbol(&symbol).expect(value),
            "class" => event.class = MessageClass::from_symbol(&symbol).expect(value),
            "perm" => event.permission = Permission::from_symbol(&symbol).expect(value),
            other => panic!("no field {other:?}"),
        }
    }
}

fn signals(names: &str) -> Signals {
    let bit = |name: &str| match name {
        "all" => Signals::REFUSED_ALL.bits(),
        "cross" => Signals::REFUSED_CROSS.bits(),
        "allowed" => Signals::ALLOWED.bits(),
        "voluntary" => Signals::VOLUNTARY.bits(),
        other => panic!("no signal {other:?}"),
    };
    Signals::from_bits(names.split('+').fold(0, |bits, name| bits | bit(name))).expect(names)
}

/// Reads a scenario.
pub(crate) fn steps(scenario: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    for text in scenario.split(';').map(str::trim).filter(|text| !text.is_empty()) {
        let mut words = text.split_whitespace();
        let (name, times) = words.next().and_then(|word| word.split_once('@')).expect(text);
        let (first, repeat) = times.split_once('*').unwrap_or((times, "1/0"));
        let (count, apart) = repeat.split_once('/').expect(text);
        let fields: Vec<&str> = words.collect();
        for number in 0..count.parse::<i64>().expect(text) {
            let time = START + offset(first) + number * offset(apart);
            steps.push(step(name, time, steps.len(), &fields));
        }
    }
    steps
}

fn step(name: &str, time: i64, number: usize, fields: &[&str]) -> Step {
    let (what, topic, kind) = match name {
        "erase" => (What::Erase, Topic::Erasures, Kind::PageView),
        "end" => (What::End, Topic::Clickstream, Kind::PageView),
        "unreadable" => (What::Unreadable, Topic::Clickstream, Kind::PageView),
        "dead" => (What::Dead, Topic::Clickstream, Kind::PageView),
        "too-late" => (What::TooLate, Topic::Clickstream, Kind::PageView),
        _ => {
            let (topic, kind) = kind_of(name);
            (What::Event(kind), topic, kind)
        }
    };
    let mut event = PersonEvent::new(topic, kind, time, pseudonym("p"), b"");
    event.retargeting = match name {
        "imp" => Some(true),
        "ad" => Some(false),
        _ => None,
    };
    let mut step = Step {
        what,
        brand: "b".to_owned(),
        who: "p".to_owned(),
        id: format!("e{number:04}"),
        products: Vec::new(),
        jurisdiction: String::new(),
        event,
    };
    for field in fields {
        match field.split_once('=') {
            Some((key, value)) => step.set(key, value),
            None if *field == "late" => step.what = What::LateWord(kind),
            None if *field == "rewarded" => step.event.rewarded = true,
            None => panic!("no field {field:?}"),
        }
    }
    step
}

fn kind_of(name: &str) -> (Topic, Kind) {
    match name {
        "imp" | "ad" => return (Topic::AdDeliveries, Kind::Impression),
        "ad-complaint" => return (Topic::AdDeliveries, Kind::AdComplaint),
        "complaint" => return (Topic::Clickstream, Kind::Complaint),
        _ => {}
    }
    let symbol = name.to_uppercase().replace('-', "_");
    [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages]
        .into_iter()
        .find_map(|topic| Kind::of_topic_symbol(topic, &symbol).map(|kind| (topic, kind)))
        .unwrap_or_else(|| panic!("no kind {name:?}"))
}
