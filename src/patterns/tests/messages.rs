//! P4a and P4b.

use crate::patterns::scenario::check;

#[test]
fn p4a_by_the_events_own_permission_and_class() {
    for (permission, fires) in [("denied", true), ("none", true), ("unknown", false), ("granted", false)] {
        for (class, judged) in
            [("marketing", true), ("cart-reminder", true), ("requested", false), ("transactional", false)]
        {
            let expected = if fires && judged { "P4a:1" } else { "" };
            check(&format!("sent@0 perm={permission} class={class}"), expected);
        }
    }
}

#[test]
fn p4a_by_the_persons_word_after_the_grace() {
    for word in ["unsubscribed", "marked-spam"] {
        for channel in ["push", "in-app"] {
            check(&format!("{word}@1h channel={channel}; sent@1h-1ms channel={channel}"), "");
            check(&format!("{word}@1h channel={channel}; sent@1h channel={channel} perm=granted"), "P4a:1");
        }
        for channel in ["email", "sms"] {
            check(&format!("{word}@0 channel={channel}; sent@168h-1ms channel={channel} perm=granted"), "");
            check(&format!("{word}@0 channel={channel}; sent@168h channel={channel} perm=granted"), "P4a:1");
        }
    }
    check("unsubscribed@0 channel=push; subscribed@1h channel=push; sent@2h channel=push", "");
    check("unsubscribed@0 channel=in-app; sent@1h channel=push", "");
    check("unsubscribed@0 channel=push; sent@1h channel=push class=requested", "");
    check("unsubscribed@0 channel=push; sent@1h channel=push brand=c", "");
}

#[test]
fn p4a_the_first_word_since_the_last_subscription_counts() {
    check("unsubscribed@0; marked-spam@6d; sent@7d", "P4a:1");
    check("unsubscribed@0; subscribed@5d; unsubscribed@6d; sent@13d-1ms", "");
    check("unsubscribed@0; subscribed@5d; unsubscribed@6d; sent@13d", "P4a:1");
    check("unsubscribed@0; sent@730d-1ms", "P4a:1");
    check("unsubscribed@0; sent@730d", "");
    check("unsubscribed@0; unsubscribed@700d; sent@731d", "P4a:1");
}

#[test]
fn p4a_a_moment_per_channel() {
    check(
        "sent@0 perm=none channel=push; sent@1h perm=none channel=sms; sent@2h perm=none channel=sms",
        "P4a:1 P4a:1",
    );
    check("sent@0 perm=none; sent@24h-1ms perm=none", "P4a:1");
    check("sent@0 perm=none; sent@24h perm=none", "P4a:1 P4a:1");
}

#[test]
fn p4b_counts_per_channel_in_7_days() {
    for (channel, one, two) in [("push", 6, 11), ("sms", 3, 6), ("email", 5, 10)] {
        let sent = |count: u32| format!("sent@0*{count}/1h channel={channel}");
        check(&sent(one - 1), "");
        check(&sent(one), "P4b:1");
        check(&sent(two - 1), "P4b:1");
        check(&sent(two), "P4b:1 P4b:2");
        let edge = format!("sent@0*{}/1h channel={channel} class=cart-reminder", one - 1);
        check(&format!("{edge}; sent@7d-1ms channel={channel}"), "P4b:1");
        check(&format!("{edge}; sent@7d channel={channel}"), "");
    }
    check("sent@0*30/1h channel=in-app", "");
    check("sent@0*30/1h channel=sms class=requested", "");
    check("sent@0*30/1h channel=sms class=transactional", "");
    check("sent@0*2/1h channel=sms; sent@3h*5/1h channel=push; sent@9h*4/1h channel=email", "");
    check("delivered@0*30/1h channel=sms", "");
}

/// So many e-mails a day apart, of which the numbers in `clicked` are clicked.
fn mails(count: u32, clicked: &[u32], reaction: &str, channel: &str) -> String {
    (0..count)
        .map(|n| {
            let sent = format!("sent@{}h channel={channel} ref=m{n}; ", 6 * n);
            let done = format!("{reaction}@{}h+1m channel={channel} ref=m{n}; ", 6 * n);
            if clicked.contains(&n) { sent + &done } else { sent }
        })
        .collect()
}

#[test]
fn p4b_welcome_messages_are_not_too_many() {
    check(&mails(5, &[0, 1], "clicked", "email"), "");
    check(&mails(5, &[0], "clicked", "email"), "P4b:1");
    check(&mails(5, &[0, 1, 2, 3], "opened", "email"), "P4b:1");
    check(&mails(6, &[0, 1, 2, 3, 4], "opened", "push"), "");
    check(&mails(6, &[0, 1, 2, 3, 4], "dismissed", "push"), "P4b:1");
    // Two earlier ones are too few to judge by; at the fourth there are three.
    check(&mails(3, &[0, 1], "opened", "sms"), "P4b:1");
    check(&mails(4, &[0, 1], "opened", "sms"), "P4b:1");
    // Three of the last ten are 30 %.
    check(&mails(11, &[1, 2, 3], "clicked", "email"), "");
    // The eleventh last is not judged: at the 12th two of ten were clicked.
    check(&mails(11, &[0, 1, 2], "clicked", "email"), "");
    check(&mails(12, &[0, 1, 2], "clicked", "email"), "P4b:2");
    check(&mails(12, &[1, 2, 3], "clicked", "email"), "");
    check("sent@0*5/1h; clicked@1m; clicked@1h+1m; clicked@2h+1m", "P4b:1");
}

#[test]
fn p4b_judges_by_30_days() {
    let earlier = "sent@0 ref=a channel=sms; clicked@1h ref=a channel=sms";
    let two = "sent@29d ref=b channel=sms; sent@29d+1h ref=c channel=sms";
    check(&format!("{earlier}; {two}; sent@30d-1ms channel=sms"), "");
    check(&format!("{earlier}; {two}; sent@30d channel=sms"), "P4b:1");
}
