//! The seam: sources, publishers and transactions.
