//! A generated event that owns its texts and is meant to be filled again and again.

use crate::event::kinds::{Basis, Channel, DeviceType, Kind, MessageClass, Permission, PromptType, Topic};
use crate::event::raw::{RawConsent, RawEvent};

/// A part of the text of an [`OwnedEvent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Span {
    start: u32,
    end: u32,
}

/// Privacy signals of an [`OwnedEvent`].
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct OwnedConsent {
    pub(crate) att_status: Option<i64>,
    pub(crate) gpc: Option<bool>,
    pub(crate) gdpr_applies: Option<bool>,
    pub(crate) tc_string: Option<Span>,
    pub(crate) us_privacy: Option<&'static str>,
}

/// One event of `ad-deliveries`, `clickstream` or `messages`. All its texts lie in one buffer, so
/// filling it again allocates nothing.
#[derive(Clone, PartialEq)]
pub struct OwnedEvent {
    pub(crate) text: String,
    pub(crate) topic: Topic,
    pub(crate) kind: Kind,
    pub(crate) event_time: i64,
    pub(crate) event_id: Span,
    pub(crate) brand_id: Span,
    pub(crate) person_id: Option<Span>,
    pub(crate) device_id: Option<Span>,
    pub(crate) device_type: DeviceType,
    pub(crate) campaign_id: Option<Span>,
    pub(crate) creative_id: Option<Span>,
    pub(crate) page_view_id: Option<Span>,
    pub(crate) products: [Option<Span>; 2],
    pub(crate) category: Option<Span>,
    pub(crate) retargeting: Option<bool>,
    pub(crate) basis: Basis,
    pub(crate) disclosed: Option<bool>,
    pub(crate) rewarded: bool,
    pub(crate) jurisdiction: Option<&'static str>,
    pub(crate) consent: Option<OwnedConsent>,
    pub(crate) order_id: Option<Span>,
    pub(crate) cart_id: Option<Span>,
    pub(crate) recommendation_id: Option<Span>,
    pub(crate) viewed_share: Option<f64>,
    pub(crate) prompt_type: Option<PromptType>,
    pub(crate) consent_version: Option<Span>,
    pub(crate) first_layer_reject: Option<bool>,
    pub(crate) message_id: Option<Span>,
    pub(crate) channel: Option<Channel>,
    pub(crate) class: MessageClass,
    pub(crate) permission: Permission,
}

impl Default for OwnedEvent {
    fn default() -> OwnedEvent {
        OwnedEvent::with_text(String::with_capacity(512))
    }
}

impl OwnedEvent {
    /// When it happened, milliseconds since the epoch.
    pub fn event_time(&self) -> i64 {
        self.event_time
    }

    /// Its topic.
    pub fn topic(&self) -> Topic {
        self.topic
    }

    /// The event as a decoder would leave it.
    pub fn raw(&self) -> RawEvent<'_> {
        self.raw_reusing(Vec::new())
    }

    /// As [`raw`](Self::raw), with a vector whose allocation is used for the products
    /// (see [`recycle`]).
    pub fn raw_reusing<'a>(&'a self, mut product_ids: Vec<&'a str>) -> RawEvent<'a> {
        product_ids.clear();
        product_ids.extend(self.products.iter().flatten().map(|span| self.str(*span)));
        RawEvent {
            topic: self.topic,
            kind: self.kind,
            event_id: self.str(self.event_id),
            event_time: self.event_time,
            brand_id: self.str(self.brand_id),
            person_id: self.opt(self.person_id),
            device_id: self.opt(self.device_id),
            device_type: self.device_type,
            campaign_id: self.opt(self.campaign_id),
            creative_id: self.opt(self.creative_id),
            page_view_id: self.opt(self.page_view_id),
            product_ids,
            category: self.opt(self.category),
            retargeting: self.retargeting,
            basis: self.basis,
            disclosed: self.disclosed,
            rewarded: self.rewarded,
            test: false,
            jurisdiction: self.jurisdiction,
            consent: self.consent.map(|consent| self.raw_consent(&consent)),
            order_id: self.opt(self.order_id),
            cart_id: self.opt(self.cart_id),
            recommendation_id: self.opt(self.recommendation_id),
            viewed_share: self.viewed_share,
            prompt_type: self.prompt_type,
            consent_version: self.opt(self.consent_version),
            first_layer_reject: self.first_layer_reject,
            message_id: self.opt(self.message_id),
            channel: self.channel,
            class: self.class,
            permission: self.permission,
        }
    }

    /// Empties it for the next event and keeps its buffer.
    pub(crate) fn clear(&mut self) {
        let mut text = std::mem::take(&mut self.text);
        text.clear();
        *self = OwnedEvent::with_text(text);
    }

    /// Adds a text.
    pub(crate) fn push(&mut self, write: impl FnOnce(&mut String)) -> Span {
        let start = self.length();
        write(&mut self.text);
        Span { start, end: self.length() }
    }

    fn length(&self) -> u32 {
        u32::try_from(self.text.len()).expect("the texts of one event are a few hundred bytes")
    }

    fn str(&self, span: Span) -> &str {
        self.text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    fn opt(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| self.str(span))
    }

    fn raw_consent(&self, consent: &OwnedConsent) -> RawConsent<'_> {
        RawConsent {
            att_status: consent.att_status,
            lmt: None,
            dnt: None,
            gpc: consent.gpc,
            gdpr_applies: consent.gdpr_applies,
            tc_string: self.opt(consent.tc_string),
            gpp: None,
            us_privacy: consent.us_privacy,
        }
    }

    fn with_text(text: String) -> OwnedEvent {
        OwnedEvent {
            text,
            topic: Topic::AdDeliveries,
            kind: Kind::Impression,
            event_time: 0,
            event_id: Span::default(),
            brand_id: Span::default(),
            person_id: None,
            device_id: None,
            device_type: DeviceType::Unknown,
            campaign_id: None,
            creative_id: None,
            page_view_id: None,
            products: [None; 2],
            category: None,
            retargeting: None,
            basis: Basis::Unknown,
            disclosed: None,
            rewarded: false,
            jurisdiction: None,
            consent: None,
            order_id: None,
            cart_id: None,
            recommendation_id: None,
            viewed_share: None,
            prompt_type: None,
            consent_version: None,
            first_layer_reject: None,
            message_id: None,
            channel: None,
            class: MessageClass::Marketing,
            permission: Permission::Unknown,
        }
    }
}

/// Empties a vector of borrowed texts for the next event and keeps its allocation.
pub fn recycle<'b>(mut product_ids: Vec<&str>) -> Vec<&'b str> {
    product_ids.clear();
    // An empty vector of another lifetime, collected in place.
    product_ids.into_iter().map(|_| "").collect()
}
