//! P3.

use crate::patterns::scenario::check;

#[test]
fn two_on_another_device_than_the_visit() {
    for (ads, expected) in [
        ("imp@1h dev=tablet", ""),
        ("imp@1h*2/1h dev=tablet", "P3:1"),
        ("imp@1h*2/1h dev=laptop", ""),
        ("imp@1h*2/1h dev=tablet type=tv", ""),
        ("imp@1h*2/1h dev=phone type=phone", "P3:1"),
        ("imp@1h*2/1h", ""),
        ("imp@1h*2/1h dev=tablet retargeting=no", ""),
        ("imp@1h*2/1h dev=tablet basis=contextual", ""),
        ("imp@1h*2/1h dev=tablet brand=c", ""),
        ("imp@1h*2/1h dev=tablet who=q", ""),
        ("imp@1h dev=tablet; imp@2h dev=phone", ""),
        ("imp@1h dev=tablet; imp@2h dev=phone; imp@3h dev=tablet; imp@4h dev=phone", "P3:1 P3:1"),
        ("imp@1h*2/1h dev=tablet key=inferred", "P3:2"),
        ("imp@1h dev=tablet; imp@2h dev=tablet key=inferred", "P3:2"),
        ("imp@1h dev=tablet key=inferred; imp@2h dev=tablet", "P3:1"),
    ] {
        check(&format!("page-view@0 dev=laptop; {ads}"), expected);
    }
}

#[test]
fn the_signal_counts_for_72_hours() {
    check("page-view@0 dev=laptop; imp@1h dev=tablet; imp@72h-1ms dev=tablet", "P3:1");
    check("page-view@0 dev=laptop; imp@1h dev=tablet; imp@72h dev=tablet", "");
    check("page-view@0; imp@1h*2/1h dev=tablet", "");
    for signal in ["page-view", "product-view", "cart-add", "checkout", "order-completed"] {
        check(&format!("{signal}@0 dev=laptop; imp@1h*2/1h dev=tablet"), "P3:1");
    }
    for none in ["cart-remove", "data-request", "order-cancelled", "click"] {
        check(&format!("{none}@0 dev=laptop; imp@1h*2/1h dev=tablet"), "");
    }
}

#[test]
fn a_visit_on_the_device_itself_excuses_it_for_30_days() {
    let ads = "page-view@29d dev=laptop; imp@30d-1h dev=tablet; imp@30d dev=tablet; imp@30d+1ms dev=tablet";
    check(&format!("page-view@0 dev=tablet; {ads}"), "P3:1");
    check(&format!("page-view@1ms dev=tablet; {ads}"), "");
    check("page-view@0 dev=laptop; page-view@1h dev=tablet; imp@2h*3/1h dev=tablet", "");
}

#[test]
fn two_within_7_days() {
    let visits = "page-view@0*8/1d dev=laptop";
    check(&format!("{visits}; imp@1h dev=tablet; imp@7d+1h-1ms dev=tablet"), "P3:1");
    check(&format!("{visits}; imp@1h dev=tablet; imp@7d+1h dev=tablet"), "");
}

#[test]
fn the_eight_devices_with_the_latest_events_are_remembered() {
    let others = |count: u32| -> String {
        (0..count).map(|n| format!("; recap-viewed@{}m dev=d{n} share=0", n + 1)).collect()
    };
    // With the tablet itself, seven others leave no room for the laptop.
    check(&format!("page-view@0 dev=laptop{}; imp@1h*2/1h dev=tablet", others(6)), "P3:1");
    check(&format!("page-view@0 dev=laptop{}; imp@1h*2/1h dev=tablet", others(7)), "");
    check(
        &format!("page-view@0 dev=laptop{}; click@30m dev=laptop; imp@1h*2/1h dev=tablet", others(7)),
        "P3:1",
    );
}

#[test]
fn a_moment_per_device_is_quiet_for_a_day() {
    check("page-view@0 dev=laptop; imp@1h*2/1h dev=tablet; imp@26h-1ms dev=tablet", "P3:1");
    check("page-view@0 dev=laptop; imp@1h*2/1h dev=tablet; imp@26h dev=tablet", "P3:1 P3:1");
    check("page-view@0 dev=laptop; imp@1h*2/1h dev=tablet; imp@3h dev=tablet key=inferred", "P3:1 P3:2");
}
