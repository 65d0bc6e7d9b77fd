//! One entry of the log of person events: an event, a late word, an erasure, or a record that only counts.
//!
//! Fixed part first, then what is present, then the event id; little-endian. Names of brands and
//! jurisdictions are numbers of the dictionary that goes with the items.

use crate::event::consent::Signals;
use crate::event::kinds::{Basis, Channel, DeviceType, Kind, MessageClass, Permission, PromptType, Topic};
use crate::event::person::{KeyKind, PersonEvent};

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ItemKind {
    /// An event of a person.
    Event = 0,
    /// A decision or (un)subscription that came too late to count anywhere else.
    LateWord = 1,
    /// A request to forget a person.
    Erasure = 2,
    /// A record of a brand that came too late.
    Late = 3,
    /// A dead letter of a brand.
    DeadLettered = 4,
    /// A dead letter whose brand cannot be read.
    Unreadable = 5,
    /// Event time, from the place to the time, that a source went past without its records. Since version 2.
    Gap = 6,
}

/// Bytes of an item without its optional parts: length, kinds, place, time, person, numbers, flags.
pub const FIXED: usize = 52;

const DEVICE: u32 = 1;
const SUBJECT: u32 = 1 << 1;
const CREATIVE: u32 = 1 << 2;
const PAGE_VIEW: u32 = 1 << 3;
const CATEGORY: u32 = 1 << 4;
const REFERENCE: u32 = 1 << 5;
const SHARE: u32 = 1 << 6;
const PRODUCTS: u32 = 1 << 7;
const REWARDED: u32 = 1 << 8;
const RETARGETING: u32 = 9;
const DISCLOSED: u32 = 11;
const FIRST_LAYER: u32 = 13;
const SIGNALS: u32 = 15;
const BASIS: u32 = 19;
const DEVICE_TYPE: u32 = 23;
const PROMPT: u32 = 26;
/// Messages have no basis and no prompt.
const CLASS: u32 = BASIS;
const PERMISSION: u32 = BASIS + 2;
const CHANNEL: u32 = PROMPT;
const NAMED_DEVICE: u32 = 1 << 29;

/// An item is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("damaged item: {0}")]
pub struct DamagedItem(pub &'static str);

/// Appends an event (or, with [`ItemKind::LateWord`], a late word) and returns where it starts.
pub fn put_event(
    out: &mut Vec<u8>,
    kind: ItemKind,
    event: &PersonEvent<'_>,
    brand: u32,
    jurisdiction: u16,
) -> usize {
    let start = out.len();
    let message = event.topic == Topic::Messages;
    let mut flags = (u32::from(event.rewarded) * REWARDED)
        | (option_bits(event.retargeting) << RETARGETING)
        | option_bits(event.disclosed) << DISCLOSED
        | option_bits(event.first_layer_reject) << FIRST_LAYER
        | u32::from(event.signals.bits()) << SIGNALS
        | u32::from(event.device_type.index()) << DEVICE_TYPE;
    flags |= if message {
        u32::from(event.class.index()) << CLASS
            | u32::from(event.permission.index()) << PERMISSION
            | u32::from(event.channel.index()) << CHANNEL
    } else {
        u32::from(event.basis.index()) << BASIS | u32::from(event.prompt.index()) << PROMPT
    };
    put_fixed(out, kind, event.place, event.time, &event.person, brand);
    let none = [0; 16];
    for (bit, pseudonym) in [(NAMED_DEVICE, &event.named_device), (SUBJECT, &event.subject)] {
        if *pseudonym != none {
            flags |= bit;
            out.extend_from_slice(pseudonym);
        }
    }
    for (bit, token) in [
        (DEVICE, event.device),
        (CREATIVE, event.creative),
        (PAGE_VIEW, event.page_view),
        (CATEGORY, event.category),
        (REFERENCE, event.reference),
    ] {
        if token != 0 {
            flags |= bit;
            out.extend_from_slice(&token.to_le_bytes());
        }
    }
    if let Some(share) = event.viewed_share {
        flags |= SHARE;
        out.extend_from_slice(&share.to_le_bytes());
    }
    if !event.products.is_empty() {
        flags |= PRODUCTS;
        out.extend_from_slice(&(event.products.len() as u16).to_le_bytes());
        out.extend_from_slice(event.products);
    }
    out.extend_from_slice(event.event_id);
    let head = &mut out[start..start + FIXED];
    head[5] = event.topic.index();
    head[6] = event.kind.index();
    head[7] = event.key as u8;
    head[44..46].copy_from_slice(&jurisdiction.to_le_bytes());
    head[46..48].copy_from_slice(&(event.event_id.len() as u16).to_le_bytes());
    head[48..52].copy_from_slice(&flags.to_le_bytes());
    finish(out, start)
}

/// Appends an item that is no event: an erasure (of `person`, from `place` on) or a record that only counts.
pub fn put_other(out: &mut Vec<u8>, kind: ItemKind, place: i64, person: &[u8; 16], brand: u32) -> usize {
    let start = out.len();
    put_fixed(out, kind, place, place, person, brand);
    finish(out, start)
}

/// Appends a gap of event time.
pub fn put_gap(out: &mut Vec<u8>, from: i64, to: i64) {
    let start = out.len();
    put_fixed(out, ItemKind::Gap, from, to, &[0; 16], 0);
    finish(out, start);
}

fn put_fixed(out: &mut Vec<u8>, kind: ItemKind, place: i64, time: i64, person: &[u8; 16], brand: u32) {
    let mut head = [0; FIXED];
    head[4] = kind as u8;
    head[8..16].copy_from_slice(&place.to_le_bytes());
    head[16..24].copy_from_slice(&time.to_le_bytes());
    head[24..40].copy_from_slice(person);
    head[40..44].copy_from_slice(&brand.to_le_bytes());
    out.extend_from_slice(&head);
}

fn finish(out: &mut [u8], start: usize) -> usize {
    let length = (out.len() - start) as u32;
    out[start..start + 4].copy_from_slice(&length.to_le_bytes());
    start
}

/// An item, read in place.
#[derive(Clone, Copy, Debug)]
pub struct Item<'a> {
    bytes: &'a [u8],
}

impl<'a> Item<'a> {
    /// The item at the start of these bytes, and what follows it.
    ///
    /// # Errors
    /// When the bytes cannot hold it.
    pub fn split(bytes: &'a [u8]) -> Result<(Item<'a>, &'a [u8]), DamagedItem> {
        let length = bytes.first_chunk::<4>().ok_or(DamagedItem("no length"))?;
        let length = u32::from_le_bytes(*length) as usize;
        if length < FIXED || length > bytes.len() {
            return Err(DamagedItem("length"));
        }
        let (item, rest) = bytes.split_at(length);
        if item[4] > ItemKind::Gap as u8 {
            return Err(DamagedItem("kind"));
        }
        Ok((Item { bytes: item }, rest))
    }

    /// What it is.
    pub fn kind(&self) -> ItemKind {
        match self.bytes[4] {
            0 => ItemKind::Event,
            1 => ItemKind::LateWord,
            2 => ItemKind::Erasure,
            3 => ItemKind::Late,
            4 => ItemKind::DeadLettered,
            5 => ItemKind::Unreadable,
            _ => ItemKind::Gap,
        }
    }

    /// The index of its topic; 0 where it is no event.
    pub fn topic_index(&self) -> u8 {
        self.bytes[5]
    }

    /// Its place, milliseconds.
    pub fn place(&self) -> i64 {
        i64::from_le_bytes(self.array(8))
    }

    /// Its event time, milliseconds.
    pub fn time(&self) -> i64 {
        i64::from_le_bytes(self.array(16))
    }

    /// Its person; zero where it has none.
    pub fn person(&self) -> [u8; 16] {
        self.array(24)
    }

    /// The number of its brand.
    pub fn brand(&self) -> u32 {
        u32::from_le_bytes(self.array(40))
    }

    /// The number of its jurisdiction; 0 where unknown.
    pub fn jurisdiction(&self) -> u16 {
        u16::from_le_bytes(self.array(44))
    }

    /// Its event id, empty where it is no event.
    pub fn event_id(&self) -> &'a [u8] {
        let length = usize::from(u16::from_le_bytes(self.array(46))).min(self.bytes.len() - FIXED);
        &self.bytes[self.bytes.len() - length..]
    }

    /// The item's bytes.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Compares in the order in which items are applied: place, erasures first, event time, event id, topic.
    pub fn cmp_key(&self, other: &Item<'_>) -> std::cmp::Ordering {
        let no_erasure = |item: &Item<'_>| item.kind() != ItemKind::Erasure;
        self.place()
            .cmp(&other.place())
            .then_with(|| no_erasure(self).cmp(&no_erasure(other)))
            .then_with(|| self.time().cmp(&other.time()))
            .then_with(|| self.event_id().cmp(other.event_id()))
            .then_with(|| self.bytes[5].cmp(&other.bytes[5]))
    }

    /// Compares like [`Item::cmp_key`], and what is still equal by the encoded item.
    pub fn cmp_applied(&self, other: &Item<'_>) -> std::cmp::Ordering {
        self.cmp_key(other).then_with(|| self.bytes.cmp(other.bytes))
    }

    /// The source topic of an [`ItemKind::Event`].
    pub fn event_topic(&self) -> Option<Topic> {
        Topic::from_index(self.bytes[5]).filter(|_| self.kind() == ItemKind::Event)
    }

    /// The event of an [`ItemKind::Event`] or [`ItemKind::LateWord`].
    ///
    /// # Errors
    /// When the bytes do not hold one.
    pub fn event(&self, jurisdiction: &'a str) -> Result<PersonEvent<'a>, DamagedItem> {
        let topic = Topic::from_index(self.bytes[5]).ok_or(DamagedItem("topic"))?;
        let kind = Kind::from_index(self.bytes[6]).ok_or(DamagedItem("event kind"))?;
        let flags = u32::from_le_bytes(self.array(48));
        let field = |shift: u32, width: u32| (flags >> shift & ((1 << width) - 1)) as u8;
        let mut event = PersonEvent::new(topic, kind, self.time(), self.person(), self.event_id());
        event.place = self.place();
        event.jurisdiction = jurisdiction;
        event.key = match self.bytes[7] {
            0 => KeyKind::Person,
            1 => KeyKind::Inferred,
            _ => KeyKind::Device,
        };
        event.rewarded = flags & REWARDED != 0;
        event.retargeting = option_of(field(RETARGETING, 2));
        event.disclosed = option_of(field(DISCLOSED, 2));
        event.first_layer_reject = option_of(field(FIRST_LAYER, 2));
        event.signals = Signals::from_bits(field(SIGNALS, 4)).ok_or(DamagedItem("signals"))?;
        event.device_type =
            DeviceType::from_index(field(DEVICE_TYPE, 3)).ok_or(DamagedItem("device type"))?;
        if topic == Topic::Messages {
            event.class = MessageClass::from_index(field(CLASS, 2)).ok_or(DamagedItem("class"))?;
            event.permission =
                Permission::from_index(field(PERMISSION, 2)).ok_or(DamagedItem("permission"))?;
            event.channel = Channel::from_index(field(CHANNEL, 3)).ok_or(DamagedItem("channel"))?;
        } else {
            event.basis = Basis::from_index(field(BASIS, 4)).ok_or(DamagedItem("basis"))?;
            event.prompt = PromptType::from_index(field(PROMPT, 3)).ok_or(DamagedItem("prompt type"))?;
        }
        let mut rest = &self.bytes[FIXED..];
        let mut take = |count: usize| -> Result<&'a [u8], DamagedItem> {
            let (head, tail) = rest.split_at_checked(count).ok_or(DamagedItem("too short"))?;
            rest = tail;
            Ok(head)
        };
        if flags & NAMED_DEVICE != 0 {
            event.named_device = array(take(16)?);
        }
        if flags & SUBJECT != 0 {
            event.subject = array(take(16)?);
        }
        for (bit, token) in [
            (DEVICE, &mut event.device),
            (CREATIVE, &mut event.creative),
            (PAGE_VIEW, &mut event.page_view),
            (CATEGORY, &mut event.category),
            (REFERENCE, &mut event.reference),
        ] {
            if flags & bit != 0 {
                *token = u64::from_le_bytes(array(take(8)?));
            }
        }
        if flags & SHARE != 0 {
            event.viewed_share = Some(f64::from_le_bytes(array(take(8)?)));
        }
        if flags & PRODUCTS != 0 {
            let length = usize::from(u16::from_le_bytes(array(take(2)?)));
            event.products = take(length)?;
        }
        if rest.len() != event.event_id.len() {
            return Err(DamagedItem("event id"));
        }
        Ok(event)
    }

    fn array<const N: usize>(&self, at: usize) -> [u8; N] {
        array(&self.bytes[at..at + N])
    }
}

fn array<const N: usize>(bytes: &[u8]) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(bytes);
    array
}

fn option_bits(flag: Option<bool>) -> u32 {
    flag.map_or(0, |flag| 1 + u32::from(flag))
}

fn option_of(bits: u8) -> Option<bool> {
    match bits {
        0 => None,
        bits => Some(bits == 2),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn full(message: bool) -> PersonEvent<'static> {
        let mut event =
            PersonEvent::new(Topic::Clickstream, Kind::ConsentPrompt, 1_700_000_000_123, [7; 16], b"id-1");
        event.place += 5;
        event.jurisdiction = "US-CA";
        event.key = KeyKind::Device;
        event.device = 5;
        event.named_device = [3; 16];
        event.subject = [4; 16];
        event.creative = 1;
        event.page_view = 2;
        event.category = 3;
        event.reference = 4;
        event.viewed_share = Some(0.25);
        event.products = &[1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0];
        event.retargeting = Some(false);
        event.disclosed = Some(true);
        event.first_layer_reject = Some(false);
        event.rewarded = true;
        event.signals = Signals::REFUSED_CROSS;
        event.device_type = DeviceType::Tv;
        if message {
            event.topic = Topic::Messages;
            event.kind = Kind::Sent;
            event.channel = Channel::InApp;
            event.class = MessageClass::Transactional;
            event.permission = Permission::None;
        } else {
            event.basis = Basis::SpecialCategory;
            event.prompt = PromptType::Other;
        }
        event
    }

    #[test]
    fn an_event_reads_back() {
        for event in
            [full(false), full(true), PersonEvent::new(Topic::AdDeliveries, Kind::Click, 1, [1; 16], b"x")]
        {
            let mut bytes = vec![9];
            let at = put_event(&mut bytes, ItemKind::Event, &event, 70_000, 3);
            put_other(&mut bytes, ItemKind::Late, 8, &[0; 16], 5);
            let (item, rest) = Item::split(&bytes[at..]).unwrap();
            assert_eq!((item.kind(), item.brand(), item.jurisdiction()), (ItemKind::Event, 70_000, 3));
            assert!(item.event(event.jurisdiction).unwrap() == event);
            let (late, rest) = Item::split(rest).unwrap();
            assert_eq!((late.kind(), late.place(), late.brand()), (ItemKind::Late, 8, 5));
            assert!(rest.is_empty() && late.event_id().is_empty());
        }
    }

    proptest! {
        #[test]
        fn damaged_items_are_refused_without_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), length in 0u32..220) {
            if bytes.len() >= 4 {
                bytes[..4].copy_from_slice(&length.to_le_bytes());
            }
            if let Ok((item, _)) = Item::split(&bytes) {
                let _kind = (item.kind(), item.event_id().len(), item.event("").is_ok());
            }
        }
    }
}
