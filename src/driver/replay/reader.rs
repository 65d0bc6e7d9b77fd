//! The records of a topic's file, piece by piece: decoded and validated, with their bytes.

use std::cell::Cell;
use std::io::BufRead;

use crate::codec::container::ContainerReader;
use crate::codec::{avro, json};
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::log::files::{self, Format, InputError, Line, Lines, TopicFile};

/// How many lines are read at once; of a container file it is a block.
const LINES: usize = 512;

/// Reads a file from its beginning to its end.
pub struct FileReader<'f> {
    file: &'f TopicFile,
    records: Records,
    /// The number of the next record, from 0.
    number: Cell<u64>,
}

enum Records {
    Avro { container: ContainerReader<Box<dyn BufRead>>, decoder: avro::Decoder, block: Vec<u8> },
    Json { lines: Lines, decoder: json::Decoder },
}

/// Reads every record of a file: its number from 0, its bytes, and what they hold.
///
/// # Errors
/// When the file cannot be read on.
pub fn visit(
    file: &TopicFile,
    mut each: impl FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>),
) -> Result<(), InputError> {
    let mut reader = FileReader::open(file)?;
    while reader.read_some(&mut each)? {}
    Ok(())
}

impl<'f> FileReader<'f> {
    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened, or its header or schema cannot be used.
    pub fn open(file: &'f TopicFile) -> Result<FileReader<'f>, InputError> {
        let source = files::open(&file.path)?;
        let records = match file.format {
            Format::Avro => {
                let container = ContainerReader::new(source).map_err(|error| failed(file, 0, error))?;
                let decoder = avro::Decoder::compile(container.schema_json(), file.topic)
                    .map_err(|error| failed(file, 0, error))?;
                Records::Avro { container, decoder, block: Vec::new() }
            }
            Format::JsonLines | Format::JsonLinesGzip | Format::JsonLinesZstd => {
                Records::Json { lines: Lines::new(source), decoder: json::Decoder::new(file.topic) }
            }
        };
        Ok(FileReader { file, records, number: Cell::new(0) })
    }

    /// Reads the next records; `false` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn read_some(
        &mut self,
        mut each: impl FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>),
    ) -> Result<bool, InputError> {
        let (file, number) = (self.file, &self.number);
        let mut take = |original: &[u8], record: Result<&mut RawRecord<'_>, Reject>| {
            each(number.get(), original, record);
            number.set(number.get() + 1);
        };
        match &mut self.records {
            Records::Json { lines, decoder } => {
                for _ in 0..LINES {
                    let line = lines.next_line();
                    match line.map_err(|source| failed(file, number.get(), source))? {
                        Some(Line::Whole(line)) => match decoder.decode(line) {
                            Ok(mut record) => take(line, Ok(&mut record)),
                            Err(reject) => take(line, Err(reject)),
                        },
                        Some(Line::Cut(start)) => take(start, Err(Reject::new(Reason::Oversized, "line"))),
                        None => return Ok(false),
                    }
                }
            }
            Records::Avro { container, decoder, block } => {
                let count = container.next_block(block).map_err(|error| failed(file, number.get(), error))?;
                let Some(count) = count else { return Ok(false) };
                // A count that the block cannot hold is damage too: no record is empty.
                let count = count.min(block.len() as u64);
                let mut rest = block.as_slice();
                let mut record = RawRecord::Event(RawEvent::new(file.topic));
                for left in (0..count).rev() {
                    let before = rest;
                    match decoder.next(&mut rest, &mut record) {
                        Ok((original, valid)) => take(original, valid.map(|()| &mut record)),
                        Err(reject) => {
                            // Nothing more can be found in the block: what is left of it is set aside whole,
                            // and every record that it should hold is accounted for.
                            take(before, Err(reject));
                            for _ in 0..left {
                                let missing = "behind a damaged record of its block";
                                take(&[], Err(Reject::new(Reason::Undecodable, missing)));
                            }
                            break;
                        }
                    }
                }
            }
        }
        Ok(true)
    }
}

fn failed(
    file: &TopicFile,
    records: u64,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> InputError {
    InputError::File { path: file.path.clone(), records, source: std::io::Error::other(error) }
}
