//! Foreign records from bytes: JSON lines, CSV and TSV, numbered from 1.

use serde_json::{Map, Value};

use super::file::ForeignFormat;
use super::mapper::Mapper;

/// One foreign record.
#[derive(Clone, Debug, PartialEq)]
pub struct ForeignRecord {
    /// Its number within the source, from 1; blank lines and the header line do not count.
    pub row: u64,
    /// Its fields.
    pub value: Value,
}

/// A record that could not be read; those after it still can. Never holds a value of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("record {row}: {problem}")]
pub struct ReadError {
    /// Its number; 0 for the header line.
    pub row: u64,
    /// What is wrong.
    pub problem: String,
}

impl Mapper {
    /// The records of a source (already decompressed), in the format of this mapping.
    pub fn read<'a>(
        &'a self,
        bytes: &'a [u8],
    ) -> Box<dyn Iterator<Item = Result<ForeignRecord, ReadError>> + 'a> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        match self.format {
            ForeignFormat::JsonLines => Box::new(json_lines(bytes)),
            ForeignFormat::Csv | ForeignFormat::Tsv => Box::new(Table::new(self, bytes)),
        }
    }
}

fn json_lines(bytes: &[u8]) -> impl Iterator<Item = Result<ForeignRecord, ReadError>> + '_ {
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    (1..).zip(lines).map(|(row, line)| match serde_json::from_slice(line) {
        Ok(value) => Ok(ForeignRecord { row, value }),
        Err(error) => Err(ReadError { row, problem: format!("not JSON at column {}", error.column()) }),
    })
}

/// The rows of a CSV or TSV source.
struct Table<'a> {
    mapper: &'a Mapper,
    rows: csv::Reader<&'a [u8]>,
    columns: Result<Vec<String>, ReadError>,
    row: u64,
    done: bool,
}

impl<'a> Table<'a> {
    fn new(mapper: &'a Mapper, bytes: &'a [u8]) -> Table<'a> {
        let tsv = mapper.format == ForeignFormat::Tsv;
        let mut rows = csv::ReaderBuilder::new()
            .has_headers(mapper.columns.is_empty())
            .delimiter(if tsv { b'\t' } else { b',' })
            .quoting(!tsv)
            .flexible(true)
            .from_reader(bytes);
        let columns = match mapper.columns.is_empty() {
            true => header(&mut rows),
            false => Ok(mapper.columns.clone()),
        };
        Table { mapper, rows, columns, row: 0, done: false }
    }

    fn record(&self, columns: &[String], cells: &csv::ByteRecord) -> Result<Value, String> {
        if cells.len() != columns.len() {
            return Err(format!("has {} cells, not {}", cells.len(), columns.len()));
        }
        let mut record = Map::new();
        for (column, cell) in columns.iter().zip(cells) {
            let text = std::str::from_utf8(cell).map_err(|_| format!("column `{column}` is not UTF-8"))?;
            let value = match self.mapper.json_columns.contains(column) && !text.is_empty() {
                true => serde_json::from_str(text).map_err(|_| format!("column `{column}` is not JSON"))?,
                false => Value::from(text),
            };
            record.insert(column.clone(), value);
        }
        Ok(Value::Object(record))
    }
}

fn header(rows: &mut csv::Reader<&[u8]>) -> Result<Vec<String>, ReadError> {
    let refuse = |problem: &str| ReadError { row: 0, problem: problem.to_owned() };
    let cells = rows.byte_headers().map_err(|_| refuse("the header line cannot be read"))?;
    let names: Result<Vec<String>, _> = cells.iter().map(|cell| String::from_utf8(cell.to_vec())).collect();
    let names = names.map_err(|_| refuse("the header line is not UTF-8"))?;
    let distinct: std::collections::BTreeSet<&String> = names.iter().collect();
    match distinct.len() == names.len() {
        true => Ok(names),
        false => Err(refuse("the header line names a column twice")),
    }
}

impl Iterator for Table<'_> {
    type Item = Result<ForeignRecord, ReadError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.done {
            return None;
        }
        let columns = match &self.columns {
            Ok(columns) => columns,
            Err(error) => {
                self.done = true;
                return Some(Err(error.clone()));
            }
        };
        let mut cells = csv::ByteRecord::new();
        match self.rows.read_byte_record(&mut cells) {
            Ok(false) => None,
            Ok(true) => {
                self.row += 1;
                let row = self.row;
                Some(match self.record(columns, &cells) {
                    Ok(value) => Ok(ForeignRecord { row, value }),
                    Err(problem) => Err(ReadError { row, problem }),
                })
            }
            Err(_) => {
                // Reading bytes from memory with `flexible` leaves no error that could be passed over.
                self.done = true;
                Some(Err(ReadError { row: self.row + 1, problem: "cannot be read".to_owned() }))
            }
        }
    }
}
