//! P3: ads that follow a person to another device.
//!
//! Triggers on a retargeted impression on a device (not a TV) when a first-party signal came from
//! another device within 72 hours and none from this one within 30 days, from the second in 7 days on.

use super::state::{Device, Followed, Record};
use super::{Anchor, Evidence, HOUR, MONTH, Pair, Pattern, WEEK, within};
use crate::event::kinds::DeviceType;
use crate::event::person::KeyKind;

const DEVICES_MAX: usize = 8;
/// At least so many impressions per device are remembered, so that evidence can count them.
const FOLLOWED_MIN: usize = 16;
const SIGNAL_SPAN: i64 = 72 * HOUR;

/// Remembers the device of an event, and whether the event was a first-party signal.
pub fn on_device(record: &mut Record, device: u64, t: i64, signal: bool) {
    let found = record.find::<Device>(|known| known.device == device);
    let (index, mut entry) = found.unwrap_or((usize::MAX, Device { device, last: t, signal: 0 }));
    entry.last = entry.last.max(t);
    if signal {
        entry.signal = entry.signal.max(t);
    }
    if index != usize::MAX {
        record.set(index, &entry);
        return;
    }
    record.push(&entry);
    if record.len::<Device>() > DEVICES_MAX {
        let oldest = record.iter::<Device>().enumerate().min_by_key(|(_, known)| known.last);
        if let Some((index, gone)) = oldest {
            record.remove::<Device>(index);
            record.remove_where::<Followed>(|followed| followed.device == gone.device);
        }
    }
}

/// Whether at least two devices were seen within 30 days.
pub fn several_devices(record: &Record, t: i64) -> bool {
    record.iter::<Device>().filter(|device| within(t, device.last, MONTH)).nth(1).is_some()
}

/// Looks at a retargeted impression.
pub fn on_retargeted(pair: &mut Pair<'_>) {
    let (event, record) = (pair.event, &mut *pair.record);
    let (t, device) = (event.time, event.device);
    if device == 0 || event.device_type == DeviceType::Tv {
        return;
    }
    let signal_within = |known: &Device, span| known.signal > 0 && within(t, known.signal, span);
    let elsewhere =
        record.iter::<Device>().any(|known| known.device != device && signal_within(&known, SIGNAL_SPAN));
    let here = record.iter::<Device>().any(|known| known.device == device && signal_within(&known, MONTH));
    if !elsewhere || here {
        return;
    }
    let horizon = event.place - pair.slack - WEEK;
    record.drop_front_while::<Followed>(|followed| followed.time <= horizon);
    record.push(&Followed { device, time: t });
    let wanted = pair.rules.cross_device_following.in_7d as usize;
    let kept = wanted.max(FOLLOWED_MIN);
    if record.iter::<Followed>().filter(|followed| followed.device == device).count() > kept
        && let Some((oldest, _)) = record.find::<Followed>(|followed| followed.device == device)
    {
        record.remove::<Followed>(oldest);
    }
    record.keep_last::<Followed>(DEVICES_MAX * kept);
    let on_device = || record.iter::<Followed>().rev().filter(|followed| followed.device == device);
    if on_device().nth(wanted.saturating_sub(1)).is_some_and(|followed| within(t, followed.time, WEEK)) {
        let count = on_device().filter(|followed| within(t, followed.time, WEEK)).count();
        let severity = if event.key == KeyKind::Inferred { 2 } else { 1 };
        let evidence = Evidence::one("in_7d", count as i64);
        pair.trigger(
            Pattern::CrossDeviceFollowing,
            severity,
            Anchor::Pseudonym(event.named_device),
            evidence,
        );
    }
}
