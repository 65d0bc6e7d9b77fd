//! What `trustline run` costs from Kafka to Kafka, beside a bare copy loop over the same source records:
//! `cargo bench --bench kafka`.
//!
//! A broker is started by `deploy/kafka/broker` and filled with the bench mix of the generator. Then, in turns, a
//! process copies all source records, and a process runs all stages on them, each from the beginning in a group of
//! its own. Both are timed from their start to their last commit; CPU time is that of the process alone, from
//! `/proc`. Options after `--`: `--records`, `--persons`, `--partitions`, `--rounds`, `--format avro|json`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]
#![allow(clippy::unwrap_used, reason = "a benchmark that cannot go on fails")]

mod copy;
#[path = "../../tests/support/mod.rs"]
mod support;

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use clap::Parser;
use support::broker::{Broker, Registry, free_port};
use trustline::codec::avro::schemas;
use trustline::codec::canonical::{encode_event, encode_incident, encode_link};
use trustline::codec::confluent::{SchemaId, put_frame};
use trustline::config::sections;
use trustline::event::kinds::Topic;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, TopicPlan, create_topics};
use trustline::registry::Client;
use trustline::synth::write::{json_line, topic_of};
use trustline::synth::{Arrival, Generated, Generator, Params};

/// How often a process is looked at.
const TICK: Duration = Duration::from_millis(250);
/// How long there must be nothing to read for a run to be over.
const QUIET: Duration = Duration::from_secs(2);
/// Records of the internal logs that may wait then: those that come once a second.
const TABLES: u64 = 20;
/// What Linux counts CPU time in, to programs.
const TICKS_A_SECOND: f64 = 100.0;
/// Records of a person in the bench mix, about, whatever the days.
const RECORDS_A_PERSON: u64 = 28;

#[derive(Clone, Copy, PartialEq, clap::ValueEnum)]
enum Format {
    Avro,
    Json,
}

#[derive(Parser)]
struct Options {
    /// Source records.
    #[arg(long, default_value_t = 2_000_000)]
    records: u64,
    /// People, three brands each; by default as many as have about so many records.
    #[arg(long)]
    persons: Option<u64>,
    /// Days over which their events are spread.
    #[arg(long, default_value_t = 1)]
    days: u32,
    /// Partitions of each source topic.
    #[arg(long, default_value_t = 4)]
    partitions: i32,
    /// Times that both are measured.
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Form of the source records, and of the public ones.
    #[arg(long, value_enum, default_value_t = Format::Avro)]
    format: Format,
    /// Copies from these brokers instead of measuring anything: the other process.
    #[arg(long, hide = true, num_args = 3, value_names = ["BOOTSTRAP", "GROUP", "RECORDS"])]
    copy: Option<Vec<String>>,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What one process took.
#[derive(Clone, Copy)]
struct Measured {
    cpu: Duration,
    wall: Duration,
}

fn main() {
    let options = Options::parse();
    if let Some([bootstrap, group, records]) = options.copy.as_deref() {
        copy::copy(bootstrap, group, records.parse().unwrap());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let broker = Broker::start();
    let registry = (options.format == Format::Avro).then(Registry::start);
    let bench = Bench {
        bootstrap: broker.bootstrap(),
        registry: registry.as_ref().map(Registry::url),
        folder: folder.path(),
        options: &options,
    };
    let records = bench.fill();
    println!(
        "{records} records in {} partitions\n{:<12} {:>12} {:>14} {:>12}",
        3 * options.partitions,
        "",
        "µs CPU/rec.",
        "records/s",
        "seconds"
    );
    let mut all: BTreeMap<&str, Vec<Measured>> = BTreeMap::new();
    for round in 0..options.rounds {
        for (name, measured) in
            [("copy loop", bench.copy(round, records)), ("run", bench.run(round, records))]
        {
            row(name, measured, records);
            all.entry(name).or_default().push(measured);
        }
    }
    let of = |name: &str, what: fn(&Measured) -> Duration| {
        let mut values: Vec<f64> = all[name].iter().map(|measured| what(measured).as_secs_f64()).collect();
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let ratio = |what| of("run", what) / of("copy loop", what);
    println!(
        "medians: run takes {:.2} times the CPU of the copy loop and has {:.2} times its throughput",
        ratio(|measured| measured.cpu),
        1.0 / ratio(|measured| measured.wall)
    );
}

fn row(name: &str, Measured { cpu, wall }: Measured, records: u64) {
    let (cpu, wall, records) = (cpu.as_secs_f64(), wall.as_secs_f64(), records as f64);
    println!("{name:<12} {:>12.2} {:>14.0} {wall:>12.2}", cpu * 1e6 / records, records / wall);
}

struct Bench<'a> {
    bootstrap: String,
    registry: Option<String>,
    folder: &'a Path,
    options: &'a Options,
}

impl Bench<'_> {
    /// Fills the source topics; returns how many records are events, which is what is copied.
    fn fill(&self) -> u64 {
        let Options { records, persons, days, partitions, .. } = *self.options;
        let connection = Connection::plain(&self.bootstrap, "bench");
        let plan = |name: &str, partitions| TopicPlan {
            name: name.to_owned(),
            partitions,
            replicas: 1,
            settings: vec![("retention.ms".to_owned(), "-1".to_owned())],
        };
        let mut plans: Vec<TopicPlan> =
            Topic::ALL.iter().map(|topic| plan(topic.symbol(), partitions)).collect();
        plans.push(plan(copy::OUTPUT, partitions));
        create_topics(&connection, &plans).unwrap();
        let ids = self.registry.as_ref().map(|url| register(url));
        let feeder = Feeder::new(&connection).unwrap();
        let persons = persons.unwrap_or_else(|| records.div_ceil(RECORDS_A_PERSON));
        let params = Params { days, ..Params::bench(1, persons) };
        let (mut fed, mut value) = (0, Vec::new());
        for record in Generator::new(&params).unwrap() {
            let arrival = Arrival { time: record.time(), record, flaw: None };
            let topic = topic_of(&arrival.record);
            if topic == Topic::Erasures {
                continue;
            }
            value.clear();
            encode(&arrival, ids.as_ref(), &mut value);
            let partition = (fed % partitions.unsigned_abs() as u64) as i32;
            feeder.send(topic.symbol(), partition, arrival.time, &value).unwrap();
            fed += u64::from(topic.is_person_events());
            if fed == records {
                break;
            }
        }
        feeder.flush().unwrap();
        fed
    }

    /// Measures the copy loop.
    fn copy(&self, round: u32, records: u64) -> Measured {
        let began = Instant::now();
        let mut process = Killed(
            Command::new(std::env::current_exe().unwrap())
                .args(["--copy", &self.bootstrap, &format!("copy-{round}"), &records.to_string()])
                .stdin(Stdio::piped())
                .stdout(Stdio::piped())
                .spawn()
                .unwrap(),
        );
        let mut line = String::new();
        BufReader::new(process.0.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert_eq!(line, "done\n", "the copy loop has ended early");
        Measured { cpu: cpu_of(&process.0), wall: began.elapsed() }
    }

    /// Measures all stages.
    fn run(&self, round: u32, records: u64) -> Measured {
        let port = free_port();
        let config = self.config(round, port);
        trustline(&config, "topics apply");
        if self.registry.is_some() {
            trustline(&config, "schemas register");
        }
        let began = Instant::now();
        let log = config.with_extension("log");
        let child = command(&config, "run").stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut process = Killed(child);
        let mut done: Option<Measured> = None;
        loop {
            thread::sleep(TICK);
            let has_ended = process.0.try_wait().unwrap().is_some();
            assert!(!has_ended, "run has ended: {}", std::fs::read_to_string(&log).unwrap());
            let Some(look) = look(port) else { continue };
            // Tables of frontiers go on for ever, so a stage may have something to read at any time.
            if look.read < records || look.lag > TABLES {
                done = None;
                continue;
            }
            let so_far = Measured { cpu: cpu_of(&process.0), wall: began.elapsed() };
            let first = *done.get_or_insert(so_far);
            if so_far.wall - first.wall >= QUIET {
                return first;
            }
        }
    }

    fn config(&self, round: u32, port: u16) -> PathBuf {
        let key = self.folder.join("key");
        std::fs::write(&key, blake3::hash(b"bench").as_bytes()).unwrap();
        let registry = self.registry.as_ref().map_or_else(String::new, |url| {
            let schemas = self.folder.join("schemas");
            format!("[registry]\nurl = \"{url}\"\nschemas_folder = \"{}\"\n", schemas.display())
        });
        let text = format!(
            "[kafka]\nbrokers = [\"{}\"]\ngroup_id = \"run-{round}\"\n[privacy]\nkey_file = \"{}\"\n\
             [own_topics]\ntopic_prefix = \"run-{round}.\"\nperson_partitions = 4\nbrand_partitions = 2\n\
             replication_factor = 1\n[http]\nlisten = \"127.0.0.1:{port}\"\n[time]\nidle_after_ms = \"never\"\n\
             [state]\nurl = \"file:{}\"\n{registry}",
            self.bootstrap,
            key.display(),
            self.folder.join(format!("state-{round}")).display(),
        );
        let path = self.folder.join(format!("run-{round}.toml"));
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Registers the schemas of the source topics.
fn register(url: &str) -> BTreeMap<Topic, SchemaId> {
    let settings = sections::Registry { url: Some(url.to_owned()), ..sections::Registry::default() };
    let client = Client::of(&settings).unwrap().unwrap();
    let register = |topic: &Topic| {
        let subject = format!("{}-value", topic.symbol());
        (*topic, client.register(&subject, schemas::input_schema(*topic)).unwrap())
    };
    Topic::ALL.iter().map(register).collect()
}

/// In Avro, where there are schemas; else in JSON.
fn encode(arrival: &Arrival, ids: Option<&BTreeMap<Topic, SchemaId>>, value: &mut Vec<u8>) {
    let Some(ids) = ids else { return json_line(arrival, value) };
    put_frame(ids[&topic_of(&arrival.record)], value);
    match &arrival.record {
        Generated::Event(event) => encode_event(&event.raw(), value),
        Generated::Incident(incident) => encode_incident(incident, value),
        Generated::Link(link) => encode_link(link, value),
        Generated::Erasure(_) => unreachable!("erasures are left out"),
    }
}

/// A process that goes with the benchmark.
struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn command(config: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
    command.args(arguments.split(' ')).arg("--config").arg(config).stdin(Stdio::null());
    command
}

fn trustline(config: &Path, arguments: &str) {
    let output = command(config, arguments).output().unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// How far the stages are.
struct Look {
    /// Records that `route` has read.
    read: u64,
    /// Records that wait for some stage.
    lag: u64,
}

/// What the process tells of itself; nothing while it begins.
fn look(port: u16) -> Option<Look> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    write!(stream, "GET /metrics HTTP/1.0\r\nhost: x\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let sum = |name: &str, labels: &[&str]| -> u64 {
        let of = |line: &&str| line.starts_with(name) && labels.iter().all(|label| line.contains(label));
        let values =
            answer.lines().filter(of).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
        values.sum::<f64>() as u64
    };
    Some(Look {
        read: sum("trustline_ledger_records_total{", &["stage=\"route\"", "class=\"read\""]),
        lag: sum("trustline_lag_records{", &[]),
    })
}

/// CPU time that a living process has taken, all threads.
fn cpu_of(process: &Child) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.id())).unwrap();
    // The name of the program, in parentheses, may hold anything; utime and stime are fields 14 and 15.
    let (_, rest) = stat.rsplit_once(") ").unwrap();
    let ticks: u64 = rest.split(' ').skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_secs_f64(ticks as f64 / TICKS_A_SECOND)
}
