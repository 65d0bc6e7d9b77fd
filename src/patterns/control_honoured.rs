//! P12: a choice that was honoured.
//!
//! A person changes a preference or withdraws consent. Seven days later, if the brand went on touching the
//! person and P4a, P5 and P6 did not trigger in between, the choice was honoured.

use super::state::{Record, Request};
use super::{Pattern, WEEK};

/// From a request to its maturity.
pub const MATURES_AFTER: i64 = WEEK;

/// Starts the wait for a request, unless one waits already; returns when it matures.
pub fn on_request(record: &mut Record, place: i64, event: [u8; 16], device_key: bool) -> Option<i64> {
    if record.has::<Request>() {
        return None;
    }
    record.push(&Request {
        place,
        event: u128::from_le_bytes(event),
        touched: false,
        broken: false,
        device_key,
    });
    Some(place + MATURES_AFTER)
}

/// Takes note of a touch or a trigger of another pattern while a request waits.
pub fn note(record: &mut Record, touched: bool, triggered: impl Iterator<Item = Pattern>) {
    let Some(mut request) = record.get::<Request>(0) else { return };
    request.touched |= touched;
    for pattern in triggered {
        request.broken |= matches!(
            pattern,
            Pattern::UnpermittedMessage | Pattern::ConsentNagging | Pattern::TrackingAfterOptOut
        );
    }
    record.set(0, &request);
}

/// Takes a request that is due out of the record.
pub fn take_due(record: &mut Record, due: i64) -> Option<Request> {
    let request = record.get::<Request>(0).filter(|request| request.place + MATURES_AFTER == due)?;
    record.remove::<Request>(0);
    Some(request)
}
