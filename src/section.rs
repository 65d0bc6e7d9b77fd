//! How a section of the configuration is declared.

/// Declares a section: a struct whose every key has a default and a doc comment.
///
/// The doc comments become the comments of `config init` and the descriptions of the JSON Schema;
/// a key without a default is an `Option` with an example.
macro_rules! section {
    ($(#[$meta:meta])* $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty = $default:expr,)+ }) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$fmeta])* pub $field: $type,)+ }

        impl Default for $name {
            fn default() -> Self {
                $name { $($field: $default,)+ }
            }
        }
    };
}

pub(crate) use section;
