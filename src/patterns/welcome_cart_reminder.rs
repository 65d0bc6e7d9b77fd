//! P13: a first cart reminder in time.
//!
//! Triggers on the first reminder for a known cart, at least an hour and within a day after its last
//! `CART_ADD`, with permission or nothing known against it, and no order since.

use super::state::Cart;
use super::{Anchor, DAY, Evidence, HOUR, Pair, Pattern, within};
use crate::event::kinds::Permission;

/// Looks at a reminder, which `cart` already counts.
pub fn on_reminder(pair: &mut Pair<'_>, cart: &Cart) {
    let event = pair.event;
    let age = event.time - cart.added;
    let permitted = matches!(event.permission, Permission::Granted | Permission::Unknown);
    if cart.added > 0
        && cart.reminders == 1
        && !cart.ordered
        && permitted
        && age >= HOUR
        && within(event.time, cart.added, DAY)
    {
        let evidence = Evidence::one("after_ms", age);
        pair.trigger(Pattern::WelcomeCartReminder, 1, Anchor::Pseudonym(event.subject), evidence);
    }
}
