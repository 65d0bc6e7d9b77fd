//! What a person adds to the counts of an open window, as bits.
//!
//! Each person of a brand holds one word per window length. Counts are distinct people, so an event
//! changes them only by what it changes in the word: [`WindowTally::shift`] adds the difference.

use crate::fold::counts::Counts;
use crate::fold::saved::saved;
use crate::patterns::{Pattern, Seen};

/// Width of each pattern's part in a word: 0 not at risk, 1 at risk, 1 + s affected at severity s.
/// Patterns of a single severity need two bits, the others three.
const WIDTH: [u32; Pattern::COUNT] = [3, 3, 3, 2, 3, 3, 3, 3, 2, 2, 2, 3, 2, 2];

const SHIFT: [u32; Pattern::COUNT] = {
    let mut shift = [0; Pattern::COUNT];
    let mut index = 1;
    while index < Pattern::COUNT {
        shift[index] = shift[index - 1] + WIDTH[index - 1];
        index += 1;
    }
    shift
};

const PATTERN_BITS: u32 = SHIFT[Pattern::COUNT - 1] + WIDTH[Pattern::COUNT - 1];
const PATTERNS: u64 = (1 << PATTERN_BITS) - 1;
const REACHED: u64 = 1 << PATTERN_BITS;
const OPTED_OUT: u64 = REACHED << 1;
const PROMPTED: u64 = REACHED << 2;
const GRANTED: u64 = REACHED << 3;
const REFUSED: u64 = REACHED << 4;
const WITHDRAWN: u64 = REACHED << 5;
const KNOWN: u64 = REACHED << 6;
const AUTHORISED: u64 = REACHED << 7;
const TOUCHED: u64 = REACHED << 8;
const EXPOSED_SHIFT: u32 = PATTERN_BITS + 9;
const DEVICE_KEY: u64 = 1 << 63;
const _: () = assert!(EXPOSED_SHIFT as usize + Pattern::COUNT < 64);

const EXPOSED: u64 = ((1 << Pattern::COUNT) - 1) << EXPOSED_SHIFT;
const ALL_PATTERNS: u16 = (1 << Pattern::COUNT) - 1;

/// The pattern that each bit of the patterns' part belongs to.
const PATTERN_AT: [u8; PATTERN_BITS as usize] = {
    let mut at = [0; PATTERN_BITS as usize];
    let mut index = 0;
    while index < Pattern::COUNT {
        let mut bit = 0;
        while bit < WIDTH[index] {
            at[(SHIFT[index] + bit) as usize] = index as u8;
            bit += 1;
        }
        index += 1;
    }
    at
};

/// Whether the word's person was touched in the window.
pub fn touched(word: u64) -> bool {
    word & TOUCHED != 0
}

/// Whether the word's person is known by a device only.
pub fn is_device_key(word: u64) -> bool {
    word & DEVICE_KEY != 0
}

/// The word after an event; `exposed` are the patterns that the first touch of a day is exposed to.
pub fn after(word: u64, seen: &Seen, exposed: u16, device_key: bool) -> u64 {
    let mut word = word | if device_key { DEVICE_KEY } else { 0 };
    for pattern in set_bits(seen.at_risk) {
        if part(word, pattern) == 0 {
            word |= 1 << SHIFT[pattern];
        }
    }
    if seen.touch {
        if !touched(word) {
            word |= u64::from(exposed) << EXPOSED_SHIFT;
        }
        word |= TOUCHED;
        match seen.consent {
            Some(true) => word |= KNOWN | AUTHORISED,
            Some(false) => word = (word | KNOWN) & !AUTHORISED,
            None => {}
        }
    }
    for (flag, bit) in [
        (seen.touch || seen.at_risk != 0, REACHED),
        (seen.opt_out, OPTED_OUT),
        (seen.prompted, PROMPTED),
        (seen.granted, GRANTED),
        (seen.refused, REFUSED),
        (seen.withdrawn, WITHDRAWN),
    ] {
        if flag {
            word |= bit;
        }
    }
    word
}

/// The word after a trigger of a pattern at a severity of 1 to 3.
pub fn affected(word: u64, pattern: Pattern, severity: u8) -> u64 {
    let index = pattern.index();
    let code = (u64::from(severity) + 1).min((1 << WIDTH[index]) - 1);
    if part(word, index) >= code {
        return word;
    }
    word & !(((1 << WIDTH[index]) - 1) << SHIFT[index]) | code << SHIFT[index] | REACHED
}

/// The counts of one (brand, window) while it is open.
#[derive(Clone, Debug, Default)]
pub struct WindowTally {
    /// The counts, but for the person-days not exposed.
    pub counts: Counts,
    /// Person-days, and of these with an opt-out.
    days: [u64; 2],
}

saved! { WindowTally { counts, days } }

impl WindowTally {
    /// Adds what a person's word changed. `day`: whether outcomes are counted.
    pub fn shift(&mut self, old: u64, new: u64, day: bool) {
        let changed = old ^ new;
        if changed == 0 {
            return;
        }
        let counts = &mut self.counts;
        let mut rest = changed & PATTERNS;
        while rest != 0 {
            let index = PATTERN_AT[rest.trailing_zeros() as usize] as usize;
            rest &= !(((1 << WIDTH[index]) - 1) << SHIFT[index]);
            let (from, to) = (part(old, index), part(new, index));
            let pattern = &mut counts.patterns[index];
            add(&mut pattern.at_risk, from > 0, to > 0);
            if let Some(people) = (from as usize).checked_sub(2).and_then(|s| pattern.affected.get_mut(s)) {
                *people -= 1;
            }
            if let Some(people) = (to as usize).checked_sub(2).and_then(|s| pattern.affected.get_mut(s)) {
                *people += 1;
            }
        }
        if changed & !(PATTERNS | EXPOSED) != 0 {
            for (field, bits) in [
                (&mut counts.people, REACHED),
                (&mut counts.device_keys, REACHED | DEVICE_KEY),
                (&mut counts.opted_out, REACHED | OPTED_OUT),
                (&mut counts.prompted, PROMPTED),
                (&mut counts.granted, GRANTED),
                (&mut counts.refused, REFUSED),
                (&mut counts.withdrawn, WITHDRAWN),
                (&mut counts.consent_known, KNOWN),
                (&mut counts.consent_authorised, AUTHORISED),
            ] {
                add(field, old & bits == bits, new & bits == bits);
            }
        }
        if day && changed & (TOUCHED | OPTED_OUT) != 0 {
            self.shift_outcomes(old, new);
        }
    }

    /// The counts so far.
    pub fn cumulative(&self) -> Counts {
        let mut counts = self.counts.clone();
        for pattern in &mut counts.patterns {
            pattern.days.unexposed = self.days[0] - pattern.days.exposed;
            pattern.days.unexposed_opt_outs = self.days[1] - pattern.days.exposed_opt_outs;
        }
        counts
    }

    fn shift_outcomes(&mut self, old: u64, new: u64) {
        let both = |word: u64| word & (TOUCHED | OPTED_OUT) == TOUCHED | OPTED_OUT;
        add(&mut self.days[0], touched(old), touched(new));
        add(&mut self.days[1], both(old), both(new));
        for index in set_bits(((old | new) >> EXPOSED_SHIFT) as u16 & ALL_PATTERNS) {
            let exposed = 1 << (EXPOSED_SHIFT + index as u32);
            let is = |word: u64| word & exposed != 0 && touched(word);
            let days = &mut self.counts.patterns[index].days;
            add(&mut days.exposed, is(old), is(new));
            add(&mut days.exposed_opt_outs, is(old) && both(old), is(new) && both(new));
        }
    }
}

fn part(word: u64, index: usize) -> u64 {
    word >> SHIFT[index] & ((1 << WIDTH[index]) - 1)
}

fn add(count: &mut u64, was: bool, is: bool) {
    *count += u64::from(is && !was);
    *count -= u64::from(was && !is);
}

fn set_bits(mut bits: u16) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let lowest = (bits != 0).then(|| bits.trailing_zeros() as usize)?;
        bits &= bits - 1;
        Some(lowest)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_counts_once_at_the_highest_severity() {
        let mut tally = WindowTally::default();
        let seen = Seen { touch: true, at_risk: 0b11, ..Seen::default() };
        let one = after(0, &seen, 0, false);
        tally.shift(0, one, false);
        let two =
            affected(affected(one, Pattern::RelentlessRetargeting, 1), Pattern::RelentlessRetargeting, 3);
        let three = affected(two, Pattern::RelentlessRetargeting, 2);
        assert_eq!(two, three);
        tally.shift(one, three, false);
        let counts = tally.cumulative();
        assert_eq!(
            (counts.people, counts.patterns[0].at_risk, counts.patterns[0].affected),
            (1, 1, [0, 0, 1])
        );
        assert_eq!((counts.patterns[1].at_risk, counts.patterns[1].affected), (1, [0, 0, 0]));
    }

    #[test]
    fn an_opt_out_before_the_first_touch_of_the_day_counts_for_it() {
        let mut tally = WindowTally::default();
        let out = after(0, &Seen { opt_out: true, ..Seen::default() }, 0, true);
        tally.shift(0, out, true);
        let counts = tally.cumulative();
        assert_eq!((counts.people, counts.opted_out, counts.patterns[3].days.unexposed), (0, 0, 0));
        let touched = after(out, &Seen { touch: true, ..Seen::default() }, 1 << 3, true);
        tally.shift(out, touched, true);
        let counts = tally.cumulative();
        assert_eq!((counts.people, counts.opted_out, counts.device_keys), (1, 1, 1));
        assert_eq!((counts.patterns[3].days.exposed, counts.patterns[3].days.exposed_opt_outs), (1, 1));
        assert_eq!((counts.patterns[4].days.unexposed, counts.patterns[4].days.unexposed_opt_outs), (1, 1));
        tally.shift(touched, 0, true);
        assert_eq!(tally.cumulative(), Counts::default(), "an erasure takes everything back");
    }

    #[test]
    fn the_last_known_consent_status_counts() {
        let mut tally = WindowTally::default();
        let yes = after(0, &Seen { touch: true, consent: Some(true), ..Seen::default() }, 0, true);
        let no = after(yes, &Seen { touch: true, consent: Some(false), ..Seen::default() }, 0, true);
        let unknown = after(no, &Seen { touch: true, consent: None, ..Seen::default() }, 0, true);
        tally.shift(0, unknown, false);
        let counts = tally.cumulative();
        assert_eq!((counts.consent_known, counts.consent_authorised), (1, 0));
    }
}
