//! What happened: the canonical events, how a foreign record becomes one, and what makes one valid.

pub mod consent;
pub mod kinds;
pub mod mapping;
pub mod output;
pub mod person;
pub mod raw;
pub mod reject;
pub mod validate;
