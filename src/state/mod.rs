//! Snapshots of the folds' states: their files, the store that holds them, and the thread that writes them.
//!
//! A snapshot is what a fold wrote at an offset of its input partition. It is written under a name that nothing
//! had before; which snapshots count is said by the metadata of the committed offset alone, so one that a fenced
//! instance leaves behind is never read. Calls block; none may be made from within an async runtime.

mod error;
mod file;
mod name;
mod open;
mod store;
mod writer;

pub use error::StoreError;
pub use file::{FORMAT_VERSION, FileError, Header};
pub use name::{BadName, Fold, Name};
pub use store::{Restored, SnapshotStore, Stored};
pub use writer::{Busy, Finished, QUEUE, Writer};
