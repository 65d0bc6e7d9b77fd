//! From counts to scores, intervals, drops and alerts.

pub mod alert;
pub mod beta;
pub mod brand;
pub mod compare;
pub mod completeness;
pub mod drop;
pub mod incidence;
pub mod incidents;
pub mod outcomes;
pub mod plain;
pub mod published;
pub mod records;
pub mod rules;
pub mod sensitivity;
pub mod settings;
pub mod trust;
pub mod windows;
