//! The records of a topic's file, piece by piece: decoded and validated, with their bytes.

use std::io::BufRead;
use std::ops::Range;

use crate::codec::container::ContainerReader;
use crate::codec::{avro, json};
use crate::event::kinds::Topic;
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::fold::route::BATCH_EVENTS;
use crate::log::files::{self, Format, InputError, Line, Lines, TopicFile};

/// How many lines are read at once; of a container file it is a block.
const LINES: usize = 512;

/// Reads a file from its beginning to its end.
pub struct FileReader<'f> {
    file: &'f TopicFile,
    records: Records,
    /// The number of the next record, from 0.
    number: u64,
}

enum Records {
    Avro { container: ContainerReader<Box<dyn BufRead>>, decoder: avro::Decoder, block: Vec<u8> },
    Json { lines: Lines, decoder: json::Decoder },
}

/// Takes the records of a file.
pub trait Take {
    /// Looks at a valid record that will be given soon.
    fn ahead(&mut self, _record: &RawRecord<'_>) {}

    /// Takes the next record: its number from 0, its bytes, and what they hold.
    fn record(&mut self, number: u64, original: &[u8], record: Result<&mut RawRecord<'_>, Reject>);
}

impl<F: FnMut(u64, &[u8], Result<&mut RawRecord<'_>, Reject>)> Take for F {
    fn record(&mut self, number: u64, original: &[u8], record: Result<&mut RawRecord<'_>, Reject>) {
        self(number, original, record);
    }
}

/// Reads every record of a file.
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
        Ok(FileReader { file, records, number: 0 })
    }

    /// Reads the next records; `false` at the end of the file.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn read_some(&mut self, to: &mut impl Take) -> Result<bool, InputError> {
        let (file, number) = (self.file, &mut self.number);
        match &mut self.records {
            Records::Json { lines, decoder } => {
                for _ in 0..LINES {
                    let line = lines.next_line().map_err(|source| failed(file, *number, source))?;
                    match line {
                        Some(Line::Whole(line)) => match decoder.decode(line) {
                            Ok(mut record) => to.record(*number, line, Ok(&mut record)),
                            Err(reject) => to.record(*number, line, Err(reject)),
                        },
                        Some(Line::Cut(start)) => {
                            to.record(*number, start, Err(Reject::new(Reason::Oversized, "line")));
                        }
                        None => return Ok(false),
                    }
                    *number += 1;
                }
            }
            Records::Avro { container, decoder, block } => {
                let count = container.next_block(block).map_err(|error| failed(file, *number, error))?;
                let Some(count) = count else { return Ok(false) };
                // A count that the block cannot hold is damage too: no record is empty.
                let count = count.min(block.len() as u64);
                read_block(file.topic, block, *number..*number + count, decoder, to);
                *number += count;
            }
        }
        Ok(true)
    }
}

/// Gives the records of a block, which have these numbers.
fn read_block(topic: Topic, block: &[u8], numbers: Range<u64>, decoder: &avro::Decoder, to: &mut impl Take) {
    let mut records: Vec<_> = (0..BATCH_EVENTS).map(|_| RawRecord::Event(RawEvent::new(topic))).collect();
    let mut read = Vec::with_capacity(BATCH_EVENTS);
    let Range { start: mut number, end } = numbers;
    let mut rest = block;
    while number < end {
        let wanted = usize::try_from(end - number).unwrap_or(usize::MAX);
        let mut damage = None;
        for record in records.iter_mut().take(wanted) {
            match decoder.next(&mut rest, record) {
                Ok((original, valid)) => {
                    if valid.is_ok() {
                        to.ahead(record);
                    }
                    read.push((original, valid));
                }
                Err(reject) => {
                    damage = Some(reject);
                    break;
                }
            }
        }
        for ((original, valid), record) in read.drain(..).zip(&mut records) {
            to.record(number, original, valid.map(|()| record));
            number += 1;
        }
        // Nothing more can be found in a damaged block: what is left of it is set aside whole, and every record
        // that it should hold is accounted for.
        if let Some(reject) = damage {
            to.record(number, rest, Err(reject));
            for missing in number + 1..end {
                let reject = Reject::new(Reason::Undecodable, "behind a damaged record of its block");
                to.record(missing, &[], Err(reject));
            }
            return;
        }
    }
}

fn failed(
    file: &TopicFile,
    records: u64,
    error: impl Into<Box<dyn std::error::Error + Send + Sync>>,
) -> InputError {
    InputError::File { path: file.path.clone(), records, source: std::io::Error::other(error) }
}
