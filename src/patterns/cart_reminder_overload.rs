//! P8: too many cart reminders.
//!
//! Triggers on the third or later reminder for a cart, and on any reminder for a known cart after an order
//! later than the cart's last `CART_ADD`.

use super::state::Cart;
use super::{Anchor, Evidence, Pair, Pattern};

/// Looks at a reminder, which `cart` already counts.
pub fn on_reminder(pair: &mut Pair<'_>, cart: &Cart) {
    let many = u32::from(cart.reminders) >= pair.rules.cart_reminder_overload.reminders;
    if many || cart.added > 0 && cart.ordered {
        let evidence = Evidence::one("reminders", i64::from(cart.reminders));
        pair.trigger(Pattern::CartReminderOverload, 1, Anchor::Pseudonym(pair.event.subject), evidence);
    }
}
