//! P4a: messages without permission.
//!
//! Triggers on a marketing message or cart reminder when the event itself says `DENIED` or `NONE`, or when
//! the person's first "no" on the channel since the last `SUBSCRIBED` is at least the grace old.

use super::state::{Record, Word};
use super::{Anchor, DAY, Evidence, HOUR, Pair, Pattern, within};
use crate::event::kinds::{Channel, Kind, Permission};

/// How long an unsubscription is remembered.
pub const WORD_LIFE: i64 = 730 * DAY;

/// Takes the person's word on a channel: `SUBSCRIBED`, `UNSUBSCRIBED` or `MARKED_SPAM`, in time.
pub fn on_word(record: &mut Record, channel: Channel, kind: Kind, t: i64) {
    let (index, mut word) = entry(record, channel, t);
    if kind == Kind::Subscribed {
        word = Word { first: 0, last: 0, subscribed: t, ..word };
    } else {
        word.first = if word.first == 0 { t } else { word.first };
        word.last = word.last.max(t);
    }
    put(record, index, &word);
}

/// Takes a word that came too late to count: it is stored by its event time.
pub fn on_late_word(record: &mut Record, channel: Channel, kind: Kind, t: i64, now: i64) {
    let (index, mut word) = entry(record, channel, now);
    if t < word.subscribed {
        return;
    }
    if kind != Kind::Subscribed {
        word.first = if word.first == 0 { t } else { word.first.min(t) };
        word.last = word.last.max(t);
    } else {
        word.subscribed = t;
        if word.last <= t {
            (word.first, word.last) = (0, 0);
        } else if word.first < t {
            // Of the words after the late "yes" only the last is known.
            word.first = word.last;
        }
    }
    put(record, index, &word);
}

/// Looks at a message `SENT` of class `MARKETING` or `CART_REMINDER`.
pub fn on_sent(pair: &mut Pair<'_>) {
    let event = pair.event;
    let rules = &pair.rules.unpermitted_message;
    let hours = match event.channel {
        Channel::Email | Channel::Sms => rules.grace_email_sms_hours,
        Channel::Push | Channel::InApp => rules.grace_push_in_app_hours,
    };
    let denied = matches!(event.permission, Permission::Denied | Permission::None);
    let word = pair.record.find::<Word>(|word| word.channel == event.channel.index());
    let unsubscribed = word.is_some_and(|(_, word)| {
        word.first > 0
            && within(event.time, word.last, WORD_LIFE)
            && event.time - word.first >= i64::from(hours) * HOUR
    });
    if denied || unsubscribed {
        pair.trigger(Pattern::UnpermittedMessage, 1, Anchor::Channel(event.channel), Evidence::NONE);
    }
}

fn entry(record: &Record, channel: Channel, now: i64) -> (Option<usize>, Word) {
    let fresh = Word { channel: channel.index(), first: 0, last: 0, subscribed: 0 };
    match record.find::<Word>(|word| word.channel == channel.index()) {
        Some((index, word)) if word.first > 0 && !within(now, word.last, WORD_LIFE) => {
            (Some(index), Word { subscribed: word.subscribed, ..fresh })
        }
        Some((index, word)) => (Some(index), word),
        None => (None, fresh),
    }
}

fn put(record: &mut Record, index: Option<usize>, word: &Word) {
    match index {
        Some(index) => record.set(index, word),
        None => record.push(word),
    }
}
