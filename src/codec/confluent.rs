//! The framing of a schema registry: a zero byte, the id of the schema, the datum.

use crate::event::reject::{Reason, Reject};

/// The first byte of a framed record.
pub const MAGIC: u8 = 0;

/// The length of the frame before the datum.
pub const FRAME_BYTES: usize = 5;

/// The id of a schema in the registry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SchemaId(pub u32);

/// Takes a record apart into the id of its schema and its datum.
///
/// # Errors
/// When it does not begin with the magic byte or ends inside the frame.
pub fn split(record: &[u8]) -> Result<(SchemaId, &[u8]), Reject> {
    match record {
        [MAGIC, a, b, c, d, datum @ ..] => Ok((SchemaId(u32::from_be_bytes([*a, *b, *c, *d])), datum)),
        [MAGIC, ..] => Err(Reject::new(Reason::Undecodable, "ends inside the frame")),
        [] => Err(Reject::new(Reason::Undecodable, "empty record")),
        _ => Err(Reject::new(Reason::WrongMagic, "magic byte")),
    }
}

/// Appends the frame; the datum follows it.
pub fn put_frame(id: SchemaId, out: &mut Vec<u8>) {
    out.push(MAGIC);
    out.extend_from_slice(&id.0.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_read_back_and_others_are_refused() {
        let mut record = Vec::new();
        put_frame(SchemaId(0x0102_0304), &mut record);
        assert_eq!(record, [0, 1, 2, 3, 4]);
        assert_eq!(split(&record), Ok((SchemaId(0x0102_0304), &[][..])));
        record.extend_from_slice(b"datum");
        assert_eq!(split(&record), Ok((SchemaId(0x0102_0304), &b"datum"[..])));
        assert_eq!(split(b"{\"a\":1}").map_err(|reject| reject.reason), Err(Reason::WrongMagic));
        assert_eq!(split(&[]).map_err(|reject| reject.reason), Err(Reason::Undecodable));
        assert_eq!(split(&record[..4]).map_err(|reject| reject.reason), Err(Reason::Undecodable));
    }
}
