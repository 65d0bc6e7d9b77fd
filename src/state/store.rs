//! Where snapshots are kept: a folder, or an object store that all machines reach.

use std::path::PathBuf;

use backon::{BlockingRetryable, ExponentialBuilder};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use tokio::runtime::Runtime;

use super::error::StoreError;
use super::file::{self, Header};
use super::name::{Fold, Name};
use super::open::{self, Opened};
use crate::config::ConfigHash;
use crate::points::KillPoint;

/// A snapshot that is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// Its name.
    pub name: Name,
    /// When it was written by the store's clock, milliseconds since the epoch.
    pub written_ms: i64,
    /// Its size.
    pub bytes: u64,
}

/// What was found of the snapshots that were named.
#[derive(Debug)]
pub struct Restored {
    /// The newest one that can be read.
    pub found: Option<(Name, Header, Vec<u8>)>,
    /// Newer ones that are lost, and why.
    pub lost: Vec<StoreError>,
}

/// A store of snapshots. Calls block.
#[derive(Debug)]
pub struct SnapshotStore {
    url: String,
    store: Box<dyn ObjectStore>,
    prefix: Path,
    folder: Option<PathBuf>,
    is_read_only: bool,
    runtime: Runtime,
}

impl SnapshotStore {
    /// Opens the store at an address: `file:FOLDER`, `s3://BUCKET/PREFIX`, `gs://…` or `az://…`, or `memory:`,
    /// which lasts as long as the store. A folder is made if it is not there. `variables`: the environment's,
    /// which hold credentials, region and endpoint under their usual names (`AWS_ACCESS_KEY_ID`,
    /// `GOOGLE_APPLICATION_CREDENTIALS`, `AZURE_STORAGE_ACCOUNT_NAME` and so on).
    ///
    /// # Errors
    /// When the address or the variables are no good, or the folder cannot be made.
    pub fn open(url: &str, variables: &[(String, String)]) -> Result<SnapshotStore, StoreError> {
        let failed = |source| StoreError::Open { url: url.to_owned(), source };
        let Opened { store, prefix, folder } = open::open(url, variables).map_err(failed)?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| failed(error.into()))?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(SnapshotStore { url, store, prefix, folder, is_read_only: false, runtime })
    }

    /// The store for whoever only looks: nothing is collected. What is written is written.
    #[must_use]
    pub fn read_only(self) -> SnapshotStore {
        SnapshotStore { is_read_only: true, ..self }
    }

    /// Whether only this machine sees it.
    pub fn is_local(&self) -> bool {
        self.folder.is_some()
    }

    /// Writes a snapshot under a new name; when this returns, it is durable.
    ///
    /// # Errors
    /// When the store fails, see [`StoreError::may_pass`].
    pub fn put(&self, header: &Header, payload: &[u8]) -> Result<Name, StoreError> {
        let name = Name::new(header.fold, header.partition, header.offset);
        let failed = |source| StoreError::of("write", self.place(&name), source);
        let bytes = file::encode(header, payload).map_err(|error| {
            failed(object_store::Error::Generic { store: "compressor", source: error.into() })
        })?;
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let path = self.path(&name);
        KillPoint::DuringSnapshot.pass();
        let put = self.store.put_opts(&path, PutPayload::from(bytes), options);
        self.runtime.block_on(put).map_err(failed)?;
        KillPoint::DuringSnapshot.pass();
        Ok(name)
    }

    /// Reads a snapshot and checks it.
    ///
    /// # Errors
    /// When it is missing, damaged or of another format, or the store fails.
    pub fn get(&self, name: &Name) -> Result<(Header, Vec<u8>), StoreError> {
        let path = self.path(name);
        let get = async { self.store.get(&path).await?.bytes().await };
        let got = self.runtime.block_on(get);
        let bytes = got.map_err(|source| StoreError::of("read", self.place(name), source))?;
        let decoded = file::decode(&bytes);
        let (header, payload) = decoded.map_err(|error| StoreError::of_file(self.place(name), error))?;
        if (header.fold, header.partition, header.offset) != (name.fold, name.partition, name.offset) {
            let cause = "it was written under another name";
            return Err(StoreError::Damaged { place: self.place(name), cause });
        }
        Ok((header, payload))
    }

    /// Reads the newest of the named snapshots that can be read; a store that fails is asked again for a while.
    ///
    /// # Errors
    /// When the store still fails.
    pub fn restore(&self, names: &[Name], retry: ExponentialBuilder) -> Result<Restored, StoreError> {
        let mut newest_first = names.to_vec();
        newest_first.sort_by_key(|name| std::cmp::Reverse(name.offset));
        let mut lost = Vec::new();
        for name in newest_first {
            match (|| self.get(&name)).retry(retry).when(StoreError::may_pass).call() {
                Ok((header, payload)) => {
                    return Ok(Restored { found: Some((name, header, payload)), lost });
                }
                Err(error) if error.is_lost() => lost.push(error),
                Err(error) => return Err(error),
            }
        }
        Ok(Restored { found: None, lost })
    }

    /// Keeps a configuration, so that states can be folded under it later; what is there stays.
    ///
    /// # Errors
    /// When the store fails.
    pub fn put_config(&self, hash: ConfigHash, text: &str) -> Result<(), StoreError> {
        let name = format!("configs/{hash}.toml");
        let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let payload = PutPayload::from(text.to_owned().into_bytes());
        match self.runtime.block_on(self.store.put_opts(&self.path(&name), payload, options)) {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => Ok(()),
            Err(error) => Err(StoreError::of("write", self.place(&name), error)),
        }
    }

    /// The configuration of a hash.
    ///
    /// # Errors
    /// When it is missing or not text, or the store fails.
    pub fn config(&self, hash: ConfigHash) -> Result<String, StoreError> {
        let name = format!("configs/{hash}.toml");
        let path = self.path(&name);
        let got = self.runtime.block_on(async { self.store.get(&path).await?.bytes().await });
        let bytes = got.map_err(|source| StoreError::of("read", self.place(&name), source))?;
        String::from_utf8(bytes.to_vec())
            .map_err(|_| StoreError::Damaged { place: self.place(&name), cause: "it is not text" })
    }

    /// All snapshots of a partition, the oldest offset first; files of other names are passed over.
    ///
    /// # Errors
    /// When the store fails.
    pub fn list(&self, fold: Fold, partition: i32) -> Result<Vec<Stored>, StoreError> {
        let folder = Name::folder(fold, partition);
        let path = self.path(&folder);
        let listed = self.runtime.block_on(self.store.list_with_delimiter(Some(&path)));
        let listed = listed.map_err(|source| StoreError::of("list", self.place(&folder), source))?;
        let mut found: Vec<Stored> = listed
            .objects
            .into_iter()
            .filter_map(|object| {
                let name = format!("{folder}/{}", object.location.filename()?).parse().ok()?;
                let written_ms = object.last_modified.timestamp_millis();
                Some(Stored { name, written_ms, bytes: object.size })
            })
            .collect();
        found.sort_by_key(|stored| stored.name);
        Ok(found)
    }

    /// Deletes a snapshot; one that is not there is deleted.
    ///
    /// # Errors
    /// When the store fails.
    pub fn delete(&self, name: &Name) -> Result<(), StoreError> {
        let deleted = self.runtime.block_on(self.store.delete(&self.path(name)));
        match deleted.map_err(|source| StoreError::of("delete", self.place(name), source)) {
            Err(StoreError::Missing { .. }) => Ok(()),
            other => other,
        }
    }

    /// Deletes a partition's snapshots that are not to be kept and were written before an instant of wall time,
    /// and what writers that were killed left behind; returns how many. The instant must lie so far back that
    /// the name of a snapshot written before it is committed if it ever is.
    ///
    /// # Errors
    /// When the store fails; what is deleted by then is deleted.
    pub fn collect(
        &self,
        fold: Fold,
        partition: i32,
        keep: &[Name],
        written_before_ms: i64,
    ) -> Result<usize, StoreError> {
        if self.is_read_only {
            return Ok(0);
        }
        let mut deleted = 0;
        for stored in self.list(fold, partition)? {
            if stored.written_ms < written_before_ms && !keep.contains(&stored.name) {
                self.delete(&stored.name)?;
                deleted += 1;
            }
        }
        Ok(deleted + self.collect_unfinished(&Name::folder(fold, partition), written_before_ms))
    }

    /// Deletes files that were never given their name. What cannot be read or deleted stays for the next time.
    fn collect_unfinished(&self, folder: &str, written_before_ms: i64) -> usize {
        let Some(folder) = &self.folder.as_ref().map(|root| root.join(folder)) else { return 0 };
        let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
        let is_old = |entry: &std::fs::DirEntry| {
            let written = entry.metadata().and_then(|metadata| metadata.modified()).ok()?;
            let since_epoch = written.duration_since(std::time::UNIX_EPOCH).ok()?;
            Some(i64::try_from(since_epoch.as_millis()).ok()? < written_before_ms)
        };
        entries
            .filter(|entry| entry.file_name().to_string_lossy().contains(".snap#"))
            .filter(|entry| is_old(entry) == Some(true))
            .filter(|entry| std::fs::remove_file(entry.path()).is_ok())
            .count()
    }

    fn path(&self, name: &impl ToString) -> Path {
        let parts = self.prefix.parts().map(|part| part.as_ref().to_owned());
        parts.chain(name.to_string().split('/').map(str::to_owned)).collect()
    }

    fn place(&self, name: &impl ToString) -> String {
        match &self.folder {
            Some(folder) => folder.join(name.to_string()).display().to_string(),
            None => format!("{}/{}", self.url, name.to_string()),
        }
    }
}
