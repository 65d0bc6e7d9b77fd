//! Writers' schemas that Avro can resolve to ours, and values under them.

use apache_avro::types::Value;
use serde_json::{Value as Json, json};
use trustline::codec::field::{self, Field, FieldSet, Shape};
use trustline::event::kinds::Topic;

use crate::random::Random;

/// A schema and a value of it.
pub(crate) struct Written {
    pub(crate) schema: Json,
    pub(crate) value: Value,
}

/// A writer's event of a topic.
pub(crate) fn event(random: &mut Random, topic: Topic) -> Written {
    record(random, topic, "Theirs", field::fields_of(topic))
}

fn record(random: &mut Random, topic: Topic, name: &str, fields: &[Field]) -> Written {
    let mut parts: Vec<(String, Written)> = Vec::new();
    for field in fields {
        let required = FieldSet::REQUIRED.has(*field);
        if required || random.below(4) > 0 {
            parts.push((field.name().to_owned(), part(random, topic, *field, required)));
        }
    }
    for extra in 0..random.below(4) {
        let label = format!("{name}_x{extra}");
        parts.push((label.clone(), anything(random, &label, 3)));
    }
    random.shuffle(&mut parts);
    let schema: Vec<Json> =
        parts.iter().map(|(name, written)| json!({"name": name, "type": written.schema})).collect();
    Written {
        schema: json!({"type": "record", "name": name, "fields": schema}),
        value: Value::Record(parts.into_iter().map(|(name, written)| (name, written.value)).collect()),
    }
}

/// A field as some writer has it: perhaps of a promoted type, perhaps in a union.
fn part(random: &mut Random, topic: Topic, field: Field, required: bool) -> Written {
    let plain = typed(random, topic, field);
    // Another library refuses a null where ours has a default and no null.
    let ours_is_nullable = !required
        && !matches!(
            field,
            Field::DeviceType
                | Field::Basis
                | Field::Rewarded
                | Field::Test
                | Field::ProductIds
                | Field::Class
                | Field::Permission
        );
    if random.flag() {
        return plain;
    }
    let mut branches = vec![(plain.schema, plain.value), (json!("null"), Value::Null)];
    let wanted = if ours_is_nullable && random.flag() { 1 } else { 0 };
    if random.flag() {
        branches
            .push((json!({"type": "fixed", "name": format!("F_{}", field.name()), "size": 3}), Value::Null));
    }
    let mut order: Vec<usize> = (0..branches.len()).collect();
    random.shuffle(&mut order);
    let position = order.iter().position(|at| *at == wanted).unwrap();
    let value = Value::Union(position as u32, Box::new(branches[wanted].1.clone()));
    Written { schema: order.iter().map(|at| branches[*at].0.clone()).collect(), value }
}

fn typed(random: &mut Random, topic: Topic, field: Field) -> Written {
    let (schema, value) = match field.shape() {
        Shape::Text => text(random),
        Shape::Texts => {
            let items: Vec<_> = (0..random.below(6)).map(|_| random.text()).collect();
            let bytes = random.flag();
            let wrap =
                |text: String| if bytes { Value::Bytes(text.into_bytes()) } else { Value::String(text) };
            let schema = json!({"type": "array", "items": if bytes { "bytes" } else { "string" }});
            (schema, Value::Array(items.into_iter().map(wrap).collect()))
        }
        Shape::Flag => (json!("boolean"), Value::Boolean(random.flag())),
        Shape::Time => match random.below(3) {
            0 => (json!("int"), Value::Int(random.long() as i32)),
            1 => (json!("long"), Value::Long(random.long())),
            _ => {
                let schema = json!({"type": "long", "logicalType": "timestamp-millis"});
                (schema, Value::TimestampMillis(random.long()))
            }
        },
        Shape::Share => match random.below(4) {
            0 => (json!("int"), Value::Int(random.long() as i32)),
            1 => (json!("long"), Value::Long(random.long())),
            2 => (json!("float"), Value::Float(random.long() as f32 / 7.0)),
            _ => (json!("double"), Value::Double(random.long() as f64 / 7.0)),
        },
        Shape::Status => (json!("int"), Value::Int(random.long() as i32)),
        Shape::Symbol => {
            let mut symbols = field::symbols_of(topic, field);
            let wanted = symbols[random.below(symbols.len())];
            symbols.push("THEIRS_ONLY");
            random.shuffle(&mut symbols);
            let position = symbols.iter().position(|symbol| *symbol == wanted).unwrap();
            let schema = json!({"type": "enum", "name": format!("E_{}", field.name()), "symbols": symbols});
            (schema, Value::Enum(position as u32, wanted.to_owned()))
        }
        Shape::Consent => return record(random, topic, "TheirSignals", field::CONSENT_FIELDS),
    };
    Written { schema, value }
}

fn text(random: &mut Random) -> (Json, Value) {
    let text = random.text();
    if random.flag() {
        (json!("string"), Value::String(text))
    } else {
        (json!("bytes"), Value::Bytes(text.into_bytes()))
    }
}

/// A value of any type that is not read.
fn anything(random: &mut Random, label: &str, depth: usize) -> Written {
    let kinds = if depth == 0 { 7 } else { 11 };
    let inner = |random: &mut Random| anything(random, &format!("{label}_i"), depth - 1);
    let (schema, value) = match random.below(kinds) {
        0 => (json!("null"), Value::Null),
        1 => (json!("boolean"), Value::Boolean(random.flag())),
        2 => (json!("int"), Value::Int(random.long() as i32)),
        3 => (json!("float"), Value::Float(1.5)),
        4 => (json!({"type": "fixed", "name": format!("{label}_f"), "size": 5}), Value::Fixed(5, vec![9; 5])),
        5 => (
            json!({"type": "enum", "name": format!("{label}_e"), "symbols": ["A", "B"]}),
            Value::Enum(1, "B".into()),
        ),
        6 => text(random),
        7 => {
            let item = inner(random);
            let count = random.below(4);
            (json!({"type": "array", "items": item.schema}), Value::Array(vec![item.value; count]))
        }
        8 => {
            let item = inner(random);
            let entries = (0..random.below(3)).map(|at| (format!("k{at}"), item.value.clone())).collect();
            (json!({"type": "map", "values": item.schema}), Value::Map(entries))
        }
        9 => {
            let field = inner(random);
            let schema = json!({"type": "record", "name": format!("{label}_r"),
                "fields": [{"name": "a", "type": field.schema}, {"name": "b", "type": "long"}]});
            let fields = vec![("a".to_owned(), field.value), ("b".to_owned(), Value::Long(random.long()))];
            (schema, Value::Record(fields))
        }
        _ => {
            let schema = json!(["null", "double", {"type": "map", "values": "string"}]);
            (schema, Value::Union(1, Box::new(Value::Double(0.5))))
        }
    };
    Written { schema, value }
}
