//! The step loop and the stages that it drives.

pub mod access;
pub mod assembly;
pub mod clock;
pub mod configs;
pub mod demo;
pub mod dlq;
pub mod health;
pub mod outputs;
mod owners;
pub mod replay;
pub mod stages;
pub mod status;
pub mod topics;
pub mod verify;
pub mod worker;

/// An error with everything that caused it, on one line.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text.push_str(": ");
        text.push_str(&cause.to_string());
        source = cause.source();
    }
    text
}
