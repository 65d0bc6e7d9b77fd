//! The form of a snapshot: `magic, format version, header, compressed payload, checksum`, little-endian.
//!
//! Every format version begins with the magic and its number and ends with the XXH3 of everything before, 128
//! bits, so that damage and a file of another build can be told apart.

use std::io::Read;

use xxhash_rust::xxh3::xxh3_128;

use super::name::Fold;
use crate::config::ConfigHash;

/// The version that this build writes and reads.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: &[u8; 8] = b"trustsnp";
const CHECKSUM: usize = 16;
/// Faster levels save little time, slower ones little space.
const COMPRESSION_LEVEL: i32 = 1;
/// How many times its size a state is expected to shrink at most.
const ROOM_FACTOR: usize = 8;

/// What a snapshot says of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whose state it is.
    pub fold: Fold,
    /// The version of the fold.
    pub fold_version: u32,
    /// The configuration that it was folded under.
    pub config: ConfigHash,
    /// The input topic.
    pub topic: String,
    /// The input partition.
    pub partition: i32,
    /// The offset of the first record that is not in the state.
    pub offset: i64,
}

/// Bytes are not a snapshot that this build reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// They are damaged.
    #[error("damaged: {0}")]
    Damaged(&'static str),
    /// Another build wrote them.
    #[error("of format version {found}, and this build reads version {FORMAT_VERSION}")]
    OtherFormat {
        /// The version they have.
        found: u16,
    },
}

/// The bytes of a snapshot.
///
/// # Errors
/// When the compressor fails.
pub(super) fn encode(header: &Header, payload: &[u8]) -> std::io::Result<Vec<u8>> {
    let Header { fold, fold_version, config, topic, partition, offset } = header;
    let mut out = Vec::with_capacity(payload.len() / 2 + 256);
    out.extend_from_slice(MAGIC);
    out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    out.push(*fold as u8);
    out.extend_from_slice(&fold_version.to_le_bytes());
    out.extend_from_slice(&config.0);
    out.extend_from_slice(&partition.to_le_bytes());
    out.extend_from_slice(&offset.to_le_bytes());
    // Kafka limits the names of topics to 249 characters.
    out.extend_from_slice(&(topic.len() as u16).to_le_bytes());
    out.extend_from_slice(topic.as_bytes());
    out.extend_from_slice(&(payload.len() as u64).to_le_bytes());
    zstd::stream::copy_encode(payload, &mut out, COMPRESSION_LEVEL)?;
    out.extend_from_slice(&xxh3_128(&out).to_le_bytes());
    Ok(out)
}

/// What [`encode`] was given.
pub(super) fn decode(bytes: &[u8]) -> Result<(Header, Vec<u8>), FileError> {
    let damaged = FileError::Damaged;
    let (body, checksum) = bytes.split_last_chunk::<CHECKSUM>().ok_or(damaged("too short"))?;
    let rest = body.strip_prefix(MAGIC).ok_or(damaged("it does not begin as snapshots do"))?;
    if xxh3_128(body) != u128::from_le_bytes(*checksum) {
        return Err(damaged("the checksum does not hold"));
    }
    let mut cursor = Cursor { rest };
    let found = u16::from_le_bytes(cursor.array()?);
    if found != FORMAT_VERSION {
        return Err(FileError::OtherFormat { found });
    }
    let [fold] = cursor.array()?;
    let header = Header {
        fold: Fold::ALL.into_iter().find(|known| *known as u8 == fold).ok_or(damaged("fold"))?,
        fold_version: u32::from_le_bytes(cursor.array()?),
        config: ConfigHash(cursor.array()?),
        partition: i32::from_le_bytes(cursor.array()?),
        offset: i64::from_le_bytes(cursor.array()?),
        topic: {
            let length = usize::from(u16::from_le_bytes(cursor.array()?));
            let topic = std::str::from_utf8(cursor.take(length)?).map_err(|_| damaged("topic"))?;
            topic.to_owned()
        },
    };
    let length = u64::from_le_bytes(cursor.array()?);
    let length = usize::try_from(length).map_err(|_| damaged("length of the state"))?;
    // More room is only taken as it is filled.
    let mut payload = Vec::with_capacity(length.min(ROOM_FACTOR * cursor.rest.len()));
    let decoder = zstd::stream::read::Decoder::with_buffer(cursor.rest);
    let mut limited =
        decoder.map_err(|_| damaged("compressed state"))?.take((length as u64).saturating_add(1));
    limited.read_to_end(&mut payload).map_err(|_| damaged("compressed state"))?;
    if payload.len() != length {
        return Err(damaged("length of the state"));
    }
    Ok((header, payload))
}

struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], FileError> {
        let (head, tail) = self.rest.split_at_checked(count).ok_or(FileError::Damaged("too short"))?;
        self.rest = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], FileError> {
        self.take(N)?.try_into().map_err(|_| FileError::Damaged("too short"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn header() -> Header {
        Header {
            fold: Fold::Score,
            fold_version: 3,
            config: ConfigHash([7; 16]),
            topic: "trustline.brand-partials".to_owned(),
            partition: 5,
            offset: 1 << 40,
        }
    }

    fn sealed(mut body: Vec<u8>) -> Vec<u8> {
        body.extend_from_slice(&xxh3_128(&body).to_le_bytes());
        body
    }

    #[test]
    fn a_snapshot_reads_back() {
        for payload in [Vec::new(), b"state".repeat(1_000)] {
            let bytes = encode(&header(), &payload).unwrap();
            assert_eq!(decode(&bytes), Ok((header(), payload)));
        }
    }

    #[test]
    fn the_form_is_golden() {
        let bytes = encode(&header(), b"").unwrap();
        assert_eq!(bytes[..10], *b"trustsnp\x01\x00");
        assert_eq!(bytes[10..15], [1, 3, 0, 0, 0]);
        assert_eq!(bytes[15..31], [7; 16]);
        assert_eq!(bytes[31..35], [5, 0, 0, 0]);
        assert_eq!(bytes[35..43], [0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(bytes[43..45], [24, 0]);
        assert_eq!(bytes[45..69], *b"trustline.brand-partials");
        assert_eq!(bytes[69..77], [0; 8]);
    }

    #[test]
    fn every_cut_and_every_flipped_bit_is_found() {
        let bytes = encode(&header(), b"some state").unwrap();
        for at in 0..bytes.len() {
            assert!(matches!(decode(&bytes[..at]), Err(FileError::Damaged(_))), "cut at {at}");
            for bit in 0..8 {
                let mut flipped = bytes.clone();
                flipped[at] ^= 1 << bit;
                assert!(matches!(decode(&flipped), Err(FileError::Damaged(_))), "bit {bit} of {at}");
            }
        }
    }

    #[test]
    fn a_file_of_another_format_is_told_from_a_damaged_one() {
        let later = sealed([MAGIC.as_slice(), &[2, 0], b"whatever comes then"].concat());
        assert_eq!(decode(&later), Err(FileError::OtherFormat { found: 2 }));
    }

    proptest! {
        /// Whatever stands in a file with a right checksum, it is read or refused.
        #[test]
        fn sealed_nonsense_is_refused(junk in prop::collection::vec(any::<u8>(), 0..200), at in 10usize..77) {
            prop_assert!(decode(&junk).is_err());
            let mut body = encode(&header(), b"some state").unwrap();
            body.truncate(body.len() - CHECKSUM);
            body.splice(at..at + 1, junk.first().copied());
            let _either = decode(&sealed(body)).is_ok();
        }
    }
}
