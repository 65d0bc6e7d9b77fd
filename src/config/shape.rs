//! Checks what was given against the schema: names, types and ranges, every problem at once.

use serde_json::Value as Json;

use super::problem::{Place, Problem};
use super::schema::{alternatives, resolve};
use super::tree::{Node, Value};

/// Checks a tree and takes out of it what cannot stand, so that the rest can be checked further.
pub(super) fn check(root: &mut Node, schema: &Json) -> Vec<Problem> {
    let mut walk = Walk { problems: Vec::new() };
    walk.keep(root, schema, "");
    walk.problems
}

struct Walk {
    problems: Vec<Problem>,
}

impl Walk {
    /// Checks one value; false when it cannot stand.
    fn keep(&mut self, node: &mut Node, schema: &Json, path: &str) -> bool {
        let schema = resolve(schema);
        if let Some(options) = alternatives(schema) {
            return match options.as_slice() {
                [one] => self.keep(node, one, path),
                _ => {
                    let fits = options.iter().any(|one| Walk { problems: Vec::new() }.keep(node, one, path));
                    fits || self.refuse(node, schema, path)
                }
            };
        }
        match &mut node.value {
            Value::Table(_) if is_type(schema, "object") => self.keep_table(node, schema, path),
            Value::List(_) if is_type(schema, "array") => self.keep_list(node, schema, path),
            _ => fits(node, schema) || self.refuse(node, schema, path),
        }
    }

    fn keep_table(&mut self, node: &mut Node, schema: &Json, path: &str) -> bool {
        let known = schema.get("properties").and_then(Json::as_object);
        let Value::Table(entries) = &mut node.value else { return false };
        entries.retain(|key, entry| {
            let below = join(path, key);
            match known.and_then(|known| known.get(key)).or_else(|| any_key(schema)) {
                Some(schema) => self.keep(&mut entry.node, schema, &below),
                None => {
                    let names = known.into_iter().flat_map(|known| known.keys());
                    self.report(entry.key_place.clone(), below, None, unknown_key(key, names));
                    false
                }
            }
        });
        let required = schema.get("required").and_then(Json::as_array).into_iter().flatten();
        let missing: Vec<&str> =
            required.filter_map(Json::as_str).filter(|key| !entries.contains_key(*key)).collect();
        for key in &missing {
            self.report(node.place.clone(), join(path, key), None, "is missing".into());
        }
        missing.is_empty()
    }

    fn keep_list(&mut self, node: &mut Node, schema: &Json, path: &str) -> bool {
        let Value::List(items) = &mut node.value else { return false };
        let mut good = true;
        if let Some(of) = schema.get("items") {
            for (at, item) in items.iter_mut().enumerate() {
                good &= self.keep(item, of, &format!("{path}[{at}]"));
            }
        }
        let length = items.len() as u64;
        let bound = |name| schema.get(name).and_then(Json::as_u64);
        if bound("minItems").is_some_and(|least| length < least)
            || bound("maxItems").is_some_and(|most| length > most)
        {
            return self.refuse(node, schema, path);
        }
        good
    }

    fn refuse(&mut self, node: &Node, schema: &Json, path: &str) -> bool {
        let mut message = format!("must be {}", describe(schema));
        if let Value::Text(text) = &node.value
            && let Some(near) = nearest(text, symbols(schema).into_iter())
        {
            message.push_str(&format!("; did you mean \"{near}\"?"));
        }
        self.report(node.place.clone(), path.to_owned(), Some(node.show()), message);
        false
    }

    fn report(&mut self, place: Place, path: String, value: Option<String>, message: String) {
        self.problems.push(Problem { place, path, value, message });
    }
}

/// The path of a key below another.
pub(super) fn join(path: &str, key: &str) -> String {
    let bare = !key.is_empty() && key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let key = if bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { key } else { format!("{path}.{key}") }
}

/// Says of an unknown key what may have been meant.
pub(super) fn unknown_key<'a>(key: &str, known: impl Iterator<Item = &'a String> + Clone) -> String {
    match nearest(key, known.clone().map(String::as_str)) {
        Some(near) => format!("unknown key; did you mean `{near}`?"),
        None => {
            let names: Vec<String> = known.map(|name| format!("`{name}`")).collect();
            format!("unknown key; known here: {}", names.join(", "))
        }
    }
}

/// The known word that is most like this one, if any is.
fn nearest<'a>(word: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded = |text: &str| text.to_lowercase().replace('-', "_");
    let word = folded(word);
    known
        .map(|name| (strsim::normalized_damerau_levenshtein(&word, &folded(name)), name))
        .filter(|(likeness, _)| *likeness >= 0.5)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

fn any_key(schema: &Json) -> Option<&Json> {
    schema.get("additionalProperties").filter(|any| any.is_object())
}

/// Whether the schema has this type, alone or beside null.
pub(super) fn is_type(schema: &Json, wanted: &str) -> bool {
    match schema.get("type") {
        Some(Json::String(one)) => one == wanted,
        Some(Json::Array(several)) => several.iter().any(|one| one == wanted),
        _ => false,
    }
}

/// Whether a scalar fits.
fn fits(node: &Node, schema: &Json) -> bool {
    let number = |name| schema.get(name).and_then(Json::as_f64);
    let in_range = |value: f64| {
        number("minimum").is_none_or(|least| value >= least)
            && number("maximum").is_none_or(|most| value <= most)
    };
    match &node.value {
        Value::Text(text) => {
            let allowed = symbols(schema);
            let long_enough =
                schema.get("minLength").and_then(Json::as_u64).is_none_or(|least| text.len() as u64 >= least);
            (is_type(schema, "string") || !allowed.is_empty())
                && long_enough
                && (allowed.is_empty() || allowed.contains(&text.as_str()))
        }
        Value::Integer(value) if is_type(schema, "integer") => {
            // Bounds of settings lie well within 53 bits; beyond them the comparison still errs on the right side.
            in_range(*value as f64)
        }
        Value::Integer(value) => is_type(schema, "number") && in_range(*value as f64),
        Value::Float(value) => is_type(schema, "number") && value.is_finite() && in_range(*value),
        Value::Bool(_) => is_type(schema, "boolean"),
        Value::Table(_) | Value::List(_) | Value::Other(_) => false,
    }
}

/// The words that a schema allows, if it lists them.
fn symbols(schema: &Json) -> Vec<&str> {
    let schema = resolve(schema);
    let one = schema.get("const").and_then(Json::as_str);
    let listed = schema.get("enum").and_then(Json::as_array).into_iter().flatten().filter_map(Json::as_str);
    let nested = alternatives(schema).into_iter().flatten().flat_map(symbols);
    one.into_iter().chain(listed).chain(nested).collect()
}

/// What a schema allows, in words.
fn describe(schema: &Json) -> String {
    let schema = resolve(schema);
    let words = symbols(schema);
    let others: Vec<&Json> =
        alternatives(schema).unwrap_or_default().into_iter().filter(|one| symbols(one).is_empty()).collect();
    let quoted = words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ");
    match (words.len(), others.as_slice()) {
        (0, []) => describe_type(schema),
        (0, others) => join_or(others),
        (1, []) => quoted,
        (_, []) => format!("one of {quoted}"),
        (_, others) => format!("{} or {quoted}", join_or(others)),
    }
}

fn join_or(schemas: &[&Json]) -> String {
    schemas.iter().map(|one| describe(one)).collect::<Vec<_>>().join(" or ")
}

fn describe_type(schema: &Json) -> String {
    if is_type(schema, "object") {
        return "a table".into();
    }
    if is_type(schema, "array") {
        return describe_list(schema);
    }
    if is_type(schema, "boolean") {
        return "true or false".into();
    }
    if is_type(schema, "string") {
        let empty_allowed = schema.get("minLength").is_none();
        return if empty_allowed { "a string".into() } else { "a string that is not empty".into() };
    }
    let kind = if is_type(schema, "integer") { "an integer" } else { "a number" };
    match (schema.get("minimum"), schema.get("maximum")) {
        (Some(least), Some(most)) => format!("{kind} from {least} to {most}"),
        (Some(least), None) => format!("{kind} of at least {least}"),
        (None, Some(most)) => format!("{kind} of at most {most}"),
        (None, None) => kind.into(),
    }
}

fn describe_list(schema: &Json) -> String {
    let of = schema.get("items").map_or_else(String::new, |of| format!(", each {}", describe(of)));
    match (schema.get("minItems"), schema.get("maxItems")) {
        (Some(least), Some(most)) if least == most => format!("a list of {least} values{of}"),
        (Some(least), _) => format!("a list of at least {least} value{of}"),
        _ => format!("a list{of}"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn found(text: &str) -> Vec<String> {
        let mut tree = Node::parse(text).unwrap();
        let schema = json!({
            "type": "object",
            "properties": {
                "count": {"type": "integer", "minimum": 1, "maximum": 4294967295_u32},
                "share": {"type": ["number", "null"], "minimum": 0.0, "maximum": 1.0},
                "idle_ms": {"anyOf": [{"type": "integer", "minimum": 0}, {"enum": ["never"]}]},
                "mode": {"oneOf": [{"const": "served"}, {"const": "viewable"}]},
                "three": {"type": "array", "items": {"type": "number"}, "minItems": 3, "maxItems": 3},
                "name": {"type": "string", "minLength": 1},
                "on": {"type": "boolean"},
            },
        });
        check(&mut tree, &schema).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn good_values_pass() {
        let text =
            "count = 1\nshare = 1\nidle_ms = 'never'\nmode = 'served'\nthree = [1, 2.5, -3]\non = true";
        assert_eq!(found(text), Vec::<String>::new());
        assert_eq!(found("idle_ms = 0\nshare = 0.5\ncount = 4294967295"), Vec::<String>::new());
    }

    #[test]
    fn every_problem_says_what_is_allowed() {
        for (text, message) in [
            ("count = 0", "count = 0: must be an integer from 1 to 4294967295"),
            ("count = 4294967296", "count = 4294967296: must be an integer from 1 to 4294967295"),
            (
                "count = 99999999999999999999",
                "count = 99999999999999999999: must be an integer from 1 to 4294967295",
            ),
            ("count = 1.5", "count = 1.5: must be an integer from 1 to 4294967295"),
            ("share = nan", "share = NaN: must be a number from 0.0 to 1.0"),
            ("share = 1.01", "share = 1.01: must be a number from 0.0 to 1.0"),
            ("share = 2024-01-01", "share = 2024-01-01: must be a number from 0.0 to 1.0"),
            ("idle_ms = -1", "idle_ms = -1: must be an integer of at least 0 or \"never\""),
            (
                "mode = 'view'",
                "mode = \"view\": must be one of \"served\", \"viewable\"; did you mean \"viewable\"?",
            ),
            ("three = [1, 2]", "three = [1, 2]: must be a list of 3 values, each a number"),
            ("three = [1, 2, 'x']", "three[2] = \"x\": must be a number"),
            ("name = ''", "name = \"\": must be a string that is not empty"),
            ("on = 'yes'", "on = \"yes\": must be true or false"),
            ("on = {a = 1}", "on = a table: must be true or false"),
            ("coutn = 1", "coutn: unknown key; did you mean `count`?"),
        ] {
            assert_eq!(found(text), [message], "{text}");
        }
    }

    #[test]
    fn all_problems_are_found_at_once_and_the_rest_stays() {
        let mut tree = Node::parse("x = 1\ny = 'no'\nz = 3").unwrap();
        let schema =
            json!({"type": "object", "properties": {"y": {"type": "integer"}, "z": {"type": "integer"}}});
        assert_eq!(check(&mut tree, &schema).len(), 2);
        assert_eq!(tree.to_json(), json!({"z": 3}));
    }
}
