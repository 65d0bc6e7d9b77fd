//! Bytes to events and back: Avro, JSON, internal frames.

pub mod frame;
