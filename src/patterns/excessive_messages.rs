//! P4b: too many messages.
//!
//! Triggers on a marketing message or cart reminder by how many were sent on the channel in 7 days, unless
//! the person opens or clicks at least 30 % of what comes: of the last ten earlier ones within 30 days, if
//! there are at least three.

use super::state::{EmailSent, Entry, PushSent, Record, SmsSent};
use super::{Anchor, Evidence, MONTH, Pair, Pattern, WEEK, severity_by, within};
use crate::event::kinds::{Channel, Kind};

const JUDGED: usize = 10;
const JUDGED_MIN: usize = 3;

/// A message sent, whichever the channel.
trait SentEntry: Entry {
    fn new(time: i64, message: u64) -> Self;
    fn parts(&self) -> (i64, u64, bool);
    fn engaged(self) -> Self;
}

macro_rules! sent_entry {
    ($($name:ident),+) => {$(
        impl SentEntry for $name {
            fn new(time: i64, message: u64) -> Self {
                $name { time, message, engaged: false }
            }
            fn parts(&self) -> (i64, u64, bool) {
                (self.time, self.message, self.engaged)
            }
            fn engaged(self) -> Self {
                $name { engaged: true, ..self }
            }
        }
    )+};
}
sent_entry!(EmailSent, SmsSent, PushSent);

/// Looks at a message `SENT` of class `MARKETING` or `CART_REMINDER`.
pub fn on_sent(pair: &mut Pair<'_>) {
    let rules = &pair.rules.excessive_messages;
    match pair.event.channel {
        Channel::Email => sent::<EmailSent>(pair, rules.email_in_7d),
        Channel::Sms => sent::<SmsSent>(pair, rules.sms_in_7d),
        Channel::Push => sent::<PushSent>(pair, rules.push_in_7d),
        Channel::InApp => {}
    }
}

/// Takes note that a message was opened or clicked.
pub fn on_engaged(record: &mut Record, message: u64, kind: Kind, email_opens: bool) {
    if kind == Kind::Clicked || email_opens {
        engage::<EmailSent>(record, message);
    }
    engage::<SmsSent>(record, message);
    engage::<PushSent>(record, message);
}

fn engage<E: SentEntry>(record: &mut Record, message: u64) {
    for index in 0..record.len::<E>() {
        if let Some(entry) = record.get::<E>(index).filter(|entry| entry.parts().1 == message) {
            record.set(index, &entry.engaged());
        }
    }
}

fn sent<E: SentEntry>(pair: &mut Pair<'_>, thresholds: [u32; 2]) {
    let (event, record) = (pair.event, &mut *pair.record);
    let t = event.time;
    let welcome = is_welcome::<E>(record, t, pair.rules.excessive_messages.welcome_share);
    record.push(&E::new(t, event.reference));
    record.drop_front_while::<E>(|sent| sent.parts().0 <= event.place - pair.slack - MONTH);
    record.keep_last::<E>((thresholds[1] as usize).max(JUDGED + 1));
    if welcome {
        return;
    }
    let counted =
        |n: u32| record.nth_last::<E>(n as usize).is_some_and(|sent| within(t, sent.parts().0, WEEK));
    if let Some(severity) = severity_by(&thresholds, counted) {
        let count = record.iter::<E>().filter(|sent| within(t, sent.parts().0, WEEK)).count();
        let evidence = Evidence::one("in_7d", count as i64);
        pair.trigger(Pattern::ExcessiveMessages, severity, Anchor::Channel(event.channel), evidence);
    }
}

fn is_welcome<E: SentEntry>(record: &Record, t: i64, share: f64) -> bool {
    let recent = || record.iter::<E>().rev().map(|sent| sent.parts()).filter(|sent| within(t, sent.0, MONTH));
    let judged = recent().take(JUDGED).count();
    let engaged = recent().take(JUDGED).filter(|sent| sent.2).count();
    judged >= JUDGED_MIN && engaged as f64 >= share * judged as f64
}
