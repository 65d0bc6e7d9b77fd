//! An event of a person as the folds see it: valid, placed, its ids replaced by pseudonyms and tokens.

use super::consent::Signals;
use super::kinds::{Basis, Channel, DeviceType, Kind, MessageClass, Permission, PromptType, Topic};

/// A 16-byte pseudonym; all zero where there is none.
pub type Pseudonym16 = [u8; 16];

/// How the person of an event became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum KeyKind {
    /// The event names the person, or a link of an accepted match other than `INFERRED` does.
    Person = 0,
    /// An inferred link names the person.
    Inferred = 1,
    /// Nobody is known: the device stands for itself.
    Device = 2,
}

/// One event of one person with one brand.
///
/// Tokens are keyed 64-bit hashes of ids that are only compared for equality; 0 means absent.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PersonEvent<'a> {
    /// Source topic.
    pub topic: Topic,
    /// What happened.
    pub kind: Kind,
    /// Where the event stands in its source's time, milliseconds.
    pub place: i64,
    /// When it happened, milliseconds.
    pub time: i64,
    /// The key: the person, or the device that stands for itself.
    pub person: Pseudonym16,
    /// How the key became known.
    pub key: KeyKind,
    /// Device token.
    pub device: u64,
    /// The device's pseudonym, where a moment may be about it: at ads that may be retargeted; else zero.
    pub named_device: Pseudonym16,
    /// The event's id as the producer gave it; it orders events and is never published.
    pub event_id: &'a [u8],
    /// ISO 3166 country, optionally with region; empty where unknown.
    pub jurisdiction: &'a str,
    /// Kind of device.
    pub device_type: DeviceType,
    /// What the choice of content rests on.
    pub basis: Basis,
    /// Whether the ad was served as retargeting.
    pub retargeting: Option<bool>,
    /// Whether the use of data was disclosed.
    pub disclosed: Option<bool>,
    /// Rewarded ad.
    pub rewarded: bool,
    /// Privacy signals.
    pub signals: Signals,
    /// Creative token.
    pub creative: u64,
    /// Page view token.
    pub page_view: u64,
    /// Category token.
    pub category: u64,
    /// Product tokens, 8 bytes little-endian each.
    pub products: &'a [u8],
    /// Message, recommendation or consent version token, by kind.
    pub reference: u64,
    /// Order (order events; the event's own id stands in) or cart pseudonym, by kind; zero where absent.
    pub subject: Pseudonym16,
    /// Share of a recap that was viewed.
    pub viewed_share: Option<f64>,
    /// What a prompt or decision is about.
    pub prompt: PromptType,
    /// Whether the prompt's first layer offers to reject.
    pub first_layer_reject: Option<bool>,
    /// How the message travelled.
    pub channel: Channel,
    /// Class of the message.
    pub class: MessageClass,
    /// The sender's claim of permission.
    pub permission: Permission,
}

impl<'a> PersonEvent<'a> {
    /// An event with every optional field absent.
    pub fn new(topic: Topic, kind: Kind, time: i64, person: Pseudonym16, event_id: &'a [u8]) -> Self {
        PersonEvent {
            topic,
            kind,
            place: time,
            time,
            person,
            key: KeyKind::Person,
            device: 0,
            named_device: [0; 16],
            event_id,
            jurisdiction: "",
            device_type: DeviceType::Unknown,
            basis: Basis::Unknown,
            retargeting: None,
            disclosed: None,
            rewarded: false,
            signals: Signals::default(),
            creative: 0,
            page_view: 0,
            category: 0,
            products: &[],
            reference: 0,
            subject: [0; 16],
            viewed_share: None,
            prompt: PromptType::Tracking,
            first_layer_reject: None,
            channel: Channel::Email,
            class: MessageClass::Marketing,
            permission: Permission::Unknown,
        }
    }

    /// The product tokens.
    pub fn product_tokens(&self) -> impl Iterator<Item = u64> + 'a {
        self.products.chunks_exact(8).map(|bytes| {
            let mut raw = [0; 8];
            raw.copy_from_slice(bytes);
            u64::from_le_bytes(raw)
        })
    }

    /// The subject as a token; 0 where absent.
    pub fn subject_token(&self) -> u64 {
        half(&self.subject)
    }
}

/// Half of a pseudonym: pseudonyms are keyed hashes, so it is a token.
pub fn half(pseudonym: &Pseudonym16) -> u64 {
    let mut raw = [0; 8];
    raw.copy_from_slice(&pseudonym[..8]);
    u64::from_le_bytes(raw)
}
