//! The configuration: raw file form to checked settings, every problem at once.
//!
//! The types in [`settings`] and [`sections`] are the form of the file. Their [`schema`] is what a
//! file is checked against; relations between settings are checked after that. What remains is a
//! [`Config`], which cannot be wrong.

mod check;
mod environment;
mod example;
mod hash;
pub mod overrides;
mod problem;
mod schema;
mod secret;
pub mod sections;
pub mod settings;
mod shape;
mod topic;
mod tree;

pub use environment::PREFIX as ENVIRONMENT_PREFIX;
pub use example::{effective, example, rests_on_judgement, source};
pub use hash::ConfigHash;
pub use problem::{Place, Problem, Problems};
pub use schema::schema;
pub use secret::{Secret, SecretError};
pub use settings::Settings;
pub use topic::TopicSettings;

use crate::event::kinds::{self, Topic};
use crate::identity::AcceptedMatches;
use crate::patterns::rules::RuleBook;
use crate::score::settings::WeightTable;
use crate::time::WindowLength;
use overrides::Resolved;
use tree::Node;

/// What a configuration is read from.
#[derive(Clone, Debug, Default)]
pub struct Input {
    /// Name of the file, for messages.
    pub file: Option<String>,
    /// Its text.
    pub text: String,
    /// Environment variables; those that do not start with [`ENVIRONMENT_PREFIX`] are ignored.
    pub environment: Vec<(String, String)>,
}

impl Input {
    /// A text alone.
    pub fn text(text: &str) -> Input {
        Input { text: text.to_owned(), ..Input::default() }
    }
}

/// A configuration that was checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// The settings with their defaults filled in.
    pub settings: Settings,
    rules: Vec<Resolved>,
    topics: Vec<TopicSettings>,
    hash: ConfigHash,
}

impl Default for Config {
    fn default() -> Self {
        Config::load(&Input::default()).expect("the defaults are checked by a test")
    }
}

impl Config {
    /// Reads and checks a configuration.
    ///
    /// # Errors
    /// Everything that is wrong with it, at once.
    pub fn load(input: &Input) -> Result<Config, Problems> {
        let mut problems = Problems { file: input.file.clone(), list: Vec::new() };
        let mut tree = match Node::parse(&input.text) {
            Ok(tree) => tree,
            // What a broken file means is a guess: only its syntax is reported.
            Err(list) => {
                problems.list = list;
                return Err(problems);
            }
        };
        problems.list.extend(environment::apply(&mut tree, schema(), &input.environment));
        problems.list.extend(shape::check(&mut tree, schema()));
        match Config::build(&tree) {
            Ok(config) => {
                check::check(&config, &tree, &mut problems);
                if problems.list.is_empty() {
                    return Ok(config);
                }
            }
            // The schema is made from the types, so what passes it fits them; if ever not, say so.
            Err(error) => problems.list.push(Problem {
                place: Place::Default,
                path: String::new(),
                value: None,
                message: error.to_string(),
            }),
        }
        problems.sort();
        Err(problems)
    }

    fn build(tree: &Node) -> Result<Config, serde_json::Error> {
        // Over the whole defaults: a section that stands in two places may have two sets of them.
        let mut whole = serde_json::to_value(Settings::default())?;
        overrides::merge(&mut whole, &tree.to_json());
        Config::of(serde_json::from_value(whole)?)
    }

    /// A configuration of settings that a program has put together.
    ///
    /// # Errors
    /// When an override fits no pattern.
    pub fn of(settings: Settings) -> Result<Config, serde_json::Error> {
        let rules = overrides::resolve(&settings.patterns, &settings.overrides)?;
        let topics = Topic::ALL.iter().map(|topic| TopicSettings::of(*topic, &settings)).collect();
        let mut config = Config { settings, rules, topics, hash: ConfigHash([0; 16]) };
        config.hash = hash::of(&config)?;
        Ok(config)
    }

    /// The settings of a source topic.
    pub fn topic(&self, topic: Topic) -> &TopicSettings {
        self.topics.get(usize::from(topic.index())).expect("there is one for each topic")
    }

    /// How long ids are remembered to know a copy: the longest `late_memory_ms` of the person events.
    pub fn duplicate_memory_ms(&self) -> i64 {
        let person_events = Topic::ALL.iter().filter(|topic| topic.is_person_events());
        person_events.map(|topic| self.topic(*topic).late_memory_ms).max().unwrap_or(0)
    }

    /// The lengths of the windows, shortest first.
    pub fn windows(&self) -> Vec<WindowLength> {
        let mut lengths: Vec<_> = self.settings.windows.lengths.iter().map(|length| length.0).collect();
        lengths.sort();
        lengths
    }

    /// The kinds of match between device and person that are believed.
    pub fn accepted_matches(&self) -> AcceptedMatches {
        self.settings.identity.accepted.iter().map(|one| kinds::Match::from(*one)).collect()
    }

    /// The rules of the patterns, overrides resolved; `token` turns the name of a category into its token.
    pub fn rule_book(&self, token: impl Fn(&[u8]) -> u64) -> RuleBook {
        overrides::rule_book(&self.rules, token)
    }

    /// The weights by brand. A jurisdiction's weights are those of its moments; scores know brands only.
    pub fn weights(&self) -> WeightTable {
        let everywhere = || self.rules.iter().filter(|one| one.jurisdiction.is_none());
        let usual =
            everywhere().find(|one| one.brand.is_none()).map_or(&self.settings.patterns, |one| &one.rules);
        everywhere().fold(WeightTable::new(usual), |table, one| match &one.brand {
            Some(brand) => table.with_brand(brand, &one.rules),
            None => table,
        })
    }

    /// The name of the configuration: what the folds read makes it.
    pub fn hash(&self) -> ConfigHash {
        self.hash
    }
}

#[cfg(test)]
mod tests;
