//! Outcomes: do people opt out more often after a moment? An association, not a cause.

use super::trust::{Estimate, Z_95};
use crate::fold::counts::PersonDays;

/// Adds the person-days of another day.
pub fn add_days(sum: &mut PersonDays, day: &PersonDays) {
    sum.exposed += day.exposed;
    sum.exposed_opt_outs += day.exposed_opt_outs;
    sum.unexposed += day.unexposed;
    sum.unexposed_opt_outs += day.unexposed_opt_outs;
}

/// Opt-out rate of the exposed over that of the unexposed; `None` where one of them rests on fewer
/// than `opt_outs_min` opt-outs.
pub fn rate_ratio(days: &PersonDays, opt_outs_min: u64) -> Option<Estimate> {
    if days.exposed_opt_outs < opt_outs_min || days.unexposed_opt_outs < opt_outs_min {
        return None;
    }
    if days.exposed == 0 || days.unexposed == 0 || days.exposed_opt_outs == 0 || days.unexposed_opt_outs == 0
    {
        return None;
    }
    let (d1, t1) = (days.exposed_opt_outs as f64, days.exposed as f64);
    let (d0, t0) = (days.unexposed_opt_outs as f64, days.unexposed as f64);
    let value = (d1 / t1) / (d0 / t0);
    let half = Z_95 * libm::sqrt(1.0 / d1 + 1.0 / d0);
    let ln = libm::log(value);
    Some(Estimate { value, low: libm::exp(ln - half), high: libm::exp(ln + half) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_opt_outs_on_each_side_are_needed() {
        let days = |d1, d0| PersonDays {
            exposed: 100,
            exposed_opt_outs: d1,
            unexposed: 1_000,
            unexposed_opt_outs: d0,
        };
        assert_eq!(rate_ratio(&days(4, 50), 5), None);
        assert_eq!(rate_ratio(&days(50, 4), 5), None);
        let ratio = rate_ratio(&days(5, 5), 5).expect("five are enough");
        assert!((ratio.value - 10.0).abs() < 1e-12);
        let half = 1.96 * 0.4_f64.sqrt();
        assert!((ratio.low - 10.0 * (-half).exp()).abs() < 1e-9);
        assert!((ratio.high - 10.0 * half.exp()).abs() < 1e-9);
    }
}
