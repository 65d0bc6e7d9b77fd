//! Who is who: device to person, and keyed pseudonyms.
