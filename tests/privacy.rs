//! A thousand ids each of people, devices, orders, carts and events are planted in the source topics of a real
//! broker, and none of them is found in anything that `run` writes or serves, whole, in part, as hex or as base64.
//!
//! Dead letters and late events are left out: they keep the original record by design. The ids of events stay in
//! the internal topics and in snapshots, because they order events.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::{BTreeSet, HashMap};
use std::path::Path;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use serde_json::{Value, json};
use support::broker::{Broker, Instance, ask, count, free_port, make_topics, wait_for};
use trustline::config::{self, Config};
use trustline::driver::stages::StageName;
use trustline::driver::topics::wanted;
use trustline::event::kinds::Topic;
use trustline::identity::{PseudonymKey, PseudonymKind};
use trustline::log::Record;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, positions, read_topic};
use trustline::state::{Fold, SnapshotStore};
use trustline::time::{DAY_MS, HOUR_MS};

mod support;

/// Ids of each kind.
const COUNT: usize = 1_000;
/// Those from here on are in carts only when the log ends, in events that wait.
const WAITING_FROM: usize = 500;
const ERASED_PEOPLE: usize = 100;
const ERASED_DEVICES: usize = 50;
const BAD: usize = 20;
const BRANDS: [&str; 4] = ["acme", "globex", "initech", "umbrella"];
/// 2025-03-03, midnight.
const START: i64 = 1_740_960_000_000;
const PARTITIONS: i32 = 4;
/// Own topics that keep original records.
const ORIGINALS: [&str; 2] = ["t.dead-letters", "t.late-events"];
/// Own topics that nobody reads but Trustline.
const INTERNAL: [&str; 2] = ["t.person-events", "t.brand-partials"];

/// An id: 24 characters that stand nowhere by chance.
fn id(kind: PseudonymKind, n: usize) -> String {
    URL_SAFE.encode(&blake3::hash(format!("{} {n}", kind.name()).as_bytes()).as_bytes()[..18])
}

fn pseudonym(kind: PseudonymKind, n: usize) -> [u8; 16] {
    static KEY: LazyLock<PseudonymKey> = LazyLock::new(PseudonymKey::test_key);
    KEY.pseudonym(kind, id(kind, n).as_bytes()).0
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// So much of an id, in whatever form, counts as found.
const PIECE: usize = 12;

type Id = (&'static str, usize);

/// Every piece of every form of the planted ids.
struct Search(HashMap<[u8; PIECE], Id>);

impl Search {
    fn new() -> Search {
        let mut pieces = HashMap::new();
        for kind in PseudonymKind::ALL {
            for n in 0..COUNT {
                for form in forms(&id(kind, n)) {
                    let of_form = form.as_bytes().windows(PIECE);
                    pieces.extend(of_form.map(|piece| (piece.try_into().unwrap(), (kind.name(), n))));
                }
            }
        }
        Search(pieces)
    }

    fn found(&self, bytes: &[u8]) -> BTreeSet<Id> {
        bytes.windows(PIECE).filter_map(|piece| self.0.get(piece)).copied().collect()
    }

    /// What is found in keys, values and headers.
    fn in_records(&self, records: &[Record]) -> BTreeSet<Id> {
        let mut found = BTreeSet::new();
        for record in records {
            found.extend(self.found(record.key.as_deref().unwrap_or_default()));
            found.extend(self.found(&record.value));
            for (name, value) in &record.headers {
                found.extend(self.found(name.as_bytes()));
                found.extend(self.found(value));
            }
        }
        found
    }
}

/// An id as it is, in hex and in base64, wherever it begins there.
fn forms(id: &str) -> Vec<String> {
    let hex = hex(id.as_bytes());
    let mut forms = vec![id.to_owned(), hex.to_uppercase(), hex];
    for before in 0..3 {
        let bytes = [&[0; 2][..before], id.as_bytes()].concat();
        // Characters that hold bits of the id alone.
        let own = (before * 8).div_ceil(6)..bytes.len() * 8 / 6;
        forms.extend([&STANDARD, &URL_SAFE].map(|base64| base64.encode(&bytes)[own.clone()].to_owned()));
    }
    forms
}

/// Nothing is found, but for the ids of events where they belong.
fn none(place: &str, mut found: BTreeSet<Id>, is_internal: bool) {
    found.retain(|(kind, _)| !is_internal || *kind != PseudonymKind::Event.name());
    assert!(found.is_empty(), "{place} holds {} of the ids: {found:?}", found.len());
}

fn holds(bytes: &[u8], part: &[u8]) -> bool {
    memchr::memmem::find(bytes, part).is_some()
}

/// Sends source records.
struct Plant {
    feeder: Feeder,
    sent: usize,
}

impl Plant {
    fn send(&mut self, topic: Topic, time: i64, key: &str, line: &str) {
        self.feeder.send_keyed(topic.symbol(), 0, time, Some(key.as_bytes()), line.as_bytes()).unwrap();
    }

    /// An event of a brand with these fields too; its id is a number unless they have one.
    fn event(&mut self, topic: Topic, time: i64, n: usize, kind: &str, more: Value) {
        self.sent += 1;
        let mut event = json!({
            "event_id": self.sent.to_string(), "event_time": time, "kind": kind, "brand_id": BRANDS[n % BRANDS.len()],
        });
        event.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        self.send(topic, time, &id(PseudonymKind::Person, n), &event.to_string());
    }

    fn links(&mut self) {
        for n in 0..COUNT {
            let (person, device) = (id(PseudonymKind::Person, n), id(PseudonymKind::Device, n));
            let link = json!({
                "device_id": device, "person_id": person, "match": "AUTHENTICATED", "linked_time": START - HOUR_MS,
            });
            self.send(Topic::IdentityLinks, START, &device, &link.to_string());
        }
    }

    /// Carts, orders, reminders; a day later ads for what was bought, and recaps that are shared.
    fn days(&mut self) {
        let later = START + DAY_MS + HOUR_MS;
        let at = |n: usize| 10 * n as i64;
        for n in 0..WAITING_FROM {
            let (device, cart) = (id(PseudonymKind::Device, n), id(PseudonymKind::Cart, n));
            let more = json!({"device_id": device, "cart_id": cart, "product_ids": ["kettle"]});
            self.event(Topic::Clickstream, START + at(n), n, "CART_ADD", more);
            let person = id(PseudonymKind::Person, n);
            let more = json!({
                "person_id": person, "cart_id": cart, "channel": "EMAIL", "class": "CART_REMINDER",
                "permission": "GRANTED",
            });
            self.event(Topic::Messages, START + HOUR_MS + at(n), n, "SENT", more);
        }
        for n in 0..COUNT {
            let (person, device) = (id(PseudonymKind::Person, n), id(PseudonymKind::Device, n));
            let order = id(PseudonymKind::Order, n);
            let more = json!({"person_id": person, "device_id": device, "order_id": order, "product_ids": ["kettle"]});
            self.event(Topic::Clickstream, START + HOUR_MS + at(n), n, "ORDER_COMPLETED", more);
            let more = json!({
                "person_id": person, "device_id": device, "retargeting": true, "product_ids": ["kettle"],
                "basis": "FIRST_PARTY_BEHAVIOUR",
            });
            self.event(Topic::AdDeliveries, later + at(n), n, "IMPRESSION", more);
        }
        for n in 0..COUNT {
            let more =
                json!({"event_id": id(PseudonymKind::Event, n), "device_id": id(PseudonymKind::Device, n)});
            self.event(Topic::Clickstream, later + at(n), n, "RECAP_SHARED", more);
        }
    }

    fn erasures(&mut self) {
        let time = START + DAY_MS + 2 * HOUR_MS;
        for n in 0..ERASED_PEOPLE + ERASED_DEVICES {
            let (person, device) = (id(PseudonymKind::Person, n), id(PseudonymKind::Device, n));
            let (field, whom) = if n < ERASED_PEOPLE { ("person_id", person) } else { ("device_id", device) };
            let erasure = json!({"request_id": format!("request-{n}"), "requested_time": time, field: whom});
            self.send(Topic::Erasures, time, &whom, &erasure.to_string());
        }
    }

    /// Events that nothing comes after and so wait, records that are no events, and events that come too late.
    fn end(&mut self) {
        let end = START + 2 * DAY_MS;
        for topic in support::EVENTS {
            let (_, line) = support::end(topic, START);
            self.send(topic, end, "end", &line);
        }
        for n in WAITING_FROM..COUNT {
            let more =
                json!({"person_id": id(PseudonymKind::Person, n), "cart_id": id(PseudonymKind::Cart, n)});
            self.event(Topic::Clickstream, end + n as i64, n, "CART_ADD", more);
        }
        for n in 0..BAD {
            let person = id(PseudonymKind::Person, n);
            self.event(Topic::Clickstream, end, n, &person, json!({"person_id": person}));
            self.event(Topic::Clickstream, end, n, "PAGE_VIEW", json!({"event_time": person}));
            self.event(Topic::Clickstream, end, n, "PAGE_VIEW", json!({"device_id": person.repeat(100)}));
            self.send(Topic::Clickstream, end, &person, &format!("{{\"person_id\":\"{person}"));
            let link = json!({"device_id": person, "person_id": person, "match": person, "linked_time": end});
            self.send(Topic::IdentityLinks, end, &person, &link.to_string());
            let late = json!({"person_id": person, "event_time": START});
            self.event(Topic::Clickstream, end, n, "PAGE_VIEW", late);
        }
        self.feeder.flush().unwrap();
    }
}

/// The files below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { found.extend(files(&path)) } else { found.push(path) }
    }
    found
}

/// The states in all snapshots of a fold, unpacked.
fn states(store: &SnapshotStore, fold: Fold) -> Vec<Vec<u8>> {
    let stored = (0..PARTITIONS).flat_map(|partition| store.list(fold, partition).unwrap());
    stored.map(|stored| store.get(&stored.name).unwrap().1).collect()
}

/// Events that wait in `detect`, by the metrics.
fn waiting(metrics: &str) -> usize {
    let of_detect =
        |line: &&str| line.starts_with("trustline_ledger_waiting{") && line.contains("stage=\"detect\"");
    metrics
        .lines()
        .filter(of_detect)
        .map(|line| line.rsplit_once(' ').unwrap().1.parse::<usize>().unwrap())
        .sum()
}

#[test]
fn no_planted_id_is_found_in_what_run_writes_and_serves() {
    let search = Search::new();
    let some = id(PseudonymKind::Order, 7);
    for (form, before) in forms(&some).iter().flat_map(|form| ["", "x", "xy"].map(|before| (form, before))) {
        let found = search.found(format!("{before}{form}{before}").as_bytes());
        assert_eq!(found, BTreeSet::from([("order", 7)]), "the search knows {form}");
    }

    let broker = Broker::start();
    let folder = tempfile::tempdir().unwrap();
    let port = free_port();
    let before = format!(
        "{}[state]\nsnapshot_every_ms = 1000\n[telemetry]\nlevel = \"trace\"\nformat = \"json\"\n",
        support::text(PARTITIONS, PARTITIONS).replace("127.0.0.1:0", &format!("127.0.0.1:{port}"))
    );
    let (config, text) = broker.configure(folder.path(), &before, "");
    let connection = Connection::plain(&broker.bootstrap(), "test");
    make_topics(&connection, &config);

    let mut plant = Plant { feeder: Feeder::new(&connection).unwrap(), sent: 0 };
    plant.links();
    plant.days();
    plant.erasures();
    plant.end();
    let log = folder.path().join("log");
    let instance = Instance::start_logging(&config, "a", &log);
    for (topic, records) in [
        ("t.erasure-receipts", ERASED_PEOPLE + ERASED_DEVICES),
        ("t.dead-letters", 5 * BAD),
        ("t.late-events", BAD),
        ("t.moments", COUNT),
        ("t.brand-trust", 2 * BRANDS.len()),
    ] {
        wait_for(topic, || count(&connection, topic) >= records);
    }
    wait_for("the events that wait", || waiting(&ask(port, "/metrics").unwrap().1) >= COUNT - WAITING_FROM);

    // The page and the probes.
    let people: Vec<String> = (0..COUNT).map(|n| hex(&pseudonym(PseudonymKind::Person, n))).collect();
    let names_people = |text: &str| people.iter().any(|person| text.contains(person.as_str()));
    let mut paths: Vec<String> = ["/", "/page.js", "/page.css", "/metrics", "/live", "/ready", "/api/status"]
        .map(str::to_owned)
        .into();
    paths.extend(["1h", "1d"].map(|window| format!("/api/brands?window={window}")));
    paths.extend(BRANDS.map(|brand| format!("/api/brand/{brand}")));
    for path in paths {
        let mut body = String::new();
        wait_for(&path, || {
            let (status, text) = ask(port, &path).unwrap();
            none(&path, search.found(text.as_bytes()), false);
            body = text;
            status == 200 && !body.is_empty()
        });
        assert!(!names_people(&body), "{path} names people by pseudonyms");
        assert!(path != "/api/status" || body.contains("nostalgic_recap"), "the page shows moments: {body}");
    }

    assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
    let lines = std::fs::read_to_string(&log).unwrap();
    assert!(lines.contains("\"level\":\"DEBUG\"") || lines.contains("\"level\":\"TRACE\""), "{lines}");
    none("the log", search.found(lines.as_bytes()), false);

    // Snapshots as they are, and unpacked.
    let state = folder.path().join("state");
    for file in files(&state) {
        none(&file.display().to_string(), search.found(&std::fs::read(&file).unwrap()), true);
    }
    let store = SnapshotStore::open(&format!("file:{}", state.display()), &[]).unwrap();
    for fold in Fold::ALL {
        let states = states(&store, fold);
        states.iter().for_each(|state| none("a snapshot", search.found(state), true));
        let holds_cart = |n| states.iter().any(|state| holds(state, &pseudonym(PseudonymKind::Cart, n)));
        let carts = (WAITING_FROM..COUNT).filter(|n| holds_cart(*n)).count();
        let expected = if fold == Fold::Detect { COUNT - WAITING_FROM } else { 0 };
        assert!(!states.is_empty() && carts == expected, "{carts} carts in the snapshots of {}", fold.name());
    }

    // Topics.
    let settings = Config::load(&config::Input::text(&text)).unwrap();
    let mut in_sources = BTreeSet::new();
    for topic in wanted(&settings) {
        let name = topic.name.as_str();
        let records = read_topic(&connection, name).unwrap().concat();
        let found = search.in_records(&records);
        if !topic.own {
            in_sources.extend(found);
        } else if ORIGINALS.contains(&name) {
            assert!(found.len() >= BAD, "{name} keeps originals");
        } else {
            none(name, found, INTERNAL.contains(&name));
        }
        let first = pseudonym(PseudonymKind::Person, 0);
        let mut values = records.iter().map(|record| record.value.as_slice());
        assert!(name != "t.person-events" || values.any(|value| holds(value, &first)), "{name}");
        let mut texts = records.iter().map(|record| String::from_utf8_lossy(&record.value));
        assert!(name != "t.moments" || texts.any(|text| names_people(&text)), "{name}");
    }
    assert_eq!(
        in_sources.len(),
        PseudonymKind::ALL.len() * COUNT,
        "the search finds every id where it was planted"
    );

    // What is committed with positions.
    for stage in StageName::ALL {
        let inputs: Vec<String> = match stage.input() {
            Some(topic) => vec![format!("t.{topic}")],
            None => Topic::ALL.iter().map(|topic| topic.symbol().to_owned()).collect(),
        };
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let positions = positions(&connection, &format!("trustline-{}", stage.name()), &inputs).unwrap();
        let metadata: String = positions.into_values().map(|position| position.metadata).collect();
        assert!(!metadata.is_empty(), "{} has committed", stage.name());
        none("a position", search.found(metadata.as_bytes()), true);
    }
}
