//! Traffic as files: one per topic, and the labels.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::arrivals::{Arrival, Arrivals, Flaw};
use super::avro::Container;
use super::generator::{Generated, Generator};
use super::json;
use super::label::Label;
use super::params::{Params, ParamsError};
use crate::event::kinds::Topic;

/// How the files are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// JSON lines.
    Jsonl,
    /// Avro object container files.
    Avro,
}

/// What was written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Records of all topics.
    pub records: u64,
    /// Labels.
    pub labels: u64,
}

/// Why traffic could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The parameters make no sense.
    #[error("the parameters make no sense")]
    Params(#[source] ParamsError),
    /// A file could not be written.
    #[error("cannot write {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// Writes the traffic of these parameters into a folder, which is made if need be; files of an earlier
/// run are replaced. `progress` is told now and then how far it has come, 0 to 1.
///
/// # Errors
/// When the parameters make no sense or a file cannot be written.
pub fn write_all(
    folder: &Path,
    params: &Params,
    format: Format,
    dirt: f64,
    mut progress: impl FnMut(f64),
) -> Result<Written, WriteError> {
    let generator = Generator::new(params).map_err(WriteError::Params)?;
    std::fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
    let mut files = Files::create(folder, format)?;
    let mut arrivals = Arrivals::new(generator, params.seed, dirt);
    let mut written = Written::default();
    let mut text = Vec::new();
    while let Some(arrival) = arrivals.next() {
        files.write(&arrival, &mut text)?;
        written.records += 1;
        if written.records.is_multiple_of(4096) {
            progress(arrivals.generator().progress());
            written.labels += files.labels(&arrivals.generator().take_labels())?;
        }
    }
    written.labels += files.labels(&arrivals.generator().take_labels())?;
    files.finish()?;
    Ok(written)
}

/// The topic of a record.
pub fn topic_of(record: &Generated) -> Topic {
    match record {
        Generated::Event(event) => event.topic(),
        Generated::Incident(_) => Topic::BrandIncidents,
        Generated::Link(_) => Topic::IdentityLinks,
        Generated::Erasure(_) => Topic::Erasures,
    }
}

/// Appends the JSON form of an arrival, flaw included, without an end of line.
pub fn json_line(arrival: &Arrival, line: &mut Vec<u8>) {
    let mut object = match &arrival.record {
        Generated::Event(event) => json::event(&event.raw()),
        Generated::Incident(incident) => json::incident(incident),
        Generated::Link(link) => json::link(link),
        Generated::Erasure(erasure) => json::erasure(erasure),
    };
    if let Some(flaw) = arrival.flaw {
        damage(&mut object, flaw);
    }
    let text = Value::Object(object).to_string();
    let kept = if arrival.flaw == Some(Flaw::Truncated) { text.len() / 2 } else { text.len() };
    line.extend_from_slice(text.as_bytes().get(..kept).unwrap_or_default());
}

fn damage(object: &mut Map<String, Value>, flaw: Flaw) {
    match flaw {
        Flaw::Truncated => {}
        Flaw::MissingField => drop(object.remove("brand_id")),
        Flaw::UnknownSymbol => drop(object.insert("kind".to_owned(), json!("SEEN_BY_NOBODY"))),
        Flaw::EmptyId => drop(object.insert("brand_id".to_owned(), json!(""))),
        Flaw::TimeOutOfRange => {
            let seconds = object.get("event_time").and_then(Value::as_i64).map(|time| time / 1000);
            object.insert("event_time".to_owned(), json!(seconds));
        }
        Flaw::Nobody => {
            object.remove("person_id");
            object.remove("device_id");
        }
    }
}

enum Sink {
    Lines(BufWriter<File>),
    Avro(Box<Container<BufWriter<File>>>),
}

struct Files {
    sinks: Vec<(PathBuf, Sink)>,
    labels: (PathBuf, BufWriter<File>),
}

impl Files {
    fn create(folder: &Path, format: Format) -> Result<Files, WriteError> {
        let open = |path: &Path| File::create(path).map(BufWriter::new).map_err(|source| at(path, source));
        let mut sinks = Vec::new();
        for topic in Topic::ALL {
            let (used, unused) = match format {
                Format::Jsonl => ("jsonl", "avro"),
                Format::Avro => ("avro", "jsonl"),
            };
            let path = folder.join(format!("{}.{used}", topic.symbol()));
            // A file of the other form would be read beside this one.
            let stale = folder.join(format!("{}.{unused}", topic.symbol()));
            if stale.exists() {
                std::fs::remove_file(&stale).map_err(|source| at(&stale, source))?;
            }
            let file = open(&path)?;
            let sink = match format {
                Format::Jsonl => Sink::Lines(file),
                Format::Avro => {
                    Sink::Avro(Box::new(Container::new(file, *topic).map_err(|source| at(&path, source))?))
                }
            };
            sinks.push((path, sink));
        }
        let path = folder.join("labels.jsonl");
        let file = open(&path)?;
        Ok(Files { sinks, labels: (path, file) })
    }

    fn write(&mut self, arrival: &Arrival, text: &mut Vec<u8>) -> Result<(), WriteError> {
        let topic = topic_of(&arrival.record);
        let Some((path, sink)) = self.sinks.get_mut(usize::from(topic.index())) else { return Ok(()) };
        let done = match sink {
            Sink::Lines(file) => {
                text.clear();
                json_line(arrival, text);
                text.push(b'\n');
                file.write_all(text)
            }
            Sink::Avro(container) => container.write(arrival),
        };
        done.map_err(|source| at(path, source))
    }

    fn labels(&mut self, labels: &[Label]) -> Result<u64, WriteError> {
        let (path, file) = &mut self.labels;
        for label in labels {
            let line = json!(label).to_string();
            writeln!(file, "{line}").map_err(|source| at(path, source))?;
        }
        Ok(labels.len() as u64)
    }

    fn finish(self) -> Result<(), WriteError> {
        for (path, sink) in self.sinks {
            let done = match sink {
                Sink::Lines(mut file) => file.flush(),
                Sink::Avro(container) => container.finish(),
            };
            done.map_err(|source| at(&path, source))?;
        }
        let (path, mut file) = self.labels;
        file.flush().map_err(|source| at(&path, source))
    }
}

fn at(path: &Path, source: io::Error) -> WriteError {
    WriteError::File { path: path.to_owned(), source }
}
