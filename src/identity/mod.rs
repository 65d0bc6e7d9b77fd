//! Who is who: device to person, and keyed pseudonyms.

mod cache;
mod key;
mod links;
pub(crate) mod prefetch;
mod pseudonym;

pub use cache::PseudonymCache;
pub use key::{KeyError, PseudonymKey, TEST_KEY_NAME};
pub use links::{AcceptedMatches, EndedLinks, Links, UnknownMatch};
pub use pseudonym::{Pseudonym, PseudonymKind};
