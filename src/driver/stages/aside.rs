//! Records that `route` sets aside: the original, with what is wrong and where it came from in its headers.

use std::sync::Arc;

use crate::log::{Outgoing, RecordRef, TopicPartition};

/// Longest value of a dead letter or late event, bytes: with its headers it fits into what Kafka accepts by
/// default, 1,048,588 bytes. A longer one is cut, and a header says how long it was.
const ASIDE_BYTES_MAX: usize = 900_000;

/// The record for the topic of what is set aside; `more` are headers that say why.
pub(super) fn aside(
    topic: Arc<str>,
    from: &TopicPartition,
    record: &RecordRef<'_>,
    more: Vec<(String, Vec<u8>)>,
) -> Outgoing {
    let mut headers = record.headers.headers();
    headers.extend(more);
    let mut value = record.value;
    if value.len() > ASIDE_BYTES_MAX {
        value = &value[..ASIDE_BYTES_MAX];
        headers.push(("trustline.cut-from".to_owned(), record.value.len().to_string().into_bytes()));
    }
    for (name, value) in [
        ("trustline.topic", from.topic.to_string()),
        ("trustline.partition", from.partition.to_string()),
        ("trustline.offset", record.offset.to_string()),
        ("trustline.timestamp", record.timestamp_ms.map_or_else(String::new, |ms| ms.to_string())),
        ("trustline.stage", "route".to_owned()),
        ("trustline.build", env!("CARGO_PKG_VERSION").to_owned()),
    ] {
        headers.push((name.to_owned(), value.into_bytes()));
    }
    Outgoing { topic, partition: None, key: record.key.map(<[u8]>::to_vec), value: value.to_vec(), headers }
}
