//! What it costs to write the state of a partition and to read it again, on generated traffic:
//! `cargo bench --bench state`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::time::{Duration, Instant};

use trustline::codec::frame::{FrameBuilder, FrontierTable, SourceFrontier};
use trustline::config::{Config, ConfigHash};
use trustline::driver::assembly::Assembly;
use trustline::event::kinds::Topic;
use trustline::fold::detect::waiting::Partition;
use trustline::fold::detect::{Detect, FOLD_VERSION, Output, Settings};
use trustline::identity::PseudonymKey;
use trustline::state::{Fold, Header, SnapshotStore};
use trustline::synth::{Generated, Generator, Mix, Params};

/// About the pairs of one of 64 partitions when there are ten million of them.
const PERSONS: u64 = 52_000;
const ROUNDS: u32 = 7;
const EVENTS_A_FRAME: usize = 500;

fn main() {
    let assembly = Assembly::new(Config::default(), PseudonymKey::test_key());
    let partition = folded(&assembly);
    let pairs = partition.detect().pairs();
    let mut bytes = Vec::new();
    partition.write_state(&mut bytes);
    let size = bytes.len();
    println!("{pairs} pairs, {size} bytes, {:.1} a pair", size as f64 / pairs as f64);
    let show = |what: &str, took: Duration| {
        let nanos = took.as_nanos() as f64;
        println!("{what}: {:.0} ns a pair, {:.2} GB/s", nanos / pairs as f64, size as f64 / nanos);
    };
    show("copying the bytes", best(|| drop(std::hint::black_box(bytes.clone()))));
    show("write_state into new room", best(|| partition.write_state(&mut Vec::new())));
    let mut room = Vec::with_capacity(size);
    show(
        "write_state into room used before",
        best(|| {
            room.clear();
            partition.write_state(&mut room);
        }),
    );
    show("read_state", best(|| drop(restored(assembly.detect(), &bytes))));
    for level in [-7, -1, 1, 3] {
        let mut packed = Vec::new();
        let took = best(|| packed = zstd::bulk::compress(&bytes, level).expect("memory"));
        show(&format!("zstd {level}, to {:.0} %", 100.0 * packed.len() as f64 / size as f64), took);
    }
    show(
        "checksum",
        best(|| {
            std::hint::black_box(xxhash_rust::xxh3::xxh3_128(&bytes));
        }),
    );
    let folder = tempfile::tempdir().expect("a folder");
    let store = SnapshotStore::open(&format!("file:{}", folder.path().display()), &[]).expect("a store");
    let header = Header {
        fold: Fold::Detect,
        fold_version: FOLD_VERSION,
        config: ConfigHash([0; 16]),
        topic: "person-events".to_owned(),
        partition: 0,
        offset: 0,
    };
    let mut name = None;
    show("put into a folder", best(|| name = store.put(&header, &bytes).ok()));
    let name = name.expect("a snapshot");
    show("get from a folder", best(|| drop(store.get(&name).expect("a snapshot"))));
}

fn restored(settings: Settings, bytes: &[u8]) -> Partition {
    Partition::read_state(settings, bytes).expect("a state")
}

/// A partition that has folded generated traffic.
fn folded(assembly: &Assembly) -> Partition {
    let params = Params { persons: PERSONS, brands: 500, mix: Mix::Bench, ..Params::default() };
    let mut partition = Partition::new(Detect::new(assembly.detect()));
    let (mut route, mut builder, mut frame) = (assembly.route(), FrameBuilder::default(), Vec::new());
    let mut out = Output::default();
    let mut count = 0;
    for generated in Generator::new(&params).expect("valid parameters") {
        let Generated::Event(event) = &generated else { continue };
        let raw = event.raw();
        route.event(&raw, raw.event_time, false, |_| &mut builder.items);
        count += 1;
        if count % EVENTS_A_FRAME == 0 {
            let source =
                SourceFrontier { topic: Topic::Clickstream, partition: 0, frontier: raw.event_time - 10_000 };
            let table = FrontierTable { sources: vec![source], partitions: vec![(Topic::Clickstream, 1)] };
            let jurisdiction = |number| route.jurisdictions.name(u32::from(number));
            builder.finish(|number| route.brands.name(number), jurisdiction, &table, &mut frame);
            partition.frame(&frame, &mut out).expect("our own frame");
            out = Output::default();
        }
    }
    partition
}

/// The shortest of several rounds.
fn best(mut work: impl FnMut()) -> Duration {
    let round = |_| {
        let start = Instant::now();
        work();
        start.elapsed()
    };
    (0..ROUNDS).map(round).min().unwrap_or_default()
}
