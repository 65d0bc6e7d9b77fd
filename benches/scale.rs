//! What the folds cost as the number of (person, brand) pairs grows: `cargo bench --bench scale`.
//!
//! Generated traffic goes through `route` and `detect` in memory. Only the folds are timed, by the CPU time
//! of the thread; the generator is not. `-- --pairs 10000,1000000` chooses the sizes, `--events` the least
//! number of events of each (a small population is replayed by fresh folds until it is reached).

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::Duration;

use clap::Parser;
use rustix::time::{ClockId, clock_gettime};
use trustline::codec::frame::item::Item;
use trustline::config::Config;
use trustline::driver::assembly::Assembly;
use trustline::fold::detect::{self, Detect, Placed};
use trustline::fold::route::{BATCH_EVENTS, Route};
use trustline::identity::PseudonymKey;
use trustline::synth::{Generator, Mix, Next, OwnedEvent, Params};

/// Events that are generated before the folds get them, untimed.
const CHUNK_EVENTS: usize = 1 << 14;
/// Pairs of a brand, so that small populations do not consist of windows alone.
const PAIRS_PER_BRAND: u64 = 10_000;

#[derive(Parser)]
struct Options {
    /// Numbers of (person, brand) pairs, in ascending order.
    #[arg(long, value_delimiter = ',', default_value = "10000,1000000,10000000")]
    pairs: Vec<u64>,
    /// Least number of events to measure at each size.
    #[arg(long, default_value_t = 2_000_000)]
    events: u64,
    /// Days of event time.
    #[arg(long, default_value_t = 14)]
    days: u32,
    /// Given by cargo.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What was measured at one size.
#[derive(Default)]
struct Measured {
    route: Duration,
    detect: Duration,
    events: u64,
    item_bytes: u64,
    /// Of one run; ids and their bytes at their most.
    pairs: usize,
    pair_bytes: usize,
    ids: usize,
    id_bytes: usize,
    windows: usize,
}

impl Measured {
    fn ns(&self, spent: Duration) -> f64 {
        spent.as_nanos() as f64 / self.events as f64
    }

    fn ns_per_event(&self) -> f64 {
        self.ns(self.route + self.detect)
    }
}

fn main() {
    let options = Options::parse();
    println!(
        "pairs, brands, events, ns/event, of which route, detect, bytes/pair, bytes/remembered id, bytes/item, windows"
    );
    let mut first: Option<f64> = None;
    for &pairs in &options.pairs {
        let brands = u32::try_from((pairs / PAIRS_PER_BRAND).clamp(10, 300)).expect("at most 300");
        let params = Params {
            persons: pairs.div_ceil(3),
            brands,
            days: options.days,
            mix: Mix::Bench,
            ..Params::default()
        };
        let mut measured = Measured::default();
        while measured.events < options.events {
            run(&params, &mut measured);
        }
        println!(
            "{}, {brands}, {}, {:.0}, {:.0}, {:.0}, {:.0}, {:.1}, {:.0}, {}",
            measured.pairs,
            measured.events,
            measured.ns_per_event(),
            measured.ns(measured.route),
            measured.ns(measured.detect),
            measured.pair_bytes as f64 / measured.pairs as f64,
            measured.id_bytes as f64 / measured.ids as f64,
            measured.item_bytes as f64 / measured.events as f64,
            measured.windows,
        );
        let ns = measured.ns_per_event();
        println!("  {:.2} times the cost at the first size", ns / *first.get_or_insert(ns));
    }
}

/// Runs fresh folds over the traffic of these parameters once.
fn run(params: &Params, measured: &mut Measured) {
    let assembly = Assembly::new(Config::default(), PseudonymKey::test_key());
    let (mut route, mut fold) = (assembly.route(), Detect::new(assembly.detect()));
    let mut generator = Generator::new(params).expect("the parameters make sense");
    let mut out = detect::Output::default();
    let mut chunk: Vec<OwnedEvent> = (0..CHUNK_EVENTS).map(|_| OwnedEvent::default()).collect();
    let mut numbers = Vec::new();
    measured.windows = 0;
    loop {
        let filled = fill(&mut generator, &mut route, &mut chunk);
        let events: Vec<_> = chunk[..filled].iter().map(OwnedEvent::raw).collect();
        let mut items = Vec::with_capacity(filled * 160);
        let before = clock();
        for some in events.chunks(BATCH_EVENTS) {
            for raw in some {
                route.warm(raw);
            }
            for raw in some {
                route.event(raw, raw.event_time, false, |_| &mut items);
            }
        }
        let routed = clock();
        while numbers.len() < route.brands.len() {
            numbers.push(fold.brand(route.brands.name(numbers.len() as u32)));
        }
        apply(&route, &numbers, &items, &mut fold, &mut out);
        measured.detect += clock() - routed;
        measured.route += routed - before;
        measured.events += filled as u64;
        measured.item_bytes += items.len() as u64;
        measured.windows += out.windows.len();
        measured.ids = measured.ids.max(fold.remembered_ids());
        out = detect::Output::default();
        if filled < CHUNK_EVENTS {
            break;
        }
    }
    (measured.pairs, (measured.pair_bytes, measured.id_bytes)) = (fold.pairs(), fold.bytes());
}

/// Generates the next events; links go to the fold at once, what else there is is left out.
fn fill(generator: &mut Generator, route: &mut Route, chunk: &mut [OwnedEvent]) -> usize {
    let mut filled = 0;
    while filled < chunk.len() {
        match generator.next_into(&mut chunk[filled]) {
            Some(Next::Event) => filled += 1,
            Some(Next::Link(link)) => route.links.insert(link),
            Some(Next::Incident(_) | Next::Erasure(_)) => {}
            None => break,
        }
    }
    filled
}

/// Applies items in batches, as a replay does.
fn apply(route: &Route, numbers: &[u32], items: &[u8], fold: &mut Detect, out: &mut detect::Output) {
    let mut batch = Vec::with_capacity(detect::BATCH_ITEMS);
    let mut rest = items;
    while let Ok((item, tail)) = Item::split(rest) {
        rest = tail;
        let jurisdiction = route.jurisdictions.name(u32::from(item.jurisdiction()));
        batch.push(Placed { item, place: item.place(), brand: numbers[item.brand() as usize], jurisdiction });
        if batch.len() == detect::BATCH_ITEMS {
            fold.items(&batch, out).expect("written by this process");
            batch.clear();
        }
    }
    fold.items(&batch, out).expect("written by this process");
}

/// CPU time of this thread.
fn clock() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}
