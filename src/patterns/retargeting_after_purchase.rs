//! P2: ads for what was already bought.
//!
//! Triggers on a retargeted impression for each living order that is at least 24 hours old and shares a
//! product with the ad, or, where the ad names none, the category. An order lives for 30 days, until it
//! is cancelled or refunded, or until eight newer ones live. Cancelling retracts its newest moment.

use super::state::{Bought, Order, Record};
use super::{Anchor, DAY, Evidence, MONTH, Pair, Pattern, within};

const ORDERS_MAX: usize = 8;

/// Whether an order of the pair lives at the event.
pub fn order_lives(record: &Record, t: i64) -> bool {
    record.iter::<Order>().any(|order| within(t, order.time, MONTH))
}

/// Remembers an order.
pub fn on_order(pair: &mut Pair<'_>) {
    let (event, record) = (pair.event, &mut *pair.record);
    let t = event.time;
    let horizon = event.place - pair.slack - MONTH;
    while let Some((index, order)) = record.find::<Order>(|order| order.time <= horizon) {
        forget(record, index, order.slot);
    }
    let id = u128::from_le_bytes(event.subject);
    if let Some((index, order)) = record.find::<Order>(|order| order.order == id) {
        if within(t, order.time, MONTH) {
            return;
        }
        forget(record, index, order.slot);
    }
    let lives = |order: &Order| within(t, order.time, MONTH);
    if record.iter::<Order>().filter(lives).count() >= ORDERS_MAX
        && let Some((index, oldest)) = record.find::<Order>(lives)
    {
        forget(record, index, oldest.slot);
    }
    if record.len::<Order>() >= 2 * ORDERS_MAX
        && let Some(oldest) = record.get::<Order>(0)
    {
        forget(record, 0, oldest.slot);
    }
    let slot = (0..=u8::MAX).find(|slot| record.find::<Order>(|order| order.slot == *slot).is_none());
    let slot = slot.expect("at most sixteen slots are in use");
    record.push(&Order { time: t, order: id, category: event.category, ads: 0, slot });
    for product in event.product_tokens() {
        record.push(&Bought { slot, product });
    }
}

/// Ends an order that was cancelled or refunded.
pub fn on_order_undone(pair: &mut Pair<'_>) {
    let id = u128::from_le_bytes(pair.event.subject);
    let Some((index, order)) = pair.record.find::<Order>(|order| order.order == id) else { return };
    forget(pair.record, index, order.slot);
    if within(pair.event.time, order.time, MONTH) {
        pair.retract(Pattern::RetargetingAfterPurchase, Anchor::Pseudonym(pair.event.subject));
    }
}

/// Looks at a retargeted impression.
pub fn on_retargeted(pair: &mut Pair<'_>) {
    if !pair.record.has::<Order>() {
        return;
    }
    let (event, counts) = (pair.event, pair.rules.retargeting_after_purchase.counts);
    let t = event.time;
    let replenishable = |category: u64| category != 0 && pair.replenishable.contains(&category);
    if replenishable(event.category) {
        return;
    }
    for index in 0..pair.record.len::<Order>() {
        let Some(mut order) = pair.record.get::<Order>(index) else { break };
        if t < order.time + DAY || !within(t, order.time, MONTH) || replenishable(order.category) {
            continue;
        }
        let fits = if event.products.is_empty() {
            event.category != 0 && event.category == order.category
        } else {
            let bought =
                |product| pair.record.iter::<Bought>().any(|b| b.slot == order.slot && b.product == product);
            event.product_tokens().any(bought)
        };
        if !fits {
            continue;
        }
        order.ads = order.ads.saturating_add(1);
        pair.record.set(index, &order);
        if let Some(severity) = super::severity(u32::from(order.ads), &counts) {
            let evidence = Evidence::one("after_order", i64::from(order.ads));
            let anchor = Anchor::Pseudonym(order.order.to_le_bytes());
            pair.trigger(Pattern::RetargetingAfterPurchase, severity, anchor, evidence);
        }
    }
}

fn forget(record: &mut Record, index: usize, slot: u8) {
    record.remove::<Order>(index);
    record.remove_where::<Bought>(|bought| bought.slot == slot);
}
