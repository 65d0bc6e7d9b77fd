//! Avro against apache-avro, which serves as the second opinion.

mod container;
mod outputs;
mod plan;
mod random;
mod schemas;
mod second;
mod writers;
