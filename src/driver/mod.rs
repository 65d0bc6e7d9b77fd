//! The step loop and the stages that it drives.

pub mod access;
pub mod assembly;
pub mod clock;
pub mod demo;
pub mod replay;
pub mod stages;
pub mod topics;
pub mod worker;
