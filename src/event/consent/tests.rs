use proptest::prelude::*;

use super::*;

const BOTH_CONSENTED: &str = "CP1R2oAP1R2oAAKABBENCWEgADAAAAAAAAYgABqAAAAA";
const WITHOUT_4: &str = "CP1R2oAP1R2oAAKABBENCWEgAOAAAAAAAAYgABqAAAAA";
const GPP_SALE: &str = "DBABRg~BVZVVRU";
const GPP_CALM: &str = "DBABRg~BVpVVRU";
const GPP_CUT: &str = "DBABRg~BVZVV";

const NOTHING: RawConsent<'static> = RawConsent {
    att_status: None,
    lmt: None,
    dnt: None,
    gpc: None,
    gdpr_applies: None,
    tc_string: None,
    gpp: None,
    us_privacy: None,
};

fn decode(consent: &RawConsent<'_>, jurisdiction: Option<&str>) -> (Signals, Vec<Flaw>) {
    let (signals, quality) = SignalsDecoder::new(ConsentRules::default()).decode(consent, jurisdiction);
    (signals, quality.flaws().collect())
}

fn check(consent: RawConsent<'_>, expected: &[Signals], flaws: &[Flaw]) {
    let expected = expected.iter().fold(Signals::default(), |all, signal| all.with(*signal, true));
    assert_eq!(decode(&consent, Some("US-WY")), (expected, flaws.to_vec()), "{consent:?}");
}

#[test]
fn flags_and_statuses() {
    check(NOTHING, &[], &[]);
    for (att_status, expected, flaws) in [
        (0, &[][..], &[][..]),
        (1, &[Signals::REFUSED_CROSS], &[]),
        (2, &[Signals::REFUSED_CROSS], &[]),
        (3, &[Signals::ALLOWED], &[]),
        (4, &[], &[Flaw::AttStatus]),
        (-1, &[], &[Flaw::AttStatus]),
        (i64::MIN, &[], &[Flaw::AttStatus]),
    ] {
        check(RawConsent { att_status: Some(att_status), ..NOTHING }, expected, flaws);
    }
    check(RawConsent { lmt: Some(true), ..NOTHING }, &[Signals::REFUSED_CROSS], &[]);
    check(RawConsent { dnt: Some(true), ..NOTHING }, &[Signals::VOLUNTARY], &[]);
    let all_off = RawConsent {
        lmt: Some(false),
        dnt: Some(false),
        gpc: Some(false),
        gdpr_applies: Some(false),
        ..NOTHING
    };
    check(all_off, &[], &[]);
    check(RawConsent { gdpr_applies: Some(true), ..NOTHING }, &[], &[]);
    let torn = RawConsent { att_status: Some(3), lmt: Some(true), dnt: Some(true), ..NOTHING };
    check(torn, &[Signals::ALLOWED, Signals::REFUSED_CROSS, Signals::VOLUNTARY], &[]);
}

#[test]
fn global_privacy_control_binds_in_its_jurisdictions_and_is_a_wish_elsewhere() {
    let gpc = RawConsent { gpc: Some(true), ..NOTHING };
    for (jurisdiction, expected) in [
        (Some("US-CA"), Signals::REFUSED_CROSS),
        (Some("US-TX"), Signals::REFUSED_CROSS),
        (Some("US-WY"), Signals::VOLUNTARY),
        (Some("US"), Signals::VOLUNTARY),
        (Some("DE"), Signals::VOLUNTARY),
        (None, Signals::VOLUNTARY),
    ] {
        assert_eq!(decode(&gpc, jurisdiction), (expected, vec![]), "{jurisdiction:?}");
    }
    let with_dnt = RawConsent { dnt: Some(true), ..gpc };
    let both = Signals::REFUSED_CROSS.with(Signals::VOLUNTARY, true);
    assert_eq!(decode(&with_dnt, Some("US-CA")), (both, vec![]));
}

#[test]
fn tcf_counts_only_where_the_gdpr_applies() {
    for (gdpr_applies, tc_string, expected, flaws) in [
        (Some(true), BOTH_CONSENTED, &[Signals::ALLOWED][..], &[][..]),
        (Some(true), WITHOUT_4, &[Signals::REFUSED_ALL], &[]),
        (Some(false), BOTH_CONSENTED, &[], &[]),
        (Some(false), WITHOUT_4, &[], &[]),
        (None, BOTH_CONSENTED, &[], &[]),
        (None, WITHOUT_4, &[], &[]),
        (Some(true), "", &[], &[Flaw::TcString]),
        (None, "not a string", &[], &[Flaw::TcString]),
    ] {
        let consent = RawConsent { gdpr_applies, tc_string: Some(tc_string), ..NOTHING };
        check(consent, expected, flaws);
    }
}

#[test]
fn opt_outs_in_strings_refuse_tracking_across_companies() {
    for (gpp, us_privacy, expected, flaws) in [
        (Some(GPP_SALE), None, &[Signals::REFUSED_CROSS][..], &[][..]),
        (Some(GPP_CALM), None, &[], &[]),
        (Some(GPP_CUT), None, &[], &[Flaw::GppSection]),
        (Some("????"), None, &[], &[Flaw::Gpp]),
        (Some(""), None, &[], &[Flaw::Gpp]),
        (None, Some("1YYN"), &[Signals::REFUSED_CROSS], &[]),
        (None, Some("1YNN"), &[], &[]),
        (None, Some("1YXN"), &[], &[Flaw::UsPrivacy]),
        (Some("????"), Some("1YYN"), &[Signals::REFUSED_CROSS], &[Flaw::Gpp]),
        (Some(GPP_SALE), Some(""), &[Signals::REFUSED_CROSS], &[Flaw::UsPrivacy]),
    ] {
        check(RawConsent { gpp, us_privacy, ..NOTHING }, expected, flaws);
    }
}

#[test]
fn a_string_may_have_4096_bytes_and_no_more() {
    let long = |string: &str, length: usize| format!("{string}.{}", "A".repeat(length - string.len() - 1));
    for (length, flaws) in [(4_096, [None, None]), (4_097, [Some(Flaw::TcString), Some(Flaw::Gpp)])] {
        let (tc_string, gpp) = (long(BOTH_CONSENTED, length), long(GPP_SALE, length));
        assert_eq!((tc_string.len(), gpp.len()), (length, length));
        let consent =
            RawConsent { gdpr_applies: Some(true), tc_string: Some(&tc_string), gpp: Some(&gpp), ..NOTHING };
        let expected = match flaws {
            [None, None] => Signals::ALLOWED.with(Signals::REFUSED_CROSS, true),
            _ => Signals::default(),
        };
        assert_eq!(decode(&consent, None), (expected, flaws.into_iter().flatten().collect()), "{length}");
    }
}

#[test]
fn strings_cut_anywhere_say_nothing_new() {
    let mut decoder = SignalsDecoder::new(ConsentRules::default());
    for string in [
        "CP1R2oAP1R2oAAKABBENCWEgACAAAAAAAAYgAtQAgABQAEAFoAAAAAA.YAAAAAAAAAAA",
        "CP1R2oAP1R2oAAKABBENCWEgABAAAAAAAAYgABqAAAAEMACAADAAcACQ",
        "DBADTm0Y~1YYN~BVpVVRU~BVpVVFQ~BVKVVUVA~BVpVVQFU.QA",
    ] {
        let full =
            RawConsent { gdpr_applies: Some(true), tc_string: Some(string), gpp: Some(string), ..NOTHING };
        let (whole, _) = decoder.decode(&full, None);
        for end in 0..string.len() {
            let cut = string.get(..end);
            let (signals, _) = decoder.decode(&RawConsent { tc_string: cut, gpp: cut, ..full }, None);
            assert!(whole.contains(signals), "{cut:?} says {signals:?}, all of it {whole:?}");
        }
    }
}

/// Junk, and good strings with some characters replaced.
fn strings() -> impl Strategy<Value = String> {
    let good = prop::sample::select(vec![
        BOTH_CONSENTED,
        "CP1R2oAP1R2oAAKABBENCWEgABAAAAAAAAYgABqAAAAEMACAADAAcACQ",
        "CP1R2oAP1R2oAAKABBENCWEgACAAAAAAAAYgAtQAgABQAEAFoAAAAAA",
        GPP_SALE,
        "DBADTm0Y~1YYN~BVpVVRU~BVpVVFQ~BVKVVUVA~BVpVVQFU.QA",
    ]);
    let spoiled = (good, prop::collection::vec((any::<prop::sample::Index>(), any::<char>()), 0..4))
        .prop_map(|(good, changes)| {
            let mut chars: Vec<char> = good.chars().collect();
            for (at, char) in changes {
                let at = at.index(chars.len());
                chars[at] = char;
            }
            chars.into_iter().collect()
        });
    prop_oneof![
        any::<String>(),
        "[A-Za-z0-9_~.-]{0,300}",
        "DB[A-Za-z0-9_-]{0,40}(~[A-Z.~]{0,9}){0,9}",
        spoiled
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn no_string_panics_and_remembering_changes_nothing(tc in strings(), gpp in strings(), usp in strings()) {
        let consent = RawConsent {
            gdpr_applies: Some(true),
            tc_string: Some(&tc),
            gpp: Some(&gpp),
            us_privacy: Some(&usp),
            ..NOTHING
        };
        let mut decoder = SignalsDecoder::new(ConsentRules::default());
        let first = decoder.decode(&consent, None);
        prop_assert_eq!(decoder.decode(&consent, None), first);
        prop_assert_eq!(first.0.contains(Signals::REFUSED_ALL) || first.0.contains(Signals::ALLOWED),
            tcf::personalised_ads_consented(&tc).is_some());
    }
}
