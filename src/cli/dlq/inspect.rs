//! `trustline dlq inspect`.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{FilterArgs, count, own_topics, time};
use crate::cli::out::{print, print_json};
use crate::cli::{Failure, registry};
use crate::config::Config;
use crate::driver::dlq::{Contents, SetAside, TOPICS};
use crate::log::LogError;
use crate::log::kafka::Connection;
use crate::log::kafka::admin::each_record;
use crate::telemetry::terminal::visible;

/// Options of `dlq inspect`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    filter: FilterArgs,
    /// How many records to list, the newest ones.
    #[arg(long, default_value_t = 20)]
    limit: usize,
    /// One JSON object, for programs.
    #[arg(long)]
    json: bool,
}

#[derive(Default, Serialize)]
struct Found {
    dead_letters: u64,
    late_events: u64,
    /// Records in these topics that Trustline did not put there.
    foreign: u64,
    counts: Vec<Count>,
    records: Vec<Listed>,
}

#[derive(Serialize)]
struct Count {
    reason: String,
    topic: String,
    records: u64,
}

/// A record without its value, which may be personal.
#[derive(Serialize)]
struct Listed {
    /// Where it stands now.
    stands_in: String,
    stands_partition: i32,
    stands_offset: i64,
    set_aside: Option<i64>,
    reason: String,
    detail: String,
    lateness_ms: Option<i64>,
    brand: Option<String>,
    topic: String,
    partition: i32,
    offset: i64,
    timestamp: Option<i64>,
    replays: u32,
    cut: bool,
    bytes: usize,
}

impl Listed {
    fn of(aside: SetAside, brand: Option<String>) -> Listed {
        let SetAside { origin, timestamp_ms, reason, detail, lateness_ms, replays, is_cut, record } = aside;
        Listed {
            stands_in: record.from.topic.to_string(),
            stands_partition: record.from.partition,
            stands_offset: record.offset,
            set_aside: record.timestamp_ms,
            reason,
            detail,
            lateness_ms,
            brand,
            topic: origin.topic,
            partition: origin.partition,
            offset: origin.offset,
            timestamp: timestamp_ms,
            replays,
            cut: is_cut,
            bytes: record.value.len(),
        }
    }

    fn line(&self) -> String {
        let mut line = format!(
            "{}  {}  {} {}@{}",
            self.set_aside.map_or_else(String::new, time),
            visible(&self.reason),
            visible(&self.topic),
            self.partition,
            self.offset
        );
        if let Some(brand) = &self.brand {
            line += &format!("  brand {}", visible(brand));
        }
        if let Some(ms) = self.lateness_ms {
            line += &format!("  {} s late", ms / 1_000);
        }
        if !self.detail.is_empty() {
            line += &format!("  {}", visible(&self.detail));
        }
        if self.replays > 0 {
            line += &format!("  sent again {}", count(self.replays.into(), "time"));
        }
        let cut = if self.cut { ", cut" } else { "" };
        line += &format!(
            "  (in {} {}@{}, {} bytes{cut})\n",
            self.stands_in, self.stands_partition, self.stands_offset, self.bytes
        );
        line
    }
}

/// Runs the command.
pub(super) fn run(args: &Args, config: &Config) -> Result<(), Failure> {
    let connection = Connection::of(config).map_err(Failure::usage)?;
    let schemas = registry::source_schemas(&config.settings.registry)?;
    let mut contents = Contents::new(config, schemas, BTreeMap::new());
    let filter = args.filter.filter();
    let (mut found, mut counts, mut newest) = (Found::default(), BTreeMap::new(), BTreeMap::new());
    for (name, topic) in TOPICS.into_iter().zip(own_topics(config, &connection, &TOPICS)?) {
        each_record(&connection, &topic, |record| {
            let Some(aside) = SetAside::of(record) else {
                found.foreign += 1;
                return Ok(());
            };
            let brand = contents.read(&aside).and_then(|content| content.brand);
            if !filter.takes(&aside, brand.as_deref()) {
                return Ok(());
            }
            *if name == "late-events" { &mut found.late_events } else { &mut found.dead_letters } += 1;
            *counts.entry((aside.reason.clone(), aside.origin.topic.clone())).or_insert(0) += 1;
            let listed = Listed::of(aside, brand);
            let place = (listed.stands_in.clone(), listed.stands_partition, listed.stands_offset);
            newest.insert((listed.set_aside, place), listed);
            if newest.len() > args.limit {
                newest.pop_first();
            }
            Ok::<(), LogError>(())
        })
        .map_err(Failure::log)?;
    }
    let count_of = |((reason, topic), records)| Count { reason, topic, records };
    found.counts = counts.into_iter().map(count_of).collect();
    found.records = newest.into_values().collect();
    if args.json { print_json(&found) } else { print(&text(&found)) }
}

fn text(found: &Found) -> String {
    let Found { dead_letters, late_events, foreign, counts, records } = found;
    let mut text =
        format!("{}, {}\n", count(*dead_letters, "dead letter"), count(*late_events, "late event"));
    for Count { reason, topic, records } in counts {
        text += &format!("  {:<18} {:<24} {records:>9}\n", visible(reason), visible(topic));
    }
    if *foreign > 0 {
        text += &format!("  {} that Trustline did not put there\n", count(*foreign, "record"));
    }
    let listed = records.len() as u64;
    if listed > 0 && listed < dead_letters + late_events {
        text += &format!("the newest {listed}:\n");
    }
    records.iter().for_each(|record| text += &record.line());
    text
}
