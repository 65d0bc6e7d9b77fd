//! Why a record is a dead letter.

/// The reason code of a dead letter; stable, published in its headers and as a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// The bytes are not a record of the expected form.
    Undecodable,
    /// The first byte is not that of the registry's framing.
    WrongMagic,
    /// The registry does not know the schema.
    UnknownSchema,
    /// A required field is missing or null.
    MissingField,
    /// A field has a value of another type.
    WrongType,
    /// A JSON object gives a known field twice.
    RepeatedField,
    /// An enum symbol is not one of the schema's.
    UnknownSymbol,
    /// An id is empty.
    EmptyId,
    /// A string or list is longer than allowed.
    Oversized,
    /// A time lies outside 2000 to 2100.
    TimeOutOfRange,
    /// The event time lies further in the future than the record's timestamp allows.
    Future,
    /// A number lies outside its range.
    OutOfRange,
    /// Neither a person nor a device is named.
    Nobody,
    /// A rule of the field mapping failed.
    Mapping,
}

impl Reason {
    /// The code as it is published.
    pub const fn code(self) -> &'static str {
        match self {
            Reason::Undecodable => "undecodable",
            Reason::WrongMagic => "wrong_magic",
            Reason::UnknownSchema => "unknown_schema",
            Reason::MissingField => "missing_field",
            Reason::WrongType => "wrong_type",
            Reason::RepeatedField => "repeated_field",
            Reason::UnknownSymbol => "unknown_symbol",
            Reason::EmptyId => "empty_id",
            Reason::Oversized => "oversized",
            Reason::TimeOutOfRange => "time_out_of_range",
            Reason::Future => "future",
            Reason::OutOfRange => "out_of_range",
            Reason::Nobody => "nobody",
            Reason::Mapping => "mapping",
        }
    }
}

/// A record refused: the code, and the field or rule it failed at. Never holds a value of the record.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {detail}", reason.code())]
pub struct Reject {
    /// Why.
    pub reason: Reason,
    /// Which field or rule; never the value, which may be personal.
    pub detail: String,
}

impl Reject {
    /// A refusal for this reason at this field or rule.
    pub fn new(reason: Reason, detail: impl Into<String>) -> Reject {
        Reject { reason, detail: detail.into() }
    }
}
