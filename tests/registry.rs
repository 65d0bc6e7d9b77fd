//! The pipeline with a real schema registry on a real Kafka broker: Avro in, Avro out.
//!
//! Both are started by the scripts that serve users too; one that cannot be started is a failure.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use apache_avro::reader::datum::GenericDatumReader;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use support::broker::{Broker, Instance, Registry};
use support::{EVENTS, Input};
use trustline::codec::avro::schemas;
use trustline::codec::canonical::{encode_event, encode_incident, encode_link};
use trustline::codec::confluent::{SchemaId, put_frame, split};
use trustline::codec::json::Decoder;
use trustline::config::sections::Registry as RegistrySettings;
use trustline::event::kinds::Topic;
use trustline::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use trustline::event::raw::RawRecord;
use trustline::log::kafka::Connection;
use trustline::log::kafka::admin::{Feeder, TopicPlan, create_topics, positions, read_topic};
use trustline::registry::{Client, RegistryError};

mod support;

/// How far sources may run ahead of one that waits for its schema, event time.
const LEAD_MS: i64 = 86_400_000;

const DEADLINE: Duration = Duration::from_secs(90);

fn command(config: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trustline"));
    command.args(arguments).arg("--config").arg(config).stdin(Stdio::null());
    command
}

/// Runs a command to its end; its exit code and all that it said.
fn run(config: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = command(config, arguments).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn client(url: &str) -> Client {
    let settings = RegistrySettings { url: Some(url.to_owned()), ..RegistrySettings::default() };
    Client::of(&settings).unwrap().unwrap()
}

/// The click schema of a producer that is ahead of this build: one more field.
fn clicks_of_tomorrow() -> String {
    let mut schema: Value = serde_json::from_str(schemas::CLICK).unwrap();
    let field = serde_json::json!({ "name": "scrolled", "type": ["null", "long"], "default": null });
    schema["fields"].as_array_mut().unwrap().push(field);
    schema.to_string()
}

/// A line as an Avro record of a schema; JSON as it is where it holds no valid record.
fn avro(topic: Topic, id: SchemaId, line: &str, tail: &[u8]) -> Vec<u8> {
    let mut record = Vec::new();
    put_frame(id, &mut record);
    match Decoder::new(topic).decode(line.as_bytes()) {
        Ok(RawRecord::Event(event)) => encode_event(&event, &mut record),
        Ok(RawRecord::Incident(incident)) => encode_incident(&incident, &mut record),
        Ok(RawRecord::Link(link)) => encode_link(&link, &mut record),
        Ok(RawRecord::Erasure(_)) | Err(_) => return line.as_bytes().to_vec(),
    }
    record.extend_from_slice(tail);
    record
}

/// Avro records as another library reads them, under the schemas that the registry has, as JSON.
fn decoded<T: DeserializeOwned + Serialize>(registry: &Client, records: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut known = BTreeMap::new();
    let mut decode = |record: &Vec<u8>| {
        let (id, mut datum) = split(record).unwrap();
        let schema = known.entry(id).or_insert_with(|| {
            apache_avro::Schema::parse_str(&registry.schema(id).unwrap().unwrap()).unwrap()
        });
        let value = GenericDatumReader::builder(schema).build().unwrap().read_value(&mut datum).unwrap();
        assert!(datum.is_empty());
        serde_json::to_vec(&apache_avro::from_value::<T>(&value).unwrap()).unwrap()
    };
    records.iter().map(&mut decode).collect()
}

/// The position that the route stage has committed in the one partition of a source topic.
fn committed(connection: &Connection, topic: &str) -> i64 {
    let positions = positions(connection, "trustline-route", &[topic]).unwrap();
    positions.into_values().next().map_or(0, |position| position.next)
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn write_config(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn avro_through_a_registry_gives_what_json_gives_in_outages_too() {
    let (broker, registry_server) = std::thread::scope(|scope| {
        let registry = scope.spawn(Registry::start);
        (Broker::start(), registry.join().unwrap())
    });
    let bootstrap = broker.bootstrap();
    let url = registry_server.url();
    let registry = client(&url);
    let folder = tempfile::tempdir().unwrap();
    let key = support::test_key(folder.path());
    let configuration = format!(
        "{}max_lead_ms = {LEAD_MS}\n[kafka]\nbrokers = [\"{bootstrap}\"]\nsession_timeout_ms = 6000\n\
         [privacy]\nkey_file = \"{}\"\n[registry]\nurl = \"{url}\"\nschemas_folder = \"{}\"\nunknown_schema_after_ms = 2000\n\
         [state]\nurl = \"file:{}\"\n",
        support::text(4, 2),
        key.display(),
        folder.path().join("schemas").display(),
        folder.path().join("state").display(),
    );
    let config = write_config(folder.path(), "trustline.toml", &configuration);
    let input = Input::read("as-stream-crowd");
    let expected = input.replay_under(&configuration);

    let connection = Connection::plain(&bootstrap, "test");
    // The records are old: by default the broker would drop them while they wait.
    let settings = vec![("retention.ms".to_owned(), "-1".to_owned())];
    let source = |topic: &Topic| TopicPlan {
        name: topic.symbol().to_owned(),
        partitions: 1,
        replicas: 1,
        settings: settings.clone(),
    };
    let sources: Vec<TopicPlan> = Topic::ALL.iter().map(source).collect();
    create_topics(&connection, &sources).unwrap();
    assert_eq!(run(&config, &["topics", "apply"]).0, Some(0));

    // Nothing is registered behind anybody's back.
    let (code, told) = run(&config, &["run"]);
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("t.moments-key") && told.contains("schemas register"), "{told}");
    let (code, told) = run(&config, &["schemas", "register"]);
    assert_eq!(code, Some(0), "{told}");
    assert_eq!(registry.level("t.moments-value").unwrap().as_deref(), Some("FULL_TRANSITIVE"));
    assert_eq!(registry.level("t.alerts-key").unwrap().as_deref(), Some("BACKWARD"));
    let register = |topic: &Topic| {
        let subject = format!("{}-value", topic.symbol());
        (*topic, registry.register(&subject, schemas::input_schema(*topic)).unwrap())
    };
    let ids: BTreeMap<Topic, SchemaId> = Topic::ALL.iter().map(register).collect();
    let clicks_later = registry.register("clickstream-value", &clicks_of_tomorrow()).unwrap();
    assert_ne!(clicks_later, ids[&Topic::Clickstream]);

    let feeder = Feeder::new(&connection).unwrap();
    let feed = |topic: Topic, from: usize, to: usize, id: SchemaId, tail: &[u8]| {
        let lines = input.lines.get(&topic).map_or(&[][..], |lines| lines);
        for (time, line) in lines.iter().take(to).skip(from) {
            feeder.send(topic.symbol(), 0, *time, &avro(topic, id, line, tail)).unwrap();
        }
    };
    for topic in [Topic::IdentityLinks, Topic::BrandIncidents] {
        feed(topic, 0, usize::MAX, ids[&topic], &[]);
    }
    feeder.flush().unwrap();
    let instance = Instance::start(&config, "a");
    let incidents = expected.ledger.accounts["brand-incidents"].applied as i64;
    wait_for("the incidents", || committed(&connection, "brand-incidents") >= incidents);

    let middle = |topic: Topic| input.lines[&topic].len() / 2;
    for topic in EVENTS {
        feed(topic, 0, middle(topic), ids[&topic], &[]);
    }
    feeder.flush().unwrap();
    let at = |topic: Topic| committed(&connection, topic.symbol()) as usize;
    wait_for("the first half", || EVENTS.iter().all(|topic| at(*topic) == middle(*topic)));

    // The registry hangs. Clicks come under a schema that nobody has asked for yet: they wait.
    registry_server.signal("STOP");
    for topic in EVENTS {
        match topic {
            Topic::Clickstream => feed(topic, middle(topic), usize::MAX, clicks_later, &[0]),
            _ => feed(topic, middle(topic), usize::MAX, ids[&topic], &[]),
        }
    }
    feeder.flush().unwrap();
    let end = |topic: Topic| input.lines[&topic].len();
    // Lines that no schema allows were sent as JSON and wait for nothing.
    let is_avro = |click: &usize| {
        let (_, line) = &input.lines[&Topic::Clickstream][*click];
        avro(Topic::Clickstream, clicks_later, line, &[0])[0] == 0
    };
    let waits = (middle(Topic::Clickstream)..).find(is_avro).unwrap();
    // Long enough for a call to give up.
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(at(Topic::Clickstream), waits, "clicks wait for their schema");
    registry_server.signal("CONT");
    wait_for("the clicks", || at(Topic::Clickstream) == end(Topic::Clickstream));

    let raw = |name: &str| -> Vec<Vec<u8>> {
        let records = read_topic(&connection, &format!("t.{name}")).unwrap().into_iter().flatten();
        records.map(|record| record.value).collect()
    };
    let records = |name: &str| match name {
        "moments" => decoded::<TrustMoment>(&registry, &raw(name)),
        "brand-trust" => decoded::<BrandTrust>(&registry, &raw(name)),
        "pattern-trust" => decoded::<PatternTrust>(&registry, &raw(name)),
        "alerts" => decoded::<TrustAlert>(&registry, &raw(name)),
        _ => raw(name),
    };
    let last = input.last;
    let moments = expected.moments.iter().filter(|moment| moment.event_time <= last).count();
    let windows = expected.score.brand_trust.iter().filter(|window| window.window_end <= last).count();
    wait_for("all moments", || raw("moments").len() >= moments);
    let up_to = |value: &Vec<u8>| {
        let value: Value = serde_json::from_slice(value).unwrap();
        value["window_end"].as_i64().is_some_and(|end| end <= last)
    };
    wait_for("all windows", || {
        decoded::<BrandTrust>(&registry, &raw("brand-trust")).iter().filter(|value| up_to(value)).count()
            >= windows
    });
    support::compare(&input, &expected, "with a registry", records);
    let keys = read_topic(&connection, "t.brand-trust-latest").unwrap();
    let keys: Vec<Vec<u8>> = keys.into_iter().flatten().filter_map(|record| record.key).collect();
    let key_id = registry.id("t.brand-trust-latest-key", schemas::BRAND_TRUST_LATEST_KEY).unwrap();
    assert!(keys.iter().all(|key| split(key).ok().map(|(id, _)| id) == key_id) && !keys.is_empty());

    // An id that the registry never heard of is a dead letter, once the registry had time to lag behind.
    let dead = raw("dead-letters").len();
    let mut unknown = Vec::new();
    put_frame(SchemaId(9_999), &mut unknown);
    unknown.extend_from_slice(b"who knows");
    feeder.send(Topic::Erasures.symbol(), 0, last, &unknown).unwrap();
    feeder.flush().unwrap();
    let sent = Instant::now();
    wait_for("the dead letter", || raw("dead-letters").len() > dead);
    assert!(sent.elapsed() >= Duration::from_secs(2), "it came after {:?}", sent.elapsed());
    let letters = read_topic(&connection, "t.dead-letters").unwrap().into_iter().flatten();
    let letter = letters.into_iter().find(|record| record.value == unknown).unwrap();
    let header = |name: &str| {
        letter.headers.iter().find(|(known, _)| known == name).map(|(_, value)| text(value)).unwrap()
    };
    assert_eq!(
        (header("trustline.reason"), header("trustline.detail")),
        ("unknown_schema".into(), "schema 9999".into())
    );

    // Without the registry a new process works with what an earlier one has seen.
    assert_eq!(instance.stop(), Some(0), "SIGTERM ends an instance cleanly");
    registry_server.stop();
    let instance = Instance::start(&config, "a");
    let (time, line) = &input.lines[&Topic::Clickstream][0];
    let more = avro(Topic::Clickstream, clicks_later, line, &[0]);
    feeder.send(Topic::Clickstream.symbol(), 0, *time, &more).unwrap();
    feeder.flush().unwrap();
    wait_for("a start without the registry", || at(Topic::Clickstream) == end(Topic::Clickstream) + 1);
    assert_eq!(instance.stop(), Some(0));
}

#[test]
fn schemas_that_do_not_go_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let path = |name: &str| folder.path().join(name).display().to_string();
    let server = Registry::start_with(&["--cert", &path("server.pem"), "--key", &path("server.key")]);
    let url = server.url_with("https");
    let of = |more: &str| format!("[own_topics]\ntopic_prefix = \"t.\"\n[registry]\nurl = \"{url}\"\n{more}");

    let strangers = write_config(folder.path(), "strangers.toml", &of(""));
    let (code, told) = run(&strangers, &["schemas", "list"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("certificate"), "{told}");

    let ca_file = path("ca.pem");
    let config = write_config(folder.path(), "trustline.toml", &of(&format!("ca_file = \"{ca_file}\"\n")));
    let settings = RegistrySettings { url: Some(url), ca_file: Some(ca_file), ..RegistrySettings::default() };
    let registry = Client::of(&settings).unwrap().unwrap();
    assert_eq!(run(&config, &["schemas", "check"]).0, Some(0), "an empty registry holds nothing against us");

    let other = r#"{"type":"record","name":"TrustAlert","namespace":"io.trustline.v1","fields":[
        {"name":"alert_id","type":"string"}]}"#;
    registry.register("t.alerts-value", other).unwrap();
    for command in ["check", "register"] {
        let (code, told) = run(&config, &["schemas", command]);
        assert_eq!(code, Some(1), "{told}");
        assert!(told.contains("t.alerts-value: INCOMPATIBLE"), "{told}");
    }
    assert!(registry.versions("t.moments-value").unwrap().is_empty(), "one refusal, nothing registered");

    let config = write_config(
        folder.path(),
        "other.toml",
        &std::fs::read_to_string(&config).unwrap().replace("\"t.\"", "\"u.\""),
    );
    assert_eq!(run(&config, &["schemas", "register"]).0, Some(0));
    let refused = registry.register("u.alerts-value", &other.replace("alert_id", "unheard_of"));
    assert!(
        matches!(refused, Err(RegistryError::Refused { .. })),
        "the registry guards the level: {refused:?}"
    );

    registry.register("messages-value", other).unwrap();
    let (code, told) = run(&config, &["schemas", "check", "--json"]);
    assert_eq!(code, Some(1), "{told}");
    let end = told.rfind(']').unwrap();
    let findings: Vec<Value> = serde_json::from_str(&told[..=end]).unwrap();
    let state = |subject: &str| {
        let finding = findings.iter().find(|finding| finding["subject"] == subject).unwrap();
        finding["state"].as_str().unwrap().to_owned()
    };
    assert_eq!(findings.len(), 20);
    assert_eq!(state("messages-value"), "unreadable");
    assert_eq!(state("clickstream-value"), "absent");
    assert_eq!(state("u.alerts-value"), "registered");
}

/// An authority of the test's own, and a server's certificate of it.
fn certificates(folder: &Path) {
    let script = "openssl req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority
        openssl req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=registry
        printf 'subjectAltName=IP:127.0.0.1\nbasicConstraints=CA:FALSE\n' > extensions
        openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extensions -out server.pem";
    let made = Command::new("sh").args(["-e", "-c", script]).current_dir(folder).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
}
