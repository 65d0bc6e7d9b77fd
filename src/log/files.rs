//! Topics as files: one folder, `<topic>.jsonl` (optionally `.gz`, `.zst`) or `<topic>.avro`.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use crate::event::kinds::Topic;
use crate::event::mapping::MappingProblem;

/// The longest line that is read as a record. A record at every limit of its fields is far shorter.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// How the records of a file are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON lines.
    JsonLines,
    /// Gzipped JSON lines.
    JsonLinesGzip,
    /// JSON lines compressed by Zstandard.
    JsonLinesZstd,
    /// An Avro object container file.
    Avro,
}

const SUFFIXES: [(&str, Format); 4] = [
    (".jsonl", Format::JsonLines),
    (".jsonl.gz", Format::JsonLinesGzip),
    (".jsonl.zst", Format::JsonLinesZstd),
    (".avro", Format::Avro),
];

/// The file of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicFile {
    /// The topic.
    pub topic: Topic,
    /// Where it is.
    pub path: PathBuf,
    /// How it is written.
    pub format: Format,
}

/// An input cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum InputError {
    /// The folder is not there or cannot be listed.
    #[error("cannot read the input folder {}", path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The folder holds no file of a topic.
    #[error("the input folder {} holds no file of a topic; a topic's file is named like ad-deliveries.jsonl, clickstream.jsonl.gz or messages.avro; files of other forms need [[input]] or --mapping", path.display())]
    Empty {
        /// The folder.
        path: PathBuf,
    },
    /// A topic has more than one file.
    #[error("topic {} has two files in {}: {first} and {second}; keep one", topic.symbol(), path.display())]
    Twice {
        /// The folder.
        path: PathBuf,
        /// The topic.
        topic: Topic,
        /// One of them.
        first: String,
        /// The other.
        second: String,
    },
    /// An input of foreign records is wrong.
    #[error("the input {files} with mapping {mapping} has problems{}", list(problems))]
    Foreign {
        /// Its pattern.
        files: String,
        /// Its mapping.
        mapping: String,
        /// What is wrong.
        problems: Vec<MappingProblem>,
    },
    /// The file of a mapping cannot be read.
    #[error("cannot read the mapping {}", path.display())]
    Mapping {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// No file fits the pattern of an input of foreign records.
    #[error("no file in {} fits {pattern}; files named like a topic hold its own records and are not foreign", path.display())]
    NoFile {
        /// The folder.
        path: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// Two foreign files have one name, from which their records may get their ids.
    #[error("{} and {} have the same name; rename one", first.display(), second.display())]
    SameName {
        /// One of them.
        first: PathBuf,
        /// The other.
        second: PathBuf,
    },
    /// A file cannot be opened or read on.
    #[error("cannot read {} after record {records}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// How many records were read before.
        records: u64,
        /// Why.
        source: io::Error,
    },
}

fn list(problems: &[MappingProblem]) -> String {
    problems.iter().map(|problem| format!("\n  {problem}")).collect()
}

/// The files of all topics in a folder, in the order of the topics; there may be none.
///
/// # Errors
/// When the folder cannot be listed, or holds two files of a topic.
pub fn find(folder: &Path) -> Result<Vec<TopicFile>, InputError> {
    let unreadable = |source| InputError::Folder { path: folder.to_owned(), source };
    let mut found: Vec<(TopicFile, String)> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let Some((topic, format)) = parse_name(&name) else { continue };
        if let Some((_, first)) = found.iter().find(|(file, _)| file.topic == topic) {
            let (first, second) = if *first < name { (first.clone(), name) } else { (name, first.clone()) };
            return Err(InputError::Twice { path: folder.to_owned(), topic, first, second });
        }
        found.push((TopicFile { topic, path: entry.path(), format }, name));
    }
    let mut files: Vec<TopicFile> = found.into_iter().map(|(file, _)| file).collect();
    files.sort_by_key(|file| file.topic);
    Ok(files)
}

/// Whether a file is named like one of a topic.
pub fn is_of_topic(path: &Path) -> bool {
    path.file_name().is_some_and(|name| parse_name(&name.to_string_lossy()).is_some())
}

fn parse_name(name: &str) -> Option<(Topic, Format)> {
    SUFFIXES.iter().find_map(|(suffix, format)| {
        let topic = Topic::from_symbol(name.strip_suffix(suffix)?)?;
        Some((topic, *format))
    })
}

/// Opens a file, decompressing one that ends in `.gz` or `.zst`; memory stays bounded whatever the file holds.
///
/// # Errors
/// When it cannot be opened.
pub fn open(path: &Path) -> Result<Box<dyn BufRead>, InputError> {
    let failed = |source| InputError::File { path: path.to_owned(), records: 0, source };
    let plain = BufReader::with_capacity(1 << 18, File::open(path).map_err(failed)?);
    Ok(match path.extension().and_then(|suffix| suffix.to_str()) {
        Some("gz") => {
            Box::new(BufReader::with_capacity(1 << 18, flate2::bufread::MultiGzDecoder::new(plain)))
        }
        Some("zst") => {
            let decoder = zstd::stream::read::Decoder::with_buffer(plain).map_err(failed)?;
            Box::new(BufReader::with_capacity(1 << 18, decoder))
        }
        _ => Box::new(plain),
    })
}

/// Lines of a file, one at a time, in one buffer.
pub struct Lines {
    reader: Box<dyn BufRead>,
    line: Vec<u8>,
}

/// One line.
#[derive(Debug, PartialEq, Eq)]
pub enum Line<'a> {
    /// A line without its end.
    Whole(&'a [u8]),
    /// The beginning of a line longer than [`LINE_BYTES_MAX`], whose rest was skipped.
    Cut(&'a [u8]),
}

/// How much of a line that is too long is kept.
pub const CUT_BYTES: usize = 4_096;

impl Lines {
    /// The lines of a reader.
    pub fn new(reader: Box<dyn BufRead>) -> Lines {
        Lines { reader, line: Vec::new() }
    }

    /// The next line that is not blank; `None` at the end.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn next_line(&mut self) -> io::Result<Option<Line<'_>>> {
        loop {
            self.line.clear();
            let limit = LINE_BYTES_MAX as u64 + 1;
            if (&mut self.reader).take(limit).read_until(b'\n', &mut self.line)? == 0 {
                return Ok(None);
            }
            if self.line.last() != Some(&b'\n') && self.line.len() > LINE_BYTES_MAX {
                self.skip_line()?;
                self.line.truncate(CUT_BYTES);
                return Ok(Some(Line::Cut(&self.line)));
            }
            while self.line.last().is_some_and(|byte| matches!(byte, b'\n' | b'\r')) {
                self.line.pop();
            }
            if !self.line.iter().all(|byte| matches!(byte, b' ' | b'\t' | b'\r')) {
                return Ok(Some(Line::Whole(&self.line)));
            }
        }
    }

    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let buffer = self.reader.fill_buf()?;
            if buffer.is_empty() {
                return Ok(());
            }
            match memchr::memchr(b'\n', buffer) {
                Some(end) => {
                    self.reader.consume(end + 1);
                    return Ok(());
                }
                None => {
                    let length = buffer.len();
                    self.reader.consume(length);
                }
            }
        }
    }
}

impl std::fmt::Debug for Lines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Lines").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(bytes: Vec<u8>) -> Vec<String> {
        let mut lines = Lines::new(Box::new(io::Cursor::new(bytes)));
        let mut all = Vec::new();
        while let Some(line) = lines.next_line().unwrap() {
            all.push(match line {
                Line::Whole(line) => String::from_utf8(line.to_vec()).unwrap(),
                Line::Cut(start) => format!("cut {}", start.len()),
            });
        }
        all
    }

    #[test]
    fn blank_lines_are_no_records_and_the_last_needs_no_end() {
        assert_eq!(lines(b"a\n\n  \t\r\nb\r\nc".to_vec()), ["a", "b", "c"]);
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_the_next_is_read() {
        let mut bytes = vec![b'x'; 3 * LINE_BYTES_MAX];
        bytes.extend_from_slice(b"\nnext\n");
        assert_eq!(lines(bytes), ["cut 4096", "next"]);
        let longest = vec![b'y'; LINE_BYTES_MAX];
        assert_eq!(lines(longest)[0].len(), LINE_BYTES_MAX);
    }

    #[test]
    fn a_folder_says_what_is_wrong_with_it() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(find(folder.path()).unwrap(), []);
        for name in ["messages.jsonl.gz", "clickstream.avro", "notes.txt", "messages.csv"] {
            std::fs::write(folder.path().join(name), b"").unwrap();
        }
        let found = find(folder.path()).unwrap();
        assert_eq!(
            found.iter().map(|f| (f.topic, f.format)).collect::<Vec<_>>(),
            [(Topic::Clickstream, Format::Avro), (Topic::Messages, Format::JsonLinesGzip)]
        );
        std::fs::write(folder.path().join("messages.jsonl"), b"").unwrap();
        assert!(matches!(find(folder.path()), Err(InputError::Twice { topic: Topic::Messages, .. })));
        assert!(matches!(find(&folder.path().join("none")), Err(InputError::Folder { .. })));
    }
}
