//! What holds for one source topic, with what it takes over from `[time]`.

use super::sections::{EventTopic, Format, OtherTopic, Time};
use super::settings::Settings;
use crate::event::kinds::Topic;

/// The settings of a source topic, none left open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSettings {
    /// Name in Kafka.
    pub name: String,
    /// Format of the records.
    pub format: Format,
    /// Whether event time waits for it.
    pub holds_frontier: bool,
    /// How much older than the newest an event may be and still be in order.
    pub out_of_orderness_ms: i64,
    /// How late an event may come and still count.
    pub late_memory_ms: i64,
    /// Wall time without a record after which a source is idle; `None` is never.
    pub idle_after_ms: Option<i64>,
}

/// The two kinds of topic have the same keys and differ in their defaults only.
macro_rules! resolved {
    ($topic:expr, $setting:expr, $time:expr) => {{
        let (setting, time): (_, &Time) = ($setting, $time);
        TopicSettings {
            name: setting.name.clone().unwrap_or_else(|| $topic.symbol().to_owned()),
            format: setting.format,
            holds_frontier: setting.holds_frontier,
            out_of_orderness_ms: setting.out_of_orderness_ms.unwrap_or(time.out_of_orderness_ms),
            late_memory_ms: setting.late_memory_ms.unwrap_or(time.late_memory_ms),
            idle_after_ms: setting.idle_after_ms.unwrap_or(time.idle_after_ms).limit_ms(),
        }
    }};
}

impl TopicSettings {
    /// Of a topic of person events.
    fn of_events(topic: Topic, setting: &EventTopic, time: &Time) -> TopicSettings {
        resolved!(topic, setting, time)
    }

    /// Of another topic.
    fn of_others(topic: Topic, setting: &OtherTopic, time: &Time) -> TopicSettings {
        resolved!(topic, setting, time)
    }

    /// Of any topic.
    pub(super) fn of(topic: Topic, settings: &Settings) -> TopicSettings {
        let Settings { topics, time, .. } = settings;
        match topic {
            Topic::AdDeliveries => Self::of_events(topic, &topics.ad_deliveries, time),
            Topic::Clickstream => Self::of_events(topic, &topics.clickstream, time),
            Topic::Messages => Self::of_events(topic, &topics.messages, time),
            Topic::BrandIncidents => Self::of_others(topic, &topics.brand_incidents, time),
            Topic::IdentityLinks => Self::of_others(topic, &topics.identity_links, time),
            Topic::Erasures => Self::of_others(topic, &topics.erasures, time),
        }
    }
}
