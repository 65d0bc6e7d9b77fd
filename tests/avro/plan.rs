//! Plans read what apache-avro reads, under any writer's schema, and junk never panics.

use apache_avro::Schema;
use serde_json::json;
use trustline::codec::avro::{Decoder, KnownPlan, Plan, PlanError, schemas};
use trustline::codec::canonical;
use trustline::event::kinds::{IncidentKind, Match, Topic};
use trustline::event::raw::{RawErasure, RawEvent, RawIncident, RawLink, RawRecord};
use trustline::event::reject::Reason;

use crate::random::Random;
use crate::{second, writers};

const EVENT_TOPICS: [Topic; 3] = [Topic::AdDeliveries, Topic::Clickstream, Topic::Messages];

#[test]
fn what_is_read_is_what_another_library_resolves() {
    for seed in 0..900 {
        for topic in EVENT_TOPICS {
            let mut random = Random::new(seed);
            let written = writers::event(&mut random, topic);
            let json = written.schema.to_string();
            let writer = Schema::parse_str(&json).unwrap();
            let reader = Schema::parse_str(schemas::input_schema(topic)).unwrap();
            let datum = second::encode(&writer, written.value);
            let value = second::decode(&writer, &datum, Some(&reader))
                .unwrap_or_else(|error| panic!("seed {seed} {topic:?}: {error} under {json}"));
            let expected = second::encode(&reader, value);

            let plan = Plan::compile(&json, topic).unwrap();
            let mut event = RawEvent::new(Topic::AdDeliveries);
            event.category = Some("left over");
            let read = plan.decode(&datum, &mut event);
            assert_eq!(read, Ok(datum.len()), "seed {seed} {topic:?} under {json}");
            assert_eq!(plan.length(&datum), Ok(datum.len()), "seed {seed}");
            let mut ours = Vec::new();
            canonical::encode_event(&event, &mut ours);
            assert!(ours == expected, "seed {seed} {topic:?} under {json}");
        }
    }
}

#[test]
fn junk_never_panics_and_a_record_that_is_read_is_as_long_as_it_is_skipped() {
    let mut refused = 0;
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let topic = EVENT_TOPICS[random.below(3)];
        let written = writers::event(&mut random, topic);
        let json = written.schema.to_string();
        let mut datum = second::encode(&Schema::parse_str(&json).unwrap(), written.value);
        let plan = Plan::compile(&json, topic).unwrap();
        for _ in 0..40 {
            let at = random.below(datum.len());
            match random.below(3) {
                0 => datum[at] = random.next() as u8,
                1 => datum[at] ^= 1 << random.below(8),
                _ => datum.truncate(at + 1),
            }
            let mut event = RawEvent::new(topic);
            match plan.decode(&datum, &mut event) {
                Ok(length) => assert_eq!(plan.length(&datum), Ok(length), "seed {seed}"),
                Err(_) => refused += 1,
            }
        }
    }
    assert!(refused > 1_000, "{refused}");
}

/// A clickstream schema with these fields beside the required ones.
fn click(kind: serde_json::Value, more: serde_json::Value) -> String {
    let mut fields = vec![
        json!({"name": "event_id", "type": "string"}),
        json!({"name": "event_time", "type": "long"}),
        json!({"name": "kind", "type": kind}),
        json!({"name": "brand_id", "type": "string"}),
        json!({"name": "person_id", "type": "string"}),
    ];
    fields.extend(more.as_array().unwrap().iter().cloned());
    json!({"type": "record", "name": "a.b.Theirs", "fields": fields}).to_string()
}

const HEAD: &[u8] = b"\x02e\x80\xe0\xc8\xf5\xb0\x65";

fn datum(kind: &[u8], tail: &[u8]) -> Vec<u8> {
    [HEAD, kind, b"\x02b\x02p", tail].concat()
}

fn reason(schema: &str, datum: &[u8]) -> Result<(), (Reason, String)> {
    let decoder = Decoder::compile(schema, Topic::Clickstream).unwrap();
    decoder.decode(datum).map(|_| ()).map_err(|reject| (reject.reason, reject.detail))
}

fn refused(reason: Reason, detail: &str) -> Result<(), (Reason, String)> {
    Err((reason, detail.to_owned()))
}

#[test]
fn every_refusal_has_its_reason_and_field() {
    let kinds = json!({"type": "enum", "name": "K", "symbols": ["NEWER", "PAGE_VIEW"]});
    let plain = click(kinds.clone(), json!([]));
    assert_eq!(reason(&plain, &datum(b"\x02", b"")), Ok(()));
    assert_eq!(reason(&plain, &datum(b"\x00", b"")), refused(Reason::UnknownSymbol, "kind"));
    assert_eq!(reason(&plain, &datum(b"\x04", b"")), refused(Reason::Undecodable, "kind"));
    assert_eq!(reason(&plain, &datum(b"\x02", b"x")), refused(Reason::Undecodable, "longer than its record"));
    assert_eq!(reason(&plain, HEAD), refused(Reason::Undecodable, "kind"));
    let as_text = click(json!("string"), json!([]));
    assert_eq!(reason(&as_text, &datum(b"\x12PAGE_VIEW", b"")), Ok(()));
    assert_eq!(reason(&as_text, &datum(b"\x08SENT", b"")), refused(Reason::UnknownSymbol, "kind"));
    let nullable = click(json!(["null", kinds]), json!([]));
    assert_eq!(reason(&nullable, &datum(b"\x00", b"")), refused(Reason::MissingField, "kind"));

    let category = click(kinds.clone(), json!([{"name": "category", "type": ["int", "string"]}]));
    assert_eq!(reason(&category, &datum(b"\x02", b"\x00\x02")), refused(Reason::WrongType, "category"));
    assert_eq!(reason(&category, &datum(b"\x02", b"\x02\x02\xff")), refused(Reason::Undecodable, "category"));
    assert_eq!(reason(&category, &datum(b"\x02", b"\x02\x03")), refused(Reason::Undecodable, "category"));

    let signals = json!({"type": "record", "name": "S", "fields": [{"name": "gpp", "type": "string"}]});
    let consent = click(kinds.clone(), json!([{"name": "consent", "type": signals}]));
    assert_eq!(reason(&consent, &datum(b"\x02", b"\x02g")), Ok(()));
    assert_eq!(reason(&consent, &datum(b"\x02", b"\x02")), refused(Reason::Undecodable, "gpp"));

    let products =
        click(kinds, json!([{"name": "product_ids", "type": {"type": "array", "items": "string"}}]));
    let of = |count: usize| {
        let mut tail = Vec::new();
        // Two blocks, the second with its size.
        canonical::put_long(&mut tail, 1);
        tail.extend_from_slice(b"\x02a");
        canonical::put_long(&mut tail, -(count as i64 - 1));
        canonical::put_long(&mut tail, 2 * (count as i64 - 1));
        tail.extend(b"\x02a".repeat(count - 1));
        tail.push(0);
        datum(b"\x02", &tail)
    };
    assert_eq!(reason(&products, &of(256)), Ok(()));
    assert_eq!(reason(&products, &of(257)), refused(Reason::Oversized, "product_ids"));
    // A block that is not as long as it says.
    let wrong = datum(b"\x02", b"\x01\x06\x02a\x02b\x00");
    assert_eq!(reason(&products, &wrong), refused(Reason::Undecodable, "product_ids"));
    // A block that claims more than there is.
    let claim = datum(b"\x02", b"\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x02a");
    assert_eq!(reason(&products, &claim), refused(Reason::Undecodable, "product_ids"));
}

#[test]
fn a_null_means_the_default_and_finer_times_are_cut() {
    let schema = json!({"type": "record", "name": "T", "fields": [
        {"name": "event_time", "type": {"type": "long", "logicalType": "timestamp-micros"}},
        {"name": "event_id", "type": "string"},
        {"name": "kind", "type": "string"},
        {"name": "brand_id", "type": "string"},
        {"name": "channel", "type": "string"},
        {"name": "class", "type": ["null", "string"]},
        {"name": "test", "type": "null"},
    ]})
    .to_string();
    let mut datum = Vec::new();
    canonical::put_long(&mut datum, -1_001);
    datum.extend_from_slice(b"\x02e\x08SENT\x02b\x06SMS\x00");
    let mut event = RawEvent::new(Topic::Messages);
    let plan = Plan::compile(&schema, Topic::Messages).unwrap();
    assert_eq!(plan.decode(&datum, &mut event), Ok(datum.len()));
    assert_eq!(event.event_time, -2);
    let mut expected = RawEvent::new(Topic::Messages);
    (expected.class, expected.test) = (event.class, false);
    assert_eq!(event.class, expected.class);
    assert!(!event.test);
}

#[test]
fn types_may_be_named_elsewhere_nest_and_contain_themselves() {
    let more = json!([
        {"name": "before", "type": {"type": "record", "name": "Signals", "fields": [{"name": "lmt", "type": "boolean"}]}},
        {"name": "consent", "type": ["null", "a.b.Signals"]},
        {"name": "wrapped", "type": ["null", {"type": {"type": "Signals"}}]},
        {"name": "tree", "type": {"type": "record", "name": "Tree", "namespace": "c", "fields": [
            {"name": "children", "type": {"type": "array", "items": "Tree"}}]}},
        {"name": "nothing", "type": {"type": "array", "items": {"type": "record", "name": "Empty", "fields": []}}},
    ]);
    let plan = Plan::compile(&click(json!("string"), more), Topic::Clickstream).unwrap();
    let read = |tail: &[u8]| {
        let datum = datum(b"\x12PAGE_VIEW", tail).leak();
        let mut event = RawEvent::new(Topic::Clickstream);
        plan.decode(datum, &mut event).map(|_| event.consent.and_then(|consent| consent.lmt))
    };
    assert_eq!(read(b"\x00\x02\x01\x02\x01\x04\x00\x00\x00\x00"), Ok(Some(true)));
    // As many values without bytes as a number can say cost no time.
    assert_eq!(read(b"\x00\x00\x00\x00\xfe\xff\xff\xff\xff\xff\xff\xff\xff\x01\x00"), Ok(None));
    // A tree that is deeper than any stack is refused.
    let deep = [&b"\x00\x00\x00"[..], &[2; 1_000_000]].concat();
    assert!(read(&deep).is_err());
}

#[test]
fn a_schema_that_cannot_be_read_says_why() {
    let compile = |schema: &str| Plan::compile(schema, Topic::Clickstream).map(|_| ());
    assert!(matches!(compile("{"), Err(PlanError::Schema { .. })));
    assert!(matches!(compile("\"string\""), Err(PlanError::NotARecord)));
    let without = click(json!("string"), json!([])).replace("brand_id", "brand");
    assert!(matches!(compile(&without), Err(PlanError::MissingField { field: "brand_id" })));
    assert!(matches!(compile(&click(json!("int"), json!([]))), Err(PlanError::WrongType { field: "kind" })));
    let optional = click(json!("string"), json!([{"name": "category", "type": ["null", "long"]}]));
    assert!(compile(&optional).is_ok(), "only its nulls can be read");
    let optional = click(json!("string"), json!([{"name": "category", "type": "long"}]));
    assert!(matches!(compile(&optional), Err(PlanError::WrongType { field: "category" })));
    let erasure = schemas::input_schema(Topic::Erasures);
    assert!(matches!(Plan::compile(erasure, Topic::Erasures), Err(PlanError::OtherTopic { .. })));
    assert!(matches!(KnownPlan::compile(erasure, Topic::Messages), Err(PlanError::OtherTopic { .. })));
}

#[test]
fn incidents_links_and_erasures_read_back_and_junk_does_not_panic() {
    let incident = RawIncident {
        incident_id: "i".into(),
        brand_id: "b".into(),
        kind: IncidentKind::AdverseReport,
        disclosed_time: 1_740_960_000_000,
        updated_time: None,
        occurred_time: Some(1_740_960_000_001),
        people_affected: Some(i64::MAX),
        identity_or_health_data: true,
        severity: Some(0.25),
        credibility: None,
    };
    let link = RawLink {
        device_id: "d".into(),
        person_id: Some("p".into()),
        matched: Match::Observed,
        linked_time: 1_740_960_000_000,
    };
    let erasure = RawErasure {
        request_id: "r".into(),
        person_id: None,
        device_id: Some("d".into()),
        requested_time: 1_740_960_000_000,
    };
    let (mut first, mut second, mut third) = (Vec::new(), Vec::new(), Vec::new());
    canonical::encode_incident(&incident, &mut first);
    canonical::encode_link(&link, &mut second);
    canonical::encode_erasure(&erasure, &mut third);
    for (topic, bytes, expected) in [
        (Topic::BrandIncidents, first, RawRecord::Incident(incident)),
        (Topic::IdentityLinks, second, RawRecord::Link(link)),
        (Topic::Erasures, third, RawRecord::Erasure(erasure)),
    ] {
        let schema = Schema::parse_str(schemas::input_schema(topic)).unwrap();
        let value = second::decode(&schema, &bytes, None).unwrap();
        let symbol = format!("{value:?}").contains(match topic {
            Topic::BrandIncidents => "ADVERSE_REPORT",
            Topic::IdentityLinks => "OBSERVED",
            _ => "1740960000000",
        });
        assert!(symbol, "{topic:?} {value:?}");
        assert_eq!(second::encode(&schema, value), bytes, "{topic:?}");
        let decoder = Decoder::compile(schemas::input_schema(topic), topic).unwrap();
        assert!(decoder.decode(&bytes) == Ok(expected), "{topic:?}");
        let mut random = Random::new(7);
        for _ in 0..2_000 {
            let mut junk = bytes.clone();
            let at = random.below(junk.len());
            junk[at] = random.next() as u8;
            junk.truncate(random.below(junk.len()) + 1);
            let mut block = &junk[..];
            let mut into = RawRecord::Event(RawEvent::new(topic));
            while let Ok((record, _)) = decoder.next(&mut block, &mut into) {
                assert!(!record.is_empty());
            }
        }
    }
}

#[test]
fn a_block_goes_on_after_a_record_that_is_refused() {
    let schema = click(json!("string"), json!([]));
    let decoder = Decoder::compile(&schema, Topic::Clickstream).unwrap();
    let block = [
        datum(b"\x12PAGE_VIEW", b""),
        datum(b"\x08SENT", b""),
        datum(b"\x12PAGE_VIEW", b""),
        b"\x09".to_vec(),
    ];
    let block = block.concat();
    let mut rest = &block[..];
    let mut outcomes = Vec::new();
    let mut record = RawRecord::Event(RawEvent::new(Topic::Clickstream));
    for _ in 0..3 {
        let (_, outcome) = decoder.next(&mut rest, &mut record).unwrap();
        outcomes.push(outcome.map_err(|reject| reject.reason));
    }
    assert_eq!(outcomes, [Ok(()), Err(Reason::UnknownSymbol), Ok(())]);
    assert_eq!(decoder.next(&mut rest, &mut record).map(|_| ()).unwrap_err().reason, Reason::Undecodable);
}
