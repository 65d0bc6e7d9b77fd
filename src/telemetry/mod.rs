//! What the process tells its operators: log lines, metrics, HTTP, page.
pub mod http;
pub mod metrics;
pub mod terminal;
pub mod view;
