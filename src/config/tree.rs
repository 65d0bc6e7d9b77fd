//! The settings as they were given: values that know their place in the file or the environment.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use toml::de::{DeTable, DeValue};

use super::problem::{Place, Problem};

/// A value and where it was set.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) place: Place,
    pub(super) value: Value,
}

/// A value as TOML has them.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Table(BTreeMap<String, Entry>),
    List(Vec<Node>),
    Text(String),
    Integer(i64),
    Float(f64),
    Bool(bool),
    /// What no setting can be: dates, and integers beyond 64 bits.
    Other(String),
}

/// A key of a table with the place of the key itself.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) key_place: Place,
    pub(super) node: Node,
}

/// One step of a path to a value.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// The key of a table.
    Key(String),
    /// The position in a list.
    At(usize),
}

impl Node {
    /// An empty table, set nowhere.
    pub(super) fn empty() -> Node {
        Node { place: Place::Default, value: Value::Table(BTreeMap::new()) }
    }

    /// Reads a file. The errors are all errors of its syntax.
    pub(super) fn parse(text: &str) -> Result<Node, Vec<Problem>> {
        let (table, errors) = DeTable::parse_recoverable(text);
        if errors.is_empty() {
            let places = |offset| place_in(text, offset);
            return Ok(Node {
                place: Place::File { line: 1, column: 1 },
                value: table_of(table.get_ref(), &places),
            });
        }
        let problem = |error: &toml::de::Error| Problem {
            place: place_in(text, error.span().map_or(0, |span| span.start)),
            path: String::new(),
            value: None,
            message: error.message().replace('\n', ", "),
        };
        Err(errors.iter().map(problem).collect())
    }

    /// Reads the text of an environment variable as a TOML value, where it is one.
    pub(super) fn parse_value(text: &str, place: &Place) -> Option<Node> {
        let value = DeValue::parse(text).ok()?;
        Some(node_of(value.get_ref(), place.clone(), &|_| place.clone()))
    }

    /// The value at a path of keys.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Node> {
        let Some((first, rest)) = path.split_first() else { return Some(self) };
        match &self.value {
            Value::Table(entries) => entries.get(*first)?.node.get(rest),
            _ => None,
        }
    }

    /// Sets a value, replacing what stood there or on the way to it. The entry after the last of a list begins
    /// a new one.
    ///
    /// # Errors
    /// The length of a list that does not reach to the position.
    pub(super) fn set(&mut self, path: &[Step], node: Node) -> Result<(), usize> {
        let Some((first, rest)) = path.split_first() else {
            *self = node;
            return Ok(());
        };
        let place = node.place.clone();
        match (first, &mut self.value) {
            (Step::Key(key), Value::Table(entries)) => {
                let new = || Entry { key_place: place, node: Node::empty() };
                entries.entry(key.clone()).or_insert_with(new).node.set(rest, node)
            }
            (Step::At(at), Value::List(items)) => {
                if *at == items.len() {
                    items.push(Node { place, ..Node::empty() });
                }
                let length = items.len();
                items.get_mut(*at).ok_or(length)?.set(rest, node)
            }
            (Step::Key(_), _) => {
                *self = Node::empty();
                self.set(path, node)
            }
            (Step::At(_), _) => {
                *self = Node { place, value: Value::List(Vec::new()) };
                self.set(path, node)
            }
        }
    }

    /// The same as JSON, without the places.
    pub(super) fn to_json(&self) -> Json {
        match &self.value {
            Value::Table(entries) => {
                Json::Object(entries.iter().map(|(key, entry)| (key.clone(), entry.node.to_json())).collect())
            }
            Value::List(items) => Json::Array(items.iter().map(Node::to_json).collect()),
            Value::Text(text) | Value::Other(text) => Json::from(text.as_str()),
            Value::Integer(number) => Json::from(*number),
            Value::Float(number) => Json::from(*number),
            Value::Bool(flag) => Json::from(*flag),
        }
    }

    /// The value as it may be shown in one line.
    pub(super) fn show(&self) -> String {
        match &self.value {
            Value::Table(_) => "a table".to_owned(),
            Value::List(items) if items.iter().any(|item| matches!(item.value, Value::Table(_))) => {
                "a list of tables".to_owned()
            }
            Value::List(items) => {
                format!("[{}]", items.iter().map(Node::show).collect::<Vec<_>>().join(", "))
            }
            Value::Text(text) => format!("{text:?}"),
            Value::Integer(number) => number.to_string(),
            Value::Float(number) => format!("{number:?}"),
            Value::Bool(flag) => flag.to_string(),
            Value::Other(text) => text.clone(),
        }
    }
}

fn table_of(table: &DeTable<'_>, places: &dyn Fn(usize) -> Place) -> Value {
    let entry = |(key, value): (&toml::Spanned<toml::de::DeString<'_>>, &toml::Spanned<DeValue<'_>>)| {
        let node = node_of(value.get_ref(), places(value.span().start), places);
        (key.get_ref().to_string(), Entry { key_place: places(key.span().start), node })
    };
    Value::Table(table.iter().map(entry).collect())
}

fn node_of(value: &DeValue<'_>, place: Place, places: &dyn Fn(usize) -> Place) -> Node {
    let value = match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => match i64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) => Value::Integer(number),
            Err(_) => Value::Other(number.to_string()),
        },
        DeValue::Float(number) => Value::Float(number.as_str().parse().unwrap_or(f64::NAN)),
        DeValue::Boolean(flag) => Value::Bool(*flag),
        DeValue::Datetime(date) => Value::Other(date.to_string()),
        DeValue::Array(items) => Value::List(
            items.iter().map(|item| node_of(item.get_ref(), places(item.span().start), places)).collect(),
        ),
        DeValue::Table(table) => table_of(table, places),
    };
    Node { place, value }
}

fn place_in(text: &str, offset: usize) -> Place {
    let before = text.get(..offset).unwrap_or(text);
    let line_start = before.rfind('\n').map_or(0, |at| at + 1);
    Place::File {
        line: before.matches('\n').count() + 1,
        column: before.get(line_start..).unwrap_or_default().chars().count() + 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_know_line_and_column() {
        let tree = Node::parse("# ü\n[a]\n\"ü\" = 1\n\"b\" = [1,\n  2]\nd.e = 'x'\n[[c]]\nf = 1\n").unwrap();
        let place = |path: &[&str]| tree.get(path).unwrap().place.clone();
        assert_eq!(place(&["a", "ü"]), Place::File { line: 3, column: 7 });
        assert_eq!(place(&["a", "b"]), Place::File { line: 4, column: 7 });
        assert_eq!(place(&["a", "d", "e"]), Place::File { line: 6, column: 7 });
        let Value::List(items) = &tree.get(&["a", "b"]).unwrap().value else { panic!("a list") };
        assert_eq!(items[1].place, Place::File { line: 5, column: 3 });
    }

    #[test]
    fn every_error_of_the_syntax_is_found() {
        let problems = Node::parse("a = \nb = 1\nb = 2\n").unwrap_err();
        let lines: Vec<_> = problems.iter().map(|problem| problem.place.clone()).collect();
        assert!(matches!(lines[0], Place::File { line: 1, .. }), "{problems:?}");
        assert!(matches!(lines[1], Place::File { line: 3, .. }), "{problems:?}");
    }

    #[test]
    fn a_value_can_be_set_where_nothing_was() {
        let mut tree = Node::empty();
        let node = Node { place: Place::Environment("X".into()), value: Value::Integer(1) };
        tree.set(&[Step::Key("a".into()), Step::Key("b".into())], node).unwrap();
        assert_eq!(tree.to_json(), serde_json::json!({"a": {"b": 1}}));
    }
}
