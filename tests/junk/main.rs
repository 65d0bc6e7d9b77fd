//! No input makes a decoder or mapping panic: the seeds of the fuzz targets, cut, spoiled and spliced at random, and
//! bytes that are nothing, through all of them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

mod decoders;

#[test]
fn no_input_makes_a_decoder_panic() {
    for (name, decoder) in decoders::ALL {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(name);
        let entries = std::fs::read_dir(&folder).unwrap();
        let mut seeds: Vec<Vec<u8>> =
            entries.map(|entry| std::fs::read(entry.unwrap().path()).unwrap()).collect();
        seeds.sort();
        assert!(!seeds.is_empty(), "{name} has no seed");
        seeds.iter().for_each(|seed| decoder(seed));
        let cases = if *name == "stages" { 100 } else { 1_000 };
        let mut runner = TestRunner::new(Config { cases, failure_persistence: None, ..Config::default() });
        let outcome = runner.run(&input(seeds), |input| {
            decoder(&input);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}

/// A change to a seed.
#[derive(Clone, Debug)]
enum Change {
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize, usize),
    Cut(Index),
}

/// Seeds with some changes, and now and then bytes alone.
fn input(seeds: Vec<Vec<u8>>) -> impl Strategy<Value = Vec<u8>> {
    let at = any::<Index>;
    let bytes = prop::collection::vec(any::<u8>(), 0..12);
    let change = prop_oneof![
        4 => (at(), any::<u8>()).prop_map(|(at, byte)| Change::Set(at, byte)),
        2 => (at(), bytes).prop_map(|(at, bytes)| Change::Insert(at, bytes)),
        2 => (at(), 1..40_usize).prop_map(|(at, length)| Change::Remove(at, length)),
        1 => (at(), 1..60_usize, 1..40_usize).prop_map(|(at, length, times)| Change::Repeat(at, length, times)),
        1 => at().prop_map(Change::Cut),
    ];
    let changed = (prop::sample::select(seeds), prop::collection::vec(change, 1..8))
        .prop_map(|(seed, changes)| changes.into_iter().fold(seed, apply));
    prop_oneof![9 => changed, 1 => prop::collection::vec(any::<u8>(), 0..300)]
}

fn apply(mut input: Vec<u8>, change: Change) -> Vec<u8> {
    let length = input.len();
    let place = |at: Index| at.index(length.max(1)).min(length);
    match change {
        Change::Set(at, byte) => {
            if let Some(old) = input.get_mut(place(at)) {
                *old = byte;
            }
        }
        Change::Insert(at, bytes) => {
            input.splice(place(at)..place(at), bytes);
        }
        Change::Remove(at, count) => {
            input.drain(place(at)..length.min(place(at) + count));
        }
        Change::Repeat(at, count, times) => {
            let part = input[place(at)..length.min(place(at) + count)].repeat(times);
            input.splice(place(at)..place(at), part);
        }
        Change::Cut(at) => input.truncate(place(at)),
    }
    input
}

#[test]
fn deep_nesting_is_refused_before_the_stack_ends() {
    const DEEP: usize = 50_000;
    let keys = "a.".repeat(DEEP);
    let tables = "[".repeat(DEEP);
    for text in [
        format!("a = {tables}{}", "]".repeat(DEEP)),
        format!("a = {}1{}", "{ a = ".repeat(DEEP), " }".repeat(DEEP)),
        format!("{keys}a = 1"),
        format!("[{keys}a]"),
        format!("[[{keys}a]]"),
        format!("[[override]]\npatterns.{keys}a = 1"),
    ] {
        decoders::config(text.as_bytes());
        decoders::mapping_file(text.as_bytes());
    }
    decoders::config(format!("\0OVERRIDE={tables}").as_bytes());
    let deep_json = format!("{}{}", r#"{"type":"array","items":"#.repeat(DEEP), "}".repeat(DEEP));
    for topic in 0..6 {
        decoders::avro_schema(&[&[topic][..], deep_json.as_bytes()].concat());
        decoders::json(&[&[topic][..], deep_json.as_bytes()].concat());
    }
    for preset in 0..8 {
        decoders::mapping(&[&[preset][..], deep_json.as_bytes()].concat());
    }
}
