//! The generator: canonical records in the order of event time, from a seed, in bounded memory.

use crate::event::kinds::Match;
use crate::event::raw::{RawErasure, RawIncident, RawLink};
use crate::time::{DAY_MS, HOUR_MS};

use super::calendar::Calendar;
use super::event::OwnedEvent;
use super::label::Label;
use super::params::{Mix, Params, ParamsError};
use super::plan::Plan;
use super::prng::{Permutation, Rng, below, fraction, hash};
use super::render::Renderer;
use super::scenario::Scenario;
use super::step::Step;
use super::story::Story;
use super::visit::{Rhythm, Visit, happens};
use super::world::{self, World, salt};

/// People for each of whom one erasure is requested.
const PERSONS_PER_ERASURE: u64 = 2_500;
/// Traffic of each hour of a day, in relation to each other.
const HOURS: [u32; 24] =
    [26, 20, 17, 16, 16, 18, 24, 33, 42, 48, 50, 51, 53, 51, 49, 49, 51, 55, 62, 70, 76, 70, 50, 36];

/// One generated record.
#[derive(Clone, PartialEq)]
pub enum Generated {
    /// An event of a person.
    Event(OwnedEvent),
    /// A brand incident.
    Incident(RawIncident),
    /// An identity link.
    Link(RawLink),
    /// An erasure.
    Erasure(RawErasure),
}

impl Generated {
    /// When it happened, milliseconds.
    pub fn time(&self) -> i64 {
        match self {
            Generated::Event(event) => event.event_time(),
            Generated::Incident(incident) => incident.disclosed_time,
            Generated::Link(link) => link.linked_time,
            Generated::Erasure(erasure) => erasure.requested_time,
        }
    }
}

/// What [`Generator::next_into`] came to.
pub enum Next {
    /// An event: it is in the buffer.
    Event,
    /// A brand incident.
    Incident(RawIncident),
    /// An identity link.
    Link(RawLink),
    /// An erasure.
    Erasure(RawErasure),
}

/// Yields the traffic of [`Params`] in the order of event time: first the identity links of the day
/// before, then everything else.
pub struct Generator {
    world: World,
    rhythm: Rhythm,
    mix: Mix,
    story: Option<Story>,
    plan: Plan,
    next_plant: usize,
    renderer: Renderer,
    calendar: Calendar,
    orders: Vec<Permutation>,
    sessions: u64,
    next_session: u64,
    day_shape: DayShape,
    begun: Vec<Step>,
    minute: Vec<Step>,
    order: Vec<(i64, u32)>,
    next_in_minute: usize,
    emitted: u64,
    labels: Vec<Label>,
    next_link: u64,
    incidents: std::iter::Peekable<std::vec::IntoIter<RawIncident>>,
    erasures: std::iter::Peekable<std::vec::IntoIter<RawErasure>>,
}

impl Generator {
    /// A generator of these parameters.
    ///
    /// # Errors
    /// When they make no sense.
    pub fn new(params: &Params) -> Result<Generator, ParamsError> {
        params.check()?;
        let world = World::new(params);
        let rhythm = Rhythm::new(params);
        let story = Story::new(params);
        let incidents = story.as_ref().map_or_else(Vec::new, |story| story.incidents(&world));
        let orders = (0..u64::from(rhythm.rounds))
            .map(|round| Permutation::new(params.pairs(), hash(params.seed, round, salt::VISIT)))
            .collect();
        Ok(Generator {
            plan: Plan::new(params, &world),
            renderer: Renderer::new(&world),
            calendar: Calendar::new(world.start, world.end()),
            sessions: params.pairs() * u64::from(rhythm.rounds),
            erasures: erasures(&world).into_iter().peekable(),
            incidents: incidents.into_iter().peekable(),
            day_shape: DayShape::new(),
            mix: params.mix,
            next_plant: 0,
            next_session: 0,
            begun: Vec::new(),
            minute: Vec::new(),
            order: Vec::new(),
            next_in_minute: 0,
            emitted: 0,
            labels: Vec::new(),
            next_link: 0,
            world,
            rhythm,
            story,
            orders,
        })
    }

    /// What happens to brands as a whole; none in the bench mix.
    pub fn story(&self) -> Option<&Story> {
        self.story.as_ref()
    }

    /// The labels written since the last call. A moment is labelled when its behaviour begins, so
    /// the label comes before the event that makes the moment.
    pub fn take_labels(&mut self) -> Vec<Label> {
        let end = self.world.end();
        let mut labels = std::mem::take(&mut self.labels);
        labels.retain(|label| label.time < end);
        labels
    }

    /// Share of the visits that have begun, 0 to 1.
    pub fn progress(&self) -> f64 {
        self.next_session as f64 / self.sessions as f64
    }

    /// The next record; an event is written into `event` without allocating.
    pub fn next_into(&mut self, event: &mut OwnedEvent) -> Option<Next> {
        if let Some(link) = self.link() {
            return Some(Next::Link(link));
        }
        while self.next_in_minute == self.order.len() && !self.calendar.is_over() {
            self.fill_minute();
        }
        let at = self.order.get(self.next_in_minute).copied();
        let time = at.map_or(i64::MAX, |(time, _)| time);
        if let Some(erasure) = self.erasures.next_if(|erasure| erasure.requested_time <= time) {
            return Some(Next::Erasure(erasure));
        }
        if let Some(incident) = self.incidents.next_if(|incident| incident.disclosed_time <= time) {
            return Some(Next::Incident(incident));
        }
        let (_, index) = at?;
        let step = self.minute.get(index as usize)?;
        self.renderer.render(&self.world, step, self.emitted, event);
        self.next_in_minute += 1;
        self.emitted += 1;
        Some(Next::Event)
    }

    /// Begins all that begins in the next minute and takes the minute.
    fn fill_minute(&mut self) {
        let horizon = self.calendar.horizon();
        while let Some(plant) = self.plan.plants.get(self.next_plant).filter(|plant| plant.start < horizon) {
            self.next_plant += 1;
            let mut scenario = Scenario {
                world: &self.world,
                pair: plant.pair,
                start: plant.start,
                rng: Rng::new(plant.seed),
                steps: &mut self.begun,
            };
            self.labels.push(scenario.write(plant.pattern));
        }
        while self.next_session < self.sessions {
            let start = self.session_start(self.next_session);
            if start >= horizon {
                break;
            }
            self.visit(self.next_session, start);
            self.next_session += 1;
        }
        for step in self.begun.drain(..) {
            self.calendar.enter(step);
        }
        self.calendar.take_minute(&mut self.minute, &mut self.order);
        self.next_in_minute = 0;
    }

    /// Sessions are evenly spread and then bent to the shape of a day; later ones never start earlier.
    fn session_start(&self, session: u64) -> i64 {
        let jitter = fraction(self.world.trait_of(session, salt::JITTER));
        let days = (self.world.length / DAY_MS) as f64;
        let at = (session as f64 + jitter) / self.sessions as f64 * days;
        let day = at.floor().min(days - 1.0);
        self.world.start + (day as i64) * DAY_MS + self.day_shape.time_of_day(at - day)
    }

    fn visit(&mut self, session: u64, start: i64) {
        let pairs = self.sessions / u64::from(self.rhythm.rounds);
        let round = u32::try_from(session / pairs).unwrap_or(0);
        let Some(order) = self.orders.get(round as usize) else { return };
        let pair = order.at(session % pairs);
        let habits = self.world.habits(pair, self.rhythm.rounds);
        let happens = happens(&self.world, self.rhythm, pair, round, &habits);
        if !happens || (!self.plan.pairs.is_empty() && self.plan.pairs.contains(&pair)) {
            return;
        }
        let mut rng = Rng::new(hash(self.world.seed, session, salt::VISIT));
        let devices = self.world.devices(self.world.person(pair));
        // Each brand has its usual device of the person, so that all devices of a person are seen.
        let usual = pair % self.world.per_person % u64::from(devices);
        let other = rng.below(u64::from(devices));
        let device = if rng.chance(0.8) { usual } else { other } as u8;
        let labels = (self.mix == Mix::Story).then_some(&mut self.labels);
        Visit {
            world: &self.world,
            rhythm: self.rhythm,
            story: self.story.as_ref(),
            pair,
            round,
            habits,
            rng,
            at: start,
            device,
            steps: &mut self.begun,
            labels,
        }
        .write();
    }

    /// Links of first devices to 85 %, of others to 70 % of their persons, on the day before the first.
    fn link(&mut self) -> Option<RawLink> {
        let slots = self.world.persons * 3;
        while self.next_link < slots {
            let index = self.next_link;
            self.next_link += 1;
            let (person, slot) = (index / 3, (index % 3) as u8);
            let word = self.world.trait_of(index, salt::LINK);
            let linked = below(word, 100) < if slot == 0 { 85 } else { 70 };
            if slot < self.world.devices(person) && linked {
                let matched = match word & 15 {
                    0 => Match::Inferred,
                    1..5 => Match::Observed,
                    _ => Match::Authenticated,
                };
                let into_day = index as f64 / slots as f64;
                return Some(RawLink {
                    device_id: world::device_id(person, slot),
                    person_id: Some(world::person_id(person)),
                    matched,
                    linked_time: self.world.start - DAY_MS + (into_day * DAY_MS as f64) as i64,
                });
            }
        }
        None
    }
}

impl Iterator for Generator {
    type Item = Generated;

    fn next(&mut self) -> Option<Generated> {
        let mut event = OwnedEvent::default();
        Some(match self.next_into(&mut event)? {
            Next::Event => Generated::Event(event),
            Next::Incident(incident) => Generated::Incident(incident),
            Next::Link(link) => Generated::Link(link),
            Next::Erasure(erasure) => Generated::Erasure(erasure),
        })
    }
}

fn erasures(world: &World) -> Vec<RawErasure> {
    let count = world.persons / PERSONS_PER_ERASURE;
    (0..count)
        .map(|index| RawErasure {
            request_id: world::thing_id("erasure-", index),
            person_id: Some(world::person_id(below(world.trait_of(index, salt::ERASURE), world.persons))),
            device_id: None,
            requested_time: world.start + (world.length as f64 * (index as f64 + 0.5) / count as f64) as i64,
        })
        .collect()
}

/// How the traffic of a day is spread over its hours.
struct DayShape {
    /// Share of the day's traffic before each hour, and 1 at the end.
    before: [f64; 25],
}

impl DayShape {
    fn new() -> DayShape {
        let total: u32 = HOURS.iter().sum();
        let mut before = [0.0; 25];
        let mut sum = 0;
        for (hour, parts) in HOURS.iter().enumerate() {
            sum += parts;
            before[hour + 1] = f64::from(sum) / f64::from(total);
        }
        DayShape { before }
    }

    /// The time of day, milliseconds, before which this share of a day's traffic lies.
    fn time_of_day(&self, share: f64) -> i64 {
        let hour = self.before.partition_point(|before| *before <= share).clamp(1, 24) - 1;
        let (low, high) = (self.before[hour], self.before[hour + 1]);
        let into = ((share - low) / (high - low) * HOUR_MS as f64) as i64;
        hour as i64 * HOUR_MS + into.clamp(0, HOUR_MS - 1)
    }
}
