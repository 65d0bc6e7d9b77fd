//! A fold that goes on from its written state is the fold that wrote it: same outputs, record for record, and the
//! same state in the end, wherever the log is cut. Damaged states are refused.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::path::Path;
use std::sync::Arc;

use proptest::prelude::*;
use trustline::codec::canonical::encode_incident;
use trustline::codec::frame::item::{ItemKind, put_other};
use trustline::codec::frame::{FrameBuilder, FrontierTable, SourceFrontier};
use trustline::codec::json::{Decoder, readable};
use trustline::event::kinds::Topic;
use trustline::event::raw::{RawIncident, RawRecord};
use trustline::fold::detect::waiting::Partition;
use trustline::fold::detect::{self, Detect, Output, Taken};
use trustline::fold::route::{Frontier, Route};
use trustline::fold::saved::StateError;
use trustline::fold::score::{self, Mark, Score, ScoreOut};
use trustline::score::settings::ScoreSettings;
use trustline::time::EventTime;

mod support;

/// Lines with late and too late events, words and copies, erasures and links, waiting requests, dead letters.
const FOLDERS: [&str; 7] = [
    "as-stream-lateness",
    "as-stream-late-words",
    "erasures",
    "p02-retargeting-after-purchase",
    "p05-consent-nagging",
    "p12-control-honoured",
    "completeness",
];
/// Many people of many brands, with incidents and alerts.
const CROWD: &str = "as-stream-crowd";
const PARTITIONS: u32 = 2;
/// States that are damaged are small, so that many can be.
const SMALL: usize = 4_096;

/// The logs that a folder of vectors makes, step by step.
struct Logs {
    detect: detect::Settings,
    score: Arc<ScoreSettings>,
    /// Frames, by partition of the person events.
    frames: Vec<Vec<Vec<u8>>>,
    incidents: Vec<RawIncident>,
}

impl Logs {
    /// Routes a folder's lines in the order of their times, so many a step.
    fn of(folder: &str, lines_a_step: usize) -> Logs {
        let mut assembly = support::configured("[windows]\nlengths = [\"1h\", \"6h\", \"1d\"]\n");
        assembly.provisional = true;
        let mut logs = Logs {
            detect: assembly.detect(),
            score: Arc::new(assembly.score()),
            frames: vec![Vec::new(); PARTITIONS as usize],
            incidents: Vec::new(),
        };
        let lines = read(folder);
        let mut routing = Routing::new(assembly.route());
        for step in lines.chunks(lines_a_step) {
            for (_, topic, line) in step {
                routing.line(*topic, line, &mut logs.incidents);
            }
            routing.finish(&mut logs.frames);
        }
        logs
    }

    fn partition(&self) -> Partition {
        Partition::new(Detect::new(self.detect.clone()))
    }
}

/// All lines of a folder with their topics, in the order of their times; identity links first.
fn read(folder: &str) -> Vec<(i64, Topic, String)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance").join(folder).join("input");
    let mut lines = Vec::new();
    for topic in Topic::ALL {
        let text = support::read_text(&root, *topic);
        let mut arrived = i64::MIN;
        for line in text.lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap_or_default();
            let times = ["event_time", "requested_time", "updated_time", "disclosed_time"];
            let time = times.iter().find_map(|name| value[name].as_i64()).unwrap_or(arrived);
            arrived = if *topic == Topic::IdentityLinks { i64::MIN } else { arrived.max(time) };
            lines.push((arrived, *topic, line.to_owned()));
        }
    }
    assert!(!lines.is_empty(), "{folder} holds nothing");
    lines.sort_by_key(|(arrived, ..)| *arrived);
    lines
}

struct Routing {
    route: Route,
    frontiers: [Frontier; Topic::ALL.len()],
    builders: Vec<FrameBuilder>,
}

impl Routing {
    fn new(route: Route) -> Routing {
        let builders = (0..PARTITIONS).map(|_| FrameBuilder::default()).collect();
        Routing { route, frontiers: Default::default(), builders }
    }

    fn line(&mut self, topic: Topic, line: &str, incidents: &mut Vec<RawIncident>) {
        let at = |person: &[u8; 16]| usize::from(person[15]) % PARTITIONS as usize;
        let frontier = &mut self.frontiers[usize::from(topic.index())];
        match Decoder::new(topic).decode(line.as_bytes()) {
            Ok(RawRecord::Event(raw)) => {
                let (place, builders) = (frontier.place(raw.event_time), &mut self.builders);
                self.route.event(&raw, place, false, |person| &mut builders[at(person)].items);
                frontier.raise(raw.event_time, raw.event_time, 10_000);
            }
            Ok(RawRecord::Link(link)) => self.route.links.insert(link),
            Ok(RawRecord::Erasure(erasure)) => {
                for key in self.route.erasure(&erasure).keys {
                    let items = &mut self.builders[at(&key)].items;
                    put_other(items, ItemKind::Erasure, erasure.requested_time, &key, 0);
                }
            }
            Ok(RawRecord::Incident(incident)) => incidents.push(incident),
            Err(_) => {
                let brand = readable(line.as_bytes()).brand_id;
                if let Some(place) = frontier.at() {
                    self.route.dead_letter(brand.as_deref(), place, &mut self.builders[0].items);
                }
            }
        }
    }

    /// Ends a step: a frame for each partition. A source that is silent so far is behind the first event.
    fn finish(&mut self, frames: &mut [Vec<Vec<u8>>]) {
        let events = Topic::ALL.iter().filter(|topic| topic.is_person_events());
        let latest = self.frontiers.iter().filter_map(|frontier| frontier.at()).max();
        let mut table = FrontierTable::default();
        for topic in events {
            // What is silent follows an hour behind, so that time goes on and events still wait.
            let own = self.frontiers[usize::from(topic.index())].at();
            if let Some(frontier) = own.max(latest.map(|latest| latest - 3_600_000)) {
                table.sources.push(SourceFrontier { topic: *topic, partition: 0, frontier });
                self.frontiers[usize::from(topic.index())] = Frontier::restored(frontier);
            }
            table.partitions.push((*topic, 1));
        }
        let route = &self.route;
        for (builder, frames) in self.builders.iter_mut().zip(frames) {
            let mut frame = Vec::new();
            let jurisdiction = |number| route.jurisdictions.name(u32::from(number));
            builder.finish(|number| route.brands.name(number), jurisdiction, &table, &mut frame);
            frames.push(frame);
        }
    }
}

/// What a frame brings out of a partition, for comparison.
fn fold(partition: &mut Partition, frame: &[u8]) -> (Output, Option<i64>) {
    let mut out = Output::default();
    partition.frame(frame, &mut out).unwrap();
    (out, partition.frontier())
}

fn detect_state(partition: &Partition) -> Vec<u8> {
    let mut bytes = Vec::new();
    partition.write_state(&mut bytes);
    bytes
}

fn score_state(score: &Score) -> Vec<u8> {
    let mut bytes = Vec::new();
    score.write_state(&mut bytes);
    bytes
}

fn same(one: &Output, other: &Output) -> bool {
    one.moments == other.moments && one.windows == other.windows && one.pipeline == other.pipeline
}

/// Outputs of the whole log in one go, and the states before each frame.
fn straight(logs: &Logs, number: usize) -> (Vec<Output>, Vec<Vec<u8>>, Partition) {
    let mut partition = logs.partition();
    let (mut outputs, mut states) = (Vec::new(), Vec::new());
    for frame in &logs.frames[number] {
        states.push(detect_state(&partition));
        outputs.push(fold(&mut partition, frame).0);
    }
    (outputs, states, partition)
}

/// Cuts the log and compares what comes after the cut.
fn check_cut(logs: &Logs, number: usize, cut: usize, whole: &(Vec<Output>, Vec<Vec<u8>>, Partition)) {
    let (outputs, states, last) = whole;
    let mut partition = Partition::read_state(logs.detect.clone(), &states[cut]).unwrap();
    assert!(detect_state(&partition) == states[cut], "the state is written again as it was, cut {cut}");
    for (at, frame) in logs.frames[number].iter().enumerate().skip(cut) {
        assert!(same(&fold(&mut partition, frame).0, &outputs[at]), "cut {cut}, frame {at}");
    }
    assert!(detect_state(&partition) == detect_state(last), "the last state, cut {cut}");
    for topic in Topic::ALL {
        assert_eq!(partition.detect().tally(*topic), last.detect().tally(*topic));
    }
    assert_eq!(partition.detect().latest_applied(), last.detect().latest_applied());
    assert_eq!(partition.waiting(), last.waiting());
}

#[test]
fn detect_goes_on_from_its_state_wherever_it_is_cut() {
    let (mut late, mut erased, mut waited, mut moments) = (0, 0, 0, 0);
    for folder in FOLDERS {
        let logs = Logs::of(folder, 1 + folder.len() % 5);
        for number in 0..PARTITIONS as usize {
            let whole = straight(&logs, number);
            for cut in 0..whole.1.len() {
                check_cut(&logs, number, cut, &whole);
                waited += Partition::read_state(logs.detect.clone(), &whole.1[cut]).unwrap().waiting();
            }
            moments += whole.0.iter().map(|out| out.moments.len()).sum::<usize>();
            late += whole.0.iter().flat_map(|out| &out.windows).map(|window| window.counts.late).sum::<u64>();
            erased += Topic::ALL.iter().map(|topic| whole.2.detect().tally(*topic).erased).sum::<u64>();
        }
    }
    assert!(late > 0 && erased > 0 && waited > 100 && moments > 20, "{late} {erased} {waited} {moments}");
}

#[test]
fn detect_goes_on_from_its_state_with_a_crowd() {
    let logs = Logs::of(CROWD, 400);
    for number in 0..PARTITIONS as usize {
        let whole = straight(&logs, number);
        let frames = whole.1.len();
        for cut in [1, frames / 3, frames / 2, frames - 7] {
            check_cut(&logs, number, cut, &whole);
        }
        assert!(whole.2.detect().pairs() > 300, "{}", whole.2.detect().pairs());
    }
}

/// What `score` is told.
enum Told {
    Counts(u32, Box<detect::WindowCounts>),
    Pipeline(u32, trustline::time::WindowLength, i64, trustline::fold::counts::PipelineCounts),
    Incident(RawIncident),
    Incomplete(u32, trustline::time::WindowLength, i64),
    Frontier(u32, i64),
}

/// The log of brand partials that the partitions of `detect` make, with the incidents strewn in.
fn partials(logs: &Logs) -> Vec<Told> {
    let mut told = Vec::new();
    let mut partitions: Vec<Partition> = (0..PARTITIONS).map(|_| logs.partition()).collect();
    let steps = logs.frames[0].len();
    let mut incidents = logs.incidents.iter();
    for step in 0..steps {
        if step % (steps / logs.incidents.len().max(1)).max(1) == 0 {
            told.extend(incidents.next().cloned().map(Told::Incident));
        }
        for (number, partition) in (0..).zip(&mut partitions) {
            let (out, frontier) = fold(partition, &logs.frames[number as usize][step]);
            let last = out.windows.last().map(|window| (window.length, window.start + window.length.ms()));
            told.extend(out.windows.into_iter().map(|window| Told::Counts(number, Box::new(window))));
            let pipeline = out.pipeline.into_iter();
            told.extend(
                pipeline.map(|(length, start, counts)| Told::Pipeline(number, length, start, counts)),
            );
            told.extend(
                last.filter(|_| step % 7 == 0).map(|(length, at)| Told::Incomplete(number, length, at)),
            );
            told.extend(frontier.map(|frontier| Told::Frontier(number, frontier)));
        }
    }
    told
}

fn tell(score: &mut Score, told: &Told) -> ScoreOut {
    match told {
        Told::Counts(from, window) => {
            let mark = match window.taken {
                Taken::Provisional(number) => Mark::Provisional(number),
                Taken::Closed => Mark::Closed,
            };
            let start = EventTime(window.start);
            score.counts(*from, &window.brand, window.length, start, mark, &window.counts);
        }
        Told::Pipeline(from, length, start, counts) => {
            score.pipeline(*from, *length, EventTime(*start), Mark::Closed, *counts);
        }
        Told::Incident(incident) => {
            let mut encoded = Vec::new();
            encode_incident(incident, &mut encoded);
            score.incident(incident, &encoded);
        }
        Told::Incomplete(from, length, start) => score.incomplete(*from, *length, EventTime(*start)),
        Told::Frontier(from, frontier) => {
            score.newest(EventTime(frontier + 1));
            score.frontier(*from, EventTime(*frontier), PARTITIONS);
        }
    }
    let mut out = ScoreOut::default();
    score.advance(&mut out);
    out
}

#[test]
fn score_goes_on_from_its_state_wherever_it_is_cut() {
    let (mut alerts, mut live, mut published) = (0, 0, 0);
    for (folder, lines_a_step) in [(CROWD, 300), ("p-brand-layer", 40), ("completeness", 10)] {
        let logs = Logs::of(folder, lines_a_step);
        let log = partials(&logs);
        let mut score = Score::new(Arc::clone(&logs.score));
        let (mut outputs, mut states) = (Vec::new(), Vec::new());
        for (at, told) in log.iter().enumerate() {
            if at % (log.len() / 12).max(1) == 0 {
                states.push((at, score_state(&score), score.state().clone()));
            }
            outputs.push(tell(&mut score, told));
        }
        for (cut, bytes, state) in &states {
            let mut resumed = Score::read_state(Arc::clone(&logs.score), bytes).unwrap();
            assert_eq!(resumed.state(), state, "{folder}, cut {cut}");
            for (at, told) in log.iter().enumerate().skip(*cut) {
                assert_eq!(tell(&mut resumed, told), outputs[at], "{folder}, cut {cut}, record {at}");
            }
            assert_eq!(resumed.state(), score.state(), "{folder}, cut {cut}");
            assert!(score_state(&resumed) == score_state(&score), "{folder}, cut {cut}");
        }
        alerts += outputs.iter().map(|out| out.alerts.len()).sum::<usize>();
        live += outputs.iter().map(|out| out.live.len()).sum::<usize>();
        published += outputs.iter().map(|out| out.brand_trust.len()).sum::<usize>();
    }
    assert!(alerts > 5 && live > 100 && published > 100, "{alerts} {live} {published}");
}

#[test]
fn other_versions_and_other_windows_are_refused() {
    let logs = Logs::of("erasures", 10);
    let bytes = straight(&logs, 0).1.pop().unwrap();
    let mut later = bytes.clone();
    later[0] = detect::FOLD_VERSION as u8 + 1;
    let other = |known| StateError::OtherVersion { found: detect::FOLD_VERSION + 1, known };
    let known = other(detect::FOLD_VERSION);
    assert_eq!(Partition::read_state(logs.detect.clone(), &later).unwrap_err(), known);
    let other = other(score::FOLD_VERSION);
    assert_eq!(Score::read_state(Arc::clone(&logs.score), &later).unwrap_err(), other);
    let mut fewer = logs.detect.clone();
    fewer.lengths.pop();
    let other = StateError::OtherSettings("windows.lengths");
    assert_eq!(Partition::read_state(fewer, &bytes).unwrap_err(), other);
}

/// States in the middle of things, to be damaged.
fn samples() -> (Logs, Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let logs = Logs::of("as-stream-lateness", 3);
    let states = straight(&logs, 0).1.into_iter().step_by(5).collect();
    let crowd = Logs::of("p-brand-layer", 400);
    let mut score = Score::new(Arc::clone(&crowd.score));
    let mut scores = Vec::new();
    for (at, told) in partials(&crowd).iter().enumerate() {
        tell(&mut score, told);
        let state = score_state(&score);
        if at % 5 == 0 && state.len() < SMALL {
            scores.push(state);
        }
    }
    (logs, states, scores)
}

#[test]
fn damaged_states_are_refused_or_read_but_never_a_panic() {
    let (logs, states, scores) = samples();
    let damage = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0u8..6, any::<u8>());
    let mut runner = proptest::test_runner::TestRunner::new(ProptestConfig::with_cases(500));
    let (refused, read) = (std::cell::Cell::new(0), std::cell::Cell::new(0));
    runner
        .run(&damage, |(which, at, how, byte)| {
            for (is_detect, states) in [(true, &states), (false, &scores)] {
                let mut bytes = which.get(states).clone();
                let at = at.index(bytes.len());
                match how {
                    0 => bytes[at] = byte,
                    1 => bytes[at] ^= 1 << (byte % 8),
                    2 => bytes.truncate(at),
                    3 => bytes.insert(at, byte),
                    4 => drop(bytes.splice(at..at, [0xff; 8].into_iter().chain([0x7f]))),
                    _ => drop(bytes.remove(at)),
                }
                // What still reads is a state, so it can be written.
                let is_read = if is_detect {
                    Partition::read_state(logs.detect.clone(), &bytes)
                        .map(|state| detect_state(&state))
                        .is_ok()
                } else {
                    Score::read_state(Arc::clone(&logs.score), &bytes)
                        .map(|state| score_state(&state))
                        .is_ok()
                };
                let count = if is_read { &read } else { &refused };
                count.set(count.get() + 1);
            }
            Ok(())
        })
        .unwrap();
    assert!(refused.get() > 250 && read.get() > 0, "{} refused, {} read", refused.get(), read.get());
}
