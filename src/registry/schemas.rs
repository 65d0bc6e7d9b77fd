//! Writers' schemas by id, from memory.
//!
//! Ids never change their meaning, so what was seen once is kept for good. What was not seen yet is asked for on
//! a thread of its own, and the reader is told to wait: a registry that is slow or down holds back the partitions
//! that need a new schema and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::{Folder, RegistryError};
use crate::codec::confluent::SchemaId;
use crate::telemetry::occurrence::{RegistryBack, RegistryDown, SchemaMissing, SchemasNotKept};

/// The first wait between two questions for the same schema; it doubles up to [`Limits::ask_every_max`].
const ASK_AFTER: Duration = Duration::from_millis(100);

/// How long the thread sleeps when there is nothing to ask.
const IDLE: Duration = Duration::from_secs(3_600);

/// How long to ask for what the registry does not know or does not answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// How long an id must have been unknown before it counts as missing.
    pub missing_after: Duration,
    /// The longest wait between two questions for the same schema.
    pub ask_every_max: Duration,
    /// How long a missing id is missing before it is asked for again.
    pub missing_for: Duration,
}

/// The schema of an id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Look {
    /// It is this.
    Known(Arc<str>),
    /// It is being asked for: look again later.
    NotYet,
    /// The registry has not known it for longer than it may lag behind.
    Missing,
}

#[derive(Clone, Debug)]
enum Entry {
    Known(Arc<str>),
    Asked,
    Missing { again: Instant },
}

type Entries = Arc<Mutex<HashMap<SchemaId, Entry>>>;

/// Writers' schemas. Clones share what they know; the thread that asks ends with the last of them.
#[derive(Clone, Debug)]
pub struct Schemas {
    entries: Entries,
    ask: Sender<SchemaId>,
    missing_for: Duration,
}

impl Schemas {
    /// Schemas that `fetch` gets from the registry. The folder keeps them and stands in while the registry is
    /// down.
    pub fn new(
        fetch: impl Fn(SchemaId) -> Result<Option<String>, RegistryError> + Send + 'static,
        folder: Folder,
        limits: Limits,
    ) -> Schemas {
        let (ask, asked) = mpsc::channel();
        let entries = Entries::default();
        let asker = Asker {
            fetch,
            folder,
            limits,
            entries: Arc::clone(&entries),
            open: BTreeMap::new(),
            down_since: None,
            unkept: false,
        };
        thread::spawn(move || asker.run(&asked));
        Schemas { entries, ask, missing_for: limits.missing_for }
    }

    /// The schema of an id, as far as it is known now.
    pub fn look(&self, id: SchemaId) -> Look {
        let mut entries = locked(&self.entries);
        match entries.get_mut(&id) {
            Some(Entry::Known(schema)) => return Look::Known(Arc::clone(schema)),
            Some(Entry::Asked) => return Look::NotYet,
            Some(Entry::Missing { again }) => {
                let now = Instant::now();
                if *again <= now {
                    *again = now + self.missing_for;
                    self.ask(id);
                }
                return Look::Missing;
            }
            None => {}
        }
        entries.insert(id, Entry::Asked);
        self.ask(id);
        Look::NotYet
    }

    fn ask(&self, id: SchemaId) {
        // The thread lives as long as there is somebody to ask it.
        self.ask.send(id).unwrap_or_default();
    }
}

fn locked(entries: &Entries) -> MutexGuard<'_, HashMap<SchemaId, Entry>> {
    entries.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A schema that is being asked for.
struct Open {
    due: Instant,
    wait: Duration,
    unknown_since: Option<Instant>,
}

struct Asker<F> {
    fetch: F,
    folder: Folder,
    limits: Limits,
    entries: Entries,
    open: BTreeMap<SchemaId, Open>,
    /// Since when the registry has not answered.
    down_since: Option<Instant>,
    /// Whether it was told that schemas cannot be kept.
    unkept: bool,
}

impl<F: Fn(SchemaId) -> Result<Option<String>, RegistryError>> Asker<F> {
    fn run(mut self, asked: &Receiver<SchemaId>) {
        loop {
            let due = self.open.values().map(|open| open.due).min();
            let wait = due.map_or(IDLE, |due| due.saturating_duration_since(Instant::now()));
            match asked.recv_timeout(wait) {
                Ok(id) => {
                    let open = Open { due: Instant::now(), wait: ASK_AFTER, unknown_since: None };
                    self.open.entry(id).or_insert(open);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
            let now = Instant::now();
            let due: Vec<SchemaId> =
                self.open.iter().filter(|(_, open)| open.due <= now).map(|(id, _)| *id).collect();
            due.into_iter().for_each(|id| self.ask(id));
        }
    }

    fn ask(&mut self, id: SchemaId) {
        match (self.fetch)(id) {
            Ok(found) => {
                if let Some(since) = self.down_since.take() {
                    RegistryBack { after_s: &since.elapsed().as_secs() }.note();
                }
                match found {
                    Some(schema) => {
                        self.keep(id, &schema);
                        self.settle(id, Entry::Known(Arc::from(schema)));
                    }
                    None => self.unknown(id),
                }
            }
            Err(error) => {
                if self.down_since.is_none() {
                    self.down_since = Some(Instant::now());
                    RegistryDown { cause: &error }.note();
                }
                match self.folder.schema(id) {
                    Some(schema) => self.settle(id, Entry::Known(Arc::from(schema))),
                    None => self.later(id),
                }
            }
        }
    }

    fn unknown(&mut self, id: SchemaId) {
        let now = Instant::now();
        let Some(open) = self.open.get_mut(&id) else { return };
        let since = *open.unknown_since.get_or_insert(now);
        if now.duration_since(since) >= self.limits.missing_after {
            SchemaMissing { id: &id.0 }.note();
            self.settle(id, Entry::Missing { again: now + self.limits.missing_for });
        } else {
            self.later(id);
        }
    }

    fn later(&mut self, id: SchemaId) {
        let Some(open) = self.open.get_mut(&id) else { return };
        open.due = Instant::now() + open.wait;
        open.wait = (open.wait * 2).min(self.limits.ask_every_max);
    }

    fn settle(&mut self, id: SchemaId, entry: Entry) {
        self.open.remove(&id);
        locked(&self.entries).insert(id, entry);
    }

    fn keep(&mut self, id: SchemaId, schema: &str) {
        if let Err(error) = self.folder.keep(id, schema)
            && !std::mem::replace(&mut self.unkept, true)
        {
            SchemasNotKept { folder: &self.folder.path().display(), cause: &error }.note();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the registry of a test answers.
    #[derive(Clone)]
    enum Answer {
        Schema(&'static str),
        Unknown,
        Down,
    }

    struct Test {
        answer: Arc<Mutex<Answer>>,
        calls: Arc<Mutex<usize>>,
        folder: tempfile::TempDir,
    }

    const ID: SchemaId = SchemaId(7);

    impl Test {
        fn new(answer: Answer) -> Test {
            Test {
                answer: Arc::new(Mutex::new(answer)),
                calls: Arc::default(),
                folder: tempfile::tempdir().unwrap(),
            }
        }

        fn schemas(&self, missing_after_ms: u64) -> Schemas {
            let (answer, calls) = (Arc::clone(&self.answer), Arc::clone(&self.calls));
            let fetch = move |_| {
                *calls.lock().unwrap() += 1;
                match answer.lock().unwrap().clone() {
                    Answer::Schema(schema) => Ok(Some(schema.to_owned())),
                    Answer::Unknown => Ok(None),
                    Answer::Down => Err(RegistryError::Unavailable {
                        doing: "fetching".to_owned(),
                        cause: "connection refused".to_owned(),
                    }),
                }
            };
            let limits = Limits {
                missing_after: Duration::from_millis(missing_after_ms),
                ask_every_max: Duration::from_millis(100),
                missing_for: Duration::from_millis(300),
            };
            let folder = Folder::of(self.folder.path(), "http://registry");
            Schemas::new(fetch, folder, limits)
        }

        fn say(&self, answer: Answer) {
            *self.answer.lock().unwrap() = answer;
        }

        fn calls(&self) -> usize {
            *self.calls.lock().unwrap()
        }
    }

    /// Looks until it is something else than `NotYet`; the time that took.
    fn wait(schemas: &Schemas) -> (Look, Duration) {
        let start = Instant::now();
        loop {
            match schemas.look(ID) {
                Look::NotYet => thread::sleep(Duration::from_millis(5)),
                look => return (look, start.elapsed()),
            }
            assert!(start.elapsed() < Duration::from_secs(20), "it never comes");
        }
    }

    #[test]
    fn a_schema_is_asked_for_once_and_kept_for_good() {
        let test = Test::new(Answer::Schema("a"));
        let schemas = test.schemas(0);
        assert_eq!(schemas.look(ID), Look::NotYet);
        assert_eq!(wait(&schemas).0, Look::Known(Arc::from("a")));
        test.say(Answer::Down);
        for _ in 0..100 {
            assert_eq!(schemas.clone().look(ID), Look::Known(Arc::from("a")));
        }
        assert_eq!(test.calls(), 1);
    }

    #[test]
    fn an_unknown_id_is_missing_only_after_the_limit_and_asked_for_seldom_after_that() {
        let test = Test::new(Answer::Unknown);
        let schemas = test.schemas(400);
        let (look, after) = wait(&schemas);
        assert_eq!(look, Look::Missing);
        assert!(after >= Duration::from_millis(400), "after {after:?}");
        let calls = test.calls();
        assert!(calls > 2, "it was asked for {calls} times");
        for _ in 0..100 {
            assert_eq!(schemas.look(ID), Look::Missing);
        }
        assert_eq!(test.calls(), calls);
        // A schema that is registered later is found when the memory of its absence has passed.
        test.say(Answer::Schema("late"));
        let start = Instant::now();
        while schemas.look(ID) == Look::Missing {
            assert!(start.elapsed() < Duration::from_secs(20));
            thread::sleep(Duration::from_millis(5));
        }
        assert_eq!(schemas.look(ID), Look::Known(Arc::from("late")));
    }

    #[test]
    fn an_outage_is_no_absence() {
        let test = Test::new(Answer::Down);
        let schemas = test.schemas(0);
        assert_eq!(schemas.look(ID), Look::NotYet);
        thread::sleep(Duration::from_millis(500));
        assert_eq!(schemas.look(ID), Look::NotYet);
        assert!(test.calls() > 2);
        test.say(Answer::Schema("a"));
        assert_eq!(wait(&schemas).0, Look::Known(Arc::from("a")));
    }

    #[test]
    fn after_a_restart_in_an_outage_the_folder_stands_in() {
        let test = Test::new(Answer::Schema("a"));
        assert_eq!(wait(&test.schemas(0)).0, Look::Known(Arc::from("a")));
        test.say(Answer::Down);
        assert_eq!(wait(&test.schemas(0)).0, Look::Known(Arc::from("a")));
        // The registry's word counts as soon as it has one.
        test.say(Answer::Schema("b"));
        assert_eq!(wait(&test.schemas(0)).0, Look::Known(Arc::from("b")));
    }
}
