//! GPP strings of the IAB Global Privacy Platform: the header and the US sections.
//!
//! Of the crates at hand, `iab_gpp` 0.1.2 misreads headers with three or more single section ids,
//! refuses a whole string for one section id it does not know, and completes a section that was cut
//! off with zeros. The layouts are therefore written down here.

use super::bits::Bits;
use super::us_privacy;

const HEADER_TYPE: u32 = 3;
const VERSION: u32 = 1;
/// The first and the last section that are read.
const US_PRIVACY: u32 = 6;
const MINNESOTA: u32 = 23;
/// `OptedOut` in a field of two bits.
const OPTED_OUT: u32 = 1;

/// Core segment of one version of a US section.
struct Layout {
    section: u32,
    version: u32,
    /// Where its consecutive two-bit fields on sale, sharing and targeted advertising begin.
    opt_outs_at: usize,
    /// How many of these three fields it has.
    opt_outs: usize,
    /// Bits up to the end of the last field.
    bits: usize,
}

const fn layout(section: u32, version: u32, opt_outs_at: usize, opt_outs: usize, bits: usize) -> Layout {
    Layout { section, version, opt_outs_at, opt_outs, bits }
}

const LAYOUTS: [Layout; 18] = [
    layout(7, 1, 18, 3, 60), // US national
    layout(7, 2, 18, 3, 70),
    layout(8, 1, 12, 2, 46),  // California: sale and sharing
    layout(9, 1, 12, 2, 40),  // Virginia; from here on: sale and targeted advertising
    layout(10, 1, 12, 2, 38), // Colorado
    layout(11, 1, 14, 2, 42), // Utah
    layout(12, 1, 12, 2, 44), // Connecticut
    layout(13, 1, 12, 2, 46), // Florida
    layout(14, 1, 12, 2, 46), // Montana
    layout(15, 1, 12, 2, 52), // Oregon
    layout(16, 1, 12, 2, 42), // Texas
    layout(17, 1, 12, 2, 52), // Delaware
    layout(18, 1, 14, 2, 42), // Iowa
    layout(19, 1, 12, 2, 42), // Nebraska
    layout(20, 1, 12, 2, 46), // New Hampshire
    layout(21, 1, 12, 2, 54), // New Jersey
    layout(22, 1, 12, 2, 42), // Tennessee
    layout(MINNESOTA, 1, 12, 2, 42),
];

/// What the US sections of a GPP string say together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct UsSections {
    /// A section opts out of sale, sharing or targeted advertising.
    pub(super) opted_out: bool,
    /// A section among 6 to 23 cannot be decoded.
    pub(super) unreadable: bool,
}

impl UsSections {
    fn take(&mut self, section: u32, text: Option<&str>) {
        if section < US_PRIVACY {
            return;
        }
        match text.and_then(|text| opted_out(section, text)) {
            Some(opted_out) => self.opted_out |= opted_out,
            None => self.unreadable = true,
        }
    }
}

/// Reads the US sections of a GPP string; `None` when its header is malformed.
///
/// Sections belong to the header's ids by their position. Where the header names more than there
/// are, the missing ones cannot be decoded.
pub(super) fn us_sections(gpp: &str) -> Option<UsSections> {
    let mut parts = gpp.split('~');
    let mut header = Bits::of(parts.next()?)?;
    if header.read(6)? != HEADER_TYPE || header.read(6)? != VERSION {
        return None;
    }
    let mut found = UsSections::default();
    let mut last_id = 0_u32;
    for _ in 0..header.read(12)? {
        let is_group = header.read(1)? == 1;
        let first = last_id.checked_add(fibonacci(&mut header)?)?;
        last_id = if is_group { first.checked_add(fibonacci(&mut header)?)? } else { first };
        // Ids ascend, so nothing that follows a later one is of interest.
        for section in first..=last_id.min(MINNESOTA) {
            found.take(section, parts.next());
        }
    }
    Some(found)
}

/// Reads a Fibonacci-coded integer: the sum of the numbers 1, 2, 3, 5, … whose bits are set, ended by two set bits.
fn fibonacci(bits: &mut Bits<'_>) -> Option<u32> {
    let (mut total, mut number, mut next) = (0_u32, 1_u32, 2_u32);
    let mut was_set = false;
    loop {
        let is_set = bits.read(1)? == 1;
        if is_set && was_set {
            return Some(total);
        }
        if is_set {
            total = total.checked_add(number)?;
        }
        (number, next) = (next, number.checked_add(next)?);
        was_set = is_set;
    }
}

/// Whether a US section opts out; `None` when it cannot be decoded.
fn opted_out(section: u32, text: &str) -> Option<bool> {
    if section == US_PRIVACY {
        return us_privacy::opted_out(text);
    }
    let mut core = Bits::of(text.split('.').next()?)?;
    let version = core.read(6)?;
    let layout = LAYOUTS.iter().find(|known| (known.section, known.version) == (section, version))?;
    if core.len() < layout.bits {
        return None;
    }
    core.seek(layout.opt_outs_at)?;
    let mut opted_out = false;
    for _ in 0..layout.opt_outs {
        opted_out |= core.read(2)? == OPTED_OUT;
    }
    Some(opted_out)
}

#[cfg(test)]
mod tests {
    use super::*;

    const CALM: UsSections = UsSections { opted_out: false, unreadable: false };
    const OPTED_OUT: UsSections = UsSections { opted_out: true, unreadable: false };
    const UNREADABLE: UsSections = UsSections { opted_out: false, unreadable: true };

    /// Per section its header and, as the IAB's own encoder (`@iabgpp/cmpapi` 3.2.0) writes it, a core
    /// with every field at 1 but the opt-outs, which are 2, then with one opt-out after the other at 1.
    const ENCODED: [(&str, &[&str]); 17] = [
        ("DBABLA", &["CVQqVVVVVQFU", "CVQaVVVVVQFU", "CVQmVVVVVQFU", "CVQpVVVVVQFU"]),
        ("DBABBg", &["BUpVVUFU", "BUZVVUFU", "BUlVVUFU"]),
        ("DBABRg", &["BVpVVRU", "BVZVVRU", "BVlVVRU"]),
        ("DBABJg", &["BVpVVFQ", "BVZVVFQ", "BVlVVFQ"]),
        ("DBABFg", &["BVKVVUVA", "BVGVVUVA", "BVJVVUVA"]),
        ("DBABVg", &["BVpVVQFQ", "BVZVVQFQ", "BVlVVQFQ"]),
        ("DBABAw", &["BVpVVQFU", "BVZVVQFU", "BVlVVQFU"]),
        ("DBABQw", &["BVpVVQFU", "BVZVVQFU", "BVlVVQFU"]),
        ("DBABIw", &["BVpVVVQFUA", "BVZVVVQFUA", "BVlVVVQFUA"]),
        ("DBABEw", &["BVpVVRVA", "BVZVVRVA", "BVlVVRVA"]),
        ("DBABUw", &["BVpVVUAFUA", "BVZVVUAFUA", "BVlVVUAFUA"]),
        ("DBABCw", &["BVKVVUVA", "BVGVVUVA", "BVJVVUVA"]),
        ("DBABSw", &["BVpVVRVA", "BVZVVRVA", "BVlVVRVA"]),
        ("DBABKw", &["BVpVVQFU", "BVZVVQFU", "BVlVVQFU"]),
        ("DBABAYA", &["BVpVVVABVA", "BVZVVVABVA", "BVlVVVABVA"]),
        ("DBABQYA", &["BVpVVRVA", "BVZVVRVA", "BVlVVRVA"]),
        ("DBABIYA", &["BVpVVRVA", "BVZVVRVA", "BVlVVRVA"]),
    ];

    #[test]
    fn each_opt_out_of_each_section_counts_and_nothing_else() {
        for (header, cores) in ENCODED {
            let [calm, opted_out @ ..] = cores else { panic!("{header} has no cores") };
            for tail in ["", ".QA", ".?"] {
                assert_eq!(us_sections(&format!("{header}~{calm}{tail}")), Some(CALM), "{header}~{calm}");
                for core in opted_out {
                    let string = format!("{header}~{core}{tail}");
                    assert_eq!(us_sections(&string), Some(OPTED_OUT), "{string}");
                }
            }
        }
    }

    #[test]
    fn a_section_that_ends_before_its_last_field_is_unknown() {
        for (section, (header, cores)) in (7..).zip(ENCODED) {
            let bits = LAYOUTS.iter().rfind(|layout| layout.section == section).unwrap().bits;
            for core in cores {
                for end in 0..core.len() {
                    let expected = if end * 6 < bits {
                        UNREADABLE
                    } else {
                        us_sections(&format!("{header}~{core}")).unwrap()
                    };
                    assert_eq!(
                        us_sections(&format!("{header}~{}", &core[..end])),
                        Some(expected),
                        "{end} of {core}"
                    );
                }
                let other_version = format!("{header}~D{}", &core[1..]);
                assert_eq!(us_sections(&other_version), Some(UNREADABLE), "{other_version}");
            }
        }
    }

    #[test]
    fn the_national_section_has_two_versions() {
        for (core, expected) in [
            ("BVQqAAAAAg", CALM),
            ("BVQaAAAAAg", OPTED_OUT),
            ("BVQaAAAAA", UNREADABLE),
            ("CVQaAAAAAgA", UNREADABLE),
            ("CVQaAAAAAgAA", OPTED_OUT),
            ("BVQ_AAAAAgA", CALM), // 3 is no value of an opt-out
            ("BVQAAAAAAgA", CALM), // not applicable
            ("AVQaAAAAAgA", UNREADABLE),
        ] {
            assert_eq!(us_sections(&format!("DBABLA~{core}")), Some(expected), "{core}");
        }
    }

    const NATIONAL: &str = "CVQqVVVVVQFU";
    const VIRGINIA: &str = "BVpVVRU";
    const VIRGINIA_OUT: &str = "BVZVVRU";
    const COLORADO: &str = "BVpVVFQ";
    const COLORADO_OUT: &str = "BVZVVFQ";
    const UTAH: &str = "BVKVVUVA";
    const NEW_HAMPSHIRE: &str = "BVpVVQFU";

    #[test]
    fn sections_belong_to_the_ids_by_position() {
        let both = UsSections { opted_out: true, unreadable: true };
        for (header, sections, expected) in [
            ("DBACLMA", &[NATIONAL, VIRGINIA_OUT][..], OPTED_OUT), // 7, 9
            ("DBACLMA", &[VIRGINIA_OUT, NATIONAL], UNREADABLE),
            ("DBADTm0Y", &["1YNN", VIRGINIA, COLORADO, UTAH, NEW_HAMPSHIRE], CALM), // 6, 9 to 11, 20
            ("DBADTm0Y", &["1YNN", VIRGINIA, COLORADO_OUT, UTAH, NEW_HAMPSHIRE], OPTED_OUT),
            ("DBADTm0Y", &["1YYN", VIRGINIA, COLORADO, UTAH, NEW_HAMPSHIRE], OPTED_OUT),
            ("DBADTm0Y", &["1YYN", VIRGINIA], both),
            ("DBADTm0Y", &["1YYN", "", "?", UTAH, NEW_HAMPSHIRE], both),
            ("DBADNYw", &["?", "1YNN", VIRGINIA], CALM), // 2, 6, 9: TCF is not read
            ("DBADNYw", &[VIRGINIA_OUT, "1YNN", VIRGINIA], CALM),
            ("DBADNYw", &["?", "1YYN", VIRGINIA], OPTED_OUT),
            ("DBADNYw", &["?", "1YNN", VIRGINIA_OUT], OPTED_OUT),
            ("DBADNYw", &["?", "1YYNN", VIRGINIA], UNREADABLE),
            ("DBABEYA", &[VIRGINIA_OUT], CALM),          // 24
            ("DBABRg", &[], UNREADABLE),                 // 9, without a section
            ("DBABRg", &[VIRGINIA, VIRGINIA_OUT], CALM), // 9, and one without an id
            ("DBAA", &[VIRGINIA_OUT], CALM),             // no ids at all
        ] {
            let string = [&[header], sections].concat().join("~");
            assert_eq!(us_sections(&string), Some(expected), "{string}");
        }
    }

    #[test]
    fn a_header_that_cannot_be_read_to_its_last_id_is_malformed() {
        let good = "DBADTm0Y";
        for end in 0..good.len() {
            assert_eq!(us_sections(&format!("{}~1YYN", &good[..end])), None, "{end}");
        }
        let (all_ones, all_zeros) =
            (format!("DB{}", "_".repeat(3_000)), format!("DBAB{}", "A".repeat(4_000)));
        for bad in ["CBABTA", "DAABTA", "DCABTA", " DBABTA", "DBABTA=", "DBABTA.", &all_ones, &all_zeros] {
            assert_eq!(us_sections(&format!("{bad}~1YYN")), None, "{bad}");
        }
    }

    #[test]
    fn an_id_that_no_number_holds_is_malformed() {
        // A single id of 48 bits: 0, then 46 times 0, then 11.
        let mut bits = format!("{:06b}{:06b}{:012b}0{}11", 3, 1, 1, "0".repeat(46));
        bits.push_str(&"0".repeat((6 - bits.len() % 6) % 6));
        let value = |chunk: &[u8]| usize::from_str_radix(str::from_utf8(chunk).unwrap(), 2).unwrap();
        let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
        let header: String =
            bits.as_bytes().chunks(6).map(|chunk| char::from(alphabet[value(chunk)])).collect();
        assert_eq!(us_sections(&header), None);
    }
}
