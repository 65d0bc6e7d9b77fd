//! `route`: decoded source records to items of the log of person events.
//!
//! Resolves who an event is about, replaces ids by pseudonyms and tokens, reads the consent signals, and
//! gives every event its place. Valid records only: the caller decodes and validates.

use crate::codec::frame::item::{ItemKind, put_event, put_other};
use crate::event::consent::{ConsentRules, Flaw, SignalsDecoder};
use crate::event::kinds::{Channel, Kind, Match, MessageClass, PromptType, Topic};
use crate::event::person::{KeyKind, PersonEvent};
use crate::event::raw::{RawErasure, RawEvent};
use crate::fold::names::Names;
use crate::identity::{AcceptedMatches, Links, PseudonymCache, PseudonymKey, PseudonymKind};

/// How many events are best fetched ahead at once, see [`Route::warm`].
pub const BATCH_EVENTS: usize = 16;

/// How far a source has come in event time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frontier(Option<i64>);

impl Frontier {
    /// A frontier that was committed before.
    pub fn restored(at: i64) -> Frontier {
        Frontier(Some(at))
    }

    /// The frontier, milliseconds; `None` before the first record.
    pub fn at(self) -> Option<i64> {
        self.0
    }

    /// The place of an event: its time, or the frontier where that is later.
    pub fn place(self, event_time: i64) -> i64 {
        self.0.map_or(event_time, |frontier| frontier.max(event_time))
    }

    /// Raises the frontier by a valid record; it never falls.
    pub fn raise(&mut self, event_time: i64, timestamp: i64, out_of_orderness_ms: i64) {
        let to = event_time.min(timestamp) - out_of_orderness_ms;
        self.0 = Some(self.0.map_or(to, |frontier| frontier.max(to)));
    }
}

/// What became of a valid event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Routed {
    /// It is in the log.
    Logged,
    /// It is test traffic.
    Exempt,
    /// It came too late, by so many milliseconds.
    TooLate {
        /// Place less event time.
        by_ms: i64,
    },
}

/// What an erasure asks for in the log. Not printable: it holds raw ids.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Erase {
    /// Keys to forget: the person, the device, and the devices linked to the person; whom the request names first.
    pub keys: Vec<[u8; 16]>,
    /// Identity links that ended.
    pub links: u64,
    /// Devices of which a tombstone removes the links, with the partition of the topic of links for it.
    pub tombstones: Vec<(String, i32)>,
}

/// Data quality of what was routed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct QualityCounts {
    /// Consent signals that cannot be read, by flaw, in the order of [`Flaw::ALL`].
    pub flaws: [u64; Flaw::ALL.len()],
    /// Shown content whose disclosure is unknown.
    pub disclosure_unknown: u64,
}

/// The identity table and dictionaries of one process.
pub struct Route {
    pseudonyms: PseudonymCache,
    /// Who is who.
    pub links: Links,
    signals: SignalsDecoder,
    late_memory_ms: [i64; Topic::ALL.len()],
    /// Numbers of brands in the items.
    pub brands: Names,
    /// Numbers of jurisdictions in the items; 0 is unknown.
    pub jurisdictions: Names,
    /// Data quality so far.
    pub quality: QualityCounts,
    products: Vec<u8>,
}

impl Route {
    /// Knows nobody yet. `late_memory_ms`: per topic, how late an event may be.
    pub fn new(
        key: PseudonymKey,
        accepted: AcceptedMatches,
        consent: ConsentRules,
        late_memory_ms: [i64; Topic::ALL.len()],
    ) -> Route {
        let mut jurisdictions = Names::default();
        jurisdictions.number("");
        Route {
            pseudonyms: PseudonymCache::new(key),
            links: Links::new(accepted),
            signals: SignalsDecoder::new(consent),
            late_memory_ms,
            brands: Names::default(),
            jurisdictions,
            quality: QualityCounts::default(),
            products: Vec::new(),
        }
    }

    /// The key that makes the pseudonyms.
    pub fn key(&self) -> &PseudonymKey {
        self.pseudonyms.key()
    }

    /// Begins to fetch what routing an event will look up.
    pub fn warm(&self, raw: &RawEvent<'_>) {
        if let Some(person) = raw.person_id {
            self.pseudonyms.warm(PseudonymKind::Person, person.as_bytes());
        }
    }

    /// Routes a valid event to its place. `items` gives the buffer of a person's partition.
    ///
    /// `never_late`: the record was sent again by hand.
    pub fn event<'b>(
        &mut self,
        raw: &RawEvent<'_>,
        place: i64,
        never_late: bool,
        items: impl FnOnce(&[u8; 16]) -> &'b mut Vec<u8>,
    ) -> Routed {
        if raw.test {
            return Routed::Exempt;
        }
        let (person, key) = self.key_of(raw);
        let brand = self.brands.number(raw.brand_id);
        let by_ms = place - raw.event_time;
        let late = by_ms >= self.late_memory_ms[usize::from(raw.topic.index())] && !never_late;
        if late && !is_word(raw.kind) {
            put_other(items(&person), ItemKind::Late, place, &[0; 16], brand);
            return Routed::TooLate { by_ms };
        }
        let jurisdiction = self.jurisdiction(raw.jurisdiction);
        let mut products = std::mem::take(&mut self.products);
        products.clear();
        let event = self.person_event(raw, place, person, key, &mut products);
        let items = items(&person);
        if late {
            put_event(items, ItemKind::LateWord, &event, brand, jurisdiction);
            put_other(items, ItemKind::Late, place, &[0; 16], brand);
        } else {
            put_event(items, ItemKind::Event, &event, brand, jurisdiction);
        }
        self.products = products;
        if late { Routed::TooLate { by_ms } } else { Routed::Logged }
    }

    /// Counts a dead letter of an event topic at a place, for its brand where that can be read.
    pub fn dead_letter(&mut self, brand: Option<&str>, place: i64, items: &mut Vec<u8>) {
        let (kind, brand) = match brand {
            Some(brand) => (ItemKind::DeadLettered, self.brands.number(brand)),
            None => (ItemKind::Unreadable, 0),
        };
        put_other(items, kind, place, &[0; 16], brand);
    }

    /// Ends the links that an erasure names and returns whom to forget.
    pub fn erasure(&mut self, raw: &RawErasure) -> Erase {
        let mut erase = Erase::default();
        let mut devices = Vec::new();
        if let Some(person) = &raw.person_id {
            erase.keys.push(self.pseudonyms.pseudonym(PseudonymKind::Person, person.as_bytes()).0);
            let ended = self.links.end_person(person, raw.requested_time);
            erase.links += ended.links;
            devices = ended.devices;
        }
        if let Some(device) = &raw.device_id {
            let ended = self.links.end_device(device, raw.requested_time);
            if !devices.contains(device) {
                erase.links += ended;
                devices.insert(0, device.clone());
            }
        }
        for device in devices {
            erase.keys.push(self.pseudonyms.pseudonym(PseudonymKind::Device, device.as_bytes()).0);
            if let Some(partition) = self.links.ended_in(&device) {
                erase.tombstones.push((device, partition));
            }
        }
        erase
    }

    fn key_of(&mut self, raw: &RawEvent<'_>) -> ([u8; 16], KeyKind) {
        if let Some(person) = raw.person_id {
            return (self.pseudonyms.pseudonym(PseudonymKind::Person, person.as_bytes()).0, KeyKind::Person);
        }
        let device = raw.device_id.unwrap_or_default();
        match self.links.in_force(device, raw.event_time) {
            Some((person, matched)) => {
                let key = if matched == Match::Inferred { KeyKind::Inferred } else { KeyKind::Person };
                (self.pseudonyms.pseudonym(PseudonymKind::Person, person.as_bytes()).0, key)
            }
            None => (self.pseudonyms.pseudonym(PseudonymKind::Device, device.as_bytes()).0, KeyKind::Device),
        }
    }

    fn jurisdiction(&mut self, name: Option<&str>) -> u16 {
        let number = self.jurisdictions.number(name.unwrap_or(""));
        u16::try_from(number).unwrap_or(0)
    }

    /// The event with its ids replaced; only what the folds look at for its kind is kept.
    fn person_event<'e>(
        &mut self,
        raw: &RawEvent<'e>,
        place: i64,
        person: [u8; 16],
        key: KeyKind,
        products: &'e mut Vec<u8>,
    ) -> PersonEvent<'e> {
        let mut event =
            PersonEvent::new(raw.topic, raw.kind, raw.event_time, person, raw.event_id.as_bytes());
        event.place = place;
        event.key = key;
        if let Some(device) = raw.device_id {
            event.device = self.pseudonyms.key().token(device.as_bytes()).get();
            if matches!(raw.kind, Kind::Impression | Kind::Viewable) && raw.retargeting != Some(false) {
                event.named_device = self.pseudonyms.pseudonym(PseudonymKind::Device, device.as_bytes()).0;
            }
        }
        event.device_type = raw.device_type;
        event.basis = raw.basis;
        event.retargeting = raw.retargeting;
        event.disclosed = raw.disclosed;
        event.rewarded = raw.rewarded;
        event.first_layer_reject = raw.first_layer_reject;
        event.prompt = raw.prompt_type.unwrap_or(PromptType::Tracking);
        event.channel = raw.channel.unwrap_or(Channel::Email);
        event.class = raw.class;
        event.permission = raw.permission;
        if let Some(consent) = &raw.consent {
            let (signals, quality) = self.signals.decode(consent, raw.jurisdiction);
            event.signals = signals;
            for flaw in quality.flaws() {
                self.quality.flaws[flaw as usize] += 1;
            }
        }
        let token = |id: Option<&str>| id.map_or(0, |id| self.pseudonyms.key().token(id.as_bytes()).get());
        match raw.kind {
            Kind::Impression | Kind::Viewable => {
                event.creative = token(raw.creative_id);
                event.page_view = token(raw.page_view_id);
                event.category = token(raw.category);
            }
            Kind::OrderCompleted => event.category = token(raw.category),
            Kind::RecommendationShown | Kind::RecommendationUsed | Kind::RecommendationHidden => {
                event.reference = token(raw.recommendation_id);
            }
            Kind::ConsentPrompt | Kind::ConsentGranted | Kind::ConsentRefused | Kind::ConsentWithdrawn => {
                event.reference = token(raw.consent_version);
            }
            Kind::RecapViewed => event.viewed_share = raw.viewed_share,
            Kind::Sent | Kind::Opened | Kind::Clicked => event.reference = token(raw.message_id),
            _ => {}
        }
        if matches!(raw.kind, Kind::Impression | Kind::Viewable | Kind::OrderCompleted) {
            for product in &raw.product_ids {
                products
                    .extend_from_slice(&self.pseudonyms.key().token(product.as_bytes()).get().to_le_bytes());
            }
            event.products = products;
        }
        match raw.kind {
            Kind::OrderCompleted | Kind::OrderCancelled | Kind::OrderRefunded => {
                let order = raw.order_id.unwrap_or(raw.event_id);
                event.subject = self.pseudonyms.key().pseudonym(PseudonymKind::Order, order.as_bytes()).0;
            }
            Kind::CartAdd => event.subject = self.cart(raw.cart_id),
            Kind::Sent if raw.class == MessageClass::CartReminder => event.subject = self.cart(raw.cart_id),
            _ => {}
        }
        if raw.disclosed.is_none()
            && matches!(raw.kind, Kind::Impression | Kind::RecommendationShown | Kind::PersonalisationShown)
        {
            self.quality.disclosure_unknown += 1;
        }
        event
    }

    fn cart(&self, cart: Option<&str>) -> [u8; 16] {
        cart.map_or([0; 16], |cart| self.pseudonyms.key().pseudonym(PseudonymKind::Cart, cart.as_bytes()).0)
    }
}

impl std::fmt::Debug for Route {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Route").field("brands", &self.brands.len()).finish_non_exhaustive()
    }
}

/// Whether what a person decided is stored however late it comes.
fn is_word(kind: Kind) -> bool {
    matches!(
        kind,
        Kind::ConsentGranted
            | Kind::ConsentRefused
            | Kind::ConsentWithdrawn
            | Kind::Subscribed
            | Kind::Unsubscribed
            | Kind::MarkedSpam
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frontier_never_falls_and_follows_the_earlier_clock() {
        let mut frontier = Frontier::default();
        assert_eq!(frontier.place(5), 5);
        frontier.raise(100_000, 90_000, 10_000);
        assert_eq!(frontier.at(), Some(80_000));
        frontier.raise(70_000, 95_000, 10_000);
        assert_eq!(frontier.at(), Some(80_000));
        assert_eq!((frontier.place(79_999), frontier.place(80_001)), (80_000, 80_001));
    }
}
