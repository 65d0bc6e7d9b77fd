//! Trustline finds the moments in which a brand's use of personal data costs or earns trust.

pub mod cli;
pub mod codec;
pub mod config;
pub mod driver;
pub mod event;
pub mod fold;
pub mod identity;
pub mod log;
pub mod patterns;
pub mod points;
pub mod registry;
pub mod score;
mod section;
pub mod state;
pub mod synth;
pub mod telemetry;
pub mod time;
