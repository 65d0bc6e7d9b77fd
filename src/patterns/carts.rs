//! The carts of a pair, which P8 and P13 judge by.
//!
//! A cart is remembered for 30 days after its last `CART_ADD` or reminder, at most the four with the
//! latest of these.

use super::state::{Cart, Record};
use super::{MONTH, within};

const CARTS_MAX: usize = 4;

/// Notes that something was put into a cart.
pub fn on_added(record: &mut Record, cart: u64, t: i64) {
    touch(record, cart, t, |entry| {
        entry.added = entry.added.max(t);
        entry.ordered = false;
    });
}

/// Notes that the brand's goods were ordered.
pub fn on_order(record: &mut Record) {
    for index in 0..record.len::<Cart>() {
        if let Some(cart) = record.get::<Cart>(index) {
            record.set(index, &Cart { ordered: true, ..cart });
        }
    }
}

/// Notes a reminder and returns the cart with it counted.
pub fn on_reminder(record: &mut Record, cart: u64, t: i64) -> Cart {
    touch(record, cart, t, |entry| entry.reminders = entry.reminders.saturating_add(1))
}

fn touch(record: &mut Record, cart: u64, t: i64, change: impl FnOnce(&mut Cart)) -> Cart {
    record.remove_where::<Cart>(|known| !within(t, known.last, MONTH));
    let fresh = Cart { cart, added: 0, last: t, reminders: 0, ordered: false };
    let found = record.find::<Cart>(|known| known.cart == cart);
    let (index, mut entry) = found.map_or((None, fresh), |(index, entry)| (Some(index), entry));
    entry.last = entry.last.max(t);
    change(&mut entry);
    match index {
        Some(index) => record.set(index, &entry),
        None => {
            record.push(&entry);
            if record.len::<Cart>() > CARTS_MAX
                && let Some((oldest, _)) =
                    record.iter::<Cart>().enumerate().min_by_key(|(_, known)| known.last)
            {
                record.remove::<Cart>(oldest);
            }
        }
    }
    entry
}
