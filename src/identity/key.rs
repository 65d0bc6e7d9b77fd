//! The key under which ids become pseudonyms.

use std::num::NonZeroU64;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use xxhash_rust::xxh3::xxh3_64_with_secret;

use super::{Pseudonym, PseudonymKind};

/// Name of the published test key.
pub const TEST_KEY_NAME: &str = "test";

const KEY_BYTES: usize = 32;
/// Length of the secret that `xxh3` mixes in.
const TOKEN_SECRET_BYTES: usize = 192;
const TOKEN_CONTEXT: &str = "trustline 2025 tokens of ids that are only compared";
/// Longest id that is hashed on the stack: the longest the contract allows.
const ID_BYTES_MAX: usize = 256;
/// A kind's name and the byte after it.
const PREFIX_BYTES_MAX: usize = 7;

/// Why a key cannot be used. Never holds a part of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Neither raw nor text of the right length.
    #[error(
        "a pseudonym key has 32 bytes: raw, as 64 hex digits, or as base64; this has {length} bytes and is none of them"
    )]
    Form {
        /// Length of what was given.
        length: usize,
    },
    /// Text that decodes to another length.
    #[error("a pseudonym key has 32 bytes; this {encoding} text holds {length}")]
    Length {
        /// How the text was read.
        encoding: &'static str,
        /// How many bytes it holds.
        length: usize,
    },
    /// All bytes are the same.
    #[error("a pseudonym key must be random; all bytes of this one are the same")]
    NotRandom,
}

/// 32 secret bytes and the name by which they are known.
///
/// It can be neither printed nor serialised.
#[derive(Clone)]
pub struct PseudonymKey {
    name: String,
    key: [u8; KEY_BYTES],
    token_secret: [u8; TOKEN_SECRET_BYTES],
}

impl PseudonymKey {
    /// The published key of `replay` and `demo`: BLAKE3 of `trustline-demo`. It protects nothing.
    pub fn test_key() -> PseudonymKey {
        PseudonymKey::of(TEST_KEY_NAME, *blake3::hash(b"trustline-demo").as_bytes())
    }

    /// Reads a key as a file or environment variable gives it: 32 raw bytes, 64 hex digits, or
    /// base64 (standard or URL-safe, padded or not); white space around text is ignored.
    ///
    /// # Errors
    /// When it is none of these, or when all bytes are the same.
    pub fn read(name: &str, given: &[u8]) -> Result<PseudonymKey, KeyError> {
        let key = key_bytes(given)?;
        if key.iter().all(|byte| *byte == key[0]) {
            return Err(KeyError::NotRandom);
        }
        Ok(PseudonymKey::of(name, key))
    }

    fn of(name: &str, key: [u8; KEY_BYTES]) -> PseudonymKey {
        let mut token_secret = [0; TOKEN_SECRET_BYTES];
        let mut derived = blake3::Hasher::new_derive_key(TOKEN_CONTEXT).update(&key).finalize_xof();
        derived.fill(&mut token_secret);
        PseudonymKey { name: name.to_owned(), key, token_secret }
    }

    /// The name by which the key is known; not secret.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The pseudonym of an id: the first 16 bytes of keyed BLAKE3 over `kind 0x00 id`.
    pub fn pseudonym(&self, kind: PseudonymKind, id: &[u8]) -> Pseudonym {
        let kind = kind.name().as_bytes();
        let mut input = [0; PREFIX_BYTES_MAX + ID_BYTES_MAX];
        let (id_at, end) = (kind.len() + 1, kind.len() + 1 + id.len());
        let hash = match input.get_mut(..end) {
            Some(input) => {
                input[..kind.len()].copy_from_slice(kind);
                input[id_at..].copy_from_slice(id);
                blake3::keyed_hash(&self.key, input)
            }
            None => blake3::Hasher::new_keyed(&self.key).update(kind).update(&[0]).update(id).finalize(),
        };
        let mut pseudonym = Pseudonym::default();
        let (first, _) = hash.as_bytes().split_at(pseudonym.0.len());
        pseudonym.0.copy_from_slice(first);
        pseudonym
    }

    /// A 64-bit keyed hash of an id that is only compared for equality; never 0.
    pub fn token(&self, id: &[u8]) -> NonZeroU64 {
        NonZeroU64::new(xxh3_64_with_secret(id, &self.token_secret)).unwrap_or(NonZeroU64::MIN)
    }
}

fn key_bytes(given: &[u8]) -> Result<[u8; KEY_BYTES], KeyError> {
    let text = given.trim_ascii();
    let is_hex = !text.is_empty() && text.iter().all(u8::is_ascii_hexdigit);
    if is_hex && text.len() == 2 * KEY_BYTES {
        return from_hex(text).ok_or(KeyError::Form { length: given.len() });
    }
    // A shorter key in hex, which as raw bytes would have half the randomness it seems to have.
    if is_hex && text.len() == KEY_BYTES {
        return Err(KeyError::Length { encoding: "hex", length: KEY_BYTES / 2 });
    }
    if let Ok(raw) = given.try_into() {
        return Ok(raw);
    }
    for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
        if let Ok(bytes) = engine.decode(text) {
            let length = bytes.len();
            return bytes.try_into().map_err(|_| KeyError::Length { encoding: "base64", length });
        }
    }
    Err(KeyError::Form { length: given.len() })
}

fn from_hex(text: &[u8]) -> Option<[u8; KEY_BYTES]> {
    let mut key = [0; KEY_BYTES];
    for (byte, digits) in key.iter_mut().zip(text.chunks_exact(2)) {
        *byte = u8::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEST_KEY_HEX: &str = "5a072d7b4ac696c790eebf3171a1db8456b26578d59c758e64208f9c418932c0";

    #[test]
    fn the_test_key_gives_the_pseudonyms_that_another_implementation_gives() {
        // Computed with the Python package `blake3` 1.0.
        let key = PseudonymKey::test_key();
        assert_eq!(key.name(), "test");
        for (kind, id, expected) in [
            (PseudonymKind::Person, "alice", "663535b6c262479aa8b28c976458d204"),
            (PseudonymKind::Device, "alice", "f522dd685d46e5f36c4850cecfad5634"),
            (PseudonymKind::Order, "o-1", "7464a131832d0b29fe54edb73735e503"),
            (PseudonymKind::Cart, "c-1", "bd69317127fff088f7310f593e42c3ae"),
            (PseudonymKind::Event, "e-1", "64f6d079e0c1082f0c636a9d7e11c1dd"),
            (PseudonymKind::Person, "é😀", "5deecd94a38ce245794a168a9b9adf6d"),
            (PseudonymKind::Person, &"x".repeat(256), "08115be031af47c927df280b08129744"),
            (PseudonymKind::Device, "", "bddb50c1626417c9d999ef728c91de2b"),
        ] {
            assert_eq!(key.pseudonym(kind, id.as_bytes()).to_string(), expected, "{kind:?} {id}");
        }
    }

    #[test]
    fn ids_of_every_length_are_hashed_as_one_message() {
        let key = PseudonymKey::test_key();
        for length in (0..300).chain([1_000, 5_000]) {
            let id = vec![b'i'; length];
            for kind in PseudonymKind::ALL {
                let message = [kind.name().as_bytes(), &[0], &id].concat();
                let expected = blake3::keyed_hash(&key.key, &message);
                assert_eq!(key.pseudonym(kind, &id).0, expected.as_bytes()[..16], "{kind:?} {length}");
            }
        }
    }

    #[test]
    fn a_key_may_be_raw_or_hex_or_base64() {
        let raw = PseudonymKey::test_key().key;
        let mut forms = vec![raw.to_vec(), TEST_KEY_HEX.into(), TEST_KEY_HEX.to_uppercase().into()];
        forms.extend([format!("  {TEST_KEY_HEX}\r\n").into()]);
        for engine in [&STANDARD, &STANDARD_NO_PAD, &URL_SAFE, &URL_SAFE_NO_PAD] {
            forms.push(engine.encode(raw).into());
            forms.push(format!("{}\n", engine.encode(raw)).into());
        }
        for form in forms {
            let key = PseudonymKey::read("june", &form).unwrap_or_else(|error| panic!("{form:?}: {error}"));
            assert!(key.key == raw && key.name() == "june", "{form:?}");
        }
    }

    #[test]
    fn other_keys_are_refused_with_the_reason() {
        let hex = |bytes: usize| "5a".repeat(bytes);
        for (given, expected) in [
            (String::new(), KeyError::Length { encoding: "base64", length: 0 }),
            (hex(16), KeyError::Length { encoding: "hex", length: 16 }),
            (format!("{}\n", hex(16)), KeyError::Length { encoding: "hex", length: 16 }),
            (STANDARD.encode([7; 31]), KeyError::Length { encoding: "base64", length: 31 }),
            (STANDARD.encode([7; 33]), KeyError::Length { encoding: "base64", length: 33 }),
            (String::from("my secret key!"), KeyError::Form { length: 14 }),
            ("\0".repeat(32), KeyError::NotRandom),
            (hex(32), KeyError::NotRandom),
        ] {
            let error = PseudonymKey::read("june", given.as_bytes()).err();
            assert_eq!(error, Some(expected), "{given:?}");
        }
    }

    #[test]
    fn tokens_depend_on_the_id_and_the_key() {
        let test = PseudonymKey::test_key();
        let june: Vec<u8> = (0..32).collect();
        let june = PseudonymKey::read("june", &june).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for id in (0..2_000).map(|number| format!("product-{number}")) {
            assert_eq!(test.token(id.as_bytes()), test.token(id.as_bytes()));
            seen.extend([test.token(id.as_bytes()), june.token(id.as_bytes())]);
        }
        assert_eq!(seen.len(), 4_000);
    }
}
