//! The schema registry: writers' schemas by id, ids of the schemas that this build writes.
//!
//! Calls to the registry block. Folds and stages make none: [`Schemas`] asks on a thread of its own and answers
//! from memory.

mod client;
mod folder;
mod outputs;
mod schemas;
mod survey;

pub use client::{Client, Registered, RegistryError};
pub use folder::Folder;
pub use outputs::{Level, OUTPUTS, OutputIds, OutputIdsError, OutputTopic, keep_output_ids, output_ids};
pub use schemas::{Limits, Look, Schemas};
pub use survey::{Finding, State, register, survey};
