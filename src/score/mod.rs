//! From counts to scores, intervals, drops and alerts.

pub mod beta;
