//! The step loop and the stages that it drives.

pub mod assembly;
pub mod clock;
pub mod demo;
pub mod health;
pub mod replay;
pub mod stages;
pub mod status;
pub mod topics;
pub mod worker;
