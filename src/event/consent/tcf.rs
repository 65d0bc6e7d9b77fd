//! TC strings of the IAB Transparency and Consent Framework, version 2.
//!
//! Only the core segment is read, and of it only what P6 asks for; but it is followed to its last
//! field, because a string that ends before is not to be believed. The crates at hand do not do
//! that: `lib_tcstring` 0.5.0 panics on some truncated strings, and both it and `iab_gpp` 0.1.2
//! refuse a good core for the sake of the segments after it.

use super::bits::Bits;

const VERSION: u32 = 2;
/// Where the 24 bits of `PurposesConsent` begin.
const PURPOSES_CONSENT_AT: usize = 152;
/// Fields between `PurposesConsent` and the vendors: legitimate interests, purpose one, country.
const BEFORE_VENDORS: usize = 24 + 1 + 12;
/// Purposes 3 and 4, personalised advertising profiles and selection, among the 24.
const PERSONALISED_ADS: u32 = 0b0011 << 20;

/// Whether purposes 3 and 4 are both consented; `None` when the string is malformed.
pub(super) fn personalised_ads_consented(tc_string: &str) -> Option<bool> {
    let core = tc_string.split('.').next()?;
    let mut bits = Bits::of(core)?;
    if bits.read(6)? != VERSION {
        return None;
    }
    bits.seek(PURPOSES_CONSENT_AT)?;
    let purposes = bits.read(24)?;
    bits.skip(BEFORE_VENDORS)?;
    skip_vendors(&mut bits)?; // consented
    skip_vendors(&mut bits)?; // legitimate interest
    skip_publisher_restrictions(&mut bits)?;
    Some(purposes & PERSONALISED_ADS == PERSONALISED_ADS)
}

fn skip_vendors(bits: &mut Bits<'_>) -> Option<()> {
    let max_vendor_id = bits.read(16)?;
    let is_range = bits.read(1)? == 1;
    if is_range { skip_ranges(bits) } else { bits.skip(usize::try_from(max_vendor_id).ok()?) }
}

fn skip_ranges(bits: &mut Bits<'_>) -> Option<()> {
    for _ in 0..bits.read(12)? {
        let is_group = bits.read(1)? == 1;
        bits.skip(if is_group { 32 } else { 16 })?;
    }
    Some(())
}

fn skip_publisher_restrictions(bits: &mut Bits<'_>) -> Option<()> {
    for _ in 0..bits.read(12)? {
        bits.skip(6 + 2)?; // purpose, type of restriction
        skip_ranges(bits)?;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A core segment with these purposes and vendor sections, as bits, built field by field.
    fn core(purposes: &[u32], vendors: &[&str]) -> String {
        let mut bits = format!("{:06b}{}", 2, "0".repeat(146));
        bits.extend((1..=24).map(|purpose| if purposes.contains(&purpose) { '1' } else { '0' }));
        bits.push_str(&"1".repeat(37));
        bits.extend(vendors.iter().copied());
        to_base64(&bits)
    }

    fn to_base64(bits: &str) -> String {
        let padded = format!("{bits}{}", "0".repeat((6 - bits.len() % 6) % 6));
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        padded
            .as_bytes()
            .chunks(6)
            .map(|chunk| usize::from_str_radix(str::from_utf8(chunk).unwrap(), 2).unwrap())
            .map(|value| char::from(alphabet[value]))
            .collect()
    }

    /// Vendors 1, 2, 4 and 5 as bits; vendor 7 and vendors 12 to 15 as ranges; vendor 5 restricted.
    const NONE: &str = "00000000000000000";
    const FIELD: &str = concat!("0000000000000101", "0", "11011");
    const RANGE: &str = concat!(
        "0000000000001111",
        "1",
        "000000000010",
        "00000000000000111",
        "1",
        "0000000000001100",
        "0000000000001111"
    );
    const NO_RESTRICTIONS: &str = "000000000000";
    const RESTRICTION: &str = concat!("000000000001", "000100", "01", "000000000001", "00000000000000101");

    #[test]
    fn both_purposes_are_needed() {
        for (purposes, expected) in [
            (&[3, 4][..], true),
            (&[1, 2, 3, 4, 5, 24], true),
            (&[3], false),
            (&[4], false),
            (&[1, 2, 5, 6, 7, 8], false),
            (&[], false),
        ] {
            for vendors in
                [[NONE, NONE, NO_RESTRICTIONS], [FIELD, RANGE, NO_RESTRICTIONS], [RANGE, FIELD, RESTRICTION]]
            {
                let string = core(purposes, &vendors);
                assert_eq!(personalised_ads_consented(&string), Some(expected), "{string}");
                assert_eq!(personalised_ads_consented(&format!("{string}.YAAA.?.")), Some(expected));
            }
        }
    }

    #[test]
    fn a_core_that_ends_before_its_last_field_is_malformed() {
        for vendors in
            [[NONE, NONE, NO_RESTRICTIONS], [FIELD, RANGE, NO_RESTRICTIONS], [RANGE, RANGE, RESTRICTION]]
        {
            let string = core(&[3, 4], &vendors);
            for end in 0..string.len() {
                assert_eq!(personalised_ads_consented(&string[..end]), None, "{end} of {string}");
            }
        }
    }

    #[test]
    fn other_versions_and_alphabets_are_malformed() {
        let good = core(&[3, 4], &[NONE, NONE, NO_RESTRICTIONS]);
        for bad in [
            format!("B{}", &good[1..]),
            format!("D{}", &good[1..]),
            format!(" {good}"),
            format!("{good}="),
            format!(".{good}"),
            String::from("."),
            String::new(),
        ] {
            assert_eq!(personalised_ads_consented(&bad), None, "{bad}");
        }
    }
}
