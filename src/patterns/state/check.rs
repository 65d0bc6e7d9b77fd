//! Whether bytes from outside are a stored record.

use super::{Record, WIDTHS};

const WINDOW_BYTES: usize = 12;

impl Record {
    /// Unpacks what [`Record::store`] wrote, or says that these bytes cannot be that.
    #[must_use]
    pub fn try_load(&mut self, windows: usize, bytes: &[u8]) -> bool {
        let is_whole = is_stored(windows, bytes).unwrap_or(false);
        if is_whole {
            self.load(windows, bytes);
        }
        is_whole
    }
}

/// Whether the sections hold whole entries and fill the bytes exactly; `None` where the bytes end early.
fn is_stored(windows: usize, bytes: &[u8]) -> Option<bool> {
    let (present, rest) = bytes.split_first_chunk()?;
    let present = u32::from_le_bytes(*present);
    let mut rest = rest.get(windows * WINDOW_BYTES..)?;
    let mut body = 0;
    for (section, width) in WIDTHS.iter().enumerate() {
        if present & 1 << section != 0 {
            let (length, tail) = rest.split_first_chunk()?;
            let length = usize::from(u16::from_le_bytes(*length));
            if length == 0 || length % width != 0 {
                return Some(false);
            }
            body += length;
            rest = tail;
        }
    }
    Some(present >> WIDTHS.len() == 0 && rest.len() == body)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::{Opened, Refused, Signals};
    use super::*;

    fn stored() -> Vec<u8> {
        let mut record = Record::default();
        record.push(&Refused { time: 30 });
        record.push(&Refused { time: 31 });
        record.push(&Signals { signal: 1, interest: 2 });
        let mut bytes = vec![0; record.stored_len(2)];
        record.store(2, &mut bytes);
        bytes
    }

    #[test]
    fn a_stored_record_is_one_and_anything_else_in_length_is_not() {
        let (mut record, bytes) = (Record::default(), stored());
        assert!(record.try_load(2, &bytes));
        assert_eq!((record.len::<Refused>(), record.has::<Opened>()), (2, false));
        assert!(!record.try_load(1, &bytes) && !record.try_load(3, &bytes));
        for cut in 0..bytes.len() {
            assert!(!record.try_load(2, &bytes[..cut]), "{cut}");
        }
        assert!(!record.try_load(2, &[bytes, vec![0]].concat()));
    }

    proptest! {
        #[test]
        fn what_passes_is_stored_as_the_same_bytes(at in 0usize..48, byte: u8) {
            let mut bytes = stored();
            let at = at % bytes.len();
            bytes[at] = byte;
            let mut record = Record::default();
            if record.try_load(2, &bytes) {
                let mut again = vec![0; record.stored_len(2)];
                record.store(2, &mut again);
                prop_assert_eq!(again, bytes);
            }
        }
    }
}
