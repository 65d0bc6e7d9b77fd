//! Files of foreign records: which there are, and what their records give.
//!
//! Each is a source of its own. What concerns a record as a whole (it gave nothing, or was refused) is counted
//! under the main topic of its mapping, an event under its own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::codec::json;
use crate::config::sections::ForeignInput;
use crate::event::kinds::Topic;
use crate::event::mapping::{Mapped, Mapper, RecordAt};
use crate::event::raw::RawRecord;
use crate::event::reject::{Reason, Reject};
use crate::fold::route::{Frontier, Route};
use crate::log::files::{self, InputError};

use super::aside::{Aside, SetAside};
use super::ledger::{Account, Ledger};
use super::load::{self, Arrival, Items};
use super::{Progress, progress_after};

/// A file and the mapping that reads it.
#[derive(Clone, Debug)]
pub struct ForeignFile {
    path: PathBuf,
    /// Its name without the suffix of compression; what `$source` stands for.
    source: Arc<str>,
    mapper: Arc<Mapper>,
}

/// What a foreign record gave: an event, nothing, or a dead letter.
pub struct Given<'a> {
    /// The topic under which it is counted.
    pub topic: Topic,
    /// The event; `None` when the record gave none.
    pub record: Result<Option<RawRecord<'a>>, Reject>,
    /// The event in the canonical form; empty when there is none.
    pub canonical: &'a [u8],
    /// Where it came from.
    pub origin: Origin<'a>,
}

/// A foreign record as it came.
#[derive(Clone, Copy)]
pub struct Origin<'a> {
    source: &'a Arc<str>,
    row: u64,
    original: &'a [u8],
}

impl Origin<'_> {
    /// The record, set aside under a topic.
    pub fn aside(self, topic: Topic) -> Aside {
        let (source, original) = (Some(self.source.clone()), self.original.to_vec());
        Aside { topic, source, record: self.row - 1, original }
    }
}

/// Finds the files of all inputs, in the order of their names. Files named like a topic are not foreign.
///
/// # Errors
/// When the folder or a mapping cannot be read, an input is wrong or fits no file, or two files share a name.
pub fn find(folder: &Path, inputs: &[ForeignInput]) -> Result<Vec<ForeignFile>, InputError> {
    let mut found: BTreeMap<Arc<str>, ForeignFile> = BTreeMap::new();
    for input in inputs {
        let mapper = Arc::new(mapper(input)?);
        let paths = matching(folder, &input.files)?;
        for path in paths {
            let source: Arc<str> = source_name(&path).into();
            match found.get(&source) {
                // An earlier input reads it.
                Some(other) if other.path == path => {}
                Some(other) => return Err(InputError::SameName { first: other.path.clone(), second: path }),
                None => {
                    found.insert(source.clone(), ForeignFile { path, source, mapper: mapper.clone() });
                }
            }
        }
    }
    Ok(found.into_values().collect())
}

fn mapper(input: &ForeignInput) -> Result<Mapper, InputError> {
    let (files, mapping) = (input.files.clone(), input.mapping.clone());
    let refuse = |problems| InputError::Foreign { files, mapping, problems };
    let problems = input.problems();
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    let text = match input.preset() {
        Some(text) => text.to_owned(),
        None => std::fs::read_to_string(&input.mapping)
            .map_err(|source| InputError::Mapping { path: PathBuf::from(&input.mapping), source })?,
    };
    input.mapper(&text).map_err(refuse)
}

/// The files that a pattern fits.
fn matching(folder: &Path, pattern: &str) -> Result<Vec<PathBuf>, InputError> {
    let unreadable = |path, source| InputError::Folder { path, source };
    std::fs::read_dir(folder).map_err(|source| unreadable(folder.to_owned(), source))?;
    let nothing = || InputError::NoFile { path: folder.to_owned(), pattern: pattern.to_owned() };
    let below = Path::new(&glob::Pattern::escape(&folder.to_string_lossy())).join(pattern);
    let mut paths = Vec::new();
    for path in glob::glob(&below.to_string_lossy()).map_err(|_| nothing())? {
        let path = path.map_err(|error| unreadable(error.path().to_owned(), error.into()))?;
        if !path.is_dir() && !files::is_of_topic(&path) {
            paths.push(path);
        }
    }
    if paths.is_empty() { Err(nothing()) } else { Ok(paths) }
}

fn source_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let plain = [".gz", ".zst"].iter().find_map(|suffix| name.strip_suffix(suffix));
    plain.unwrap_or(&name).to_owned()
}

impl ForeignFile {
    /// Reads every record and tells what it gave for the topics wanted.
    ///
    /// # Errors
    /// When the file cannot be read on.
    pub fn visit(&self, of: fn(Topic) -> bool, mut each: impl FnMut(Given<'_>)) -> Result<(), InputError> {
        if !self.mapper.gives(of) {
            return Ok(());
        }
        let main = self.mapper.main_topic();
        let mut decoders = Topic::ALL.iter().map(|topic| json::Decoder::new(*topic)).collect::<Vec<_>>();
        let (mut mapped, mut canonical, mut rows): (Vec<Mapped>, Vec<u8>, u64) = Default::default();
        let mut records = self.mapper.read(files::open(&self.path)?);
        let failed = |records, source| InputError::File { path: self.path.clone(), records, source };
        while let Some(record) = records.next_record().map_err(|source| failed(rows, source))? {
            rows = record.row;
            let origin = Origin { source: &self.source, row: rows, original: record.original };
            mapped.clear();
            let at = RecordAt { source: &self.source, row: rows };
            let outcome = record
                .value
                .map_err(Reject::from)
                .and_then(|value| self.mapper.map(&value, at, &mut mapped).map_err(Reject::from));
            if mapped.is_empty() && of(main) {
                each(Given { topic: main, record: outcome.map(|_| None), canonical: &[], origin });
            }
            for Mapped { topic, record } in mapped.iter().filter(|mapped| of(mapped.topic)) {
                canonical.clear();
                let written = serde_json::to_writer(&mut canonical, record);
                let decoder = &mut decoders[usize::from(topic.index())];
                let record = written
                    .map_err(|error| Reject::new(Reason::Mapping, error.to_string()))
                    .and_then(|()| decoder.decode(&canonical).map(Some));
                each(Given { topic: *topic, record, canonical: &canonical, origin });
            }
        }
        Ok(())
    }
}

impl<'a> Given<'a> {
    /// Accounts for it unless it is a valid record, which is returned.
    pub fn account(self, account: &mut Account, aside: &mut SetAside) -> Option<RawRecord<'a>> {
        account.read += 1;
        match self.record {
            Ok(Some(record)) => return Some(record),
            Ok(None) => account.exempt += 1,
            Err(reject) => {
                account.dead_lettered += 1;
                aside.dead(self.origin.aside(self.topic), reject);
            }
        }
        None
    }
}

/// Visits what all files give for the topics of person events: the number of each, and of its file, from 0.
///
/// # Errors
/// When a file cannot be read on.
pub fn visit_events(
    files: &[ForeignFile],
    mut each: impl FnMut(u64, usize, Given<'_>),
) -> Result<(), InputError> {
    let mut number = 0;
    for (at, file) in files.iter().enumerate() {
        file.visit(Topic::is_person_events, |given| {
            each(number, at, given);
            number += 1;
        })?;
    }
    Ok(())
}

/// Loads the person events of all files.
///
/// # Errors
/// When a file cannot be read on.
pub fn load_events(
    files: &[ForeignFile],
    route: &mut Route,
    arrival: Arrival,
    (ledger, aside): (&mut Ledger, &mut SetAside),
    progress: &mut dyn Progress,
) -> Result<Items, InputError> {
    let mut items = Items::default();
    let mut frontiers = vec![Frontier::default(); files.len()];
    visit_events(files, |number, file, given| {
        let (frontier, topic, origin) = (&mut frontiers[file], given.topic, given.origin);
        if given.record.is_err() {
            load::count_dead(route, topic, given.canonical, frontier, arrival, &mut items, number);
        }
        let account = ledger.of(topic);
        if let Some(RawRecord::Event(raw)) = given.account(account, aside) {
            let routed = load::route_event(route, &raw, frontier, arrival, &mut items, number);
            load::account(routed, account, aside, || origin.aside(topic));
        }
        progress_after(number, progress);
    })?;
    Ok(items)
}
