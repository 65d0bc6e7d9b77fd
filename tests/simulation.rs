//! The whole pipeline on the log in memory, with seeded interleavings, instances that come and go, and faults
//! in its transactions: what is committed is what `replay --as-stream` computes, once. Every seed has twenty faults
//! or more, and together they take every rare branch that carries a probe.
//!
//! `TRUSTLINE_SIM_SEEDS=first..last` runs other seeds; a failing seed is printed and runs again the same.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use support::instances::{Choices, Instance, Scripted, is_routed, log};
use support::{EVENTS, Input, OUTPUTS};
use trustline::driver::assembly::Assembly;
use trustline::driver::replay::Outcome;
use trustline::driver::stages::StageName;
use trustline::driver::stages::recovery::Keeping;
use trustline::driver::worker::WorkerError;
use trustline::event::kinds::Topic;
use trustline::log::memory::{Call, Fault, MemoryLog};
use trustline::points::Probe;
use trustline::state::{Fold, SnapshotStore};
use trustline::telemetry::occurrence;

mod support;

const PERSON_PARTITIONS: i32 = 3;
const BRAND_PARTITIONS: i32 = 2;

#[test]
fn committed_output_is_that_of_a_calm_replay() {
    let seeds = std::env::var("TRUSTLINE_SIM_SEEDS").unwrap_or_else(|_| "0..100".to_owned());
    let (first, last) = seeds.split_once("..").unwrap();
    for folder in ["as-stream-lateness", "as-stream-late-words"] {
        let input = with_bad_streaks(Input::read(folder));
        let expected = input.replay();
        let mut faults: BTreeMap<String, u64> = BTreeMap::new();
        let mut fewest = u64::MAX;
        for seed in first.parse::<u64>().unwrap()..last.parse().unwrap() {
            let mut simulation = Simulation::new(&input, seed);
            simulation.run();
            let of_seed = std::mem::take(&mut *simulation.faults.0.lock().unwrap());
            fewest = fewest.min(of_seed.values().sum());
            for (fault, count) in of_seed {
                *faults.entry(fault).or_default() += count;
            }
            simulation.compare(&expected, &format!("{folder}, seed {seed}"));
        }
        println!("{folder}: seeds {first} to {last}, {fewest} faults a seed or more, faults {faults:?}");
        assert!(fewest >= FAULTS_MIN, "a seed of {folder} has {fewest} faults only");
        for fault in [
            "crash",
            "zombie",
            "lost snapshot",
            "Abort",
            "LostBefore",
            "LostAfter",
            "Publisher",
            "Next",
            "ReadFrom",
            "Pause",
            "Committed",
            "Notice",
        ] {
            assert!(faults.contains_key(fault), "the seeds inject {fault}");
        }
    }
    let never: Vec<&Probe> = Probe::ALL.iter().filter(|probe| probe.passed() == 0).collect();
    assert!(never.is_empty(), "the seeds never take these branches: {never:?}");
    for probe in ["BreakerTripped", "BreakerClosed"] {
        assert!(occurrence::counters().with_label_values(&[probe]).get() > 0, "the seeds reach {probe}");
    }
}

/// Dead letters in a row in the midst of every source, more than its breaker bears.
fn with_bad_streaks(input: Input) -> Input {
    let mut lines = input.lines;
    for topic in EVENTS {
        let of_topic = lines.get_mut(&topic).unwrap();
        let at = of_topic.len() / 2;
        let streak = (0..9).map(|number| (of_topic[at].0, format!("bad {number}")));
        let streak: Vec<_> = streak.collect();
        of_topic.splice(at..at, streak);
    }
    Input::of(lines, input.last)
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let input = Input::read("as-stream-lateness");
    let trace = |seed| {
        let mut simulation = Simulation::new(&input, seed);
        simulation.run();
        simulation.trace()
    };
    for seed in 6..10 {
        assert_eq!(trace(seed), trace(seed), "seed {seed}");
    }
    assert_ne!(trace(6), trace(8));
}

/// Faults that every seed has at least.
const FAULTS_MIN: u64 = 20;

/// Far more than any seed takes.
const STEPS_MAX: usize = 200_000;

struct Simulation<'a> {
    input: &'a Input,
    assembly: Assembly,
    log: MemoryLog,
    clock: Scripted,
    choices: Choices,
    instances: Vec<Instance>,
    /// The names of the instances.
    names: Vec<u64>,
    /// Instances that the group has given up, one a name, and that still wake up for a step or two.
    zombies: BTreeMap<usize, Instance>,
    /// What came of each step.
    steps: blake3::Hasher,
    fed: BTreeMap<Topic, usize>,
    started: u64,
    faults: Arc<Faults>,
}

/// How often each fault was injected.
#[derive(Default)]
struct Faults(Mutex<BTreeMap<String, u64>>);

impl Faults {
    fn note(&self, fault: &str) {
        *self.0.lock().unwrap().entry(fault.to_owned()).or_default() += 1;
    }
}

impl<'a> Simulation<'a> {
    fn new(input: &'a Input, seed: u64) -> Simulation<'a> {
        // Frames so small that a step is now and then full before all that was read is taken in.
        let text = format!(
            "{}[frames]\nframe_bytes = 1024\n[breaker]\nin_a_row = 3\nprobe_every_ms = 1000\n",
            support::text(PERSON_PARTITIONS, BRAND_PARTITIONS)
        );
        let mut assembly = support::configured(&text);
        // With odd seeds states come from snapshots, with even ones from the log alone.
        assembly.keeping = (seed % 2 == 1).then(|| Keeping {
            store: Arc::new(SnapshotStore::open("memory:", &[]).unwrap()),
            every_ms: 300,
            in_background: false,
            rebuild: false,
        });
        let mut simulation = Simulation {
            input,
            log: log(&assembly, 1),
            assembly,
            clock: Scripted::default(),
            choices: Choices(seed),
            instances: Vec::new(),
            names: Vec::new(),
            zombies: BTreeMap::new(),
            steps: blake3::Hasher::new(),
            fed: BTreeMap::new(),
            started: 0,
            faults: Arc::default(),
        };
        for stage in StageName::ALL {
            for _ in 0..1 + simulation.choices.below(3) {
                let name = simulation.new_name();
                let instance = simulation.start(stage, name);
                simulation.instances.push(instance);
                simulation.names.push(name);
            }
        }
        simulation
    }

    fn new_name(&mut self) -> u64 {
        self.started += 1;
        self.started
    }

    fn start(&mut self, stage: StageName, name: u64) -> Instance {
        let mut faults = Choices(self.choices.next());
        let counts = Arc::clone(&self.faults);
        let publishers = self.log.publishers(&format!("instance-{name}"), move |_| {
            let fault = match faults.below(30) {
                0 => Fault::Abort,
                1 => Fault::LostBefore,
                2 => Fault::LostAfter,
                _ => return None,
            };
            counts.note(&format!("{fault:?}"));
            Some(fault)
        });
        let publishers = publishers.with_faults(self.failing_calls());
        let calls = self.failing_calls();
        let site = (&self.log, &self.clock, &self.assembly);
        let route = self.assembly.route();
        Instance::start(stage, site, route, publishers, |source| source.with_faults(calls))
    }

    /// Calls that fail now and then, as those to a broker do while it has no leader.
    fn failing_calls(&mut self) -> impl FnMut(Call) -> bool + Send + 'static {
        let mut faults = Choices(self.choices.next());
        let counts = Arc::clone(&self.faults);
        move |call| {
            let fails = faults.below(if call == Call::Notice { 2 } else { 15 }) == 0;
            if fails {
                counts.note(&format!("{call:?}"));
            }
            fails
        }
    }

    /// Feeds everything, step by step of instances chosen at random, then lets all of them catch up.
    fn run(&mut self) {
        let mut left = 100 * self.instances.len();
        let mut steps = 0;
        while left > 0 {
            let fed_all = !self.feed();
            self.clock.advance(self.choices.below(200) as i64);
            let at = self.choices.below(self.instances.len());
            if !fed_all && self.choices.below(20) == 0 {
                self.crash(at);
                continue;
            }
            if self.choices.below(20) == 0 {
                self.wake_a_zombie();
            }
            let outcome = self.instances[at].step();
            self.note(at, outcome);
            left -= usize::from(fed_all && self.is_routed());
            steps += 1;
            assert!(steps < STEPS_MAX, "the instances do not come to an end");
        }
    }

    /// Whether every source record was routed, after which all that is left is catching up.
    fn is_routed(&self) -> bool {
        EVENTS.iter().all(|topic| is_routed(&self.log, *topic, 0, self.input.lines[topic].len()))
    }

    /// Nothing but passing failures may come of a step; what it was is a part of the trace.
    fn note(&mut self, at: usize, outcome: Result<bool, WorkerError>) {
        self.steps.update(format!("{at} {outcome:?}\n").as_bytes());
        match outcome {
            Ok(_) => {}
            Err(error) if error.is_passing() => {}
            Err(error) => panic!("{error:?}"),
        }
    }

    /// An instance dies without a word, or seems to; the group notices, and another takes its place, under
    /// another name or the same.
    fn crash(&mut self, at: usize) {
        self.faults.note("crash");
        self.lose_snapshots();
        let stage = self.instances[at].leave();
        let is_paused = self.choices.below(2) == 0;
        if !is_paused {
            self.names[at] = self.new_name();
        }
        let next = self.start(stage, self.names[at]);
        let last = std::mem::replace(&mut self.instances[at], next);
        self.zombies.remove(&at);
        if is_paused {
            self.zombies.insert(at, last);
        }
    }

    /// An instance that was paused for too long goes on as if nothing had been.
    fn wake_a_zombie(&mut self) {
        if let Some((at, mut zombie)) = self.zombies.pop_first() {
            self.faults.note("zombie");
            for _ in 0..1 + self.choices.below(2) {
                let outcome = zombie.step();
                self.note(at, outcome);
            }
        }
    }

    /// Some of the newest snapshots are lost, or none, or all.
    fn lose_snapshots(&mut self) {
        let Some(keeping) = &self.assembly.keeping else { return };
        for (fold, partitions) in [(Fold::Detect, PERSON_PARTITIONS), (Fold::Score, BRAND_PARTITIONS)] {
            for partition in 0..partitions {
                let lost = [0, 0, 1, 2, usize::MAX][self.choices.below(5)];
                for stored in keeping.store.list(fold, partition).unwrap().iter().rev().take(lost) {
                    self.faults.note("lost snapshot");
                    keeping.store.delete(&stored.name).unwrap();
                }
            }
        }
    }

    /// A hash of what came of each step, and of every record with its place and the number of its commit.
    fn trace(&self) -> blake3::Hash {
        let mut hasher = self.steps.clone();
        for name in ["person-events", "brand-partials"].iter().chain(&OUTPUTS) {
            for record in self.log.records(&format!("t.{name}")).concat() {
                hasher.update(format!("{record:?}\n").as_bytes());
            }
        }
        hasher.finalize()
    }

    /// Appends a few more source records; false when there are no more.
    fn feed(&mut self) -> bool {
        let topic = EVENTS[self.choices.below(EVENTS.len())];
        let lines = &self.input.lines[&topic];
        let fed = self.fed.entry(topic).or_default();
        for (time, line) in lines.iter().skip(*fed).take(1 + self.choices.below(4)) {
            self.log.append(topic.symbol(), 0, *time, line.as_bytes());
            *fed += 1;
        }
        self.fed.len() < EVENTS.len()
            || self.fed.iter().any(|(topic, fed)| *fed < self.input.lines[topic].len())
    }

    fn compare(&self, expected: &Outcome, what: &str) {
        let records = |name: &str| {
            let records = self.log.records(&format!("t.{name}")).concat();
            records.into_iter().map(|record| record.value).collect()
        };
        support::compare(self.input, expected, what, records);
    }
}
