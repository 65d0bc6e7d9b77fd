//! The generator keeps its promises: the same seed gives the same bytes, time never runs backwards, the
//! proportions are those that are stated, labels name people who are there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{HashMap, HashSet};

use trustline::event::kinds::{Kind, MessageClass, Topic};
use trustline::synth::write::{Format, json_line, write_all};
use trustline::synth::{Arrivals, Generated, Generator, Label, Mix, Next, OwnedEvent, Params};

fn params(seed: u64) -> Params {
    Params { seed, persons: 800, brands: 4, days: 12, ..Params::default() }
}

fn lines(seed: u64, dirt: f64) -> Vec<u8> {
    let mut bytes = Vec::new();
    for arrival in Arrivals::new(Generator::new(&params(seed)).unwrap(), seed, dirt) {
        json_line(&arrival, &mut bytes);
        bytes.push(b'\n');
    }
    bytes
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_does_not() {
    let first = lines(7, 0.1);
    assert!(first == lines(7, 0.1), "two runs of one seed differ");
    assert!(first != lines(8, 0.1), "two seeds agree");
}

#[test]
fn the_same_seed_gives_the_same_files_in_both_forms() {
    for format in [Format::Jsonl, Format::Avro] {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for folder in [&one, &two] {
            let written = write_all(folder.path(), &params(3), format, 0.05, |_| ()).unwrap();
            assert!(written.records > 5_000 && written.labels > 50, "{written:?}");
        }
        let mut files = 0;
        for entry in std::fs::read_dir(one.path()).unwrap() {
            let name = entry.unwrap().file_name();
            let read = |folder: &tempfile::TempDir| std::fs::read(folder.path().join(&name)).unwrap();
            assert!(read(&one) == read(&two), "{name:?} differs");
            files += 1;
        }
        assert_eq!(files, 7);
    }
}

#[test]
fn records_come_in_the_order_of_time_and_within_the_period() {
    let params = params(5);
    let (mut last, mut events) = (i64::MIN, 0);
    for record in Generator::new(&params).unwrap() {
        assert!(record.time() >= last, "time runs backwards");
        last = record.time();
        if let Generated::Event(event) = &record {
            assert!((params.start.0..params.end().0).contains(&event.event_time()));
            events += 1;
        }
    }
    assert!(events > 5_000, "{events}");
}

#[test]
fn arrivals_come_in_their_own_order_and_dirt_is_as_much_as_asked() {
    let clean = Generator::new(&params(5)).unwrap().count();
    let (mut last, mut flawed, mut late, mut all) = (i64::MIN, 0_usize, 0_usize, 0_usize);
    for arrival in Arrivals::new(Generator::new(&params(5)).unwrap(), 5, 0.2) {
        assert!(arrival.time >= last && arrival.time >= arrival.record.time());
        last = arrival.time;
        flawed += usize::from(arrival.flaw.is_some());
        late += usize::from(arrival.time > arrival.record.time());
        all += 1;
    }
    let share = |part: usize| part as f64 / clean as f64;
    assert!((0.03..0.06).contains(&share(flawed)), "damaged {}", share(flawed));
    assert!((0.11..0.18).contains(&share(late)), "late and copies {}", share(late));
    assert!((0.03..0.06).contains(&share(all - clean)), "copies {}", share(all - clean));
}

#[test]
fn event_ids_are_unique() {
    let mut seen = HashSet::new();
    for record in Generator::new(&params(9)).unwrap() {
        if let Generated::Event(event) = record {
            assert!(seen.insert(event.raw().event_id.to_owned()));
        }
    }
}

#[test]
fn labels_name_people_and_brands_that_have_events_and_cover_every_pattern() {
    let mut generator = Generator::new(&params(11)).unwrap();
    let mut pairs = HashSet::new();
    let mut event = OwnedEvent::default();
    while let Some(next) = generator.next_into(&mut event) {
        if matches!(next, Next::Event) {
            let raw = event.raw();
            if let Some(person) = raw.person_id {
                pairs.insert((raw.brand_id.to_owned(), person.to_owned()));
            }
        }
    }
    let labels = generator.take_labels();
    let patterns: HashSet<&str> = labels.iter().map(|label| label.pattern.as_str()).collect();
    assert_eq!(patterns.len(), 14, "{patterns:?}");
    let unknown = |label: &&Label| !pairs.contains(&(label.brand_id.clone(), label.person_id.clone()));
    assert_eq!(labels.iter().filter(unknown).count(), 0, "of {}", labels.len());
    let story = generator.story().unwrap();
    let bad: Vec<&Label> = labels.iter().filter(|label| label.story).collect();
    assert!(bad.len() > 20, "{}", bad.len());
    for label in bad {
        assert_eq!(label.campaign_id.as_ref(), Some(&story.campaign_id));
        assert!(label.time >= story.since.0 && label.brand_id == story.brand_id);
    }
}

#[derive(Default)]
struct Seen {
    events: u32,
    messaged: bool,
    recommended: bool,
    ordered: bool,
}

#[test]
fn the_bench_mix_has_the_stated_proportions() {
    let params = Params { missing: 0.0, ..Params::bench(2, 20_000) };
    assert_eq!(params.mix, Mix::Bench);
    let mut pairs: HashMap<(String, String), Seen> = HashMap::new();
    let (mut ads, mut with_tc, mut devices) = (0_u32, 0_u32, HashSet::new());
    for record in Generator::new(&params).unwrap() {
        let Generated::Event(event) = record else { continue };
        let raw = event.raw();
        let person = raw.person_id.unwrap().to_owned();
        devices.insert(raw.device_id.unwrap().to_owned());
        let pair = pairs.entry((person, raw.brand_id.to_owned())).or_default();
        pair.events += 1;
        pair.messaged |= raw.kind == Kind::Sent && raw.class != MessageClass::CartReminder;
        pair.recommended |= raw.kind == Kind::RecommendationShown;
        pair.ordered |= raw.kind == Kind::OrderCompleted;
        if raw.topic == Topic::AdDeliveries {
            ads += 1;
            with_tc += u32::from(raw.consent.is_some_and(|consent| consent.tc_string.is_some()));
        }
    }
    assert_eq!(pairs.len(), 60_000, "live pairs");
    let mut counts: Vec<u32> = pairs.values().map(|pair| pair.events).collect();
    counts.sort_unstable();
    assert_eq!(counts[counts.len() / 2], 8, "median events a pair");
    let share = |of: fn(&Seen) -> bool| pairs.values().filter(|pair| of(pair)).count() as f64 / 60_000.0;
    let near = |value: f64, stated: f64, what: &str| {
        assert!((value - stated).abs() < 0.1 * stated, "{what}: {value}, stated {stated}");
    };
    near(share(|pair| pair.messaged), 0.35, "messaged");
    near(share(|pair| pair.recommended), 0.10, "recommended");
    near(share(|pair| pair.ordered), 0.05, "ordered");
    near(f64::from(with_tc) / f64::from(ads), 0.20, "ads with a TC string");
    // Devices that were seen; a few are never used.
    near(devices.len() as f64 / 20_000.0, 1.4, "devices a person");
}

#[test]
fn the_generator_shares_no_code_with_the_detectors() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src/synth");
    let mut files = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap();
        for module in ["patterns", "fold", "score", "consent"] {
            assert!(!text.contains(&format!("crate::{module}")), "{} uses {module}", path.display());
        }
        files += 1;
    }
    assert!(files > 10, "{files}");
}
