//! Pseudonyms: what stands for a raw id wherever one would be published or stored.

use std::fmt;

/// What kind of id a pseudonym stands for. The same text of two kinds has two pseudonyms.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum PseudonymKind {
    /// A person.
    Person,
    /// A device.
    Device,
    /// An order.
    Order,
    /// A cart.
    Cart,
    /// An event.
    Event,
}

impl PseudonymKind {
    /// All kinds.
    pub const ALL: [PseudonymKind; 5] = [
        PseudonymKind::Person,
        PseudonymKind::Device,
        PseudonymKind::Order,
        PseudonymKind::Cart,
        PseudonymKind::Event,
    ];

    /// The name that goes into the hash.
    pub const fn name(self) -> &'static str {
        match self {
            PseudonymKind::Person => "person",
            PseudonymKind::Device => "device",
            PseudonymKind::Order => "order",
            PseudonymKind::Cart => "cart",
            PseudonymKind::Event => "event",
        }
    }
}

/// The first 16 bytes of a keyed hash of an id and its kind. Shown as lower-case hex.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pseudonym(pub [u8; 16]);

impl Pseudonym {
    /// Reads the form that `Display` writes.
    pub fn from_hex(text: &str) -> Option<Pseudonym> {
        let is_lower_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        if text.len() != 32 || !text.bytes().all(is_lower_hex) {
            return None;
        }
        u128::from_str_radix(text, 16).ok().map(|value| Pseudonym(value.to_be_bytes()))
    }
}

impl fmt::Display for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Debug for Pseudonym {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pseudonym({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_has_32_lower_case_digits_and_reads_back() {
        let pseudonym = Pseudonym([0, 1, 0xAB, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xFF, 0x0A]);
        let text = "0001ab0000000000000000000000ff0a";
        assert_eq!(pseudonym.to_string(), text);
        assert_eq!(Pseudonym::from_hex(text), Some(pseudonym));
        for bad in ["", "0001ab", "0001AB0000000000000000000000FF0A", "+001ab0000000000000000000000ff0a"] {
            assert_eq!(Pseudonym::from_hex(bad), None, "{bad}");
        }
    }
}
