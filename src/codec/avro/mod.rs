//! Avro: the schemas of this build, and records under the schemas of others.

pub mod schemas;
