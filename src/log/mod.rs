//! The seam: sources, publishers and transactions.

pub mod files;
