//! Paths into a foreign record.

use serde_json::Value;

/// A checked path: `a.b[0].c`, `items[*].id`, `params[key=page].value`, a JSON pointer, or `$row`, `$source`, `$variable`.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Path {
    /// Into the record.
    Record(Vec<Step>),
    /// The number of the record within its source.
    Row,
    /// The name of the source.
    Source,
    /// A variable of the mapping.
    Variable(String),
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Step {
    /// A key of an object; on a list, its position (JSON pointers).
    Key(String),
    /// A position of a list.
    At(usize),
    /// Every element of a list.
    All,
    /// The elements of a list that are objects whose key begins with, or equals, a text.
    Where { key: String, text: String, prefix: bool, all: bool },
}

/// Deepest path that is accepted.
const STEPS_MAX: usize = 32;

impl Path {
    /// Reads a path; the error says what is wrong with it.
    pub(super) fn parse(text: &str) -> Result<Path, &'static str> {
        match text {
            "" => return Err("a path must not be empty"),
            "$row" => return Ok(Path::Row),
            "$source" => return Ok(Path::Source),
            _ => {}
        }
        if let Some(name) = text.strip_prefix('$') {
            return Ok(Path::Variable(name.to_owned()));
        }
        let steps = match text.strip_prefix('/') {
            Some(pointer) => {
                pointer.split('/').map(|part| Step::Key(part.replace("~1", "/").replace("~0", "~"))).collect()
            }
            None => dotted(text)?,
        };
        if steps.len() > STEPS_MAX {
            return Err("a path has at most 32 steps");
        }
        Ok(Path::Record(steps))
    }
}

fn dotted(text: &str) -> Result<Vec<Step>, &'static str> {
    let mut steps = Vec::new();
    let mut rest = text;
    loop {
        let end = rest.find(['.', '[']).unwrap_or(rest.len());
        let (key, after) = rest.split_at(end);
        if key.is_empty() {
            return Err("a key between dots or before a bracket must not be empty");
        }
        steps.push(Step::Key(key.to_owned()));
        rest = after;
        while let Some(inside) = rest.strip_prefix('[') {
            let (inside, after) = inside.split_once(']').ok_or("a `[` needs its `]`")?;
            steps.push(bracket(inside)?);
            rest = after;
        }
        if rest.is_empty() {
            return Ok(steps);
        }
        rest = rest.strip_prefix('.').ok_or("a `]` is followed by a dot, a bracket or the end")?;
    }
}

fn bracket(inside: &str) -> Result<Step, &'static str> {
    if inside == "*" {
        return Ok(Step::All);
    }
    let (all, test) = match inside.strip_prefix('*') {
        Some(test) => (true, test),
        None => (false, inside),
    };
    if let Some((key, text)) = test.split_once('=') {
        let (key, prefix) = match key.strip_suffix('^') {
            Some(key) => (key, true),
            None => (key, false),
        };
        return Ok(Step::Where { key: key.to_owned(), text: text.to_owned(), prefix, all });
    }
    inside.parse().map(Step::At).map_err(|_| "brackets hold a number, `*`, `key=text` or `key^=beginning`")
}

/// The value at these steps; several of them as a list. `None` for nothing, null and empty text.
pub(super) fn select(record: &Value, steps: &[Step]) -> Option<Value> {
    let mut found = Vec::new();
    walk(record, steps, &mut found);
    let many = steps.iter().any(|step| matches!(step, Step::All | Step::Where { all: true, .. }));
    if many {
        let list: Vec<Value> = found.into_iter().filter(|value| is_there(value)).cloned().collect();
        return (!list.is_empty()).then_some(Value::Array(list));
    }
    found.first().filter(|value| is_there(value)).map(|value| (*value).clone())
}

fn is_there(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        _ => true,
    }
}

fn walk<'a>(value: &'a Value, steps: &[Step], found: &mut Vec<&'a Value>) {
    let Some((step, rest)) = steps.split_first() else {
        found.push(value);
        return;
    };
    match (step, value) {
        (Step::Key(key), Value::Object(object)) => {
            if let Some(next) = object.get(key) {
                walk(next, rest, found);
            }
        }
        (Step::Key(key), Value::Array(list)) => {
            if let Some(next) = key.parse::<usize>().ok().and_then(|at| list.get(at)) {
                walk(next, rest, found);
            }
        }
        (Step::At(at), Value::Array(list)) => {
            if let Some(next) = list.get(*at) {
                walk(next, rest, found);
            }
        }
        (Step::All, Value::Array(list)) => list.iter().for_each(|next| walk(next, rest, found)),
        (Step::Where { key, text, prefix, all }, Value::Array(list)) => {
            let matches = |element: &&Value| match element.get(key).and_then(as_text) {
                Some(have) if *prefix => have.starts_with(text.as_str()),
                Some(have) => have == *text,
                None => false,
            };
            let limit = if *all { usize::MAX } else { 1 };
            list.iter().filter(matches).take(limit).for_each(|next| walk(next, rest, found));
        }
        _ => {}
    }
}

/// A scalar as text; `None` for null, lists and objects.
pub(super) fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(path: &str, expected: Option<Value>) {
        let record = json!({
            "a": {"b": [{"c": 1}, {"c": "x"}], "empty": "", "null": null},
            "params": [{"key": "page", "value": 7}, {"key": "paging", "value": 8}],
            "with.dot": true,
        });
        let Ok(Path::Record(steps)) = Path::parse(path) else { panic!("{path}") };
        assert_eq!(select(&record, &steps), expected, "{path}");
    }

    #[test]
    fn paths_reach_what_they_name() {
        check("a.b[1].c", Some(json!("x")));
        check("/a/b/1/c", Some(json!("x")));
        check("a.b[*].c", Some(json!([1, "x"])));
        check("params[key=page].value", Some(json!(7)));
        check("params[*key^=pag].value", Some(json!([7, 8])));
        check("/with.dot", Some(json!(true)));
        check("a.empty", None);
        check("a.null", None);
        check("a.b[9].c", None);
        check("a.b.c.d", None);
    }

    #[test]
    fn broken_paths_are_refused() {
        for path in ["", ".", "a..b", "a[", "a[x]", "a[0]b", "[0]", "a."] {
            assert!(Path::parse(path).is_err(), "{path}");
        }
    }
}
