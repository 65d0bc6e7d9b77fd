//! Nanoseconds per event of the decoders, on generated traffic: `cargo bench --bench codec`.

#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::hint::black_box;
use std::time::Instant;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use trustline::codec::avro::{Decoder, Plan, schemas};
use trustline::codec::canonical;
use trustline::codec::json;
use trustline::event::kinds::Topic;
use trustline::event::raw::RawEvent;
use trustline::synth::{Generated, Generator, Params};

const ROUNDS: usize = 5;
const EVENTS: usize = 50_000;

/// The same events in both forms, each form in one piece, as a batch or a block of a file has it.
#[derive(Default)]
struct Events {
    avro: Vec<u8>,
    json: String,
    ends: Vec<(usize, usize)>,
}

impl Events {
    fn avro(&self) -> Vec<&[u8]> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(avro, _)| *avro));
        begins.zip(&self.ends).filter_map(|(begin, (end, _))| self.avro.get(begin..*end)).collect()
    }

    fn json(&self) -> Vec<&str> {
        let begins = std::iter::once(0).chain(self.ends.iter().map(|(_, json)| *json));
        begins.zip(&self.ends).filter_map(|(begin, (_, end))| self.json.get(begin..*end)).collect()
    }
}

fn events(topic: Topic) -> Events {
    let params = Params { persons: 2_000, days: 20, ..Params::default() };
    let mut events = Events::default();
    let schema = Schema::parse_str(schemas::input_schema(topic)).expect("our own schema");
    let reader = GenericDatumReader::builder(&schema).build().expect("our own schema");
    for generated in Generator::new(&params).expect("valid parameters") {
        let Generated::Event(event) = &generated else { continue };
        let raw = event.raw();
        if raw.topic != topic {
            continue;
        }
        let mut bytes = Vec::new();
        canonical::encode_event(&raw, &mut bytes);
        let value = reader.read_value(&mut &bytes[..]).expect("canonical bytes");
        events.json.push_str(&to_json(value).to_string());
        events.avro.extend_from_slice(&bytes);
        events.ends.push((events.avro.len(), events.json.len()));
        if events.ends.len() == EVENTS {
            break;
        }
    }
    events
}

/// Our JSON form: null means absent.
fn to_json(value: apache_avro::types::Value) -> serde_json::Value {
    use apache_avro::types::Value;
    match value {
        Value::Union(_, inner) => to_json(*inner),
        Value::Enum(_, symbol) => symbol.into(),
        Value::TimestampMillis(time) => time.into(),
        Value::Array(items) => items.into_iter().map(to_json).collect(),
        Value::Record(fields) => {
            let present = fields.into_iter().map(|(name, value)| (name, to_json(value)));
            serde_json::Value::Object(present.filter(|(_, value)| !value.is_null()).collect())
        }
        other => serde_json::Value::try_from(other).unwrap_or_default(),
    }
}

/// Prints the best of some rounds.
fn report(name: &str, count: usize, bytes: usize, mut round: impl FnMut()) {
    let mut best = f64::INFINITY;
    for _ in 0..ROUNDS {
        let begin = Instant::now();
        round();
        best = best.min(begin.elapsed().as_nanos() as f64 / count as f64);
    }
    println!("  {name:<42} {best:>8.1} ns/event {:>8.0} bytes/event", bytes as f64 / count as f64);
}

fn main() {
    for topic in [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages] {
        let events = events(topic);
        let (avro, json) = (events.avro(), events.json());
        let count = avro.len();
        println!("{}: {count} events", topic.symbol());
        if count == 0 {
            continue;
        }
        let (avro_bytes, json_bytes) = (events.avro.len(), events.json.len());

        let plan = Plan::compile(schemas::input_schema(topic), topic).expect("our own schema");
        report("plan", count, avro_bytes, || {
            let mut event = RawEvent::new(topic);
            for datum in &avro {
                black_box(plan.decode(black_box(datum), &mut event)).expect("valid events");
                black_box(&event);
            }
        });
        let decoder = Decoder::compile(schemas::input_schema(topic), topic).expect("our own schema");
        report("plan, a new record each, validated", count, avro_bytes, || {
            for datum in &avro {
                black_box(decoder.decode(black_box(datum)).is_ok());
            }
        });
        let schema = Schema::parse_str(schemas::input_schema(topic)).expect("our own schema");
        let reader = GenericDatumReader::builder(&schema).build().expect("our own schema");
        report("apache-avro, values", count, avro_bytes, || {
            for datum in &avro {
                black_box(reader.read_value(&mut &black_box(datum)[..]).is_ok());
            }
        });
        let mut decoder = json::Decoder::new(topic);
        report("JSON, validated", count, json_bytes, || {
            for line in &json {
                black_box(decoder.decode(black_box(line.as_bytes())).is_ok());
            }
        });
        report("serde_json, values", count, json_bytes, || {
            for line in &json {
                black_box(serde_json::from_str::<serde_json::Value>(black_box(line)).is_ok());
            }
        });
        report("canonical encoding, from the plan", count, avro_bytes, || {
            let (mut event, mut out) = (RawEvent::new(topic), Vec::new());
            for datum in &avro {
                out.clear();
                if plan.decode(datum, &mut event).is_ok() {
                    canonical::encode_event(&event, &mut out);
                }
                black_box(&out);
            }
        });
    }
}
