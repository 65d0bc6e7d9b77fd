//! P9 to P13.

use crate::patterns::scenario::check;

#[test]
fn p9_used_after_it_was_shown() {
    for (basis, expected) in [
        ("first-party-purchase", "P9:1"),
        ("first-party-behaviour", "P9:1"),
        ("declared", "P9:1"),
        ("contextual", ""),
        ("third-party", ""),
        ("inferred", ""),
        ("precise-geo", ""),
        ("offline-match", ""),
        ("unknown", ""),
    ] {
        check(&format!("recommendation-shown@0 ref=r basis={basis}; recommendation-used@1h ref=r"), expected);
    }
    let shown = "recommendation-shown@0 ref=r basis=declared";
    check(&format!("{shown}; recommendation-used@7d-1ms ref=r"), "P9:1");
    check(&format!("{shown}; recommendation-used@7d ref=r"), "");
    check(
        &format!("{shown}; recommendation-shown@1d ref=r basis=declared; recommendation-used@7d ref=r"),
        "P9:1",
    );
    check(
        &format!("{shown}; recommendation-shown@1h ref=r basis=inferred; recommendation-used@2h ref=r"),
        "P9:1",
    );
    check(&format!("{shown}; recommendation-hidden@1h ref=r; recommendation-used@2h ref=r"), "");
    check(&format!("{shown}; recommendation-hidden@1h ref=s; recommendation-used@2h ref=r"), "P9:1");
    check(
        &format!(
            "{shown}; recommendation-hidden@1h ref=r; recommendation-shown@2h ref=r basis=declared; recommendation-used@3h ref=r"
        ),
        "P9:1",
    );
    check(&format!("{shown}; recommendation-used@1h ref=s; recommendation-used@2h"), "");
    check("recommendation-shown@0 basis=declared; recommendation-used@1h", "");
    check("recommendation-used@0 ref=r; recommendation-shown@1h ref=r basis=declared", "");
}

#[test]
fn p9_the_last_32_are_remembered() {
    let newer = |count: u32| -> String {
        (0..count).map(|n| format!("; recommendation-shown@{}m ref=n{n} basis=declared", n + 1)).collect()
    };
    let shown = "recommendation-shown@0 ref=r basis=declared";
    check(&format!("{shown}{}; recommendation-used@1h ref=r", newer(31)), "P9:1");
    check(&format!("{shown}{}; recommendation-used@1h ref=r", newer(32)), "");
}

#[test]
fn p10_opened_or_clicked_in_time() {
    for (channel, opened) in [("push", "P10:1"), ("sms", "P10:1"), ("in-app", "P10:1"), ("email", "")] {
        let sent = format!("sent@0 class=requested channel={channel} ref=m");
        check(&format!("{sent}; opened@30m-1ms channel={channel} ref=m"), opened);
        check(&format!("{sent}; opened@30m channel={channel} ref=m"), "");
        check(&format!("{sent}; clicked@60m-1ms channel={channel} ref=m"), "P10:1");
        check(&format!("{sent}; clicked@60m channel={channel} ref=m"), "");
    }
    for class in ["marketing", "cart-reminder", "transactional"] {
        check(
            &format!("sent@0 class={class} channel=push ref=m; opened@1m channel=push class=requested ref=m"),
            "",
        );
    }
    for (permission, expected) in
        [("denied", ""), ("none", "P10:1"), ("unknown", "P10:1"), ("granted", "P10:1")]
    {
        check(
            &format!(
                "sent@0 class=requested channel=push perm={permission} ref=m; opened@1m channel=push ref=m"
            ),
            expected,
        );
    }
    let sent = "sent@0 class=requested channel=push ref=m";
    check(&format!("{sent}; opened@1m channel=email class=marketing perm=denied ref=m"), "P10:1");
    check(&format!("{sent}; opened@1m channel=push ref=n; opened@2m channel=push; dismissed@3m ref=m"), "");
    check("sent@0 class=requested channel=push; opened@1m channel=push", "");
    check(&format!("{sent}; opened@1m channel=push ref=m; clicked@2m channel=push ref=m"), "P10:1");
    check(
        "sent@0 class=requested channel=push ref=m; sent@0 class=requested channel=sms ref=n; opened@1m ref=m; opened@2m ref=n",
        "P10:1 P10:1",
    );
}

#[test]
fn p10_leaving_the_channel_within_a_day_retracts() {
    let moment = "sent@0 class=requested channel=push ref=m; opened@1m channel=push ref=m";
    for word in ["unsubscribed", "marked-spam"] {
        check(&format!("{moment}; {word}@2m channel=push"), "P10:1 P10:R");
        check(&format!("{moment}; {word}@24h+1m-1ms channel=push"), "P10:1 P10:R");
        check(&format!("{moment}; {word}@24h+1m channel=push"), "P10:1");
        check(&format!("{moment}; {word}@2m channel=sms"), "P10:1");
        check(&format!("{moment}; {word}@2m channel=push; {word}@3m channel=push"), "P10:1 P10:R");
        check(
            &format!("{moment}; {word}@2m channel=push; opened@3m channel=push ref=m"),
            "P10:1 P10:R P10:1",
        );
    }
    check(&format!("{moment}; subscribed@2m channel=push"), "P10:1");
    // Only the newest is taken back, and once.
    let again = "sent@2d class=requested channel=push ref=n; opened@2d+1m channel=push ref=n";
    check(
        &format!("{moment}; {again}; unsubscribed@2d+2m channel=push; unsubscribed@2d+3m channel=push"),
        "P10:1 P10:1 P10:R",
    );
}

#[test]
fn p11_viewed_or_shared() {
    check("recap-viewed@0", "P11:1");
    for (share, expected) in [("0", ""), ("0.49999", ""), ("0.5", "P11:1"), ("1", "P11:1")] {
        check(&format!("recap-viewed@0 share={share}"), expected);
    }
    check("recap-shared@0 share=0", "P11:2");
    check("recap-viewed@0; recap-shared@1h", "P11:1 P11:2");
    check("recap-shared@0; recap-viewed@1h", "P11:2");
    check("recap-viewed@0; recap-viewed@24h-1ms", "P11:1");
    check("recap-viewed@0; recap-viewed@24h", "P11:1 P11:1");
    check("recap-viewed@0; recap-shared@23h; recap-viewed@24h", "P11:1 P11:2 P11:1");
    check("recap-viewed@0; recap-viewed@1h who=q; recap-viewed@2h brand=c", "P11:1 P11:1 P11:1");
}

const TOUCH: &str = "sent@1d class=transactional";

#[test]
fn p12_requests_that_mature() {
    for (kind, expected) in [
        ("preference-changed", "P12:1"),
        ("consent-withdrawn", "P12:1"),
        ("data-request", ""),
        ("consent-refused", ""),
    ] {
        check(&format!("{kind}@0; {TOUCH}; end@8d"), expected);
    }
    check("preference-changed@0; end@8d", "");
    check(&format!("preference-changed@0; {TOUCH}; end@7d-1ms"), "");
    check(&format!("preference-changed@0; {TOUCH}; end@7d"), "P12:1");
    check("preference-changed@0; page-view@1d; end@8d", "");
    for touch in [
        "ad",
        "recommendation-shown",
        "personalisation-shown",
        "recap-viewed share=0",
        "consent-prompt prompt=other",
    ] {
        let (kind, fields) = touch.split_once(' ').unwrap_or((touch, ""));
        check(&format!("preference-changed@0; {kind}@1d {fields}; end@8d"), "P12:1");
    }
    check("preference-changed@0; ad@1d rewarded; end@8d", "");
}

#[test]
fn p12_touched_and_not_broken_in_between() {
    let request = "preference-changed@0";
    check(&format!("sent@-1ms class=transactional; {request}; end@8d"), "");
    check(&format!("sent@0 class=transactional id=a; {request} id=b; end@8d"), "");
    check(&format!("{request} id=a; sent@0 class=transactional id=b; end@8d"), "P12:1");
    check(&format!("{request}; sent@1ms class=transactional; end@8d"), "P12:1");
    check(&format!("{request}; sent@7d-1ms class=transactional; end@8d"), "P12:1");
    check(&format!("{request}; sent@7d class=transactional; end@8d"), "");
    check(&format!("{request}; {TOUCH} brand=c; end@8d"), "");
    let push = "channel=push perm=none";
    check(&format!("sent@-1ms {push}; {request}; {TOUCH}; end@8d"), "P4a:1 P12:1");
    check(&format!("{request}; sent@1ms {push}; end@8d"), "P4a:1");
    check(&format!("{request}; {TOUCH}; sent@7d-1ms {push}; end@8d"), "P4a:1");
    check(&format!("{request}; {TOUCH}; sent@7d {push}; end@8d"), "P12:1 P4a:1");
    check(&format!("sent@-1h {push}; {request}; sent@1h {push}; end@8d"), "P4a:1");
    check(&format!("consent-refused@0; {request}; consent-prompt@1d; end@8d"), "P5:1");
    check(&format!("{request}; ad@1d basis=third-party sig=voluntary; end@8d"), "P6:1");
    check(&format!("{request}; ad@1d basis=declared sig=voluntary; end@8d"), "P12:1");
    check(&format!("{request}; ad@1d basis=precise-geo disclosed=no; end@8d"), "P7:2 P12:1");
    check(&format!("{request}; {TOUCH} ; sent@2d {push} brand=c; end@8d"), "P4a:1 P12:1");
}

#[test]
fn p12_one_request_waits() {
    let touches = "sent@1d*13/1d class=transactional";
    check(&format!("preference-changed@0*2/1d; {touches}; end@15d"), "P12:1");
    check(&format!("preference-changed@0; preference-changed@7d-1ms; {touches}; end@15d"), "P12:1");
    check(&format!("preference-changed@0; preference-changed@7d; {touches}; end@14d"), "P12:1 P12:1");
}

const REMINDER: &str = "class=cart-reminder channel=in-app sub=c";

#[test]
fn p13_the_first_reminder_in_time() {
    for (at, expected) in [("1h-1ms", ""), ("1h", "P13:1"), ("24h-1ms", "P13:1"), ("24h", "")] {
        check(&format!("cart-add@0 sub=c; sent@{at} {REMINDER}"), expected);
    }
    for (permission, expected) in
        [("granted", "P13:1"), ("unknown", "P13:1"), ("none", "P4a:1"), ("denied", "P4a:1")]
    {
        check(&format!("cart-add@0 sub=c; sent@2h {REMINDER} perm={permission}"), expected);
    }
    check(&format!("cart-add@0 sub=c; sent@30m {REMINDER}; sent@2h {REMINDER}"), "");
    check(&format!("cart-add@0 sub=c; sent@2h*2/1h {REMINDER}"), "P13:1");
    check(&format!("sent@2h {REMINDER}"), "");
    check("cart-add@0 sub=c; sent@2h class=cart-reminder channel=in-app", "");
    check(&format!("cart-add@0 sub=d; sent@2h {REMINDER}"), "");
    check(&format!("cart-add@0 sub=c; order-completed@1h sub=o; sent@2h {REMINDER}"), "P8:1");
    check(&format!("order-completed@0 sub=o; cart-add@1h sub=c; sent@2h {REMINDER}"), "P13:1");
    check(&format!("cart-add@0 sub=c; cart-add@1h+1ms sub=c; sent@2h {REMINDER}"), "");
    check(
        &format!(
            "cart-add@0 sub=c; cart-add@0 sub=d; sent@2h {REMINDER}; sent@3h class=cart-reminder channel=in-app sub=d"
        ),
        "P13:1 P13:1",
    );
    check(&format!("sent@0 {REMINDER}; cart-add@30d-1ms sub=c; sent@30d+2h {REMINDER}"), "");
    check(&format!("sent@0 {REMINDER}; cart-add@30d sub=c; sent@30d+2h {REMINDER}"), "P13:1");
}
