//! How public records are written: Avro under registered schemas, or JSON.

use std::sync::Arc;

use serde::Serialize;

use super::Names;
use crate::codec::confluent::{SchemaId, put_frame};
use crate::codec::output::Output;
use crate::log::Outgoing;
use crate::registry::OutputIds;

/// Writes public records; as JSON by default.
#[derive(Clone, Debug, Default)]
pub struct Encoder {
    ids: Option<Arc<OutputIds>>,
}

impl Encoder {
    /// Writes Avro under schemas with these ids, framed as registries do.
    pub fn avro(ids: OutputIds) -> Encoder {
        Encoder { ids: Some(Arc::new(ids)) }
    }

    /// Writes to the own topic of this name.
    pub(super) fn topic(&self, names: &Names, name: &str) -> PublicTopic {
        let ids = self.ids.as_ref();
        let ids = ids.map(|ids| *ids.get(name).expect("the registry lists every topic with public records"));
        PublicTopic { name: names.own(name), ids }
    }
}

/// A public topic.
pub(super) struct PublicTopic {
    name: Arc<str>,
    ids: Option<[SchemaId; 2]>,
}

impl PublicTopic {
    /// A record to publish.
    pub(super) fn record(
        &self,
        key: &(impl Output + Serialize),
        value: &(impl Output + Serialize),
    ) -> Outgoing {
        let (key, value) = match self.ids {
            Some([of_key, of_value]) => (framed(of_key, key), framed(of_value, value)),
            None => (json(key), json(value)),
        };
        Outgoing {
            topic: Arc::clone(&self.name),
            partition: None,
            key: Some(key),
            value,
            headers: Vec::new(),
        }
    }
}

fn framed(id: SchemaId, record: &impl Output) -> Vec<u8> {
    let mut bytes = Vec::new();
    put_frame(id, &mut bytes);
    record.encode(&mut bytes);
    bytes
}

fn json(record: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(record).expect("output records hold scalars under text keys only")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::driver::stages::Names;
    use crate::event::output::ErasureReceipt;
    use crate::registry::OUTPUTS;

    #[test]
    fn a_record_is_framed_avro_with_ids_and_json_without() {
        let names = Names::new("t.", Default::default());
        let receipt = ErasureReceipt {
            request_id: "r1".to_owned(),
            received_time: 1,
            done_time: 2,
            partition: 3,
            pairs_deleted: Some(4),
            events_dropped: None,
            links_removed: 6,
        };
        let plain = Encoder::default().topic(&names, "erasure-receipts").record(&receipt.key(), &receipt);
        assert_eq!(&*plain.topic, "t.erasure-receipts");
        assert_eq!(plain.key.as_deref(), Some(&br#"{"request_id":"r1"}"#[..]));
        assert_eq!(plain.value, serde_json::to_vec(&receipt).unwrap());

        let ids = OUTPUTS.iter().map(|topic| (topic.name, [SchemaId(258), SchemaId(3)])).collect();
        let encoder = Encoder::avro(ids);
        let framed = encoder.topic(&names, "erasure-receipts").record(&receipt.key(), &receipt);
        assert_eq!(framed.key.as_deref(), Some(&[0, 0, 0, 1, 2, 4, b'r', b'1'][..]));
        assert_eq!(framed.value, [0, 0, 0, 0, 3, 4, b'r', b'1', 2, 4, 6, 2, 8, 0, 12]);
        for topic in
            ["moments", "brand-trust", "brand-trust-latest", "brand-trust-live", "pattern-trust", "alerts"]
        {
            assert!(encoder.topic(&names, topic).ids.is_some());
        }
    }
}
