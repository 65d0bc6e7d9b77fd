//! Overrides from the environment: `TRUSTLINE__SECTION__KEY=value`.

use serde_json::Value as Json;

use super::problem::{Place, Problem};
use super::schema::{alternatives, resolve, section};
use super::shape::{is_type, join, unknown_key};
use super::tree::{Node, Value};

/// What the names of variables start with that set something.
pub const PREFIX: &str = "TRUSTLINE__";

/// Puts the variables over the tree. The value is read as TOML, or as it stands where a string is wanted.
pub(super) fn apply(tree: &mut Node, schema: &Json, variables: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    ours.sort();
    for (name, text) in ours {
        let place = Place::Environment(name.clone());
        match find(schema, name) {
            Ok((path, leaf)) => tree.set(&path, value_of(text, leaf, &place)),
            Err((path, message)) => problems.push(Problem { place, path, value: None, message }),
        }
    }
    problems
}

/// The setting that a variable names: its path and its schema.
fn find<'a>(root: &'a Json, name: &str) -> Result<(Vec<String>, &'a Json), (String, String)> {
    let (mut path, mut schema) = (Vec::new(), root);
    for word in name.trim_start_matches(PREFIX).split("__") {
        let shown = path.iter().fold(String::new(), |shown, key: &String| join(&shown, key));
        let word = word.to_lowercase();
        let Some(known) = section(schema).get("properties").and_then(Json::as_object) else {
            return Err((join(&shown, &word), "is not a section".to_owned()));
        };
        // Keys with hyphens are written with underscores, which shells accept.
        let Some((key, below)) = known.iter().find(|(key, _)| key.replace('-', "_") == word) else {
            return Err((join(&shown, &word), unknown_key(&word, known.keys())));
        };
        path.push(key.clone());
        schema = below;
    }
    Ok((path, schema))
}

fn value_of(text: &str, schema: &Json, place: &Place) -> Node {
    let as_text = || Node { place: place.clone(), value: Value::Text(text.to_owned()) };
    if takes_only_text(schema) { as_text() } else { Node::parse_value(text, place).unwrap_or_else(as_text) }
}

fn takes_only_text(schema: &Json) -> bool {
    let schema = resolve(schema);
    match alternatives(schema) {
        Some(options) => options.into_iter().all(takes_only_text),
        None => is_type(schema, "string") || schema.get("const").is_some_and(Json::is_string),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::schema;

    fn applied(variables: &[(&str, &str)]) -> (Json, Vec<String>) {
        let owned: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut tree = Node::empty();
        let problems = apply(&mut tree, schema(), &owned);
        (tree.to_json(), problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn variables_set_what_they_name() {
        let (json, problems) = applied(&[
            ("TRUSTLINE__TIME__LATE_MEMORY_MS", "7_200_000"),
            ("TRUSTLINE__TIME__IDLE_AFTER_MS", "never"),
            ("TRUSTLINE__TOPICS__AD_DELIVERIES__NAME", "123"),
            ("TRUSTLINE__PATTERNS__RELENTLESS_RETARGETING__IN_24H", "[5, 9, 19]"),
            ("TRUSTLINE__KAFKA__BROKERS", "['a:1', \"b:2\"]"),
            ("TRUSTLINE__KAFKA__MECHANISM", "PLAIN"),
            ("TRUSTLINE_CONFIG", "other.toml"),
            ("PATH", "/bin"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        let expected = serde_json::json!({
            "time": {"late_memory_ms": 7_200_000, "idle_after_ms": "never"},
            "topics": {"ad-deliveries": {"name": "123"}},
            "patterns": {"relentless_retargeting": {"in_24h": [5, 9, 19]}},
            "kafka": {"brokers": ["a:1", "b:2"], "mechanism": "PLAIN"},
        });
        assert_eq!(json, expected);
    }

    #[test]
    fn unknown_names_are_refused_with_the_nearest() {
        let (_, problems) = applied(&[
            ("TRUSTLINE__TIME__LATE_MEMRY_MS", "1"),
            ("TRUSTLINE__TIMES__X", "1"),
            ("TRUSTLINE__HTTP__LISTEN__PORT", "1"),
        ]);
        assert_eq!(
            problems,
            [
                "http.listen.port: is not a section",
                "times: unknown key; did you mean `time`?",
                "time.late_memry_ms: unknown key; did you mean `late_memory_ms`?",
            ]
        );
    }
}
