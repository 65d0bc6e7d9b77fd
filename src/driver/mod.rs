//! The step loop, assignment, shutdown, watchdog, clock.

pub mod replay;
