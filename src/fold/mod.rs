//! The three stages as folds over ordered logs: `(state, record) -> (state, outputs)`. Pure.

pub mod counts;
pub mod detect;
pub mod names;
pub mod route;
pub mod saved;
pub mod score;
