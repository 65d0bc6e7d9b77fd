//! Reading back what a replay wrote.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use crate::event::output::{BrandTrust, PatternTrust, TrustAlert, TrustMoment};
use crate::log::files::{Line, Lines};

/// An output of an earlier run cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file is not there or cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line holds something else.
    #[error("line {line} of {} is not what trustline writes there", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1; blank ones do not count.
        line: u64,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads a file of JSON lines, one record at a time.
///
/// # Errors
/// When the file cannot be read, or a line holds no such record.
pub fn read<T: DeserializeOwned>(path: &Path, mut each: impl FnMut(T)) -> Result<(), ReadError> {
    let failed = |source| ReadError::File { path: path.to_owned(), source };
    let file = File::open(path).map_err(failed)?;
    let mut lines = Lines::new(Box::new(BufReader::new(file)));
    for line in 1.. {
        // A line that was cut is no whole record either.
        let bytes = match lines.next_line().map_err(failed)? {
            None => break,
            Some(Line::Whole(bytes) | Line::Cut(bytes)) => bytes,
        };
        let record = serde_json::from_slice(bytes);
        each(record.map_err(|source| ReadError::Line { path: path.to_owned(), line, source })?);
    }
    Ok(())
}

/// What an output folder says of one brand, in the order of the files.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BrandOutputs {
    /// Its windows.
    pub windows: Vec<BrandTrust>,
    /// Their patterns.
    pub patterns: Vec<PatternTrust>,
    /// Its alerts, and those about the pipeline as a whole.
    pub alerts: Vec<TrustAlert>,
    /// Revisions of its moments.
    pub moments: Vec<TrustMoment>,
    /// All brands that the folder names.
    pub brands: BTreeSet<String>,
}

impl BrandOutputs {
    /// Reads a folder; of other brands nothing but their names is kept.
    ///
    /// # Errors
    /// When one of the four files cannot be read or holds something else.
    pub fn read(folder: &Path, brand: &str) -> Result<BrandOutputs, ReadError> {
        let mut found = BrandOutputs::default();
        let BrandOutputs { windows, patterns, alerts, moments, brands } = &mut found;
        let mut is_wanted = |name: &str| {
            if !brands.contains(name) {
                brands.insert(name.to_owned());
            }
            name == brand
        };
        read(&folder.join("brand-trust.jsonl"), |window: BrandTrust| {
            if is_wanted(&window.brand_id) {
                windows.push(window);
            }
        })?;
        read(&folder.join("pattern-trust.jsonl"), |pattern: PatternTrust| {
            if is_wanted(&pattern.brand_id) {
                patterns.push(pattern);
            }
        })?;
        read(&folder.join("alerts.jsonl"), |alert: TrustAlert| {
            if alert.brand_id.as_deref().is_none_or(&mut is_wanted) {
                alerts.push(alert);
            }
        })?;
        read(&folder.join("moments.jsonl"), |moment: TrustMoment| {
            if is_wanted(&moment.brand_id) {
                moments.push(moment);
            }
        })?;
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_brand_is_kept_and_all_are_named() {
        let folder = tempfile::tempdir().unwrap();
        let alert = |id: &str, brand: &str| {
            format!(
                r#"{{"alert_id":"{id}","kind":"BRAND_INCIDENT","state":"OPEN","brand_id":{brand},"since":0,"at":0,"summary":""}}"#
            )
        };
        let alerts = [alert("1", "\"a\""), alert("2", "\"b\""), alert("3", "null")].join("\n");
        for name in ["brand-trust.jsonl", "pattern-trust.jsonl", "moments.jsonl"] {
            std::fs::write(folder.path().join(name), "").unwrap();
        }
        std::fs::write(folder.path().join("alerts.jsonl"), alerts).unwrap();
        let found = BrandOutputs::read(folder.path(), "b").unwrap();
        let ids: Vec<&str> = found.alerts.iter().map(|alert| alert.alert_id.as_str()).collect();
        assert_eq!(ids, ["2", "3"]);
        assert!(found.brands.iter().eq(["a", "b"]));
    }

    #[test]
    fn what_is_wrong_is_told_with_file_and_line() {
        let folder = tempfile::tempdir().unwrap();
        let error = BrandOutputs::read(folder.path(), "b").unwrap_err();
        assert!(matches!(&error, ReadError::File { path, .. } if path.ends_with("brand-trust.jsonl")));
        let path = folder.path().join("numbers.jsonl");
        std::fs::write(&path, "1\n\n2\n\"three\"\n").unwrap();
        let mut numbers = Vec::new();
        let error = read(&path, |number: u32| numbers.push(number)).unwrap_err();
        assert!(error.to_string().contains("line 3 of"), "{error}");
        assert_eq!(numbers, [1, 2]);
    }
}
