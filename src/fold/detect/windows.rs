//! What a person adds to the counts of an open window, as bits.
//!
//! Each person of a brand holds one word per window length. Counts are distinct people, so an event
//! changes them only by what it changes in the word: [`shift`] adds the difference.

use crate::fold::counts::Counts;
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

/// Adds to the counts what the person's word changed. `day`: whether outcomes are counted.
pub fn shift(counts: &mut Counts, old: u64, new: u64, day: bool) {
    if old == new {
        return;
    }
    let changed = old ^ new;
    if changed & PATTERNS != 0 {
        for (index, pattern) in counts.patterns.iter_mut().enumerate() {
            let (from, to) = (part(old, index), part(new, index));
            if from != to {
                add(&mut pattern.at_risk, from > 0, to > 0);
                for (severity, people) in (2..).zip(pattern.affected.iter_mut()) {
                    add(people, from == severity, to == severity);
                }
            }
        }
    }
    let both = |bits: u64| (old & bits == bits, new & bits == bits);
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
        let (from, to) = both(bits);
        add(field, from, to);
    }
    if day && changed & (TOUCHED | OPTED_OUT) != 0 {
        shift_outcomes(counts, old, new);
    }
}

fn shift_outcomes(counts: &mut Counts, old: u64, new: u64) {
    for (index, pattern) in counts.patterns.iter_mut().enumerate() {
        let exposure = 1 << (EXPOSED_SHIFT + index as u32);
        let is = |word: u64, exposed: bool, opted_out: bool| {
            touched(word) && (word & exposure != 0) == exposed && (!opted_out || word & OPTED_OUT != 0)
        };
        let days = &mut pattern.days;
        add(&mut days.exposed, is(old, true, false), is(new, true, false));
        add(&mut days.exposed_opt_outs, is(old, true, true), is(new, true, true));
        add(&mut days.unexposed, is(old, false, false), is(new, false, false));
        add(&mut days.unexposed_opt_outs, is(old, false, true), is(new, false, true));
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
        let mut counts = Counts::default();
        let seen = Seen { touch: true, at_risk: 0b11, ..Seen::default() };
        let one = after(0, &seen, 0, false);
        shift(&mut counts, 0, one, false);
        let two =
            affected(affected(one, Pattern::RelentlessRetargeting, 1), Pattern::RelentlessRetargeting, 3);
        let three = affected(two, Pattern::RelentlessRetargeting, 2);
        assert_eq!(two, three);
        shift(&mut counts, one, three, false);
        assert_eq!(
            (counts.people, counts.patterns[0].at_risk, counts.patterns[0].affected),
            (1, 1, [0, 0, 1])
        );
        assert_eq!((counts.patterns[1].at_risk, counts.patterns[1].affected), (1, [0, 0, 0]));
    }

    #[test]
    fn an_opt_out_before_the_first_touch_of_the_day_counts_for_it() {
        let mut counts = Counts::default();
        let out = after(0, &Seen { opt_out: true, ..Seen::default() }, 0, true);
        shift(&mut counts, 0, out, true);
        assert_eq!((counts.people, counts.opted_out, counts.patterns[3].days.unexposed), (0, 0, 0));
        let touched = after(out, &Seen { touch: true, ..Seen::default() }, 1 << 3, true);
        shift(&mut counts, out, touched, true);
        assert_eq!((counts.people, counts.opted_out, counts.device_keys), (1, 1, 1));
        assert_eq!((counts.patterns[3].days.exposed, counts.patterns[3].days.exposed_opt_outs), (1, 1));
        assert_eq!((counts.patterns[4].days.unexposed, counts.patterns[4].days.unexposed_opt_outs), (1, 1));
        shift(&mut counts, touched, 0, true);
        assert_eq!(counts, Counts::default(), "an erasure takes everything back");
    }

    #[test]
    fn the_last_known_consent_status_counts() {
        let mut counts = Counts::default();
        let yes = after(0, &Seen { touch: true, consent: Some(true), ..Seen::default() }, 0, true);
        let no = after(yes, &Seen { touch: true, consent: Some(false), ..Seen::default() }, 0, true);
        let unknown = after(no, &Seen { touch: true, consent: None, ..Seen::default() }, 0, true);
        shift(&mut counts, 0, unknown, false);
        assert_eq!((counts.consent_known, counts.consent_authorised), (1, 0));
    }
}
