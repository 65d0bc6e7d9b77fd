//! Avro against apache-avro, which serves as the second opinion.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod container;
mod outputs;
mod plan;
mod random;
mod schemas;
mod second;
mod writers;
