//! Bytes to events and back: Avro, JSON, internal frames.

pub mod avro;
pub mod canonical;
pub mod confluent;
pub mod container;
pub mod field;
pub mod frame;
pub mod json;
pub mod output;
pub mod partial;
