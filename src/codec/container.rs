//! Avro object container files, read block by block.

use std::io::{self, BufRead, Read};

use flate2::bufread::DeflateDecoder;

/// The most bytes of a block, compressed or not. A block beyond it is refused, whatever it claims.
pub const BLOCK_BYTES_MAX: usize = 64 << 20;

/// The most bytes of the file's metadata, which holds the schema.
pub const METADATA_BYTES_MAX: usize = 4 << 20;

const MAGIC: &[u8; 4] = b"Obj\x01";
const SYNC_BYTES: usize = 16;

/// A container file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    /// It does not begin like one.
    #[error("not an Avro object container file")]
    NotAContainer,
    /// Its metadata are damaged or too long.
    #[error("the header is damaged")]
    Header,
    /// The metadata hold no schema.
    #[error("the header holds no schema")]
    NoSchema,
    /// Its blocks are compressed by something else than `null`, `deflate`, `snappy` or `zstandard`.
    #[error("blocks are compressed by {codec:?}; known are null, deflate, snappy and zstandard")]
    UnknownCodec {
        /// The codec.
        codec: String,
    },
    /// A block is damaged: what is wrong with it.
    #[error("the block at byte {offset} is damaged: {flaw}")]
    Block {
        /// Where the block begins.
        offset: u64,
        /// What is wrong.
        flaw: Flaw,
    },
    /// The file cannot be read on.
    #[error("cannot read on at byte {offset}")]
    Read {
        /// Where.
        offset: u64,
        /// Why.
        source: io::Error,
    },
}

/// What is wrong with a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flaw {
    /// The file ends inside it.
    Truncated,
    /// Its count or size is no number or negative.
    Numbers,
    /// It is larger than [`BLOCK_BYTES_MAX`].
    TooLarge,
    /// It does not end with the file's marker.
    Sync,
    /// It cannot be decompressed.
    Compression,
    /// Its checksum is another.
    Checksum,
}

impl std::fmt::Display for Flaw {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Flaw::Truncated => "the file ends inside it",
            Flaw::Numbers => "its count or size is not a number",
            Flaw::TooLarge => "it is larger than 64 MiB",
            Flaw::Sync => "it does not end with the file's marker",
            Flaw::Compression => "it cannot be decompressed",
            Flaw::Checksum => "its checksum is another",
        })
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Null,
    Deflate,
    Snappy,
    Zstandard,
}

/// Reads the blocks of a container file.
pub struct ContainerReader<R> {
    source: Source<R>,
    schema_json: String,
    codec: Codec,
    sync: [u8; SYNC_BYTES],
    compressed: Vec<u8>,
}

impl<R: BufRead> ContainerReader<R> {
    /// Reads the header.
    ///
    /// # Errors
    /// When it is not one of a container file, holds no schema, or names an unknown codec.
    pub fn new(reader: R) -> Result<ContainerReader<R>, ContainerError> {
        let mut source = Source { reader, offset: 0 };
        let mut magic = [0; MAGIC.len()];
        source.exact(&mut magic).map_err(|stop| source.in_header(stop, ContainerError::NotAContainer))?;
        if magic != *MAGIC {
            return Err(ContainerError::NotAContainer);
        }
        let (mut schema, mut codec) = (None, None);
        source
            .metadata(|key, value| match key {
                b"avro.schema" => schema = Some(value),
                b"avro.codec" => codec = Some(value),
                _ => {}
            })
            .map_err(|stop| source.in_header(stop, ContainerError::Header))?;
        let mut sync = [0; SYNC_BYTES];
        source.exact(&mut sync).map_err(|stop| source.in_header(stop, ContainerError::Header))?;
        let schema = schema.ok_or(ContainerError::NoSchema)?;
        Ok(ContainerReader {
            source,
            schema_json: String::from_utf8(schema).map_err(|_| ContainerError::Header)?,
            codec: Codec::from_name(codec.as_deref())?,
            sync,
            compressed: Vec::new(),
        })
    }

    /// The schema under which the records were written.
    pub fn schema_json(&self) -> &str {
        &self.schema_json
    }

    /// Puts the next block's records into `block`, in place of what it holds, and gives their number;
    /// `None` at the end of the file.
    ///
    /// # Errors
    /// When the block is damaged or too large, or the file cannot be read. Reading cannot go on after it.
    pub fn next_block(&mut self, block: &mut Vec<u8>) -> Result<Option<u64>, ContainerError> {
        block.clear();
        let offset = self.source.offset;
        match self.read_block(block) {
            Ok(count) => Ok(count),
            Err(Stop::Flaw(flaw)) => Err(ContainerError::Block { offset, flaw }),
            Err(Stop::Read(source)) => Err(ContainerError::Read { offset: self.source.offset, source }),
        }
    }

    fn read_block(&mut self, block: &mut Vec<u8>) -> Result<Option<u64>, Stop> {
        if self.source.is_at_end()? {
            return Ok(None);
        }
        let count = u64::try_from(self.source.long()?).map_err(|_| Flaw::Numbers)?;
        let size = usize::try_from(self.source.long()?).map_err(|_| Flaw::Numbers)?;
        if size > BLOCK_BYTES_MAX {
            return Err(Flaw::TooLarge.into());
        }
        if self.codec == Codec::Null {
            self.source.append(size, block)?;
        } else {
            self.compressed.clear();
            self.source.append(size, &mut self.compressed)?;
        }
        let mut sync = [0; SYNC_BYTES];
        self.source.exact(&mut sync)?;
        if sync != self.sync {
            return Err(Flaw::Sync.into());
        }
        match self.codec {
            Codec::Null => {}
            Codec::Deflate => inflate(DeflateDecoder::new(&self.compressed[..]), block)?,
            Codec::Snappy => unsnap(&self.compressed, block)?,
            Codec::Zstandard => {
                let decoder = zstd::stream::read::Decoder::with_buffer(&self.compressed[..]);
                inflate(decoder.map_err(|_| Flaw::Compression)?, block)?;
            }
        }
        Ok(Some(count))
    }
}

impl Codec {
    fn from_name(name: Option<&[u8]>) -> Result<Codec, ContainerError> {
        Ok(match name {
            None | Some(b"null") => Codec::Null,
            Some(b"deflate") => Codec::Deflate,
            Some(b"snappy") => Codec::Snappy,
            Some(b"zstandard") => Codec::Zstandard,
            Some(other) => {
                // The name comes from the file, so only its beginning is told.
                let codec = String::from_utf8_lossy(other).chars().take(32).collect();
                return Err(ContainerError::UnknownCodec { codec });
            }
        })
    }
}

/// Decompresses up to the limit.
fn inflate(mut decoder: impl Read, block: &mut Vec<u8>) -> Result<(), Flaw> {
    let limit = BLOCK_BYTES_MAX as u64 + 1;
    decoder.by_ref().take(limit).read_to_end(block).map_err(|_| Flaw::Compression)?;
    if block.len() > BLOCK_BYTES_MAX { Err(Flaw::TooLarge) } else { Ok(()) }
}

/// A snappy block ends with the checksum of what it decompresses to.
fn unsnap(compressed: &[u8], block: &mut Vec<u8>) -> Result<(), Flaw> {
    let (body, checksum) = compressed.split_last_chunk::<4>().ok_or(Flaw::Compression)?;
    let length = snap::raw::decompress_len(body).map_err(|_| Flaw::Compression)?;
    if length > BLOCK_BYTES_MAX {
        return Err(Flaw::TooLarge);
    }
    block.resize(length, 0);
    snap::raw::Decoder::new().decompress(body, block).map_err(|_| Flaw::Compression)?;
    if crc32fast::hash(block) == u32::from_be_bytes(*checksum) { Ok(()) } else { Err(Flaw::Checksum) }
}

/// Why reading stopped.
enum Stop {
    Flaw(Flaw),
    Read(io::Error),
}

impl From<Flaw> for Stop {
    fn from(flaw: Flaw) -> Stop {
        Stop::Flaw(flaw)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Stop {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            Stop::Flaw(Flaw::Truncated)
        } else {
            Stop::Read(error)
        }
    }
}

/// A reader that knows how far it is.
struct Source<R> {
    reader: R,
    offset: u64,
}

impl<R: BufRead> Source<R> {
    fn is_at_end(&mut self) -> io::Result<bool> {
        loop {
            match self.reader.fill_buf() {
                Ok(buffer) => return Ok(buffer.is_empty()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    fn exact(&mut self, bytes: &mut [u8]) -> Result<(), Stop> {
        self.reader.read_exact(bytes)?;
        self.offset += bytes.len() as u64;
        Ok(())
    }

    /// Appends so many bytes; memory grows with what is there, not with what is claimed.
    fn append(&mut self, length: usize, out: &mut Vec<u8>) -> Result<(), Stop> {
        let read = (&mut self.reader).take(length as u64).read_to_end(out)?;
        self.offset += read as u64;
        if read < length { Err(Flaw::Truncated.into()) } else { Ok(()) }
    }

    fn long(&mut self) -> Result<i64, Stop> {
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let mut byte = [0];
            self.exact(&mut byte)?;
            value |= u64::from(byte[0] & 0x7F) << shift;
            if byte[0] < 0x80 {
                return Ok((value >> 1) as i64 ^ -((value & 1) as i64));
            }
        }
        Err(Flaw::Numbers.into())
    }

    /// Reads the map of the header, bounded as a whole.
    fn metadata(&mut self, mut entry: impl FnMut(&[u8], Vec<u8>)) -> Result<(), Stop> {
        let mut left = METADATA_BYTES_MAX;
        loop {
            let count = self.long()?;
            if count == 0 {
                return Ok(());
            }
            if count < 0 {
                self.long()?;
            }
            for _ in 0..count.unsigned_abs() {
                let key = self.bytes(&mut left)?;
                let value = self.bytes(&mut left)?;
                entry(&key, value);
            }
            // A block costs too, so that no number of empty ones goes on for ever.
            left = left.checked_sub(1).ok_or(Flaw::TooLarge)?;
        }
    }

    fn bytes(&mut self, left: &mut usize) -> Result<Vec<u8>, Stop> {
        let length = usize::try_from(self.long()?).map_err(|_| Flaw::Numbers)?;
        *left = left.checked_sub(length.saturating_add(1)).ok_or(Flaw::TooLarge)?;
        let mut bytes = Vec::new();
        self.append(length, &mut bytes)?;
        Ok(bytes)
    }

    fn in_header(&self, stop: Stop, otherwise: ContainerError) -> ContainerError {
        match stop {
            Stop::Flaw(_) => otherwise,
            Stop::Read(source) => ContainerError::Read { offset: self.offset, source },
        }
    }
}

impl<R> std::fmt::Debug for ContainerReader<R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ContainerReader").field("codec", &self.codec).finish_non_exhaustive()
    }
}
