//! Numbers from a seed: a stream, a hash and a permutation.

/// Odd constant of SplitMix64: 2^64 divided by the golden ratio.
const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
/// 2^-53: turns the upper 53 bits of a word into a fraction.
const FRACTION: f64 = 1.0 / 9_007_199_254_740_992.0;

/// The finaliser of SplitMix64: a bijection of 64 bits.
pub(crate) fn mix(word: u64) -> u64 {
    let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

/// A hash of three words.
pub(crate) fn hash(seed: u64, a: u64, b: u64) -> u64 {
    mix(mix(seed ^ a.wrapping_mul(GOLDEN)).wrapping_add(b.wrapping_mul(GOLDEN)).wrapping_add(GOLDEN))
}

/// A word as a fraction in [0, 1).
pub(crate) fn fraction(word: u64) -> f64 {
    (word >> 11) as f64 * FRACTION
}

/// A word as a number below `limit`; 0 for a limit of 0.
pub(crate) fn below(word: u64, limit: u64) -> u64 {
    // The upper half of a product of two 64-bit words fits 64 bits.
    ((u128::from(word) * u128::from(limit)) >> 64) as u64
}

/// SplitMix64 as a stream.
#[derive(Clone)]
pub(crate) struct Rng(u64);

impl Rng {
    /// A stream that is a function of the seed.
    pub(crate) fn new(seed: u64) -> Rng {
        Rng(seed)
    }

    /// The next word.
    pub(crate) fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(GOLDEN);
        mix(self.0)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        below(self.word(), limit)
    }

    /// A number in `[low, high]`.
    pub(crate) fn between(&mut self, low: i64, high: i64) -> i64 {
        low + i64::try_from(self.below(high.abs_diff(low) + 1)).unwrap_or(0)
    }

    /// True with this probability.
    pub(crate) fn chance(&mut self, probability: f64) -> bool {
        fraction(self.word()) < probability
    }

    /// One of several values.
    pub(crate) fn one_of<T: Copy, const N: usize>(&mut self, values: [T; N]) -> T {
        values[self.below(N as u64) as usize]
    }
}

/// A permutation of `0..size` that needs no memory: a Feistel network, walked until it lands inside.
#[derive(Clone)]
pub(crate) struct Permutation {
    size: u64,
    half_bits: u32,
    key: u64,
}

impl Permutation {
    /// The permutation of `0..size` with this key.
    pub(crate) fn new(size: u64, key: u64) -> Permutation {
        let bits = 64 - size.saturating_sub(1).leading_zeros();
        Permutation { size, half_bits: bits.div_ceil(2).max(1), key }
    }

    /// Where `index` (below the size) is sent.
    pub(crate) fn at(&self, index: u64) -> u64 {
        debug_assert!(index < self.size);
        let mut at = self.network(index);
        while at >= self.size {
            at = self.network(at);
        }
        at
    }

    fn network(&self, index: u64) -> u64 {
        let mask = (1_u64 << self.half_bits) - 1;
        let (mut left, mut right) = (index >> self.half_bits, index & mask);
        for round in 0..4_u64 {
            let next = left ^ (mix(right ^ self.key.rotate_left(round as u32 * 16)) & mask);
            left = right;
            right = next;
        }
        (left << self.half_bits) | right
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_reaches_every_number_once() {
        for size in [1, 2, 3, 7, 64, 1000, 4097] {
            let permutation = Permutation::new(size, 99);
            let mut seen = vec![false; usize::try_from(size).unwrap()];
            for index in 0..size {
                let at = usize::try_from(permutation.at(index)).unwrap();
                assert!(!std::mem::replace(&mut seen[at], true), "{at} twice for size {size}");
            }
        }
    }

    #[test]
    fn chances_come_true_as_often_as_they_say() {
        let mut rng = Rng::new(5);
        let hits = (0..100_000).filter(|_| rng.chance(0.3)).count();
        assert!((29_000..31_000).contains(&hits), "{hits}");
    }

    #[test]
    fn between_reaches_both_ends() {
        let mut rng = Rng::new(8);
        let drawn: Vec<i64> = (0..1000).map(|_| rng.between(-2, 2)).collect();
        assert_eq!(drawn.iter().min(), Some(&-2));
        assert_eq!(drawn.iter().max(), Some(&2));
    }
}
