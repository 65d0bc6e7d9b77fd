//! Avro's primitive encodings, read from a slice within its bounds.

use ascii::AsAsciiStr;

use crate::event::reject::{Reason, Reject};

/// Where reading stands.
pub(super) struct Cursor<'a> {
    rest: &'a [u8],
    /// The innermost field at which reading stopped.
    stopped_at: Option<&'static str>,
}

/// Why reading stopped. It is one byte, which keeps the results of steps in a register; the field's name is
/// noted at the cursor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The datum ends too early, or is no encoding under the schema.
    Damaged,
    /// The value is refused for this reason.
    Refused(Reason),
}

const _: () = assert!(size_of::<Result<(), Fault>>() == 1);

impl<'a> Cursor<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Cursor<'a> {
        Cursor { rest: bytes, stopped_at: None }
    }

    /// Notes the field at which reading stopped; the innermost is told first and stays.
    #[cold]
    pub(super) fn stop_at(&mut self, field: &'static str) {
        self.stopped_at.get_or_insert(field);
    }

    /// The refusal of the record.
    #[cold]
    pub(super) fn reject(&self, fault: Fault) -> Reject {
        let field = self.stopped_at.unwrap_or("record");
        match fault {
            Fault::Damaged => Reject::new(Reason::Undecodable, field),
            Fault::Refused(reason) => Reject::new(reason, field),
        }
    }

    /// How many bytes are left.
    pub(super) fn left(&self) -> usize {
        self.rest.len()
    }

    #[inline]
    pub(super) fn byte(&mut self) -> Result<u8, Fault> {
        let (first, rest) = self.rest.split_first().ok_or(Fault::Damaged)?;
        self.rest = rest;
        Ok(*first)
    }

    #[inline]
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Fault> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Fault::Damaged)?;
        self.rest = rest;
        Ok(taken)
    }

    /// An int or long: zig-zag, seven bits a byte, at most ten bytes.
    #[inline]
    pub(super) fn long(&mut self) -> Result<i64, Fault> {
        match self.rest {
            [first, rest @ ..] if *first < 0x80 => {
                self.rest = rest;
                Ok(unzigzag(u64::from(*first)))
            }
            _ => self.long_of_many(),
        }
    }

    fn long_of_many(&mut self) -> Result<i64, Fault> {
        let mut value = 0_u64;
        for (at, byte) in self.rest.iter().take(10).enumerate() {
            let bits = u64::from(byte & 0x7F);
            // The tenth byte has room for one bit.
            if at == 9 && bits > 1 {
                return Err(Fault::Damaged);
            }
            value |= bits << (7 * at);
            if *byte < 0x80 {
                self.rest = self.rest.get(at + 1..).unwrap_or_default();
                return Ok(unzigzag(value));
            }
        }
        Err(Fault::Damaged)
    }

    /// A long within the range of an int.
    #[inline]
    pub(super) fn int(&mut self) -> Result<i64, Fault> {
        let value = self.long()?;
        if i32::try_from(value).is_ok() { Ok(value) } else { Err(Fault::Damaged) }
    }

    /// The length of a string or bytes, and they themselves.
    #[inline]
    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Fault> {
        let length = self.long()?;
        self.take(usize::try_from(length).map_err(|_| Fault::Damaged)?)
    }

    /// A string. Nearly all are ASCII, and that is checked faster than UTF-8.
    #[inline]
    pub(super) fn text(&mut self) -> Result<&'a str, Fault> {
        let bytes = self.bytes()?;
        match bytes.as_ascii_str() {
            Ok(text) => Ok(text.as_str()),
            Err(_) => std::str::from_utf8(bytes).map_err(|_| Fault::Damaged),
        }
    }

    #[inline]
    pub(super) fn flag(&mut self) -> Result<bool, Fault> {
        match self.byte()? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(Fault::Damaged),
        }
    }

    pub(super) fn float(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<4>().ok_or(Fault::Damaged)?;
        self.rest = rest;
        Ok(f64::from(f32::from_le_bytes(*bytes)))
    }

    pub(super) fn double(&mut self) -> Result<f64, Fault> {
        let (bytes, rest) = self.rest.split_first_chunk::<8>().ok_or(Fault::Damaged)?;
        self.rest = rest;
        Ok(f64::from_le_bytes(*bytes))
    }

    /// The number of items in the next block of an array or map, with the block's size where it is given.
    pub(super) fn block(&mut self) -> Result<(u64, Option<usize>), Fault> {
        let count = self.long()?;
        if count >= 0 {
            return Ok((count.unsigned_abs(), None));
        }
        let bytes = usize::try_from(self.long()?).map_err(|_| Fault::Damaged)?;
        if bytes > self.left() { Err(Fault::Damaged) } else { Ok((count.unsigned_abs(), Some(bytes))) }
    }
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::canonical;

    #[test]
    fn longs_of_every_length_read_back_and_no_more_is_read() {
        for shift in 0..64 {
            for value in [i64::MAX >> shift, i64::MIN >> shift, i64::MAX >> shift ^ 0x55] {
                let mut bytes = Vec::new();
                canonical::put_long(&mut bytes, value);
                bytes.push(7);
                let mut cursor = Cursor::new(&bytes);
                assert_eq!(cursor.long(), Ok(value));
                assert_eq!(cursor.left(), 1);
                assert_eq!(Cursor::new(&bytes[..bytes.len() - 2]).long(), Err(Fault::Damaged));
            }
        }
        assert_eq!(Cursor::new(&[0xFF; 11]).long(), Err(Fault::Damaged));
        assert_eq!(
            Cursor::new(&[0xFE, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 2]).long(),
            Err(Fault::Damaged)
        );
        assert_eq!(Cursor::new(&[0x80, 0x80, 0x80, 0x80, 0x10]).int(), Err(Fault::Damaged));
    }
}
