//! Avro object container files of source records.

use std::io::{self, Write};

use crate::codec::avro::schemas;
use crate::codec::canonical;
use crate::event::kinds::Topic;

use super::arrivals::{Arrival, Flaw};
use super::generator::Generated;
use super::prng::mix;

/// A block is written when it holds this much.
const BLOCK_BYTES: usize = 64 * 1024;

/// Writes one container file.
pub struct Container<W> {
    out: W,
    sync: [u8; 16],
    block: Vec<u8>,
    records: i64,
}

impl<W: Write> Container<W> {
    /// Begins a file of this topic's records.
    ///
    /// # Errors
    /// When the header cannot be written.
    pub fn new(mut out: W, topic: Topic) -> io::Result<Container<W>> {
        let mut sync = [0; 16];
        // Any fixed bytes that data is unlikely to hold.
        for (half, chunk) in (1_u64..).zip(sync.chunks_mut(8)) {
            chunk.copy_from_slice(&mix(half << 8 | u64::from(topic.index())).to_le_bytes());
        }
        let mut header = b"Obj\x01".to_vec();
        canonical::put_long(&mut header, 2);
        put_bytes(&mut header, b"avro.schema");
        put_bytes(&mut header, schemas::input_schema(topic).as_bytes());
        put_bytes(&mut header, b"avro.codec");
        put_bytes(&mut header, b"null");
        canonical::put_long(&mut header, 0);
        header.extend_from_slice(&sync);
        out.write_all(&header)?;
        Ok(Container { out, sync, block: Vec::with_capacity(BLOCK_BYTES + 1024), records: 0 })
    }

    /// Adds a record. Of the flaws only those that a schema permits can be written; the others become
    /// an empty id.
    ///
    /// # Errors
    /// When a block cannot be written.
    pub fn write(&mut self, arrival: &Arrival) -> io::Result<()> {
        match &arrival.record {
            Generated::Event(event) => {
                let mut raw = event.raw();
                match arrival.flaw {
                    None => {}
                    Some(Flaw::TimeOutOfRange) => raw.event_time /= 1000,
                    Some(Flaw::Nobody) => (raw.person_id, raw.device_id) = (None, None),
                    Some(Flaw::Truncated | Flaw::MissingField | Flaw::UnknownSymbol | Flaw::EmptyId) => {
                        raw.brand_id = "";
                    }
                }
                canonical::encode_event(&raw, &mut self.block);
            }
            Generated::Incident(incident) => canonical::encode_incident(incident, &mut self.block),
            Generated::Link(link) => canonical::encode_link(link, &mut self.block),
            Generated::Erasure(erasure) => canonical::encode_erasure(erasure, &mut self.block),
        }
        self.records += 1;
        if self.block.len() >= BLOCK_BYTES { self.end_block() } else { Ok(()) }
    }

    /// Writes what is left.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> io::Result<()> {
        if self.records > 0 {
            self.end_block()?;
        }
        self.out.flush()
    }

    fn end_block(&mut self) -> io::Result<()> {
        let mut head = Vec::with_capacity(20);
        canonical::put_long(&mut head, self.records);
        canonical::put_long(&mut head, i64::try_from(self.block.len()).map_err(io::Error::other)?);
        self.out.write_all(&head)?;
        self.out.write_all(&self.block)?;
        self.out.write_all(&self.sync)?;
        self.block.clear();
        self.records = 0;
        Ok(())
    }
}

fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    canonical::put_long(out, bytes.len() as i64);
    out.extend_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::synth::{Generator, Params};

    #[test]
    fn another_library_reads_the_files() {
        let params = Params { persons: 300, days: 10, ..Params::default() };
        for topic in Topic::ALL {
            let (mut bytes, mut count) = (Vec::new(), 0);
            let mut container = Container::new(&mut bytes, *topic).unwrap();
            for record in Generator::new(&params).unwrap() {
                if crate::synth::write::topic_of(&record) == *topic {
                    container.write(&Arrival { time: record.time(), record, flaw: None }).unwrap();
                    count += 1;
                }
            }
            container.finish().unwrap();
            let read = apache_avro::Reader::new(&bytes[..]).unwrap().map(Result::unwrap).count();
            assert_eq!(read, count, "{topic:?}");
            assert!(count > 0 || *topic == Topic::Erasures, "{topic:?}");
        }
    }
}
