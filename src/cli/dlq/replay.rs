//! `trustline dlq replay`.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{FilterArgs, count, own_topics, time};
use crate::cli::out::{print, print_json};
use crate::cli::{Failure, registry};
use crate::config::Config;
use crate::driver::clock::{Clock, SystemClock};
use crate::driver::dlq::{Contents, Origin, SetAside, TOPICS, Window, windows};
use crate::driver::stages::Names;
use crate::event::kinds::Topic;
use crate::log::kafka::admin::{each_record, positions};
use crate::log::kafka::{Connection, KafkaPublisher, KafkaPublishers};
use crate::log::{LogError, Outgoing, Publishers, Record};
use crate::telemetry::terminal::visible;
use crate::time::WindowLength;

/// Records sent in one transaction, at most.
const TXN_RECORDS: usize = 1_000;
/// Bytes of values sent in one transaction, at most, but for the last record.
const TXN_BYTES: usize = 8_000_000;
/// Windows that are listed for a person.
const WINDOWS_LISTED: usize = 50;

/// Options of `dlq replay`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// Send at most so many records.
    #[arg(long)]
    limit: Option<u64>,
    /// Send them. Without, nothing is changed.
    #[arg(long)]
    yes: bool,
    /// Also records that were sent again before.
    #[arg(long)]
    again: bool,
    /// How often a record may be sent again in all.
    #[arg(long, default_value_t = 3, value_name = "N")]
    max_replays: u32,
    /// One JSON object, for programs.
    #[arg(long)]
    json: bool,
}

/// Records are not sent, since they come back over and over.
#[derive(Debug, thiserror::Error)]
#[error("{records} left out: sent again {max} times before; mend the cause, or raise --max-replays")]
struct Guarded {
    records: String,
    max: u32,
}

/// What is remembered of a record that was sent again, under its origin.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    /// How often it was sent again in all.
    replays: u32,
    /// When last, milliseconds.
    at: i64,
}

/// What was done, or would be.
#[derive(Default)]
struct Plan {
    dead_letters: u64,
    late_events: u64,
    sent_before: u64,
    guarded: u64,
    cut: u64,
    /// From no source topic of this configuration.
    elsewhere: u64,
    refused: BTreeMap<&'static str, u64>,
    windows: BTreeMap<Window, u64>,
}

#[derive(Serialize)]
struct Report<'a> {
    sent: bool,
    dead_letters: u64,
    late_events: u64,
    sent_before: u64,
    refused_by_loop_guard: u64,
    cut: u64,
    from_elsewhere: u64,
    would_be_refused: &'a BTreeMap<&'static str, u64>,
    windows: Vec<Touched<'a>>,
}

#[derive(Serialize)]
struct Touched<'a> {
    brand: &'a str,
    window: String,
    start: i64,
    records: u64,
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &Config) -> Result<(), Failure> {
    let connection = Connection::of(config).map_err(Failure::usage)?;
    let mut replay = Replay::begin(args, config, &connection)?;
    let filter = args.filter.filter();
    for (name, topic) in TOPICS.into_iter().zip(own_topics(config, &connection, &TOPICS)?) {
        let is_late = name == "late-events";
        each_record(&connection, &topic, |record| {
            let Some(aside) = SetAside::of(record) else { return Ok(()) };
            let content = replay.contents.read(&aside);
            if !filter.takes(&aside, content.as_ref().and_then(|content| content.brand.as_deref())) {
                return Ok(());
            }
            let plan = &mut replay.plan;
            let Some(content) = content else {
                plan.elsewhere += 1;
                return Ok(());
            };
            let before = replay.remembered.get(&aside.origin).copied();
            let replays = aside.replays.max(before.unwrap_or(0)) + 1;
            if before.is_some() && !args.again {
                plan.sent_before += 1;
            } else if aside.is_cut {
                plan.cut += 1;
            } else if replays > args.max_replays {
                plan.guarded += 1;
            } else if args.limit.is_none_or(|limit| plan.dead_letters + plan.late_events < limit) {
                *if is_late { &mut plan.late_events } else { &mut plan.dead_letters } += 1;
                if let Some(reason) = content.refused {
                    *plan.refused.entry(reason.code()).or_insert(0) += 1;
                }
                if let (Some(brand), Some(place)) = (&content.brand, content.place) {
                    for window in windows(&replay.lengths, brand, place) {
                        *plan.windows.entry(window).or_insert(0) += 1;
                    }
                }
                replay.send(&aside, replays)?;
            }
            Ok::<(), LogError>(())
        })
        .map_err(Failure::log)?;
    }
    replay.flush().map_err(Failure::log)?;
    let plan = replay.plan;
    if args.json {
        print_json(&plan.report(args.yes))?
    } else {
        print(&plan.text(args.yes))?
    }
    let records = count(plan.guarded, "record");
    let guarded = Guarded { records, max: args.max_replays };
    if plan.guarded > 0 { Err(Failure::running(guarded)) } else { Ok(()) }
}

struct Replay<'a> {
    contents: Contents<'a>,
    lengths: Vec<WindowLength>,
    remembered: HashMap<Origin, u32>,
    memory: Arc<str>,
    clock: SystemClock,
    /// Only if records are sent.
    publisher: Option<KafkaPublisher>,
    batch: Vec<(Outgoing, Option<i64>)>,
    batch_bytes: usize,
    plan: Plan,
}

impl<'a> Replay<'a> {
    fn begin(args: &Args, config: &'a Config, connection: &Connection) -> Result<Replay<'a>, Failure> {
        own_topics(config, connection, &["replayed"])?;
        let memory = Names::of(config).own("replayed");
        // Before the memory is read: this ends what another replay has in flight, and keeps it from sending more.
        let name = format!("{}-dlq", connection.group);
        let publisher = args.yes.then(|| KafkaPublishers::new(connection, &name).publisher());
        let publisher = publisher.transpose().map_err(Failure::log)?;
        let mut remembered = HashMap::new();
        each_record(connection, &memory, |record| {
            remembered.extend(parse(&record));
            Ok::<(), LogError>(())
        })
        .map_err(Failure::log)?;
        let sources: Vec<&str> = Topic::ALL.iter().map(|topic| config.topic(*topic).name.as_str()).collect();
        let group = format!("{}-route", connection.group);
        let positions = positions(connection, &group, &sources).map_err(Failure::log)?;
        let schemas = registry::source_schemas(&config.settings.registry)?;
        Ok(Replay {
            contents: Contents::new(config, schemas, positions),
            lengths: config.windows(),
            remembered,
            memory,
            clock: SystemClock::new(),
            publisher,
            batch: Vec::new(),
            batch_bytes: 0,
            plan: Plan::default(),
        })
    }

    /// Sends a record and remembers it, in one transaction with others.
    fn send(&mut self, aside: &SetAside, replays: u32) -> Result<(), LogError> {
        // The same origin may have been set aside twice, where positions were set back.
        self.remembered.insert(aside.origin.clone(), replays);
        if self.publisher.is_none() {
            return Ok(());
        }
        let at = self.clock.now().0;
        self.batch_bytes += aside.record.value.len();
        self.batch.push((aside.again(at, replays), aside.timestamp_ms));
        self.batch.push((remember(&self.memory, &aside.origin, &Remembered { replays, at }), None));
        if self.batch.len() >= 2 * TXN_RECORDS || self.batch_bytes >= TXN_BYTES {
            return self.flush();
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), LogError> {
        if let Some(publisher) = self.publisher.as_mut().filter(|_| !self.batch.is_empty()) {
            publisher.publish_records(&self.batch)?;
        }
        self.batch.clear();
        self.batch_bytes = 0;
        Ok(())
    }
}

fn parse(record: &Record) -> Option<(Origin, u32)> {
    let origin = serde_json::from_slice(record.key.as_deref()?).ok()?;
    let Remembered { replays, .. } = serde_json::from_slice(&record.value).ok()?;
    Some((origin, replays))
}

fn remember(memory: &Arc<str>, origin: &Origin, remembered: &Remembered) -> Outgoing {
    let json = |outcome: serde_json::Result<Vec<u8>>| outcome.expect("they hold scalars only");
    Outgoing {
        topic: Arc::clone(memory),
        partition: None,
        key: Some(json(serde_json::to_vec(origin))),
        value: json(serde_json::to_vec(remembered)),
        headers: Vec::new(),
    }
}

impl Plan {
    fn report(&self, sent: bool) -> Report<'_> {
        Report {
            sent,
            dead_letters: self.dead_letters,
            late_events: self.late_events,
            sent_before: self.sent_before,
            refused_by_loop_guard: self.guarded,
            cut: self.cut,
            from_elsewhere: self.elsewhere,
            would_be_refused: &self.refused,
            windows: (self.windows.iter())
                .map(|(Window { brand, length, start }, records)| Touched {
                    brand,
                    window: length.to_string(),
                    start: *start,
                    records: *records,
                })
                .collect(),
        }
    }

    fn text(&self, sent: bool) -> String {
        let records = format!(
            "{} and {}",
            count(self.dead_letters, "dead letter"),
            count(self.late_events, "late event")
        );
        let mut text = match (sent, self.dead_letters + self.late_events) {
            (_, 0) => "nothing to send\n".to_owned(),
            (true, _) => format!("sent again: {records}\n"),
            (false, _) => format!("dry run: {records} would be sent again; --yes sends them\n"),
        };
        let mut note = |number: u64, what: &str| {
            if number > 0 {
                text += &format!("  {} {what}\n", count(number, "record"));
            }
        };
        note(self.sent_before, "left out: sent again before; --again sends them too");
        note(self.guarded, "left out: sent again too often");
        note(self.cut, "left out: too long to be kept whole");
        note(self.elsewhere, "left out: from no source topic of this configuration");
        for (reason, number) in &self.refused {
            note(*number, &format!("this build refuses again: {reason}"));
        }
        if !self.windows.is_empty() {
            text += "windows that they count in:\n";
        }
        for (Window { brand, length, start }, number) in self.windows.iter().take(WINDOWS_LISTED) {
            text += &format!(
                "  {:<32} {:>3} from {}  {}\n",
                visible(brand),
                length.to_string(),
                time(*start),
                count(*number, "record")
            );
        }
        if self.windows.len() > WINDOWS_LISTED {
            text += &format!("  and {} more; --json lists all\n", self.windows.len() - WINDOWS_LISTED);
        }
        text
    }
}
