//! What can go wrong with the store of snapshots.

use std::io;

use super::file::{FORMAT_VERSION, FileError};

/// A snapshot or the store cannot be used. `place` is the full path or address.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store cannot be opened.
    #[error("cannot keep snapshots in {url}")]
    Open {
        /// Where snapshots were to go.
        url: String,
        /// Why not.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// There is no such snapshot.
    #[error("there is no snapshot {place}")]
    Missing {
        /// Where it was looked for.
        place: String,
    },
    /// A snapshot is not what was written.
    #[error("the snapshot {place} is damaged: {cause}")]
    Damaged {
        /// Which.
        place: String,
        /// What is wrong with it.
        cause: &'static str,
    },
    /// Another build wrote a snapshot.
    #[error(
        "the snapshot {place} is of format version {found}, and this build reads version {FORMAT_VERSION}"
    )]
    OtherFormat {
        /// Which.
        place: String,
        /// Its format version.
        found: u16,
    },
    /// There is no room.
    #[error("no space is left to write {place}")]
    Full {
        /// What was to be written.
        place: String,
        /// What the system said.
        source: object_store::Error,
    },
    /// The store cannot be reached or refuses.
    #[error("cannot {doing} {place}")]
    Unavailable {
        /// What was being done.
        doing: &'static str,
        /// To what.
        place: String,
        /// What the store said.
        source: object_store::Error,
    },
}

impl StoreError {
    /// Whether the same may work in a moment.
    pub fn may_pass(&self) -> bool {
        use object_store::Error as Cause;
        match self {
            StoreError::Unavailable { source, .. } => !matches!(
                source,
                Cause::PermissionDenied { .. }
                    | Cause::Unauthenticated { .. }
                    | Cause::NotSupported { .. }
                    | Cause::NotImplemented { .. }
                    | Cause::InvalidPath { .. }
                    | Cause::AlreadyExists { .. }
            ),
            StoreError::Open { .. }
            | StoreError::Missing { .. }
            | StoreError::Damaged { .. }
            | StoreError::OtherFormat { .. }
            | StoreError::Full { .. } => false,
        }
    }

    /// Whether this snapshot cannot be had, however often it is asked for, while another may be.
    pub fn is_lost(&self) -> bool {
        matches!(
            self,
            StoreError::Missing { .. } | StoreError::Damaged { .. } | StoreError::OtherFormat { .. }
        )
    }

    pub(super) fn of(doing: &'static str, place: String, source: object_store::Error) -> StoreError {
        if matches!(source, object_store::Error::NotFound { .. }) {
            return StoreError::Missing { place };
        }
        if is_full(&source) {
            return StoreError::Full { place, source };
        }
        StoreError::Unavailable { doing, place, source }
    }

    pub(super) fn of_file(place: String, error: FileError) -> StoreError {
        match error {
            FileError::Damaged(cause) => StoreError::Damaged { place, cause },
            FileError::OtherFormat { found } => StoreError::OtherFormat { place, found },
        }
    }
}

/// Whether a disk or quota that is full stands behind the error.
fn is_full(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        let kind = error.downcast_ref::<io::Error>().map(io::Error::kind);
        if matches!(kind, Some(io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)) {
            return true;
        }
        next = error.source();
    }
    false
}
