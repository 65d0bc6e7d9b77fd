//! P11: a recap that was viewed or shared.

use super::{Anchor, Evidence, Pair, Pattern};
use crate::event::kinds::Kind;

/// Looks at `RECAP_VIEWED` (severity 1 when enough of it was viewed, or nobody knows) and `RECAP_SHARED` (2).
pub fn on_recap(pair: &mut Pair<'_>) {
    let enough = pair.rules.nostalgic_recap.viewed_share;
    let severity = match pair.event.kind {
        Kind::RecapShared => 2,
        _ if pair.event.viewed_share.is_none_or(|share| share >= enough) => 1,
        _ => return,
    };
    pair.trigger(Pattern::NostalgicRecap, severity, Anchor::None, Evidence::NONE);
}
