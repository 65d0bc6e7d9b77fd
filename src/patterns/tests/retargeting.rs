//! P1 and P2.

use crate::patterns::scenario::check;

#[test]
fn p1_counts_in_a_day() {
    check("imp@0*5/1h", "");
    check("imp@0*6/1h", "P1:1");
    check("imp@0*9/1h", "P1:1");
    check("imp@0*10/1h", "P1:1 P1:2");
    check("imp@0*19/1h", "P1:1 P1:2");
    check("imp@0*20/1h", "P1:1 P1:2 P1:3");
    check("imp@0*5/1h; imp@24h-1ms", "P1:1");
    check("imp@0*5/1h; imp@24h", "");
}

#[test]
fn p1_counts_in_a_week() {
    check("imp@0*20/5h", "");
    check("imp@0*21/5h", "P1:1");
    check("imp@0*20/5h; imp@7d-1ms", "P1:1");
    check("imp@0*20/5h; imp@7d", "");
    // The 21st opens at 96 h; 24 h later a new moment opens, and so on until the 35th at 163.2 h.
    check("imp@0*34/288m", "P1:1 P1:1 P1:1");
    check("imp@0*35/288m", "P1:1 P1:1 P1:1 P1:2");
    check("imp@0*69/144m", "P1:1 P1:2 P1:2 P1:2 P1:2 P1:2 P1:2 P1:2");
    check("imp@0*70/144m", "P1:1 P1:2 P1:2 P1:2 P1:2 P1:2 P1:2 P1:2 P1:3");
}

#[test]
fn p1_counts_a_page_view_once_in_ten_minutes() {
    check("imp@0*4/1h; imp@5h page=x; imp@5h+10m-1ms page=x", "");
    check("imp@0*4/1h; imp@5h page=x; imp@5h+10m page=x", "P1:1");
    check("imp@0*4/1h; imp@5h page=x; imp@5h+6m page=x; imp@5h+10m page=x", "P1:1");
    check("imp@0 page=x; imp@1m page=y; imp@2m page=x; imp@3m page=y; imp@1h*3/1h", "");
    check("imp@0 page=x; imp@1m page=y; imp@2m page=x; imp@3m page=y; imp@1h*4/1h", "P1:1");
}

#[test]
fn p1_counts_impressions_without_a_page_view_ten_seconds_apart() {
    check("imp@0*6/10s", "P1:1");
    check("imp@0*10/9999ms", "");
    check("imp@0*11/9999ms", "P1:1");
    check("imp@0*4/1h; imp@5h page=x; imp@5h+10s", "P1:1");
    check("imp@0*4/1h; imp@5h page=x; imp@5h+10s-1ms", "");
    check(
        "imp@0 page=a; imp@1ms page=b; imp@2ms page=c; imp@3ms page=d; imp@4ms page=e; imp@5ms page=f",
        "P1:1",
    );
}

#[test]
fn p1_interest_and_variety_raise_the_thresholds() {
    for interest in ["product-view@0", "cart-add@0"] {
        check(&format!("{interest}; imp@1h*11/1h"), "");
        check(&format!("{interest}; imp@1h*12/1h"), "P1:1");
        check(&format!("{interest}; imp@1h*19/1h"), "P1:1");
        check(&format!("{interest}; imp@1h*20/1h"), "P1:1 P1:2");
        check(&format!("{interest}; imp@1h*39/30m"), "P1:1 P1:2");
        check(&format!("{interest}; imp@1h*40/30m"), "P1:1 P1:2 P1:3");
    }
    for none in ["page-view@0", "checkout@0", "order-completed@0", "product-view@0 brand=c"] {
        check(&format!("{none}; imp@1h*6/1h"), "P1:1");
    }
    check("product-view@0; imp@19h*5/30m; imp@24h", "P1:1");
    check("product-view@0; imp@19h*5/30m; imp@24h-1ms", "");
    let creatives = "imp@0 creative=a; imp@1m creative=b; imp@2m creative=c";
    check(&format!("{creatives}; imp@1h*5/1h"), "");
    check(&format!("{creatives}; imp@1h*6/1h"), "P1:1");
    check(&format!("{creatives}; imp@1h*11/1h"), "P1:1");
    check(&format!("{creatives}; imp@1h*12/1h"), "P1:1 P1:2");
    check(&format!("{creatives}; imp@1h*26/30m"), "P1:1 P1:2");
    check(&format!("{creatives}; imp@1h*27/30m"), "P1:1 P1:2 P1:3");
    check("imp@0 creative=a; imp@1m creative=b; imp@1h*4/1h", "P1:1");
    // The oldest creative leaves the day with the impression that shows it.
    check("imp@0 creative=a; imp@1h creative=b; imp@2h creative=c; imp@3h*3/1h; imp@24h", "P1:1");
    check("imp@0 creative=a; imp@1h creative=b; imp@2h creative=c; imp@3h*3/1h; imp@24h-1ms", "");
    let both = format!("cart-add@0; {creatives}");
    check(&format!("{both}; imp@1h*14/1h"), "");
    check(&format!("{both}; imp@1h*15/1h"), "P1:1");
}

#[test]
fn p1_looks_at_retargeted_impressions_only() {
    for other in ["basis=contextual", "rewarded", "retargeting=no", "retargeting=null"] {
        check(&format!("imp@0*20/1h {other}"), "");
    }
    check("viewable@0*20/1h retargeting=yes", "");
    check("click@0*20/1h retargeting=yes", "");
    check("imp@0*5/1h; imp@5h brand=c; imp@6h who=q", "");
}

#[test]
fn p1_infers_retargeting_from_a_signal_within_30_days() {
    let bases = [
        ("unknown", "P1:1"),
        ("first-party-behaviour", "P1:1"),
        ("third-party", "P1:1"),
        ("inferred", "P1:1"),
        ("contextual", ""),
        ("declared", ""),
        ("first-party-purchase", ""),
        ("precise-geo", ""),
        ("offline-match", ""),
    ];
    for (basis, expected) in bases {
        check(&format!("page-view@0; imp@2d*6/1h retargeting=null basis={basis}"), expected);
        check(&format!("imp@2d*6/1h retargeting=null basis={basis}"), "");
    }
    for signal in ["page-view", "product-view", "cart-add", "checkout", "order-completed"] {
        check(&format!("{signal}@0; imp@2d*6/1h retargeting=null"), "P1:1");
    }
    for none in ["cart-remove", "order-cancelled", "recommendation-used", "complaint"] {
        check(&format!("{none}@0; imp@2d*6/1h retargeting=null"), "");
    }
    let six = "imp@30d-50s*5/10s retargeting=null";
    check(&format!("page-view@0; {six}; imp@30d-1ms retargeting=null page=x"), "P1:1");
    check(&format!("page-view@0; {six}; imp@30d retargeting=null page=x"), "");
}

#[test]
fn p2_counts_per_order() {
    for (count, expected) in [
        (1, ""),
        (2, "P2:1"),
        (4, "P2:1"),
        (5, "P2:1 P2:2"),
        (9, "P2:1 P2:2 P1:1"),
        (10, "P2:1 P2:2 P1:1 P1:2 P2:3"),
    ] {
        check(&format!("order-completed@0 sub=o prod=kettle; imp@24h*{count}/1h prod=kettle"), expected);
    }
}

#[test]
fn p2_counts_from_a_day_after_the_order_for_30_days() {
    let order = "order-completed@0 sub=o prod=kettle";
    check(&format!("{order}; imp@24h-1ms prod=kettle; imp@2d prod=kettle"), "");
    check(&format!("{order}; imp@24h prod=kettle; imp@2d prod=kettle"), "P2:1");
    check(&format!("{order}; imp@2d prod=kettle; imp@30d-1ms prod=kettle"), "P2:1");
    check(&format!("{order}; imp@2d prod=kettle; imp@30d prod=kettle"), "");
    check(&format!("{order}; imp@2d*2/1h prod=kettle retargeting=no"), "");
    check(&format!("{order}; imp@2d*2/1h prod=kettle basis=contextual"), "");
    check(&format!("{order}; imp@2d*2/1h prod=kettle rewarded"), "");
    check(&format!("{order}; imp@2d*2/1h prod=kettle retargeting=null"), "P2:1");
    check(&format!("{order}; imp@2d*2/1h prod=kettle brand=c"), "");
}

#[test]
fn p2_compares_products_else_categories() {
    for (order, ad, expected) in [
        ("prod=kettle", "prod=kettle", "P2:1"),
        ("prod=kettle+pan", "prod=spoon+pan", "P2:1"),
        ("prod=kettle", "prod=pan", ""),
        ("prod=kettle cat=kitchen", "cat=kitchen", "P2:1"),
        ("cat=kitchen", "cat=kitchen", "P2:1"),
        ("prod=kettle", "", ""),
        ("cat=kitchen", "", ""),
        ("prod=kettle", "cat=kitchen", ""),
        ("prod=kettle cat=kitchen", "prod=pan cat=kitchen", ""),
        ("cat=kitchen", "prod=pan cat=kitchen", ""),
        ("prod=kettle cat=grocery", "prod=kettle cat=grocery", "P2:1"),
    ] {
        check(&format!("order-completed@0 sub=o {order}; imp@2d*2/1h {ad}"), expected);
    }
}

#[test]
fn p2_orders_are_kept_apart() {
    let two = "order-completed@0 sub=o prod=kettle; order-completed@1h sub=q prod=kettle";
    check(&format!("{two}; imp@2d prod=kettle"), "");
    check(&format!("{two}; imp@2d*2/1h prod=kettle"), "P2:1 P2:1");
    check(&format!("{two}; imp@24h*2/1h prod=kettle"), "P2:1");
    check(&format!("{two}; imp@24h*3/1h prod=kettle"), "P2:1 P2:1");
    // A repeated id is ignored while the first lives, and not afterwards.
    let again =
        |at: &str| format!("order-completed@0 sub=o prod=kettle; order-completed@{at} sub=o prod=pan");
    check(&format!("{}; imp@32d*2/1h prod=pan", again("30d-1ms")), "");
    check(&format!("{}; imp@32d*2/1h prod=pan", again("30d")), "P2:1");
}

#[test]
fn p2_eight_newer_orders_end_one() {
    let newer = |count: u32| {
        let orders: String =
            (0..count).map(|n| format!("; order-completed@{}m sub=n{n} prod=pan", n + 1)).collect();
        format!("order-completed@0 sub=o prod=kettle{orders}")
    };
    check(&format!("{}; imp@2d*2/1h prod=kettle", newer(7)), "P2:1");
    check(&format!("{}; imp@2d*2/1h prod=kettle", newer(8)), "");
    // A cancelled one makes room.
    check(
        &format!(
            "{}; order-cancelled@7m+1s sub=n3; order-completed@8m sub=x prod=pan; imp@2d*2/1h prod=kettle",
            newer(7)
        ),
        "P2:1",
    );
    // So does one that died of age, which is still in the memory for late events.
    let late_orders = |count: u32| -> String {
        (0..count).map(|n| format!("; order-completed@{}m sub=n{n} prod=pan", 30 * 24 * 60 - 6 + n)).collect()
    };
    let scenario = format!(
        "order-completed@0 sub=dead prod=spoon; order-completed@10m sub=o prod=kettle{}; \
         order-completed@30d+5m sub=last prod=pan; imp@30d+6m*2/1m prod=kettle",
        late_orders(6)
    );
    check(&scenario, "P2:1");
    // Eight newer living ones end it even while a dead one is remembered in front of it.
    let scenario = format!(
        "order-completed@0 sub=dead prod=spoon; order-completed@10m sub=o prod=kettle{}; \
         order-completed@30d+5m sub=last prod=pan; imp@30d+6m*2/1m prod=kettle",
        late_orders(7)
    );
    check(&scenario, "");
}

#[test]
fn p2_undoing_an_order_retracts_its_newest_moment() {
    let ads = "order-completed@0 sub=o prod=kettle; imp@2d*5/1h prod=kettle";
    for undone in ["order-cancelled", "order-refunded"] {
        check(&format!("{ads}; {undone}@3d sub=o; imp@4d*2/1h prod=kettle"), "P2:1 P2:2 P2:R");
        check(&format!("{ads}; {undone}@3d sub=other"), "P2:1 P2:2");
        check(&format!("{ads}; {undone}@30d-1ms sub=o"), "P2:1 P2:2 P2:R");
        check(&format!("{ads}; {undone}@30d sub=o"), "P2:1 P2:2");
        check(&format!("{ads}; {undone}@3d sub=o; {undone}@3d+1h sub=o"), "P2:1 P2:2 P2:R");
    }
    let twice = "order-completed@0 sub=o prod=kettle; imp@2d*2/1h prod=kettle; imp@4d prod=kettle";
    check(&format!("{twice}; order-cancelled@5d sub=o"), "P2:1 P2:1 P2:R");
    check("order-completed@0 sub=o prod=kettle; imp@2d prod=kettle; order-cancelled@3d sub=o", "");
}
