//! P7 and P8.

use crate::patterns::scenario::check;

#[test]
fn p7_by_basis_and_disclosure() {
    for (basis, undisclosed, any) in [
        ("contextual", "", ""),
        ("declared", "", ""),
        ("first-party-purchase", "", ""),
        ("first-party-behaviour", "", ""),
        ("unknown", "", ""),
        ("third-party", "P7:1", ""),
        ("inferred", "P7:1", ""),
        ("offline-match", "P7:1", ""),
        ("precise-geo", "P7:2", ""),
        ("special-category", "P7:3", "P7:3"),
    ] {
        for kind in ["ad", "recommendation-shown", "personalisation-shown"] {
            check(&format!("{kind}@0*2/1m basis={basis} disclosed=no"), undisclosed);
            check(&format!("{kind}@0*2/1m basis={basis} disclosed=yes"), any);
            check(&format!("{kind}@0*2/1m basis={basis}"), any);
        }
        for kind in ["recap-viewed", "consent-prompt", "page-view", "viewable"] {
            check(&format!("{kind}@0*2/1m basis={basis} disclosed=no share=0"), "");
        }
        check(&format!("ad@0*2/1m basis={basis} disclosed=no rewarded"), "");
    }
}

#[test]
fn p7_the_second_in_7_days() {
    check("ad@0 basis=inferred disclosed=no", "");
    check("ad@0 basis=precise-geo disclosed=no", "P7:2");
    check("ad@0 basis=inferred disclosed=no; ad@7d-1ms basis=third-party disclosed=no", "P7:1");
    check("ad@0 basis=inferred disclosed=no; ad@7d basis=offline-match disclosed=no", "");
    check("ad@0 basis=inferred disclosed=no; ad@1h basis=inferred disclosed=yes; ad@2h basis=inferred", "");
    check(
        "ad@0*2/1m basis=inferred disclosed=no; ad@1h basis=precise-geo disclosed=no; ad@2h basis=special-category",
        "P7:1 P7:2 P7:3",
    );
}

const REMINDER: &str = "channel=in-app class=cart-reminder perm=none";

/// Reminders without permission, so that P13 stays silent; P4a says so each time a day is over.
#[track_caller]
fn check_p8(scenario: &str, expected: &str) {
    let fields = [("REMIND", "sent"), ("SUB", REMINDER)];
    let scenario = fields.iter().fold(scenario.to_owned(), |text, (from, to)| text.replace(from, to));
    let out = super::super::scenario::run(super::super::scenario::default_settings(), &scenario).1;
    let only: Vec<_> = out.moments.into_iter().filter(|m| m.pattern == "cart_reminder_overload").collect();
    assert_eq!(super::super::scenario::published(&only), expected, "{scenario}");
}

#[test]
fn p8_the_third_reminder() {
    check_p8("cart-add@0 sub=c; REMIND@1h*2/1h SUB sub=c", "");
    check_p8("cart-add@0 sub=c; REMIND@1h*3/1h SUB sub=c", "P8:1");
    check_p8("cart-add@0 sub=c; REMIND@1h*4/1h SUB sub=c", "P8:1");
    check_p8("REMIND@1h*3/1h SUB sub=c", "P8:1");
    check_p8("REMIND@1h*3/1h SUB", "");
    check_p8("sent@1h*3/1h sub=c", "");
    check_p8("REMIND@1h*2/1h SUB sub=c; REMIND@5h*2/1h SUB sub=d", "");
    check_p8("REMIND@1h*3/1h SUB sub=c; REMIND@5h*3/1h SUB sub=d", "P8:1 P8:1");
}

#[test]
fn p8_after_an_order() {
    check_p8("cart-add@0 sub=c; order-completed@1h sub=o; REMIND@2h SUB sub=c", "P8:1");
    check_p8("order-completed@1h sub=o; REMIND@2h SUB sub=c", "");
    check_p8("cart-add@0 sub=c; order-completed@1h sub=o; cart-add@2h sub=c; REMIND@3h SUB sub=c", "");
    check_p8("cart-add@0 sub=c; order-completed@1h sub=o brand=d; REMIND@2h SUB sub=c", "");
    check_p8("cart-add@0 sub=c; order-cancelled@1h sub=o; REMIND@2h SUB sub=c", "");
}

#[test]
fn p8_a_cart_is_remembered_for_30_days() {
    check_p8("REMIND@0 SUB sub=c; REMIND@30d-1ms SUB sub=c; REMIND@60d-2ms SUB sub=c", "P8:1");
    check_p8("REMIND@0 SUB sub=c; REMIND@30d SUB sub=c; REMIND@31d SUB sub=c", "");
    check_p8("REMIND@0*2/1h SUB sub=c; cart-add@29d sub=c; REMIND@58d SUB sub=c", "P8:1");
    check_p8("REMIND@0*2/1h SUB sub=c; checkout@29d sub=c; REMIND@58d SUB sub=c", "");
    let carts =
        |count: u32| -> String { (0..count).map(|n| format!("; cart-add@{}h sub=n{n}", n + 3)).collect() };
    check_p8(&format!("REMIND@0*2/1h SUB sub=c{}; REMIND@9h SUB sub=c", carts(3)), "P8:1");
    check_p8(&format!("REMIND@0*2/1h SUB sub=c{}; REMIND@9h SUB sub=c", carts(4)), "");
}
#[test]
fn p8_has_no_third_moment_within_a_day() {
    check(
        "sent@0*3/1h class=cart-reminder channel=in-app sub=c; sent@26h-1ms class=cart-reminder channel=in-app sub=c",
        "P8:1",
    );
    check(
        "sent@0*3/1h class=cart-reminder channel=in-app sub=c; sent@26h class=cart-reminder channel=in-app sub=c",
        "P8:1 P8:1",
    );
}
