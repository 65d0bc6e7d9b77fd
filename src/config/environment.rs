//! Overrides from the environment: `TRUSTLINE__SECTION__KEY=value`, and `TRUSTLINE__OVERRIDE__0__KEY=value` for
//! an entry of a list of tables.

use serde_json::Value as Json;

use super::problem::{Place, Problem};
use super::schema::{alternatives, resolve, section};
use super::shape::{is_type, join, unknown_key};
use super::tree::{Node, Step, Value};

/// What the names of variables start with that set something.
pub const PREFIX: &str = "TRUSTLINE__";

/// Puts the variables over the tree. The value is read as TOML, or as it stands where a string is wanted.
pub(super) fn apply(tree: &mut Node, schema: &Json, variables: &[(String, String)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut ours: Vec<_> = variables.iter().filter(|(name, _)| name.starts_with(PREFIX)).collect();
    // What holds something comes before its parts, and entries of a list in the order of their positions.
    ours.sort_by_cached_key(|(name, _)| {
        let words = name.split("__").map(|word| (word.parse().unwrap_or(usize::MAX), word.to_owned()));
        words.collect::<Vec<_>>()
    });
    for (name, text) in ours {
        let place = Place::Environment(name.clone());
        let set = find(schema, name).and_then(|(path, leaf)| {
            let node = value_of(text, leaf, &place);
            tree.set(&path, node).map_err(|end| (shown(&path), format!("is beyond the next entry, {end}")))
        });
        if let Err((path, message)) = set {
            problems.push(Problem { place, path, value: None, message });
        }
    }
    problems
}

/// The setting that a variable names: its path and its schema; else what is wrong, and where.
fn find<'a>(root: &'a Json, name: &str) -> Result<(Vec<Step>, &'a Json), (String, String)> {
    let (mut path, mut schema) = (Vec::new(), root);
    for word in name.trim_start_matches(PREFIX).split("__") {
        let word = word.to_lowercase();
        let outer = section(schema);
        if let Some(entry) = outer.get("items").filter(|entry| section(entry).get("properties").is_some()) {
            let Ok(at) = word.parse() else {
                let message = "is not the position of an entry; they count from 0".to_owned();
                return Err((join(&shown(&path), &word), message));
            };
            path.push(Step::At(at));
            schema = entry;
            continue;
        }
        let Some(known) = outer.get("properties").and_then(Json::as_object) else {
            return Err((join(&shown(&path), &word), "is not a section".to_owned()));
        };
        // Keys with hyphens are written with underscores, which shells accept.
        let Some((key, below)) = known.iter().find(|(key, _)| key.replace('-', "_") == word) else {
            return Err((join(&shown(&path), &word), unknown_key(&word, known.keys())));
        };
        path.push(Step::Key(key.clone()));
        schema = below;
    }
    Ok((path, schema))
}

fn shown(path: &[Step]) -> String {
    path.iter().fold(String::new(), |shown, step| match step {
        Step::Key(key) => join(&shown, key),
        Step::At(at) => format!("{shown}[{at}]"),
    })
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
    fn entries_of_a_list_are_reached_by_their_position() {
        let mut tree = Node::parse("[[override]]\nbrand = 'a'\npatterns.email_opens = true").unwrap();
        let hours = "PATTERNS__TRACKING_AFTER_OPT_OUT__GRACE_HOURS";
        let mut variables = vec![(format!("{PREFIX}OVERRIDE__0__{hours}"), "3".to_owned())];
        variables.extend((1..12).map(|at| (format!("{PREFIX}OVERRIDE__{at}__BRAND"), at.to_string())));
        variables.push((format!("{PREFIX}OVERRIDE__13__BRAND"), "beyond".to_owned()));
        variables.push((format!("{PREFIX}OVERRIDE__X__BRAND"), "x".to_owned()));
        let problems = apply(&mut tree, schema(), &variables);
        let json = tree.to_json();
        let first = serde_json::json!({
            "brand": "a",
            "patterns": {"email_opens": true, "tracking_after_opt_out": {"grace_hours": 3}},
        });
        assert_eq!(json["override"][0], first);
        assert_eq!(json["override"].as_array().unwrap().len(), 12);
        assert_eq!(json["override"][11], serde_json::json!({"brand": "11"}));
        let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
        assert_eq!(
            problems,
            [
                "override[13].brand: is beyond the next entry, 12",
                "override.x: is not the position of an entry; they count from 0",
            ]
        );
    }

    #[test]
    fn a_list_given_whole_comes_before_its_entries() {
        let (json, problems) = applied(&[
            ("TRUSTLINE__OVERRIDE__1__JURISDICTION", "DE"),
            ("TRUSTLINE__OVERRIDE", "[{brand = 'a'}, {brand = 'b'}]"),
        ]);
        assert_eq!(problems, Vec::<String>::new());
        let expected = serde_json::json!([{"brand": "a"}, {"brand": "b", "jurisdiction": "DE"}]);
        assert_eq!(json["override"], expected);
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
                "time.late_memry_ms: unknown key; did you mean `late_memory_ms`?",
                "times: unknown key; did you mean `time`?",
            ]
        );
    }
}
