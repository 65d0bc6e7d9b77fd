//! What is wrong with a configuration, and where.

use std::fmt;

/// Where a value was set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In the file; line and column count from 1.
    File {
        /// Line.
        line: usize,
        /// Column, in characters.
        column: usize,
    },
    /// In an environment variable of this name.
    Environment(String),
    /// Nowhere: the value is the default.
    Default,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where the value was set.
    pub place: Place,
    /// The setting, for example `time.late_memory_ms`; empty for the syntax of the file.
    pub path: String,
    /// The value found. Never of an unknown key: it may be a secret that was put there by mistake.
    pub value: Option<String>,
    /// What is wrong, or what is allowed.
    pub message: String,
}

/// Everything that is wrong with a configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    /// Name of the file, as it was given.
    pub file: Option<String>,
    /// The problems in the order in which they stand in the file, then those of the environment.
    pub list: Vec<Problem>,
}

impl Problems {
    /// Whether a problem concerns this setting, a part of it or what holds it.
    pub(super) fn concern(&self, path: &str) -> bool {
        self.list.iter().any(|problem| within(&problem.path, path) || within(path, &problem.path))
    }

    /// Brings the problems into the order of their places.
    pub(super) fn sort(&mut self) {
        self.list.sort_by_key(|problem| match &problem.place {
            Place::File { line, column } => (0, *line, *column, String::new()),
            Place::Environment(name) => (1, 0, 0, name.clone()),
            Place::Default => (2, 0, 0, problem.path.clone()),
        });
    }

    /// The place of a problem as an editor understands it: `FILE:LINE:COLUMN`.
    pub fn locate(&self, problem: &Problem) -> String {
        let file = self.file.as_deref().unwrap_or("configuration");
        match &problem.place {
            Place::File { line, column } => format!("{file}:{line}:{column}"),
            Place::Environment(name) => format!("environment variable {name}"),
            Place::Default => file.to_owned(),
        }
    }
}

/// Whether `inner` is `outer` or a part of it.
fn within(inner: &str, outer: &str) -> bool {
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.path, &self.value) {
            (path, _) if path.is_empty() => write!(f, "{}", self.message),
            (path, Some(value)) => write!(f, "{path} = {value}: {}", self.message),
            (path, None) => write!(f, "{path}: {}", self.message),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = self.list.len();
        write!(f, "the configuration has {number} problem{}", if number == 1 { "" } else { "s" })?;
        for problem in &self.list {
            write!(f, "\n  {}: {problem}", self.locate(problem))?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_concerns_its_setting_its_parts_and_what_holds_it() {
        let list = vec![Problem {
            place: Place::Default,
            path: "time.late_memory_ms".into(),
            value: None,
            message: String::new(),
        }];
        let problems = Problems { file: None, list };
        assert!(problems.concern("time"));
        assert!(problems.concern("time.late_memory_ms"));
        assert!(problems.concern("time.late_memory_ms[0]"));
        assert!(!problems.concern("time.late_memory"));
        assert!(!problems.concern("times"));
    }
}
