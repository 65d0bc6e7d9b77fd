//! How records really arrive: some late and out of order, some twice, some damaged.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::time::{MINUTE_MS, SECOND_MS};

use super::generator::{Generated, Generator};
use super::prng::{Rng, hash};
use super::world::salt;

/// What is wrong with a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// Cut off in the middle.
    Truncated,
    /// A required field is missing.
    MissingField,
    /// An enum symbol that does not exist.
    UnknownSymbol,
    /// An id is empty.
    EmptyId,
    /// Seconds where milliseconds belong.
    TimeOutOfRange,
    /// Neither person nor device.
    Nobody,
}

impl Flaw {
    /// All flaws.
    pub const ALL: [Flaw; 6] = [
        Flaw::Truncated,
        Flaw::MissingField,
        Flaw::UnknownSymbol,
        Flaw::EmptyId,
        Flaw::TimeOutOfRange,
        Flaw::Nobody,
    ];
}

/// A record that arrives.
#[derive(Clone, PartialEq)]
pub struct Arrival {
    /// When it arrives, milliseconds: not before it happened, and never before the arrival before it.
    pub time: i64,
    /// The record.
    pub record: Generated,
    /// What is wrong with it.
    pub flaw: Option<Flaw>,
}

/// The records of a generator in the order of their arrival. Of the events this share is dirty: half of
/// them late, a quarter twice, a quarter damaged.
pub struct Arrivals {
    generator: Generator,
    dirt: f64,
    rng: Rng,
    upcoming: Option<Generated>,
    underway: BinaryHeap<Reverse<Underway>>,
    number: u64,
}

impl Arrivals {
    /// The arrivals of this generator's records; `dirt` is the share of dirty events, 0 to 1.
    pub fn new(mut generator: Generator, seed: u64, dirt: f64) -> Arrivals {
        let upcoming = generator.next();
        let rng = Rng::new(hash(seed, 0, salt::ARRIVAL));
        Arrivals { generator, dirt, rng, upcoming, underway: BinaryHeap::new(), number: 0 }
    }

    /// The generator, for its labels, story and progress.
    pub fn generator(&mut self) -> &mut Generator {
        &mut self.generator
    }

    fn send(&mut self, time: i64, record: Generated) {
        self.number += 1;
        self.underway.push(Reverse(Underway { time, number: self.number, record }));
    }

    /// Lets the record through, or damages, copies or delays it.
    fn soil(&mut self, record: Generated) -> Option<Arrival> {
        let time = record.time();
        let is_event = matches!(record, Generated::Event(_));
        if !is_event || self.dirt <= 0.0 || !self.rng.chance(self.dirt) {
            return Some(Arrival { time, record, flaw: None });
        }
        match self.rng.below(4) {
            0 => Some(Arrival { time, record, flaw: Some(self.rng.one_of(Flaw::ALL)) }),
            1 => {
                let copy = record.clone();
                let later = time + self.rng.between(SECOND_MS, 20 * MINUTE_MS);
                self.send(later, copy);
                Some(Arrival { time, record, flaw: None })
            }
            _ => {
                // One late record in twenty is too late for a memory of an hour.
                let minutes = if self.rng.chance(0.05) { 120 } else { 30 };
                let delay = self.rng.between(SECOND_MS, minutes * MINUTE_MS);
                self.send(time + delay, record);
                None
            }
        }
    }
}

impl Iterator for Arrivals {
    type Item = Arrival;

    fn next(&mut self) -> Option<Arrival> {
        loop {
            let next = self.upcoming.as_ref().map_or(i64::MAX, Generated::time);
            if self.underway.peek().is_some_and(|Reverse(late)| late.time <= next) {
                let Reverse(late) = self.underway.pop()?;
                return Some(Arrival { time: late.time, record: late.record, flaw: None });
            }
            let record = self.upcoming.take()?;
            self.upcoming = self.generator.next();
            if let Some(arrival) = self.soil(record) {
                return Some(arrival);
            }
        }
    }
}

struct Underway {
    time: i64,
    number: u64,
    record: Generated,
}

impl Ord for Underway {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.time, self.number).cmp(&(other.time, other.number))
    }
}

impl PartialOrd for Underway {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Underway {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Underway {}
