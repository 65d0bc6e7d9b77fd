//! The commented file of `config init`, made from the types.

use std::collections::BTreeSet;

use serde_json::Value as Json;

use super::Settings;
use super::schema::{resolve, schema, section};
use super::shape::join;
use crate::patterns::Pattern;

const WIDTH: usize = 100;

const INTRODUCTION: &str = "\
Configuration of Trustline. Every setting stands here with its default; what is left out keeps it.
An environment variable TRUSTLINE__SECTION__KEY overrides a setting, for example
TRUSTLINE__TIME__LATE_MEMORY_MS=7200000; nested sections take further words, an entry of [[override]]
its position, as in TRUSTLINE__OVERRIDE__0__BRAND=acme; the position after the last adds an entry.
Secrets never stand in this file, only where they are found.";

/// The configuration as TOML. No secret is in it: the settings only say where secrets are found.
///
/// # Errors
/// When the settings cannot be written as TOML; all settings can.
pub fn effective(settings: &Settings) -> Result<String, toml::ser::Error> {
    toml::to_string(settings)
}

/// The defaults as a commented file.
///
/// # Errors
/// See [`effective`].
pub fn example() -> Result<String, toml::ser::Error> {
    let mut writer = Writer { out: String::new(), described: BTreeSet::new() };
    INTRODUCTION.lines().for_each(|line| writer.comment(line));
    // Settings without a default are not in the text: they follow at the end of their section.
    let mut open = String::new();
    let mut written = BTreeSet::new();
    for line in effective(&Settings::default())?.lines() {
        if let Some(path) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            if !open.is_empty() {
                writer.without_default(&open, &written)?;
            }
            (open, written) = (path.to_owned(), BTreeSet::new());
            writer.header(path);
        } else if let Some((key, _)) = line.split_once(" = ") {
            writer.key(&open, key);
            writer.line(line);
            written.insert(key.to_owned());
        }
    }
    writer.without_default(&open, &written)?;
    writer.without_default("", &BTreeSet::new())?;
    Ok(writer.out)
}

struct Writer {
    out: String,
    described: BTreeSet<String>,
}

impl Writer {
    fn line(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Writes text as comment lines that are not too long; an empty line of the text stays one.
    fn comment(&mut self, text: &str) {
        let mut line = String::from("#");
        for word in text.split_whitespace() {
            if line.len() + 1 + word.len() > WIDTH {
                self.line(&std::mem::replace(&mut line, String::from("#")));
            }
            line.push(' ');
            line.push_str(word);
        }
        self.line(&line);
    }

    /// Opens a section: its description, and those of the sections around it.
    fn header(&mut self, path: &str) {
        self.line("");
        let parts: Vec<&str> = path.split('.').collect();
        for depth in 1..=parts.len() {
            let outer = parts.iter().take(depth).copied().collect::<Vec<_>>().join(".");
            if self.described.insert(outer.clone())
                && let Some(text) = about_section(&outer)
            {
                self.comment(text);
            }
        }
        self.line(&format!("[{path}]"));
    }

    fn key(&mut self, path: &str, key: &str) {
        if let Some(text) = at(&join(path, key)).and_then(description) {
            self.comment(text);
        }
    }

    /// The settings of a section that have no default, as examples that are commented out.
    fn without_default(&mut self, path: &str, written: &BTreeSet<String>) -> Result<(), toml::ser::Error> {
        let properties = at(path).map(section).and_then(|found| found.get("properties")?.as_object());
        for (key, property) in properties.into_iter().flatten() {
            let examples = property.get("examples").and_then(Json::as_array);
            let Some(example) = examples.and_then(|list| list.first()) else { continue };
            if written.contains(key) {
                continue;
            }
            if path.is_empty() {
                self.line("");
            }
            description(property)
                .into_iter()
                .flat_map(|text| text.split("\n\n"))
                .for_each(|text| self.comment(text));
            let table: toml::Table = [(key.clone(), toml::Value::try_from(example)?)].into_iter().collect();
            for line in toml::to_string(&table)?.lines().filter(|line| !line.is_empty()) {
                self.line(&format!("#{line}"));
            }
        }
        Ok(())
    }
}

/// The schema at a path of sections and a key.
fn at(path: &str) -> Option<&'static Json> {
    let keys = path.split('.').filter(|key| !key.is_empty());
    keys.into_iter().try_fold(schema(), |found, key| section(found).get("properties")?.get(key))
}

/// What a section is about. Where several share their form, the form does not say which it is.
fn about_section(path: &str) -> Option<&'static str> {
    let (parent, _) = path.rsplit_once('.').unwrap_or(("", path));
    let found = at(path)?;
    let siblings = section(at(parent)?).get("properties")?.as_object()?.values();
    let is_shared = siblings.filter(|other| other.get("$ref") == found.get("$ref")).count() > 1;
    let (form, own) = (description(section(found)), description(found));
    if is_shared { own.or(form) } else { form.or(own) }
}

/// Where the defaults of a pattern come from, as its section of the file says.
pub fn source(pattern: Pattern) -> &'static str {
    let about = about_section(&join("patterns", pattern.name())).unwrap_or_default();
    about.split_once("`. ").map_or(about, |(_, source)| source)
}

/// Whether the weights of a pattern rest on judgement, wholly or in part.
pub fn rests_on_judgement(pattern: Pattern) -> bool {
    source(pattern).to_lowercase().contains("judgement")
}

fn description(schema: &Json) -> Option<&str> {
    schema.get("description").or_else(|| resolve(schema).get("description"))?.as_str()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, Input};

    #[test]
    fn the_example_reads_back_as_the_defaults() {
        let read = Config::load(&Input::text(&example().unwrap())).unwrap();
        assert_eq!(read.settings, Settings::default());
    }

    #[test]
    fn every_pattern_has_a_source_and_surveys_are_no_judgement() {
        assert!(Pattern::ALL.iter().all(|pattern| source(*pattern).len() > 8));
        assert_eq!(source(Pattern::TimelyNotification), "Judgement.");
        let of_surveys: Vec<_> =
            Pattern::ALL.iter().filter(|pattern| !rests_on_judgement(**pattern)).collect();
        assert_eq!(
            of_surveys,
            [
                &Pattern::RelentlessRetargeting,
                &Pattern::RetargetingAfterPurchase,
                &Pattern::CrossDeviceFollowing,
                &Pattern::WelcomeRecommendation,
                &Pattern::WelcomeCartReminder
            ]
        );
    }

    #[test]
    fn examples_that_are_commented_out_are_right() {
        let text = example().unwrap();
        // A commented setting has no space after `#`, a comment has one.
        let is_setting = |line: &&str| {
            line.strip_prefix('#').is_some_and(|rest| !rest.starts_with(' ') && !rest.is_empty())
        };
        assert!(text.lines().filter(|line| is_setting(line)).count() > 30, "{text}");
        let on: Vec<&str> =
            text.lines().map(|line| if is_setting(&line) { &line[1..] } else { line }).collect();
        // All at once they contradict each other, but none is of a wrong name or form.
        let mut tree = crate::config::tree::Node::parse(&on.join("\n")).unwrap();
        assert_eq!(crate::config::shape::check(&mut tree, schema()), []);
    }

    #[test]
    fn every_setting_is_in_it_and_described() {
        fn visit(path: &str, found: &Json, text: &str) {
            let properties = section(found).get("properties").and_then(Json::as_object);
            for (key, property) in properties.into_iter().flatten() {
                let below = join(path, key);
                assert!(description(property).is_some(), "{below} is not described");
                assert!(text.contains(key.as_str()), "{below} is not in the file");
                visit(&below, property, text);
            }
        }
        visit("", schema(), &example().unwrap());
    }

    #[test]
    fn lines_are_short_and_descriptions_stand_above_their_keys() {
        let text = example().unwrap();
        for line in text.lines().filter(|line| line.starts_with("# ")) {
            assert!(line.len() <= WIDTH, "{line}");
        }
        let lines: Vec<&str> = text.lines().collect();
        let at = lines.iter().position(|line| *line == "max_lead_ms = 30000").unwrap();
        assert!(
            lines[at - 1].starts_with('#') && lines[at - 2].starts_with("# How far a source"),
            "{}",
            lines[at - 1]
        );
    }
}
