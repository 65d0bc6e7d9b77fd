//! P5 and P6.

use crate::patterns::scenario::check;

#[test]
fn p5_repeats_after_a_refusal() {
    for word in ["consent-refused", "consent-withdrawn"] {
        check(&format!("{word}@0; consent-prompt@1h"), "P5:1");
        check(&format!("{word}@0; consent-prompt@1h*2/1h"), "P5:1 P5:2");
        check(&format!("{word}@0; consent-prompt@1h*3/1h"), "P5:1 P5:2 P5:3");
        check(&format!("{word}@0; consent-prompt@1h*4/1h"), "P5:1 P5:2 P5:3");
    }
    check("consent-prompt@0*3/1h", "");
    check("consent-refused@0; consent-granted@1h; consent-prompt@2h", "");
    check(
        "consent-refused@0; consent-prompt@1h; consent-granted@2h; consent-refused@3h; consent-prompt@26h",
        "P5:1 P5:1",
    );
    check(
        "consent-refused@0; consent-prompt@1h; consent-refused@2h; consent-prompt@3h; consent-refused@4h; consent-prompt@5h",
        "P5:1 P5:2 P5:3",
    );
    check(
        "consent-refused@0 prompt=email; consent-prompt@1h prompt=location; consent-prompt@2h prompt=tracking",
        "",
    );
    check("consent-refused@0 prompt=cookies; consent-prompt@1h prompt=tracking", "");
    check("consent-refused@0; consent-prompt@1h brand=c", "");
}

#[test]
fn p5_the_third_in_30_days() {
    check(
        "consent-refused@0; consent-prompt@1h; consent-prompt@10d; consent-prompt@30d+1h-1ms",
        "P5:1 P5:2 P5:3",
    );
    check(
        "consent-refused@0; consent-prompt@1h; consent-prompt@10d; consent-prompt@30d+1h",
        "P5:1 P5:2 P5:2",
    );
}

#[test]
fn p5_a_refusal_lasts_182_days_after_the_last_word() {
    check("consent-refused@0; consent-prompt@182d-1ms", "P5:1");
    check("consent-refused@0; consent-prompt@182d", "");
    check("consent-refused@0; consent-prompt@1h; consent-refused@182d-1ms; consent-prompt@183d", "P5:1 P5:2");
    check("consent-refused@0; consent-prompt@1h; consent-refused@182d; consent-prompt@183d", "P5:1 P5:1");
    // The prompts of the days end with the word, too.
    let days = "consent-granted@0; consent-prompt@180d+1h; consent-prompt@181d+1h";
    check(&format!("{days}; consent-prompt@182d-1ms; consent-prompt@182d"), "");
    let days = "consent-granted@12h; consent-prompt@180d+1h; consent-prompt@181d+1h";
    check(&format!("{days}; consent-prompt@182d+12h-1ms"), "P5:1");
    check(&format!("{days}; consent-prompt@182d+12h"), "");
}

#[test]
fn p5_a_new_version_is_no_repeat() {
    for (refused, prompted, expected) in [
        ("ref=v1", "ref=v2", ""),
        ("ref=v1", "ref=v1", "P5:1"),
        ("ref=v1", "", "P5:1"),
        ("", "ref=v1", "P5:1"),
    ] {
        check(&format!("consent-refused@0 {refused}; consent-prompt@1h {prompted}"), expected);
    }
}

#[test]
fn p5_undecided_on_three_utc_days() {
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@49h", "P5:1");
    check("consent-prompt@24h-1ms; consent-prompt@24h; consent-prompt@48h-1ms", "");
    check("consent-prompt@24h-1ms; consent-prompt@24h; consent-prompt@48h", "P5:1");
    check("consent-prompt@0*10/1h", "");
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@7d+1h-1ms", "P5:1");
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@7d+1h", "");
    check("consent-prompt@1h; consent-prompt@25h prompt=email; consent-prompt@49h", "");
    let decided = |word: &str| {
        format!("consent-prompt@1h; consent-prompt@25h; {word}@26h ref=v1; consent-prompt@49h ref=v2")
    };
    check(&decided("consent-granted"), "");
    check(&decided("consent-refused"), "");
    check(
        &format!("{}; consent-prompt@73h ref=v2; consent-prompt@97h ref=v2", decided("consent-granted")),
        "P5:1",
    );
}

#[test]
fn p5_without_reject_on_the_first_layer() {
    check("consent-refused@0; consent-prompt@1h*3/1h reject=no", "P5:2 P5:3");
    check("consent-refused@0; consent-prompt@1h*3/1h reject=yes", "P5:1 P5:2 P5:3");
    check("consent-prompt@1h reject=no", "");
    check("consent-prompt@1h; consent-prompt@25h; consent-prompt@49h reject=no", "P5:2");
}

const CROSS: [&str; 5] = ["third-party", "inferred", "precise-geo", "offline-match", "special-category"];
const OWN: [&str; 2] = ["first-party-purchase", "first-party-behaviour"];
const NEITHER: [&str; 3] = ["contextual", "declared", "unknown"];

#[test]
fn p6_who_refuses_what() {
    // What precedes, the signals; expected across companies, for the brand's own data.
    for (before, signals, cross, own) in [
        ("", "sig=cross", "P6:2", ""),
        ("", "sig=voluntary", "P6:1", ""),
        ("", "sig=all", "P6:2", "P6:2"),
        ("", "sig=allowed", "", ""),
        ("", "", "", ""),
        ("", "sig=allowed+cross", "P6:2", ""),
        ("", "sig=allowed+voluntary", "", ""),
        ("", "sig=allowed+all", "P6:2", "P6:2"),
        ("consent-refused@0", "", "P6:2", "P6:2"),
        ("consent-withdrawn@0", "", "P6:2", "P6:2"),
        ("consent-refused@0", "sig=allowed", "", ""),
        ("consent-refused@0", "sig=voluntary", "P6:2", "P6:2"),
        ("consent-refused@0", "sig=cross", "P6:2", "P6:2"),
        ("consent-refused@0", "sig=cross+allowed", "P6:2", ""),
        ("consent-granted@0", "sig=voluntary", "", ""),
        ("consent-granted@0", "sig=cross", "P6:2", ""),
        ("consent-refused@1d", "sig=voluntary", "P6:1", ""),
        ("consent-refused@1d", "", "", ""),
    ] {
        for basis in CROSS {
            let special = basis == "special-category";
            let expected = match (special, cross) {
                (true, "") => "P7:3",
                (true, _) => "P6:3 P7:3",
                (false, expected) => expected,
            };
            check(&format!("{before}; ad@36h basis={basis} {signals}"), expected);
        }
        for basis in OWN {
            check(&format!("{before}; ad@36h basis={basis} {signals}"), own);
        }
        for basis in NEITHER {
            check(&format!("{before}; ad@36h basis={basis} {signals}"), "");
        }
        for basis in ["declared", "unknown", "first-party-purchase", "first-party-behaviour"] {
            check(&format!("{before}; imp@36h basis={basis} {signals}"), cross);
        }
        check(&format!("{before}; imp@36h basis=contextual {signals}"), "");
        check(&format!("{before}; ad@36h basis=third-party {signals} rewarded"), "");
        check(&format!("{before}; viewable@36h basis=third-party {signals}"), "");
        check(&format!("{before}; recommendation-shown@36h basis=third-party {signals}"), "");
    }
}

#[test]
fn p6_the_grace_of_the_persons_word() {
    let ad = "basis=third-party";
    for prompt in ["tracking", "cookies"] {
        check(&format!("consent-refused@0 prompt={prompt}; ad@24h-1ms {ad}"), "");
        check(&format!("consent-refused@0 prompt={prompt}; ad@24h {ad}"), "P6:2");
    }
    for prompt in ["notifications", "email", "location", "other"] {
        check(&format!("consent-refused@0 prompt={prompt}; ad@2d {ad}"), "");
    }
    check(&format!("consent-refused@0; consent-refused@23h; ad@24h {ad}"), "P6:2");
    check(&format!("consent-refused@0; consent-granted@1h; consent-withdrawn@2h; ad@26h-1ms {ad}"), "");
    check(&format!("consent-refused@0; consent-granted@1h; consent-withdrawn@2h; ad@26h {ad}"), "P6:2");
    check(&format!("consent-refused@0; consent-granted@1h prompt=cookies; ad@2d {ad}"), "");
    check(&format!("consent-refused@0; ad@182d-1ms {ad}"), "P6:2");
    check(&format!("consent-refused@0; ad@182d {ad}"), "");
    check(&format!("consent-refused@0; consent-refused@150d; ad@190d {ad}"), "P6:2");
    check(&format!("consent-granted@0; ad@182d-1ms {ad} sig=voluntary"), "");
    check(&format!("consent-granted@0; ad@182d {ad} sig=voluntary"), "P6:1");
}

#[test]
fn p6_ten_explicit_refusals_in_a_week_are_severe() {
    let ads = |count: u32| format!("ad@0*{count}/1h basis=third-party sig=cross");
    check(&ads(9), "P6:2");
    check(&ads(10), "P6:2 P6:3");
    check("ad@0*12/1h basis=third-party sig=voluntary", "P6:1");
    check("ad@0*5/1h basis=third-party sig=voluntary; ad@5h*9/1h basis=third-party sig=cross", "P6:1 P6:2");
    check(
        "ad@0*5/1h basis=third-party sig=voluntary; ad@5h*10/1h basis=third-party sig=cross",
        "P6:1 P6:2 P6:3",
    );
    check(&format!("{}; ad@7d-1ms basis=third-party sig=cross", ads(9)), "P6:2 P6:3");
    check(&format!("{}; ad@7d basis=third-party sig=cross", ads(9)), "P6:2 P6:2");
    check(&format!("{}; ad@10h basis=first-party-purchase sig=cross", ads(9)), "P6:2");
}
