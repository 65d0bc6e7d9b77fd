//! What the process tells its operators: log lines, metrics, HTTP, page.
pub mod board;
pub mod http;
pub mod logging;
pub mod metrics;
pub mod occurrence;
pub mod pipeline;
pub mod terminal;
pub mod view;
