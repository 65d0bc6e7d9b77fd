//! One thing that will happen: everything about an event but its texts.

use crate::event::kinds::{Basis, Channel, Kind, MessageClass, Permission, PromptType, Topic};

use super::world::Privacy;

/// An event to come. Small and flat, so that millions can wait.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Step {
    pub(crate) time: i64,
    pub(crate) pair: u64,
    /// Page view; 0 is none. So for the next three.
    pub(crate) view: u64,
    /// Message.
    pub(crate) message: u64,
    /// Cart (of messages and cart events).
    pub(crate) cart: u64,
    /// Order or recommendation.
    pub(crate) subject: u64,
    /// Products; 0 is none.
    pub(crate) products: [u32; 2],
    /// Campaign + 1; 0 is none.
    pub(crate) campaign: u8,
    pub(crate) creative: u8,
    pub(crate) category: u8,
    pub(crate) device: u8,
    /// Version of the consent text; 0 is none.
    pub(crate) version: u8,
    pub(crate) viewed_percent: Option<u8>,
    pub(crate) kind: Kind,
    pub(crate) basis: Basis,
    pub(crate) privacy: Privacy,
    pub(crate) retargeting: Option<bool>,
    pub(crate) disclosed: Option<bool>,
    pub(crate) prompt: Option<PromptType>,
    pub(crate) first_layer_reject: Option<bool>,
    pub(crate) channel: Option<Channel>,
    pub(crate) class: MessageClass,
    pub(crate) permission: Permission,
    pub(crate) rewarded: bool,
}

impl Step {
    /// A bare event of this kind.
    pub(crate) fn new(kind: Kind, pair: u64, device: u8, time: i64) -> Step {
        Step {
            time,
            pair,
            view: 0,
            message: 0,
            cart: 0,
            subject: 0,
            products: [0; 2],
            campaign: 0,
            creative: 0,
            category: 0,
            device,
            version: 0,
            viewed_percent: None,
            kind,
            basis: Basis::Unknown,
            privacy: Privacy::Plain,
            retargeting: None,
            disclosed: None,
            prompt: None,
            first_layer_reject: None,
            channel: None,
            class: MessageClass::Marketing,
            permission: Permission::Unknown,
            rewarded: false,
        }
    }

    /// The topic of the event.
    pub(crate) fn topic(&self) -> Topic {
        if self.kind <= Kind::AdComplaint {
            Topic::AdDeliveries
        } else if self.kind <= Kind::AppRemoved {
            Topic::Clickstream
        } else {
            Topic::Messages
        }
    }
}
