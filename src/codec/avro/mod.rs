//! Avro: the schemas of this build, and records under the schemas of others.
//!
//! A writer's schema is compiled once into a [`Plan`] or [`KnownPlan`]: one step per field, with the rules of
//! schema resolution already applied. Reading a record then runs the steps.

mod compile;
mod cursor;
mod decoder;
mod known;
mod plan;
pub mod schemas;
mod skip;
mod step;
mod types;

pub use self::decoder::Decoder;
pub use self::known::KnownPlan;
pub use self::plan::{Plan, PlanError};
