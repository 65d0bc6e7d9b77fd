//! How a foreign record becomes canonical events: a mapping as data, checked once, then applied to every record.
//!
//! Pure and total: whatever the record, the answer is canonical records, a skip, or an error that names the
//! record, the field and the rule.

mod check;
mod countries;
mod fields;
mod file;
mod mapper;
mod path;
mod presets;
mod reader;
mod value;

#[cfg(test)]
mod tests;

pub use check::MappingProblem;
pub use file::{Condition, Contains, EventRule, FieldRule, ForeignFormat, Mapping, Otherwise, Transform};
pub use mapper::{Mapped, Mapper, MappingError, Outcome, RecordAt, ValueProblem};
pub use presets::{PRESETS, preset};
pub use reader::{ForeignRecord, RECORD_BYTES_MAX, ReadError, Records};
