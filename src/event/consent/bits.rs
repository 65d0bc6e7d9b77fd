//! Reading bit fields from unpadded URL-safe base64, the transport form of TCF and GPP segments.

/// Value of each base64url character; [`FOREIGN`] for every other byte.
const VALUES: [u8; 256] = values();
const FOREIGN: u8 = 0xFF;
const BITS_PER_CHAR: usize = 6;

const fn values() -> [u8; 256] {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut values = [FOREIGN; 256];
    let mut value = 0;
    while value < 64 {
        values[ALPHABET[value as usize] as usize] = value;
        value += 1;
    }
    values
}

/// A cursor over the bits of one segment. Bits beyond its end do not exist: nothing is padded.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    chars: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    /// The bits of a segment; `None` when a byte of it is no base64url character.
    pub(super) fn of(segment: &'a str) -> Option<Bits<'a>> {
        let chars = segment.as_bytes();
        // No early exit, so that the loop over long vendor lists stays without branches.
        let worst = chars.iter().fold(0, |worst, char| worst | VALUES[usize::from(*char)]);
        (worst < 64).then_some(Bits { chars, at: 0 })
    }

    /// How many bits the segment has.
    pub(super) fn len(&self) -> usize {
        self.chars.len() * BITS_PER_CHAR
    }

    /// Puts the cursor at this bit.
    pub(super) fn seek(&mut self, at: usize) -> Option<()> {
        (at <= self.len()).then(|| self.at = at)
    }

    /// Passes over `count` bits.
    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        self.seek(self.at + count)
    }

    /// Reads `count` bits, at most 24, most significant first.
    pub(super) fn read(&mut self, count: usize) -> Option<u32> {
        debug_assert!(count <= 24, "{count} bits and a partial character do not fit");
        let (first, end) = (self.at / BITS_PER_CHAR, self.at + count);
        let last = end.div_ceil(BITS_PER_CHAR);
        let mut value = 0;
        for char in self.chars.get(first..last)? {
            value = value << BITS_PER_CHAR | u32::from(VALUES[usize::from(*char)]);
        }
        self.at = end;
        Some(value >> (last * BITS_PER_CHAR - end) & ((1 << count) - 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_are_read_across_characters_and_none_are_invented() {
        let mut bits = Bits::of("DBAB_").unwrap();
        assert_eq!(bits.len(), 30);
        let read: Vec<_> = [6, 6, 12, 1, 3].map(|count| bits.read(count)).into();
        assert_eq!(read, [Some(3), Some(1), Some(1), Some(1), Some(7)]);
        assert_eq!(bits.read(3), None, "two are left");
        assert_eq!(bits.read(2), Some(3));
        assert_eq!((bits.read(0), bits.skip(0), bits.read(1), bits.skip(1)), (Some(0), Some(()), None, None));
        bits.seek(4).unwrap();
        assert_eq!(bits.read(24), Some(0b1100_0001_0000_0000_0001_1111));
    }

    #[test]
    fn only_the_alphabet_is_read() {
        let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        for (value, char) in (0..).zip(alphabet.chars()) {
            assert_eq!(Bits::of(&char.to_string()).unwrap().read(6), Some(value));
        }
        for char in (0..=0x7F_u8).map(char::from).chain(['é', '\u{FFFD}']) {
            assert_eq!(Bits::of(&format!("A{char}")).is_some(), alphabet.contains(char), "{char:?}");
        }
    }
}
