//! P10: a requested notification that was opened at once.
//!
//! Triggers on an opening within 30 minutes (not of e-mails, which programs open by machine) or a click
//! within 60 minutes after a requested message was sent. Unsubscribing within a day takes it back.

use super::state::{Opened, Requested};
use super::{Anchor, DAY, Evidence, HOUR, Pair, Pattern, within};
use crate::event::kinds::{Channel, Kind, Permission};

/// How many messages are remembered at most: a flood must not grow the record without limit.
const REQUESTED_MAX: usize = 256;
const OPENED_SPAN: i64 = HOUR / 2;
const CLICKED_SPAN: i64 = HOUR;

/// Notes a message `SENT` of class `REQUESTED`.
pub fn on_sent(pair: &mut Pair<'_>) {
    let (event, record) = (pair.event, &mut *pair.record);
    record.remove_where::<Requested>(|sent| sent.time <= event.place - pair.slack - CLICKED_SPAN);
    if event.reference == 0 || event.permission == Permission::Denied {
        return;
    }
    record.remove_where::<Requested>(|sent| sent.message == event.reference);
    record.push(&Requested { message: event.reference, time: event.time, channel: event.channel.index() });
    record.keep_last::<Requested>(REQUESTED_MAX);
}

/// Looks at an `OPENED` or `CLICKED` with a message id.
pub fn on_engaged(pair: &mut Pair<'_>) {
    let event = pair.event;
    let Some((_, sent)) = pair.record.find::<Requested>(|sent| sent.message == event.reference) else {
        return;
    };
    let channel = Channel::from_index(sent.channel).unwrap_or(event.channel);
    let span = match event.kind {
        Kind::Clicked => CLICKED_SPAN,
        _ if channel != Channel::Email || pair.rules.email_opens => OPENED_SPAN,
        _ => return,
    };
    if within(event.time, sent.time, span) {
        let evidence = Evidence::one("after_ms", event.time - sent.time);
        pair.trigger(Pattern::TimelyNotification, 1, Anchor::Channel(channel), evidence);
    }
}

/// Takes the newest moment back when the person leaves the channel within a day of it.
pub fn on_left(pair: &mut Pair<'_>) {
    let anchor = Anchor::Channel(pair.event.channel);
    let token = anchor.token();
    let pattern = Pattern::TimelyNotification as u8;
    let newest = pair
        .record
        .iter::<Opened>()
        .rev()
        .find(|opened| opened.pattern == pattern && opened.anchor == token && !opened.ended);
    if newest.is_some_and(|opened| within(pair.event.time, opened.time, DAY)) {
        pair.retract(Pattern::TimelyNotification, anchor);
    }
}
