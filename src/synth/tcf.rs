//! TC strings (IAB TCF 2.2, core segment only) for people under the GDPR.

/// Vendors in the two bit fields: makes strings as long as real ones.
const VENDORS: u32 = 420;
/// Letters of base64url.
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/// A TC string with consent to all purposes, or to all but 3 and 4 (personalised advertising).
pub(crate) fn tc_string(personalised: bool) -> String {
    let mut bits = Bits::default();
    let created_decis = 17_409_600_000;
    bits.push(2, 6);
    bits.push(created_decis, 36);
    bits.push(created_decis, 36);
    bits.push(31, 12); // CMP
    bits.push(1, 12); // version of the CMP
    bits.push(1, 6); // screen
    bits.push((4 << 6) | 13, 12); // language EN
    bits.push(300, 12); // vendor list
    bits.push(4, 6); // policy
    bits.push(1, 1); // service specific
    bits.push(0, 1); // standard texts
    bits.push(0, 12); // special features
    // The first purpose is the highest of 24 bits; there are eleven.
    let all = 0xff_e000;
    let purposes_3_and_4 = 0x30_0000;
    bits.push(if personalised { all } else { all & !purposes_3_and_4 }, 24);
    bits.push(0, 24); // legitimate interest
    bits.push(0, 1); // purpose one
    bits.push((3 << 6) | 4, 12); // publisher's country DE
    for pattern in [0b1011_u64, 0b0100] {
        bits.push(u64::from(VENDORS), 16);
        bits.push(0, 1); // a bit field
        for vendor in 0..VENDORS {
            bits.push(pattern >> (vendor % 4), 1);
        }
    }
    bits.push(0, 12); // no publisher restrictions
    bits.base64url()
}

#[derive(Default)]
struct Bits {
    text: String,
    pending: u64,
    held: u32,
}

impl Bits {
    fn push(&mut self, value: u64, width: u32) {
        for bit in (0..width).rev() {
            self.pending = (self.pending << 1) | ((value >> bit) & 1);
            self.held += 1;
            if self.held == 6 {
                self.text.push(char::from(LETTERS[(self.pending & 63) as usize]));
                (self.pending, self.held) = (0, 0);
            }
        }
    }

    fn base64url(mut self) -> String {
        while self.held != 0 {
            self.push(0, 1);
        }
        self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use base64::Engine as _;

    /// Purposes sit at bits 152 to 175 of the core segment.
    fn purpose(text: &str, number: usize) -> bool {
        let engine = base64::engine::GeneralPurpose::new(
            &base64::alphabet::URL_SAFE,
            base64::engine::GeneralPurposeConfig::new()
                .with_decode_padding_mode(base64::engine::DecodePaddingMode::Indifferent)
                .with_decode_allow_trailing_bits(true),
        );
        let bytes = engine.decode(text).unwrap();
        assert_eq!(bytes[0] >> 2, 2, "version");
        let bit = 152 + number - 1;
        bytes[bit / 8] & (0x80 >> (bit % 8)) != 0
    }

    #[test]
    fn the_strings_differ_in_purposes_3_and_4() {
        let (yes, no) = (tc_string(true), tc_string(false));
        assert_eq!((1..=12).filter(|&n| purpose(&yes, n)).collect::<Vec<_>>(), (1..=11).collect::<Vec<_>>());
        assert_eq!((1..=12).filter(|&n| !purpose(&no, n)).collect::<Vec<_>>(), [3, 4, 12]);
    }
}
