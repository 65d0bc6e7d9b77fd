//! Which moments are planted, on whom and when.

use std::collections::HashSet;

use crate::time::MINUTE_MS;

use super::params::Params;
use super::prng::{Permutation, Rng};
use super::scenario::{PATTERNS, span_ms};
use super::world::{World, salt};

/// One scenario to come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Plant {
    pub(crate) start: i64,
    pub(crate) pair: u64,
    pub(crate) pattern: &'static str,
    pub(crate) seed: u64,
}

/// All scenarios, the earliest first, and the pairs that are theirs alone.
pub(crate) struct Plan {
    pub(crate) plants: Vec<Plant>,
    pub(crate) pairs: HashSet<u64>,
}

impl Plan {
    /// Draws the plan. Each scenario gets a pair of its own, which does nothing else, so that one
    /// scenario's refusal does not turn another's ads into violations.
    pub(crate) fn new(params: &Params, world: &World) -> Plan {
        let mut rng = Rng::new(world.trait_of(0, salt::PLAN));
        let order = Permutation::new(params.pairs(), rng.word());
        // At most a quarter of the pairs, so that the crowd stays ordinary.
        let each = params.planted_per_pattern().min(params.pairs() / 4 / PATTERNS.len() as u64);
        let mut candidates = (0..params.pairs()).map(|index| order.at(index));
        let (mut plants, mut pairs) = (Vec::new(), HashSet::new());
        for pattern in PATTERNS {
            // Room for the scenario, and a minute so that its first step is still ahead.
            let latest = world.length - span_ms(pattern) - MINUTE_MS;
            if latest <= 0 {
                continue;
            }
            let fits =
                |pair: &u64| pattern != "cross_device_following" || world.devices(world.person(*pair)) > 1;
            for _ in 0..each {
                let Some(pair) = candidates.find(fits) else { break };
                let start = world.start + rng.between(0, latest);
                plants.push(Plant { start, pair, pattern, seed: rng.word() });
                pairs.insert(pair);
            }
        }
        plants.sort_by_key(|plant| (plant.start, plant.pair));
        Plan { plants, pairs }
    }
}
