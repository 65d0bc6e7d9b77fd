//! The mapping as it is written down.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// How foreign records become canonical events.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// A short name; errors begin with it.
    pub name: String,
    /// How the records are written.
    #[serde(default)]
    pub format: ForeignFormat,
    /// Names of the columns of CSV or TSV without a header line; empty means the first line names them.
    #[serde(default)]
    pub columns: Vec<String>,
    /// Columns of CSV or TSV whose cells hold JSON.
    #[serde(default)]
    pub json_columns: Vec<String>,
    /// Values that paths reach as `$name`, such as the brand; an empty one counts as absent.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
    /// A record for which any of these holds gives no event and is counted as skipped.
    #[serde(default)]
    pub skip_when: Vec<Condition>,
    /// The events a record may give, in order.
    #[serde(rename = "event")]
    pub events: Vec<EventRule>,
}

/// How foreign records are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum ForeignFormat {
    /// One JSON value per line.
    #[default]
    JsonLines,
    /// Comma-separated, quoted where needed.
    Csv,
    /// Tab-separated, without quoting.
    Tsv,
}

/// One event that a record may give.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EventRule {
    /// The canonical topic, such as `clickstream`.
    pub topic: String,
    /// The event is given when all of these hold; empty means always.
    #[serde(default)]
    pub when: Vec<Condition>,
    /// Path to an object whose canonical fields are taken over as they are; `fields` override them.
    #[serde(default)]
    pub copy: Option<String>,
    /// When true, an event that names neither a person nor a device is not given; else the record is refused.
    #[serde(default)]
    pub skip_nobody: bool,
    /// Canonical field (those of the consent signals as `consent.gpp`) and where its value comes from.
    #[serde(default)]
    pub fields: BTreeMap<String, FieldRule>,
}

/// A test of one value of the record. All the tests given must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// Path of the value.
    pub path: String,
    /// Whether the value must be there (not null, not an empty string).
    #[serde(default)]
    pub exists: Option<bool>,
    /// The value, compared as text, so that `1` equals `"1"`.
    #[serde(default)]
    pub equals: Option<Value>,
    /// One of these, compared as text.
    #[serde(default)]
    pub any_of: Option<Vec<Value>>,
    /// What the value must not be, compared as text; an absent value passes.
    #[serde(default)]
    pub not_equals: Option<Value>,
}

/// Where the value of one canonical field comes from: exactly one of `constant`, `path`, `first_of`, `template`
/// and `contains`, then what is done with it in the order of the fields here.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct FieldRule {
    /// This value.
    #[serde(default)]
    pub constant: Option<Value>,
    /// The value at this path: `a.b[0].c`, or a JSON pointer `/a/b/0/c`.
    #[serde(default)]
    pub path: Option<String>,
    /// The first of these that is there; an entry with `{` is a template, any other a path.
    #[serde(default)]
    pub first_of: Option<Vec<String>>,
    /// Text with values in braces, `{a.b}/{c|lower}`; absent when any of them is.
    #[serde(default)]
    pub template: Option<String>,
    /// True when the list at `path` holds one of `any_of`.
    #[serde(default)]
    pub contains: Option<Contains>,
    /// Values that count as absent, compared as text, such as an identifier of zeros.
    #[serde(default)]
    pub ignore: Vec<String>,
    /// Splits text at this separator into a list; parts are trimmed and empty ones dropped.
    #[serde(default)]
    pub split: Option<String>,
    /// Changes to text, in order.
    #[serde(default)]
    pub transforms: Vec<Transform>,
    /// What each value stands for; keys are compared as text.
    #[serde(default)]
    pub table: Option<BTreeMap<String, Value>>,
    /// What happens to a value the table does not list.
    #[serde(default)]
    pub otherwise: Option<Otherwise>,
    /// How a time is written: `epoch_s`, `epoch_ms`, `epoch_us`, `rfc3339`, or a pattern such as
    /// `%Y-%m-%d %H:%M:%S%.f`; without an offset it is UTC.
    #[serde(default)]
    pub time: Option<String>,
    /// The value where there is none.
    #[serde(default)]
    pub default: Option<Value>,
    /// Whether a missing value is an error; fields an event cannot do without are required anyhow.
    #[serde(default)]
    pub required: bool,
}

/// A test whether a list holds one of several values.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Contains {
    /// Path of the list.
    pub path: String,
    /// The values, compared as text.
    pub any_of: Vec<String>,
}

/// What happens to a value its table does not list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Otherwise {
    /// The record is refused (the default).
    Error,
    /// The field is left out.
    Absent,
    /// The event is not given.
    SkipEvent,
    /// This value is used.
    Value(Value),
}

/// A change to text.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Transform {
    /// To lower case.
    Lower,
    /// To upper case.
    Upper,
    /// Without white space at both ends.
    Trim,
    /// The registrable domain of a host or URL, by the public suffix list; absent where there is none.
    RegistrableDomain,
    /// An ISO 3166 alpha-3 country as alpha-2; alpha-2 stays; absent otherwise.
    CountryAlpha2,
}
