//! Bytes to events and back: Avro, JSON, internal frames.

pub mod canonical;
pub mod field;
pub mod frame;
pub mod json;
pub mod partial;
