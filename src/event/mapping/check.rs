//! From the mapping as it is written to a mapper that can be trusted, with every problem at once.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde_json::Value;

use super::super::kinds::Topic;
use super::fields::{self, Field, FieldType};
use super::file::{Condition, EventRule, FieldRule, ForeignFormat, Mapping, Otherwise, Transform};
use super::mapper::{Event, Mapper, Part, Piece, Rule, Source, Test};
use super::path::{Path, as_text};
use super::value::{TimeForm, coerce};

/// One thing that is wrong with a mapping.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappingProblem {
    /// Where in the mapping, such as `event[0].fields.kind.table`.
    pub at: String,
    /// What is wrong and what is allowed.
    pub problem: String,
}

impl fmt::Display for MappingProblem {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(to, "{}: {}", self.at, self.problem)
    }
}

impl Mapping {
    /// Reads a mapping written in TOML.
    ///
    /// # Errors
    /// What the TOML reader says, as one problem.
    pub fn from_toml(text: &str) -> Result<Mapping, MappingProblem> {
        toml::from_str(text)
            .map_err(|error| MappingProblem { at: "mapping".to_owned(), problem: error.to_string() })
    }

    /// Checks everything that can be checked without a record.
    ///
    /// # Errors
    /// All problems, in the order of the mapping.
    pub fn check(&self) -> Result<Mapper, Vec<MappingProblem>> {
        self.check_with(&BTreeMap::new())
    }

    /// Checks the mapping with some of its variables set anew, or those set that it uses and leaves open.
    ///
    /// # Errors
    /// As of [`check`](Self::check), and variables that the mapping does not know.
    pub fn check_with(&self, given: &BTreeMap<String, String>) -> Result<Mapper, Vec<MappingProblem>> {
        let mut variables = self.variables.clone();
        variables.extend(given.clone());
        let mut check = Check { variables: &variables, used: BTreeSet::new(), problems: Vec::new() };
        check.whole(self);
        let skip_when = check.tests("skip_when", &self.skip_when);
        let events: Vec<Event> = self
            .events
            .iter()
            .enumerate()
            .filter_map(|(number, event)| check.event(&format!("event[{number}]"), event))
            .collect();
        check.given(self, given);
        if !check.problems.is_empty() {
            return Err(check.problems);
        }
        Ok(Mapper {
            name: self.name.clone(),
            format: self.format,
            columns: self.columns.clone(),
            json_columns: self.json_columns.iter().cloned().collect(),
            variables,
            skip_when,
            events,
        })
    }
}

/// The check under way.
struct Check<'a> {
    variables: &'a BTreeMap<String, String>,
    used: BTreeSet<String>,
    problems: Vec<MappingProblem>,
}

impl Check<'_> {
    fn problem(&mut self, at: &str, problem: impl Into<String>) {
        self.problems.push(MappingProblem { at: at.to_owned(), problem: problem.into() });
    }

    fn whole(&mut self, mapping: &Mapping) {
        if mapping.name.is_empty() {
            self.problem("name", "must not be empty");
        }
        if mapping.events.is_empty() {
            self.problem("event", "at least one event is needed");
        }
        if mapping.format == ForeignFormat::JsonLines {
            for (at, list) in [("columns", &mapping.columns), ("json_columns", &mapping.json_columns)] {
                if !list.is_empty() {
                    self.problem(at, "only CSV and TSV have columns; allowed with `format` `csv` or `tsv`");
                }
            }
        }
        let distinct: BTreeSet<&String> = mapping.columns.iter().collect();
        if distinct.len() != mapping.columns.len() {
            self.problem("columns", "every name may occur once");
        }
        for name in &mapping.json_columns {
            if !mapping.columns.is_empty() && !distinct.contains(name) {
                self.problem("json_columns", format!("`{name}` is not one of `columns`"));
            }
        }
    }

    /// Variables that were given must mean something.
    fn given(&mut self, mapping: &Mapping, given: &BTreeMap<String, String>) {
        for name in given.keys() {
            if !mapping.variables.contains_key(name) && !self.used.contains(name) {
                let known: BTreeSet<&str> =
                    mapping.variables.keys().chain(&self.used).map(String::as_str).collect();
                let known = known.into_iter().collect::<Vec<_>>().join(", ");
                self.problem(
                    &format!("variables.{name}"),
                    format!("the mapping has no such variable; allowed: {known}"),
                );
            }
        }
    }

    fn path(&mut self, at: &str, text: &str) -> Option<Path> {
        match Path::parse(text) {
            Ok(Path::Variable(name)) if !self.variables.contains_key(&name) => {
                let known: Vec<String> = self.variables.keys().map(|name| format!(", `${name}`")).collect();
                let known = known.concat();
                self.problem(
                    at,
                    format!(
                        "`${name}` is unknown: no variable `{name}` is set; known: `$row`, `$source`{known}"
                    ),
                );
                None
            }
            Ok(path) => {
                if let Path::Variable(name) = &path {
                    self.used.insert(name.clone());
                }
                Some(path)
            }
            Err(problem) => {
                self.problem(at, problem);
                None
            }
        }
    }

    fn tests(&mut self, at: &str, conditions: &[Condition]) -> Vec<Test> {
        let numbered = conditions.iter().enumerate();
        numbered.filter_map(|(number, condition)| self.test(&format!("{at}[{number}]"), condition)).collect()
    }

    fn test(&mut self, at: &str, condition: &Condition) -> Option<Test> {
        let Condition { path, exists, equals, any_of, not_equals } = condition;
        if exists.is_none() && equals.is_none() && any_of.is_none() && not_equals.is_none() {
            self.problem(at, "needs one of `exists`, `equals`, `any_of`, `not_equals`");
        }
        if equals.is_some() && any_of.is_some() {
            self.problem(at, "takes `equals` or `any_of`, not both");
        }
        let listed = any_of.as_deref().or(equals.as_ref().map(std::slice::from_ref));
        let texts = listed.map(|values| values.iter().map(as_text).collect::<Option<BTreeSet<String>>>());
        let not_text = not_equals.as_ref().map(as_text);
        if texts == Some(None) || not_text == Some(None) {
            self.problem(at, "values are compared as text: only texts, numbers and booleans are allowed");
        }
        Some(Test {
            path: self.path(&format!("{at}.path"), path)?,
            exists: *exists,
            any_of: texts.flatten(),
            not_equals: not_text.flatten(),
        })
    }

    fn event(&mut self, at: &str, rule: &EventRule) -> Option<Event> {
        let Some(topic) = Topic::from_symbol(&rule.topic) else {
            self.problem(
                &format!("{at}.topic"),
                format!("`{}` is unknown; allowed: {}", rule.topic, Topic::SYMBOLS.join(", ")),
            );
            return None;
        };
        let when = self.tests(&format!("{at}.when"), &rule.when);
        let copy = rule.copy.as_ref().and_then(|path| self.path(&format!("{at}.copy"), path));
        let mut checked = Vec::new();
        for (name, field_rule) in &rule.fields {
            let at = format!("{at}.fields.{name}");
            match fields::of_topic(topic).find(|field| field.name == name) {
                Some(field) => checked.extend(self.field(&at, topic, *field, field_rule)),
                None => {
                    let known: Vec<&str> = fields::of_topic(topic).map(|field| field.name).collect();
                    self.problem(
                        &at,
                        format!("not a field of {}; allowed: {}", topic.symbol(), known.join(", ")),
                    );
                }
            }
        }
        if rule.copy.is_none() {
            self.completeness(at, topic, rule);
        }
        // A rule that may drop the event comes before those that may fail.
        checked.sort_by_key(|rule: &Rule| rule.otherwise != Otherwise::SkipEvent);
        if rule.skip_nobody && !fields::names_somebody(topic) {
            let topic = topic.symbol();
            self.problem(&format!("{at}.skip_nobody"), format!("records of {topic} need not name anybody"));
        }
        Some(Event { topic, when, copy, skip_nobody: rule.skip_nobody, fields: checked })
    }

    fn completeness(&mut self, at: &str, topic: Topic, rule: &EventRule) {
        for field in fields::of_topic(topic).filter(|field| field.required) {
            if !rule.fields.contains_key(field.name) {
                self.problem(&format!("{at}.fields.{}", field.name), "is missing; no such event without it");
            }
        }
        let names = |field| rule.fields.contains_key(field);
        if fields::names_somebody(topic) && !names("person_id") && !names("device_id") {
            self.problem(&format!("{at}.fields"), "at least one of `person_id` and `device_id` is needed");
        }
    }

    fn field(&mut self, at: &str, topic: Topic, field: Field, rule: &FieldRule) -> Option<Rule> {
        let (name, source) = self.source(at, rule)?;
        self.outputs(at, topic, field, rule);
        if rule.otherwise.is_some() && rule.table.is_none() {
            self.problem(&format!("{at}.otherwise"), "is allowed only with `table`");
        }
        if rule.split.as_deref() == Some("") {
            self.problem(&format!("{at}.split"), "the separator must not be empty");
        }
        let time = match &rule.time {
            None => TimeForm::Canonical,
            Some(_) if field.holds != FieldType::Time => {
                self.problem(&format!("{at}.time"), format!("`{}` is not a time", field.name));
                return None;
            }
            Some(text) => match TimeForm::parse(text) {
                Some(form) => form,
                None => {
                    self.problem(
                        &format!("{at}.time"),
                        "allowed: `epoch_s`, `epoch_ms`, `epoch_us`, `rfc3339`, or a pattern with `%`",
                    );
                    return None;
                }
            },
        };
        Some(Rule {
            field: field.name,
            holds: field.holds,
            rule: name,
            source,
            ignore: rule.ignore.iter().cloned().collect(),
            split: rule.split.clone(),
            transforms: rule.transforms.clone(),
            table: rule.table.clone(),
            otherwise: rule.otherwise.clone().unwrap_or(Otherwise::Error),
            time,
            default: rule.default.clone(),
            required: rule.required || field.required,
        })
    }

    /// Every value that the mapping itself spells out must fit the field.
    fn outputs(&mut self, at: &str, topic: Topic, field: Field, rule: &FieldRule) {
        let mut spelt: Vec<(String, &Value)> = Vec::new();
        // A constant that goes through a table is a key, not an output.
        if rule.table.is_none() {
            spelt.extend(rule.constant.as_ref().map(|value| (format!("{at}.constant"), value)));
        }
        let table = rule.table.iter().flatten();
        spelt.extend(table.map(|(key, value)| (format!("{at}.table.{key}"), value)));
        if let Some(Otherwise::Value(value)) = &rule.otherwise {
            spelt.push((format!("{at}.otherwise"), value));
        }
        spelt.extend(rule.default.as_ref().map(|value| (format!("{at}.default"), value)));
        for (at, value) in spelt {
            if field.holds == FieldType::Time {
                continue; // Read by its form like any other time.
            }
            match coerce(value.clone(), field.holds) {
                Err(wanted) => self.problem(&at, format!("`{}` holds {wanted}", field.name)),
                Ok(Value::String(symbol)) if !fields::allows(topic, field.holds, &symbol) => {
                    let allowed = fields::symbols(topic, field.holds).join(", ");
                    self.problem(&at, format!("`{symbol}` is not allowed; allowed: {allowed}"));
                }
                Ok(_) => {}
            }
        }
    }

    fn source(&mut self, at: &str, rule: &FieldRule) -> Option<(&'static str, Source)> {
        let given = [
            rule.constant.is_some(),
            rule.path.is_some(),
            rule.first_of.is_some(),
            rule.template.is_some(),
            rule.contains.is_some(),
        ];
        if given.iter().filter(|given| **given).count() != 1 {
            self.problem(at, "needs exactly one of `constant`, `path`, `first_of`, `template`, `contains`");
            return None;
        }
        if let Some(value) = &rule.constant {
            return Some(("constant", Source::Constant(value.clone())));
        }
        if let Some(text) = &rule.path {
            let path = self.path(&format!("{at}.path"), text)?;
            return Some(("path", Source::FirstOf(vec![Piece::Path(path)])));
        }
        if let Some(text) = &rule.template {
            return Some((
                "template",
                Source::FirstOf(vec![self.template(&format!("{at}.template"), text)?]),
            ));
        }
        if let Some(contains) = &rule.contains {
            let path = self.path(&format!("{at}.contains.path"), &contains.path)?;
            return Some(("contains", Source::Contains(path, contains.any_of.iter().cloned().collect())));
        }
        let mut pieces = Vec::new();
        for (number, text) in rule.first_of.iter().flatten().enumerate() {
            let at = format!("{at}.first_of[{number}]");
            pieces.extend(match text.contains('{') {
                true => self.template(&at, text),
                false => self.path(&at, text).map(Piece::Path),
            });
        }
        if pieces.is_empty() {
            self.problem(&format!("{at}.first_of"), "must name at least one value");
        }
        Some(("first_of", Source::FirstOf(pieces)))
    }

    fn template(&mut self, at: &str, text: &str) -> Option<Piece> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((fixed, after)) = rest.split_once('{') {
            let Some((hole, after)) = after.split_once('}') else {
                self.problem(at, "a `{` needs its `}`");
                return None;
            };
            if !fixed.is_empty() {
                parts.push(Part::Text(fixed.to_owned()));
            }
            let mut words = hole.split('|');
            let path = self.path(at, words.next().unwrap_or_default().trim())?;
            let mut transforms = Vec::new();
            for word in words {
                transforms.push(self.transform(at, word.trim())?);
            }
            parts.push(Part::Hole(path, transforms));
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.to_owned()));
        }
        if parts.is_empty() {
            self.problem(at, "must not be empty");
        }
        Some(Piece::Template(parts))
    }

    fn transform(&mut self, at: &str, word: &str) -> Option<Transform> {
        let known = serde_json::from_value(Value::from(word)).ok();
        if known.is_none() {
            let allowed = "`lower`, `upper`, `trim`, `registrable_domain`, `country_alpha2`";
            self.problem(at, format!("`{word}` is not a transform; allowed: {allowed}"));
        }
        known
    }
}
