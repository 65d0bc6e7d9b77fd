//! Every decoder as a function of bytes that must hold whatever the bytes are: the fuzz targets run these, and the
//! test of this folder runs them on changed seeds.
//!
//! Texts and parts of an input are separated by zero bytes; where there is a choice, the first byte makes it.
#![allow(dead_code, reason = "each fuzz target uses one")]

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock};

use trustline::codec::avro::{self, schemas};
use trustline::codec::canonical::encode_event;
use trustline::codec::confluent;
use trustline::codec::container::{BLOCK_BYTES_MAX, ContainerReader};
use trustline::codec::frame::Frame;
use trustline::codec::frame::item::Item;
use trustline::codec::json;
use trustline::codec::partial::Partial;
use trustline::config::{Config, Input, effective};
use trustline::driver::assembly::Assembly;
use trustline::driver::clock::WallTime;
use trustline::driver::worker::Stage;
use trustline::event::consent::{ConsentRules, SignalsDecoder};
use trustline::event::kinds::Topic;
use trustline::event::mapping::{Mapped, Mapper, Mapping, PRESETS, RecordAt};
use trustline::event::raw::{RawConsent, RawEvent, RawRecord};
use trustline::identity::PseudonymKey;
use trustline::log::{Headers, Outgoing, Position, RecordRef, Records, TopicPartition};

/// A decoder with the name of its fuzz target.
pub(crate) type Named = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const ALL: &[Named] = &[
    ("avro", avro),
    ("avro_schema", avro_schema),
    ("config", config),
    ("consent", consent),
    ("container", container),
    ("frame", frame),
    ("json", json),
    ("mapping", mapping),
    ("mapping_file", mapping_file),
    ("partial", partial),
    ("stages", stages),
];

static OURS: LazyLock<Vec<avro::Decoder>> = LazyLock::new(|| {
    let ours = |topic: &Topic| avro::Decoder::compile(schemas::input_schema(*topic), *topic);
    Topic::ALL.iter().map(|topic| ours(topic).expect("our own schema")).collect()
});

static PRESET_MAPPERS: LazyLock<Vec<Mapper>> = LazyLock::new(|| {
    let mapper = |text: &str| Mapping::from_toml(text).expect("a shipped mapping").check();
    PRESETS.iter().map(|(_, text)| mapper(text).expect("no problems")).collect()
});

/// JSON records: topic, line. An event that is read has a canonical encoding, which reads back the same.
pub(crate) fn json(input: &[u8]) {
    let Some((topic, line)) = topic_and_rest(input) else { return };
    let _readable = json::readable(line);
    let mut decoder = json::Decoder::new(topic);
    let Ok(RawRecord::Event(event)) = decoder.decode(line) else { return };
    let (mut datum, mut again) = (Vec::new(), Vec::new());
    encode_event(&event, &mut datum);
    match OURS[usize::from(topic.index())].decode(&datum) {
        Ok(RawRecord::Event(event)) => encode_event(&event, &mut again),
        _ => panic!("the canonical encoding is refused"),
    }
    assert!(datum == again, "the canonical encoding changes");
}

/// Records in the framing of a schema registry, under the schemas of this build: the id picks the topic. The frame
/// is written back the same, and a record that is read is as long as it is skipped.
pub(crate) fn avro(input: &[u8]) {
    let Ok((id, datum)) = confluent::split(input) else { return };
    let mut again = Vec::new();
    confluent::put_frame(id, &mut again);
    again.extend_from_slice(datum);
    assert_eq!(again, input);

    let decoder = &OURS[id.0 as usize % OURS.len()];
    let _refused = decoder.decode(datum).is_err();
    let (read, length) = match decoder {
        avro::Decoder::Events(plan) => {
            (plan.decode(datum, &mut RawEvent::new(Topic::Messages)).ok(), plan.length(datum).ok())
        }
        avro::Decoder::Known(plan) => {
            (plan.decode(datum).ok().map(|(_, read)| read), plan.length(datum).ok())
        }
    };
    assert!(read.is_none() || read == length, "read {read:?}, skipped {length:?}");
}

/// Records under any writer's schema: topic, schema, block of records.
pub(crate) fn avro_schema(input: &[u8]) {
    let Some((topic, rest)) = topic_and_rest(input) else { return };
    let (schema, mut block) = text_and_rest(rest);
    let Ok(decoder) = avro::Decoder::compile(&schema, topic) else { return };
    let _refused = decoder.decode(block).is_err();
    let mut record = RawRecord::Event(RawEvent::new(topic));
    while !block.is_empty() && decoder.next(&mut block, &mut record).is_ok_and(|(bytes, _)| !bytes.is_empty())
    {
    }
}

/// Object container files, with the records in their blocks.
pub(crate) fn container(input: &[u8]) {
    let Ok(mut container) = ContainerReader::new(input) else { return };
    let decoder = avro::Decoder::compile(container.schema_json(), Topic::Clickstream).ok();
    let mut block = Vec::new();
    while let Ok(Some(count)) = container.next_block(&mut block) {
        assert!(block.len() <= BLOCK_BYTES_MAX);
        let Some(decoder) = &decoder else { continue };
        let mut rest = block.as_slice();
        let mut record = RawRecord::Event(RawEvent::new(Topic::Clickstream));
        for _ in 0..count.min(1_000) {
            if rest.is_empty() || decoder.next(&mut rest, &mut record).is_err() {
                break;
            }
        }
    }
}

/// Frames of the log of person events, and items.
pub(crate) fn frame(input: &[u8]) {
    items(input);
    if let Ok(frame) = Frame::read(input) {
        items(frame.items);
    }
}

fn items(mut bytes: &[u8]) {
    let mut last: Option<Item<'_>> = None;
    while let Ok((item, rest)) = Item::split(bytes) {
        assert!(item.event_id().len() <= item.bytes().len());
        let _refused = item.event("DE").is_err();
        if let Some(last) = last.replace(item) {
            assert_eq!(item.cmp_applied(&last), last.cmp_applied(&item).reverse());
        }
        bytes = rest;
    }
}

/// Records of the log of brand partials. What is read is written and read back the same.
pub(crate) fn partial(input: &[u8]) {
    let Ok(partial) = Partial::decode(input) else { return };
    let mut again = Vec::new();
    partial.encode(&mut again);
    assert_eq!(Partial::decode(&again), Ok(partial));
}

/// TC, GPP and US Privacy strings. Remembering them changes nothing.
pub(crate) fn consent(input: &[u8]) {
    let (tc_string, rest) = text_and_rest(input);
    let (gpp, rest) = text_and_rest(rest);
    let (us_privacy, _) = text_and_rest(rest);
    let consent = RawConsent {
        gdpr_applies: Some(true),
        tc_string: Some(&tc_string),
        gpp: Some(&gpp),
        us_privacy: Some(&us_privacy),
        ..RawConsent::default()
    };
    let mut decoder = SignalsDecoder::new(ConsentRules::default());
    let first = decoder.decode(&consent, Some("US-CA"));
    assert!(decoder.decode(&consent, Some("US-CA")) == first);
}

/// Foreign records under the shipped mappings: mapping, source.
pub(crate) fn mapping(input: &[u8]) {
    let Some((first, source)) = input.split_first() else { return };
    for Mapped { topic, record } in mapped(&PRESET_MAPPERS[usize::from(*first) % PRESETS.len()], source) {
        let line = serde_json::Value::from(record).to_string();
        let _refused = json::Decoder::new(topic).decode(line.as_bytes()).is_err();
    }
}

/// Mappings themselves: TOML, source.
pub(crate) fn mapping_file(input: &[u8]) {
    let (text, source) = text_and_rest(input);
    if let Ok(mapper) = Mapping::from_toml(&text).map_err(drop).and_then(|file| file.check().map_err(drop)) {
        mapped(&mapper, source);
    }
}

fn mapped(mapper: &Mapper, source: &[u8]) -> Vec<Mapped> {
    let mut mapped = Vec::new();
    let mut records = mapper.read(source);
    while let Ok(Some(record)) = records.next_record() {
        let at = RecordAt { source: "s", row: record.row };
        if let Ok(value) = &record.value {
            let _refused = mapper.map(value, at, &mut mapped).is_err();
        }
    }
    mapped
}

/// Configurations: file, then a line `SECTION__KEY=value` per variable of the environment. What is accepted is
/// printed and reads back the same.
pub(crate) fn config(input: &[u8]) {
    let (file, variables) = text_and_rest(input);
    let variables = String::from_utf8_lossy(variables);
    let variables = variables.lines().filter_map(|line| line.split_once('='));
    let environment =
        variables.map(|(name, value)| (format!("TRUSTLINE__{name}"), value.to_owned())).collect();
    match Config::load(&Input { environment, ..Input::text(&file) }) {
        Ok(config) => {
            let printed = effective(&config.settings).expect("settings can be printed");
            let again = Config::load(&Input::text(&printed)).expect("what is printed is accepted");
            assert!(again.hash() == config.hash(), "the hash changes");
        }
        Err(problems) => assert!(!problems.list.is_empty() && !problems.to_string().is_empty()),
    }
}

/// The stages on source records and committed metadata of any kind: each stage reads what the one before wrote.
/// A record is topic, timestamp (8 bytes), length (2 bytes), value.
pub(crate) fn stages(input: &[u8]) {
    let text = "own_topics = { person_partitions = 1, brand_partitions = 1 }";
    let config = Config::load(&Input::text(text)).expect("a good configuration");
    let assembly = Assembly::new(config, PseudonymKey::test_key());
    let names = assembly.names();
    let partitions = BTreeMap::from([(Topic::Clickstream, 1), (Topic::AdDeliveries, 1)]);
    let mut route = assembly.route_stage(assembly.route(), &partitions, WallTime(0));
    for topic in Topic::ALL {
        let of = at(names.source(*topic));
        // What another build may have left in the metadata, then a source that is new.
        let metadata = String::from_utf8_lossy(input).into_owned();
        assign(&mut route, &of, Some(&Position { next: 0, metadata }));
        route.revoked(&of);
        assign(&mut route, &of, None);
    }
    let (mut out, mut rest, mut offset) = (Vec::new(), input, 0);
    while let Some((&[topic, t0, t1, t2, t3, t4, t5, t6, t7, low, high], tail)) = rest.split_first_chunk() {
        let (value, tail) = tail.split_at(usize::from(u16::from_le_bytes([low, high])).min(tail.len()));
        rest = tail;
        let topic = Topic::ALL[usize::from(topic) % Topic::ALL.len()];
        let timestamp = i64::from_le_bytes([t0, t1, t2, t3, t4, t5, t6, t7]);
        let mut one = One { offset, timestamp_ms: Some(timestamp), value: value.to_vec(), taken: false };
        route.absorb(&at(names.source(topic)), &mut one, &mut out).expect("every record is taken");
        route.finish(WallTime(offset * 2_000), &[], &mut out);
        offset += 1;
    }
    let out = through(&mut assembly.detect_stage().expect("no thread"), &names.own("person-events"), out);
    let out = through(&mut assembly.score_stage().expect("no thread"), &names.own("brand-partials"), out);
    assert!(out.iter().all(|record| serde_json::from_slice::<serde_json::Value>(&record.value).is_ok()));
}

/// What a stage makes of its input topic's records among these.
fn through(stage: &mut impl Stage, topic: &str, records: Vec<Outgoing>) -> Vec<Outgoing> {
    let of = at(topic);
    assign(stage, &of, None);
    let mut out = Vec::new();
    for (offset, record) in (0..).zip(records.into_iter().filter(|record| *record.topic == *topic)) {
        let mut one = One { offset, timestamp_ms: None, value: record.value, taken: false };
        stage.absorb(&of, &mut one, &mut out).expect("what a stage wrote is read");
    }
    out
}

fn assign(stage: &mut impl Stage, of: &TopicPartition, position: Option<&Position>) {
    stage.assigned(of, position).expect("it starts");
}

fn at(topic: &str) -> TopicPartition {
    TopicPartition { topic: Arc::from(topic), partition: 0 }
}

/// A batch of one record.
struct One {
    offset: i64,
    timestamp_ms: Option<i64>,
    value: Vec<u8>,
    taken: bool,
}

impl Records for One {
    fn peek(&self) -> Option<i64> {
        (!self.taken).then_some(self.offset)
    }

    fn peek_value(&self) -> Option<&[u8]> {
        (!self.taken).then_some(&self.value)
    }

    fn next(&mut self) -> Option<RecordRef<'_>> {
        (!std::mem::replace(&mut self.taken, true)).then_some(RecordRef {
            offset: self.offset,
            timestamp_ms: self.timestamp_ms,
            key: None,
            value: &self.value,
            headers: self,
        })
    }
}

impl Headers for One {
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        Vec::new()
    }
}

fn topic_and_rest(input: &[u8]) -> Option<(Topic, &[u8])> {
    let (first, rest) = input.split_first()?;
    Some((Topic::ALL[usize::from(*first) % Topic::ALL.len()], rest))
}

/// The text before the first zero byte, and what follows it.
fn text_and_rest(input: &[u8]) -> (std::borrow::Cow<'_, str>, &[u8]) {
    let mut parts = input.splitn(2, |byte| *byte == 0);
    let text = String::from_utf8_lossy(parts.next().unwrap_or_default());
    (text, parts.next().unwrap_or_default())
}
