//! The three stages as folds over ordered logs: `(state, record) -> (state, outputs)`. Pure.

pub mod counts;
pub mod score;
