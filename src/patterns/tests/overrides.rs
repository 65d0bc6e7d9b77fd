//! Rules that are not the default, for everyone, a brand or a jurisdiction.

use std::sync::Arc;

use crate::patterns::rules::{Compiled, CountedAs, Override, RuleBook, Rules};
use crate::patterns::scenario::{check_with, published, run, settings, token};

fn rules(change: impl FnOnce(&mut Rules)) -> Rules {
    let mut rules = Rules::default();
    change(&mut rules);
    rules
}

#[test]
fn thresholds() {
    let three = rules(|r| r.relentless_retargeting.in_24h = [3, 4, 5]);
    check_with(three.clone(), "imp@0*2/1h", "");
    check_with(three.clone(), "imp@0*3/1h", "P1:1");
    check_with(three, "imp@0*5/1h", "P1:1 P1:2 P1:3");
    let two = rules(|r| r.relentless_retargeting.in_7d = [2, 30, 70]);
    check_with(two, "imp@0; imp@7d-1ms", "P1:1");
    // 3 x 1.5 is rounded up to 5.
    let odd = rules(|r| r.relentless_retargeting.in_24h = [3, 10, 20]);
    check_with(odd.clone(), "imp@0 creative=a; imp@1h creative=b; imp@2h creative=c; imp@3h", "");
    check_with(odd, "imp@0 creative=a; imp@1h creative=b; imp@2h creative=c; imp@3h*2/1h", "P1:1");
    let order = "order-completed@0 sub=o prod=kettle; imp@2d prod=kettle";
    check_with(rules(|r| r.retargeting_after_purchase.counts = [1, 5, 10]), order, "P2:1");
    let three = rules(|r| r.cross_device_following.in_7d = 3);
    check_with(three.clone(), "page-view@0 dev=a; imp@1h*2/1h dev=b", "");
    check_with(three, "page-view@0 dev=a; imp@1h*3/1h dev=b", "P3:1");
    let graceful = rules(|r| r.unpermitted_message.grace_push_in_app_hours = 2);
    check_with(graceful.clone(), "unsubscribed@0 channel=push; sent@2h-1ms channel=push", "");
    check_with(graceful, "unsubscribed@0 channel=push; sent@2h channel=push", "P4a:1");
    check_with(rules(|r| r.excessive_messages.sms_in_7d = [1, 2]), "sent@0*2/1h channel=sms", "P4b:1 P4b:2");
    let severe = rules(|r| r.tracking_after_opt_out.severe_in_7d = 2);
    check_with(severe, "ad@0*2/1h basis=third-party sig=cross", "P6:2 P6:3");
    let at_once = rules(|r| r.tracking_after_opt_out.grace_hours = 0);
    check_with(at_once, "consent-refused@0; ad@0 basis=third-party id=z", "P6:2");
    check_with(
        rules(|r| r.undisclosed_personalisation.in_7d = 1),
        "ad@0 basis=inferred disclosed=no",
        "P7:1",
    );
    let one = rules(|r| r.cart_reminder_overload.reminders = 1);
    check_with(one, "sent@0 class=cart-reminder channel=in-app sub=c", "P8:1");
    check_with(rules(|r| r.nostalgic_recap.viewed_share = 0.9), "recap-viewed@0 share=0.89", "");
}

#[test]
fn viewable_impressions_instead_of_served_ones() {
    let viewable = rules(|r| r.count = CountedAs::Viewable);
    check_with(viewable.clone(), "imp@0*20/1h", "");
    check_with(viewable.clone(), "viewable@0*5/1h retargeting=yes", "");
    check_with(viewable.clone(), "viewable@0*6/1h retargeting=yes", "P1:1");
    check_with(viewable.clone(), "viewable@0*6/1h retargeting=yes rewarded", "");
    check_with(viewable.clone(), "viewable@0 basis=third-party sig=cross", "P6:2");
    check_with(viewable, "ad@0 basis=third-party sig=cross", "");
}

#[test]
fn opened_mails_count_where_they_are_trusted() {
    let trusting = rules(|r| r.email_opens = true);
    let requested = "sent@0 class=requested ref=m";
    check_with(trusting.clone(), &format!("{requested}; opened@30m-1ms ref=m"), "P10:1");
    check_with(trusting.clone(), &format!("{requested}; opened@30m ref=m"), "");
    let mails = "sent@0 ref=a; opened@1m ref=a; sent@1h ref=b; opened@2h ref=b; sent@3h*3/1h";
    check_with(trusting, mails, "");
    check_with(Rules::default(), mails, "P4b:1");
}

#[test]
fn replenishable_categories_are_exempt() {
    let grocery = rules(|r| r.retargeting_after_purchase.replenishable = vec!["grocery".to_owned()]);
    for (order, ad, expected) in [
        ("cat=grocery", "", ""),
        ("", "cat=grocery", ""),
        ("cat=grocery", "cat=kitchen", ""),
        ("cat=kitchen", "cat=kitchen", "P2:1"),
        ("", "", "P2:1"),
    ] {
        let scenario = format!("order-completed@0 sub=o prod=kettle {order}; imp@2d*2/1h prod=kettle {ad}");
        check_with(grocery.clone(), &scenario, expected);
    }
}

fn strict(brand: Option<&str>, jurisdiction: Option<&str>, count: u32) -> Override {
    let rules = rules(|r| {
        r.relentless_retargeting.in_24h = [count, 100, 200];
        r.relentless_retargeting.weights = [-f64::from(count) / 10.0, -0.9, -0.9];
    });
    Override {
        brand: brand.map(str::to_owned),
        jurisdiction: jurisdiction.map(str::to_owned),
        rules: Arc::new(Compiled::new(rules, token)),
    }
}

#[test]
fn the_last_override_that_fits_holds() {
    let mut book = RuleBook::new(Rules::default(), token);
    book.overrides = vec![
        strict(Some("b"), None, 2),
        strict(None, Some("US"), 3),
        strict(None, Some("US-CA"), 4),
        strict(Some("b"), Some("US-CA"), 5),
    ];
    for (brand, place, threshold, weight) in [
        ("b", "", 2, -0.2),
        ("b", "DE", 2, -0.2),
        ("b", "US", 3, -0.3),
        ("b", "US-TX", 3, -0.3),
        ("b", "USA", 2, -0.2),
        ("b", "US-CA", 5, -0.5),
        ("c", "US-CA", 4, -0.4),
        ("c", "US", 3, -0.3),
        ("c", "DE", 6, -0.3),
    ] {
        let region = if place.is_empty() { String::new() } else { format!("in={place}") };
        let published_of = |count: u32| {
            run(settings(book.clone()), &format!("imp@0*{count}/1h brand={brand} {region}")).1.moments
        };
        assert_eq!(published(&published_of(threshold - 1)), "", "{brand} {place}");
        let moments = published_of(threshold);
        assert_eq!(published(&moments), "P1:1", "{brand} {place}");
        assert_eq!(moments[0].weight, weight, "{brand} {place}");
    }
}
