//! Files of foreign records, for `replay`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::event::mapping::{Mapper, Mapping, MappingProblem, PRESETS, preset};

/// One `[[input]]` of the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ForeignInput {
    /// The files, as a path below the input folder; `*`, `?` and `[...]` stand for what they do in a shell.
    #[schemars(length(min = 1))]
    pub files: String,
    /// The mapping that reads them: the name of a shipped one, or the path of a file that ends in `.toml`.
    #[schemars(length(min = 1))]
    pub mapping: String,
    /// Variables of the mapping to set.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, String>,
}

impl ForeignInput {
    /// The example in the file of `config init`.
    pub(in crate::config) fn example() -> Vec<ForeignInput> {
        vec![ForeignInput {
            files: "bts-men*.csv.gz".to_owned(),
            mapping: "open-bandit-bts".to_owned(),
            variables: BTreeMap::from([("campaign".to_owned(), "men".to_owned())]),
        }]
    }

    /// The text of the shipped mapping that it names, if it names one.
    pub fn preset(&self) -> Option<&'static str> {
        preset(&self.mapping)
    }

    /// The mapping whose text this is, with the variables set.
    ///
    /// # Errors
    /// All problems of the mapping and its variables.
    pub fn mapper(&self, text: &str) -> Result<Mapper, Vec<MappingProblem>> {
        Mapping::from_toml(text).map_err(|problem| vec![problem])?.check_with(&self.variables)
    }

    /// What is wrong with it as far as no file needs to be read.
    pub fn problems(&self) -> Vec<MappingProblem> {
        let mut found = Vec::new();
        let mut report = |at: &str, problem| found.push(MappingProblem { at: at.to_owned(), problem });
        if let Err(error) = glob::Pattern::new(&self.files) {
            report("files", format!("is no pattern: {error}"));
        }
        match self.preset() {
            Some(text) => found.extend(self.mapper(text).err().into_iter().flatten()),
            None if self.mapping.ends_with(".toml") => {}
            None => {
                let known: Vec<&str> = PRESETS.iter().map(|(name, _)| *name).collect();
                report(
                    "mapping",
                    format!("must be a file that ends in .toml, or one of {}", known.join(", ")),
                );
            }
        }
        found
    }
}
