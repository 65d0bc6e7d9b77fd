//! Schemas that were seen, on disk, to start from while the registry is down.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};

use crate::codec::confluent::SchemaId;

/// A folder with the schemas of one registry: `ID.avsc` each, and `subjects.json` with the ids of what is written.
///
/// Ids belong to a registry, so each has a folder of its own, named by its address.
#[derive(Clone, Debug)]
pub struct Folder {
    path: PathBuf,
}

const SUBJECTS: &str = "subjects.json";

impl Folder {
    /// The folder of the registry at an address.
    pub fn of(all: &Path, url: &str) -> Folder {
        let address = url.split_once("://").map_or(url, |(_, address)| address);
        let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' };
        Folder { path: all.join(address.trim_end_matches('/').chars().map(plain).collect::<String>()) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A schema, if it was kept.
    pub fn schema(&self, id: SchemaId) -> Option<String> {
        std::fs::read_to_string(self.file(id)).ok()
    }

    /// Keeps a schema.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn keep(&self, id: SchemaId, schema: &str) -> io::Result<()> {
        self.write(&self.file(id), schema)
    }

    /// The ids under which schemas are written, by subject, as they were kept.
    pub fn subjects(&self) -> BTreeMap<String, SchemaId> {
        let text = std::fs::read_to_string(self.path.join(SUBJECTS)).unwrap_or_default();
        let ids: BTreeMap<String, u32> = serde_json::from_str(&text).unwrap_or_default();
        ids.into_iter().map(|(subject, id)| (subject, SchemaId(id))).collect()
    }

    /// Keeps these ids instead of those before.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn keep_subjects(&self, subjects: &BTreeMap<String, SchemaId>) -> io::Result<()> {
        let ids: BTreeMap<&str, u32> =
            subjects.iter().map(|(subject, id)| (subject.as_str(), id.0)).collect();
        self.write(&self.path.join(SUBJECTS), &serde_json::to_string_pretty(&ids)?)
    }

    fn file(&self, id: SchemaId) -> PathBuf {
        self.path.join(format!("{}.avsc", id.0))
    }

    /// Under another name first, so that a file is whole or not there.
    fn write(&self, file: &Path, text: &str) -> io::Result<()> {
        std::fs::create_dir_all(&self.path)?;
        let part = file.with_extension(format!("{}.part", std::process::id()));
        std::fs::write(&part, text)?;
        std::fs::rename(&part, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_found_again_by_this_registry_only() {
        let all = tempfile::tempdir().unwrap();
        let one = Folder::of(all.path(), "https://registry.example.com:8081/apis/v7/");
        assert_eq!(one.path(), all.path().join("registry.example.com_8081_apis_v7"));
        assert_eq!((one.schema(SchemaId(7)), one.subjects()), (None, BTreeMap::new()));
        one.keep(SchemaId(7), "\"string\"").unwrap();
        let subjects = BTreeMap::from([("moments-value".to_owned(), SchemaId(7))]);
        one.keep_subjects(&subjects).unwrap();
        assert_eq!(one.schema(SchemaId(7)).as_deref(), Some("\"string\""));
        assert_eq!(one.subjects(), subjects);
        assert_eq!(Folder::of(all.path(), "https://other.example.com").schema(SchemaId(7)), None);
        assert_eq!(std::fs::read_dir(one.path()).unwrap().count(), 2);
    }
}
