//! Snapshots: format, store, restore.
