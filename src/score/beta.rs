//! The Beta distribution: its cumulative distribution function and quantiles, for parameters up to 10⁹.
//!
//! Only `libm` computes here, so that the results are the same bits on every machine.

use std::f64::consts::{LN_2, TAU};

/// Steps after which a series or continued fraction stops. They need at most about the square root
/// of the larger parameter, 32,000 for 10⁹, or a few thousand.
const STEPS_MAX: u32 = 200_000;
/// Up to this many expected cases the power series is taken: all its terms are positive, where the
/// continued fraction loses digits when one parameter is small and the other is large.
const SERIES_UP_TO: f64 = 1_000.0;
/// A tail below this is not taken as the complement of the other one.
const COMPLEMENT_FROM: f64 = 1e-3;
/// Steps after which the solver stops. Bisection alone needs 64 for the last bit.
const SOLVER_STEPS_MAX: u32 = 128;
/// The logarithm of the smallest number above 0 that is held in full precision.
const LN_SMALLEST: f64 = -708.0;
/// Below this the Stirling series is not precise enough and the gamma function is taken.
const STIRLING_FROM: f64 = 15.0;

/// A Beta distribution with `a > 0` and `b > 0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Beta {
    a: f64,
    b: f64,
}

/// Both tails of a distribution at one point.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tails {
    /// Probability of a value up to the point.
    pub lower: f64,
    /// Probability of a value above the point.
    pub upper: f64,
    /// The density times the point: the slope over the logarithm of the point.
    slope: f64,
}

impl Beta {
    /// The distribution with these two parameters.
    ///
    /// # Panics
    /// If one of them is not a positive, finite number.
    pub fn new(a: f64, b: f64) -> Beta {
        assert!(a > 0.0 && b > 0.0 && a.is_finite() && b.is_finite(), "Beta({a}, {b}) does not exist");
        Beta { a, b }
    }

    /// Its mean.
    pub fn mean(&self) -> f64 {
        self.a / (self.a + self.b)
    }

    /// Its variance.
    pub fn variance(&self) -> f64 {
        let sum = self.a + self.b;
        self.a * self.b / (sum * sum * (sum + 1.0))
    }

    /// Both tails at `x`: the regularised incomplete beta function and its complement.
    pub fn tails(&self, x: f64) -> Tails {
        if x <= 0.0 {
            return Tails { lower: 0.0, upper: 1.0, slope: 0.0 };
        }
        if x >= 1.0 {
            return Tails { lower: 1.0, upper: 0.0, slope: 0.0 };
        }
        let (front, y, n) = (self.front(x), 1.0 - x, self.a + self.b);
        let slope = front / y;
        let from_below = |factor: f64| {
            let lower = (front * factor / self.a).min(1.0);
            Tails { lower, upper: 1.0 - lower, slope }
        };
        let from_above = |factor: f64| {
            let upper = (front * factor / self.b).min(1.0);
            Tails { lower: 1.0 - upper, upper, slope }
        };
        // The complement of a tail is precise unless it is much smaller than 1.
        if x <= 0.5 && n * x <= SERIES_UP_TO {
            let tails = from_below(power_series(self.a, self.b, x));
            if tails.upper >= COMPLEMENT_FROM {
                return tails;
            }
        } else if y <= 0.5 && n * y <= SERIES_UP_TO {
            let tails = from_above(power_series(self.b, self.a, y));
            if tails.lower >= COMPLEMENT_FROM {
                return tails;
            }
        }
        // The continued fraction converges fast on the near side of the mean only.
        if x < (self.a + 1.0) / (n + 2.0) {
            from_below(continued_fraction(self.a, self.b, x))
        } else {
            from_above(continued_fraction(self.b, self.a, y))
        }
    }

    /// The value below which the distribution has the probability `p`.
    ///
    /// Newton steps on the logarithm of the nearer tail over the logarithm of the value: that
    /// function is concave, so a step never jumps past the root from below; where one would leave
    /// the bracket, the bracket is halved. A quantile too small for a number is 0.
    pub fn quantile(&self, p: f64) -> f64 {
        if p <= 0.0 {
            return 0.0;
        }
        if p >= 1.0 {
            return 1.0;
        }
        let (mut low, mut high) = (LN_SMALLEST, 0.0);
        let mut at = self.first_guess(p).clamp(low, -f64::EPSILON);
        for _ in 0..SOLVER_STEPS_MAX {
            let tails = self.tails(libm::exp(at));
            // The error and its slope, both on the logarithm of the tail.
            let (error, slope) = if p <= 0.5 {
                (libm::log(tails.lower / p), tails.slope / tails.lower)
            } else {
                (libm::log((1.0 - p) / tails.upper), tails.slope / tails.upper)
            };
            if error == 0.0 {
                break;
            }
            if error < 0.0 {
                low = at;
            } else {
                high = at;
            }
            let newton = at - error / slope;
            let next = if newton > low && newton < high { newton } else { 0.5 * (low + high) };
            let step = next - at;
            at = next;
            if step.abs() <= 1e-15 * at.abs().max(1e-6) || high - low <= f64::EPSILON * high.abs() {
                break;
            }
        }
        if at <= LN_SMALLEST + LN_2 { 0.0 } else { libm::exp(at).clamp(0.0, 1.0) }
    }

    /// `x^a (1−x)^b / B(a, b)`, without the cancellation that large parameters bring to logarithms
    /// of the gamma function: as a binomial probability by deviances from its mean.
    fn front(&self, x: f64) -> f64 {
        let (a, b) = (self.a, self.b);
        let n = a + b;
        let exponent = stirling_error(n)
            - stirling_error(a)
            - stirling_error(b)
            - deviance(a, n * x)
            - deviance(b, n * (1.0 - x));
        // ab/n times the binomial probability exp(exponent) · √(n / (2π a b)).
        libm::sqrt(a * b / (TAU * n)) * libm::exp(exponent)
    }

    /// The logarithm of a value near the quantile.
    fn first_guess(&self, p: f64) -> f64 {
        let (a, b) = (self.a, self.b);
        if a < 1.0 {
            // Near 0 the function is the power x^a / (a B(a, b)).
            let ln_beta = libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b);
            return (libm::log(p) + libm::log(a) + ln_beta) / a;
        }
        // The normal approximation after Wilson and Hilferty's cube root (Abramowitz and Stegun 26.5.22).
        let z = normal_quantile(p);
        let (ra, rb) = (1.0 / (2.0 * a - 1.0), 1.0 / (2.0 * b - 1.0).max(1e-3));
        let lambda = (z * z - 3.0) / 6.0;
        let harmonic = 2.0 / (ra + rb);
        let w = z * libm::sqrt((harmonic + lambda).max(0.0)) / harmonic
            + (rb - ra) * (lambda + 5.0 / 6.0 - 2.0 / (3.0 * harmonic));
        // x = a / (a + b e^(−2w))
        -libm::log1p(b / a * libm::exp(-2.0 * w))
    }
}

/// `1 + Σ Π (a + b + k) x / (a + 1 + k)`, the series of the incomplete beta function (DLMF 8.17.8).
/// The largest term is about the `(a + b) x`-th.
fn power_series(a: f64, b: f64, x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for step in 0..STEPS_MAX {
        let k = f64::from(step);
        term *= (a + b + k) / (a + 1.0 + k) * x;
        sum += term;
        if term <= sum * 1e-17 {
            break;
        }
    }
    sum
}

/// The continued fraction of the incomplete beta function (DLMF 8.17.22), by Lentz's method.
fn continued_fraction(a: f64, b: f64, x: f64) -> f64 {
    let away_from_zero = |value: f64| if value.abs() < 1e-300 { 1e-300 } else { value };
    let mut c = 1.0;
    let mut d = 1.0 / away_from_zero(1.0 - (a + b) * x / (a + 1.0));
    let mut value = d;
    for step in 1..=STEPS_MAX {
        let m = f64::from(step);
        let even = m * (b - m) * x / ((a + 2.0 * m - 1.0) * (a + 2.0 * m));
        d = 1.0 / away_from_zero(1.0 + even * d);
        c = away_from_zero(1.0 + even / c);
        value *= d * c;
        let odd = -(a + m) * (a + b + m) * x / ((a + 2.0 * m) * (a + 2.0 * m + 1.0));
        d = 1.0 / away_from_zero(1.0 + odd * d);
        c = away_from_zero(1.0 + odd / c);
        let factor = d * c;
        value *= factor;
        if (factor - 1.0).abs() <= f64::EPSILON {
            break;
        }
    }
    value
}

/// How far Stirling's formula is below `ln Γ(n + 1)`.
fn stirling_error(n: f64) -> f64 {
    const SERIES: [f64; 8] = [
        1.0 / 12.0,
        -1.0 / 360.0,
        1.0 / 1260.0,
        -1.0 / 1680.0,
        1.0 / 1188.0,
        -691.0 / 360_360.0,
        1.0 / 156.0,
        -3617.0 / 122_400.0,
    ];
    if n < STIRLING_FROM {
        return libm::lgamma(n + 1.0) - (n + 0.5) * libm::log(n) + n - 0.5 * libm::log(TAU);
    }
    let inverse_square = 1.0 / (n * n);
    SERIES.iter().rev().fold(0.0, |sum, term| sum * inverse_square + term) / n
}

/// `x ln(x/m) + m − x`, precise where `x` is near `m` (Loader's deviance, 2000).
fn deviance(x: f64, m: f64) -> f64 {
    let difference = x - m;
    if difference.abs() >= 0.1 * (x + m) {
        return x * libm::log(x / m) - difference;
    }
    let v = difference / (x + m);
    let mut sum = difference * v;
    let mut power = 2.0 * x * v;
    // Each power is at most a hundredth of the one before.
    for k in 1..=20 {
        power *= v * v;
        let next = sum + power / f64::from(2 * k + 1);
        if next == sum {
            break;
        }
        sum = next;
    }
    sum
}

/// The quantile of the standard normal distribution to three digits (Abramowitz and Stegun 26.2.22):
/// where a search starts.
fn normal_quantile(p: f64) -> f64 {
    let tail = p.min(1.0 - p);
    let t = libm::sqrt(-2.0 * libm::log(tail));
    let z = t - (2.30753 + 0.27061 * t) / (1.0 + t * (0.99229 + t * 0.04481));
    if p < 0.5 { -z } else { z }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_ends_are_the_ends() {
        let beta = Beta::new(0.1, 19.9);
        assert_eq!((beta.quantile(0.0), beta.quantile(1.0)), (0.0, 1.0));
        assert_eq!((beta.tails(0.0).lower, beta.tails(1.0).lower), (0.0, 1.0));
        assert_eq!(beta.quantile(1e-300), 0.0, "too small for a number");
    }

    #[test]
    fn closed_forms_come_out() {
        // Beta(1, b) and Beta(a, 1) have inverses in closed form.
        for p in [1e-6, 0.025, 0.3, 0.5, 0.9, 0.975, 0.999_999] {
            for n in [1.0, 2.0, 20.0, 1e4] {
                let right = -libm::expm1(libm::log1p(-p) / n);
                assert!((Beta::new(1.0, n).quantile(p) / right - 1.0).abs() < 1e-12, "b = {n}, p = {p}");
                let left = libm::exp(libm::log(p) / n);
                assert!((Beta::new(n, 1.0).quantile(p) / left - 1.0).abs() < 1e-12, "a = {n}, p = {p}");
            }
        }
        assert!((Beta::new(7.0, 7.0).quantile(0.5) - 0.5).abs() < 1e-15);
    }

    #[test]
    #[should_panic(expected = "does not exist")]
    fn no_distribution_without_people() {
        Beta::new(0.0, 1.0);
    }

    proptest! {
        #[test]
        fn quantiles_are_ordered_and_inside(
            people in 0_u64..2_000_000,
            share in 0.0..=1.0_f64,
            p in 1e-6..0.999_999_f64,
            q in 1e-6..0.999_999_f64,
        ) {
            let affected = (people as f64 * share).floor();
            let beta = Beta::new(0.1 + affected, 19.9 + people as f64 - affected);
            let (low, high) = (beta.quantile(p.min(q)), beta.quantile(p.max(q)));
            prop_assert!(low <= high, "{beta:?}: {low} > {high}");
            prop_assert!((0.0..=1.0).contains(&low) && (0.0..=1.0).contains(&high));
        }

        #[test]
        fn the_quantile_of_the_tail_is_the_point(people in 0_u64..100_000, share in 0.0..=1.0_f64, p in 1e-3..0.999_f64) {
            let affected = (people as f64 * share).floor();
            let beta = Beta::new(0.1 + affected, 19.9 + people as f64 - affected);
            let tails = beta.tails(beta.quantile(p));
            prop_assert!((tails.lower - p).abs() < 1e-9, "{beta:?}: {} for {p}", tails.lower);
            prop_assert!((tails.lower + tails.upper - 1.0).abs() < 1e-12);
        }
    }
}
