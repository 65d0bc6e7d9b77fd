//! Foreign records from bytes: JSON lines, CSV and TSV, numbered from 1, in bounded memory.

use std::collections::BTreeSet;
use std::io::{self, BufRead, Read};

use csv_core::ReadRecordResult;
use serde_json::{Map, Value};

use super::super::reject::{Reason, Reject};
use super::file::ForeignFormat;
use super::mapper::Mapper;

/// The longest record that is read; a CSV record may span lines.
pub const RECORD_BYTES_MAX: usize = 1 << 20;

/// How much of a record that is too long is kept.
const CUT_BYTES: usize = 4_096;

/// One foreign record.
#[derive(Debug, PartialEq)]
pub struct ForeignRecord<'a> {
    /// Its number within the source, from 1; blank lines and the header line do not count.
    pub row: u64,
    /// Its bytes as they came, without the line's end; only the start of a record that is too long.
    pub original: &'a [u8],
    /// Its fields.
    pub value: Result<Value, ReadError>,
}

/// A record that could not be read; those after it still can. Never holds a value of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {row}: {problem}")]
pub struct ReadError {
    /// Its number; 0 for the header line.
    pub row: u64,
    /// Why, as the code of a dead letter.
    pub reason: Reason,
    /// What is wrong.
    pub problem: String,
}

impl From<ReadError> for Reject {
    fn from(error: ReadError) -> Reject {
        Reject::new(error.reason, error.to_string())
    }
}

impl Mapper {
    /// The records of a source (already decompressed), in the format of this mapping.
    pub fn read<R: BufRead>(&self, source: R) -> Records<'_, R> {
        let table = (self.format != ForeignFormat::JsonLines).then(|| Table::new(self));
        Records { source, table, raw: Vec::new(), row: 0 }
    }
}

/// The records of a source, one at a time.
pub struct Records<'a, R> {
    source: R,
    /// How CSV and TSV are read; JSON lines need nothing.
    table: Option<Table<'a>>,
    raw: Vec<u8>,
    row: u64,
}

/// What lies in `raw`: a record, the start of one that is too long, or nothing more.
#[derive(PartialEq)]
enum Taken {
    Whole,
    TooLong,
    End,
}

impl<R: BufRead> Records<'_, R> {
    /// The next record; `None` at the end.
    ///
    /// # Errors
    /// When the source cannot be read on, or its header line cannot be used.
    pub fn next_record(&mut self) -> io::Result<Option<ForeignRecord<'_>>> {
        if self.table.as_ref().is_some_and(|table| table.columns.is_empty()) {
            let taken = self.take()?;
            let header = self.table.as_mut().map_or(Ok(()), |table| table.header(taken));
            header.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        }
        let taken = self.take()?;
        if taken == Taken::End {
            return Ok(None);
        }
        self.row += 1;
        let (row, original) = (self.row, trim(&self.raw));
        let refuse = |reason, problem| ReadError { row, reason, problem };
        let value = match (&taken, &self.table) {
            (Taken::Whole, None) => serde_json::from_slice(original)
                .map_err(|error| format!("not JSON at column {}", error.column())),
            (Taken::Whole, Some(table)) => table.record(),
            (Taken::TooLong | Taken::End, _) => {
                let problem = format!("longer than {RECORD_BYTES_MAX} bytes");
                let original = original.get(..CUT_BYTES).unwrap_or(original);
                return Ok(Some(ForeignRecord {
                    row,
                    original,
                    value: Err(refuse(Reason::Oversized, problem)),
                }));
            }
        };
        let value = value.map_err(|problem| refuse(Reason::Undecodable, problem));
        Ok(Some(ForeignRecord { row, original, value }))
    }

    /// Reads the next record into `raw`. After one that is too long, reading goes on with the next line.
    fn take(&mut self) -> io::Result<Taken> {
        self.raw.clear();
        let taken = match &mut self.table {
            Some(table) => table.take(&mut self.source, &mut self.raw)?,
            None => take_line(&mut self.source, &mut self.raw, self.row == 0)?,
        };
        if taken == Taken::TooLong && self.raw.last() != Some(&b'\n') {
            skip_line(&mut self.source)?;
        }
        Ok(taken)
    }
}

impl<R> std::fmt::Debug for Records<'_, R> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Records").field("row", &self.row).finish_non_exhaustive()
    }
}

/// Takes a line that is not blank.
fn take_line(source: &mut impl BufRead, raw: &mut Vec<u8>, first: bool) -> io::Result<Taken> {
    loop {
        raw.clear();
        let limit = RECORD_BYTES_MAX as u64 + 1;
        if source.by_ref().take(limit).read_until(b'\n', raw)? == 0 {
            return Ok(Taken::End);
        }
        if first && raw.starts_with(b"\xEF\xBB\xBF") {
            raw.drain(..3);
        }
        if raw.len() > RECORD_BYTES_MAX {
            return Ok(Taken::TooLong);
        }
        if !raw.trim_ascii().is_empty() {
            return Ok(Taken::Whole);
        }
    }
}

fn skip_line(source: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = source.fill_buf()?;
        let (length, end) = (buffer.len(), memchr::memchr(b'\n', buffer));
        source.consume(end.map_or(length, |end| end + 1));
        if end.is_some() || length == 0 {
            return Ok(());
        }
    }
}

/// A record without line ends around it.
fn trim(raw: &[u8]) -> &[u8] {
    let is_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
    let start = raw.iter().take_while(|byte| is_end(byte)).count();
    let end = raw.iter().rev().take_while(|byte| is_end(byte)).count();
    raw.get(start..raw.len() - end).unwrap_or_default()
}

/// How the rows of a CSV or TSV source are read.
struct Table<'a> {
    reader: csv_core::Reader,
    columns: Vec<String>,
    json_columns: &'a BTreeSet<String>,
    /// The cells of the row, one after the other, and where each ends.
    cells: Vec<u8>,
    ends: Vec<usize>,
    count: usize,
}

impl<'a> Table<'a> {
    fn new(mapper: &'a Mapper) -> Table<'a> {
        let tsv = mapper.format == ForeignFormat::Tsv;
        let reader =
            csv_core::ReaderBuilder::new().delimiter(if tsv { b'\t' } else { b',' }).quoting(!tsv).build();
        Table {
            reader,
            columns: mapper.columns.clone(),
            json_columns: &mapper.json_columns,
            cells: vec![0; 4_096],
            ends: vec![0; 256],
            count: 0,
        }
    }

    /// Takes a row, keeping both its bytes and its cells.
    fn take(&mut self, source: &mut impl BufRead, raw: &mut Vec<u8>) -> io::Result<Taken> {
        let mut filled = 0;
        self.count = 0;
        while raw.len() <= RECORD_BYTES_MAX {
            let buffer = source.fill_buf()?;
            let within = buffer.get(..RECORD_BYTES_MAX + 1 - raw.len()).unwrap_or(buffer);
            let (cells, ends) = (&mut self.cells[filled..], &mut self.ends[self.count..]);
            let (result, read, written, ended) = self.reader.read_record(within, cells, ends);
            raw.extend_from_slice(&within[..read]);
            source.consume(read);
            filled += written;
            self.count += ended;
            match result {
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.cells.resize(2 * self.cells.len(), 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(2 * self.ends.len(), 0),
                ReadRecordResult::Record => return Ok(Taken::Whole),
                ReadRecordResult::End => return Ok(Taken::End),
            }
        }
        self.reader.reset();
        Ok(Taken::TooLong)
    }

    fn cells(&self) -> impl Iterator<Item = &[u8]> {
        let ends = self.ends.iter().take(self.count);
        ends.scan(0, |start, end| self.cells.get(std::mem::replace(start, *end)..*end))
    }

    /// Takes the names of the columns from the row just read.
    fn header(&mut self, taken: Taken) -> Result<(), ReadError> {
        let refuse =
            |problem: &str| ReadError { row: 0, reason: Reason::Undecodable, problem: problem.to_owned() };
        if taken == Taken::TooLong {
            return Err(refuse("the header line is too long"));
        }
        let names: Result<Vec<String>, _> =
            self.cells().map(|cell| String::from_utf8(cell.to_vec())).collect();
        self.columns = names.map_err(|_| refuse("the header line is not UTF-8"))?;
        let distinct: BTreeSet<&String> = self.columns.iter().collect();
        match distinct.len() == self.columns.len() {
            true => Ok(()),
            false => Err(refuse("the header line names a column twice")),
        }
    }

    /// The record in the row just read.
    fn record(&self) -> Result<Value, String> {
        if self.count != self.columns.len() {
            return Err(format!("has {} cells, not {}", self.count, self.columns.len()));
        }
        let mut record = Map::new();
        for (column, cell) in self.columns.iter().zip(self.cells()) {
            let text = std::str::from_utf8(cell).map_err(|_| format!("column `{column}` is not UTF-8"))?;
            let value = match self.json_columns.contains(column) && !text.is_empty() {
                true => serde_json::from_str(text).map_err(|_| format!("column `{column}` is not JSON"))?,
                false => Value::from(text),
            };
            record.insert(column.clone(), value);
        }
        Ok(Value::Object(record))
    }
}
