//! How much of a batch was taken in.

use crate::log::{RecordRef, Records};

/// Records up to an offset; notes the position after the last one taken.
pub(super) struct Taken<'a, R> {
    pub(super) records: &'a mut R,
    pub(super) before: i64,
    pub(super) next: Option<i64>,
}

impl<R: Records> Records for Taken<'_, R> {
    fn peek(&self) -> Option<i64> {
        self.records.peek().filter(|offset| *offset < self.before)
    }

    fn peek_value(&self) -> Option<&[u8]> {
        self.peek().and_then(|_| self.records.peek_value())
    }

    fn next(&mut self) -> Option<RecordRef<'_>> {
        self.next = Some(self.peek()? + 1);
        self.records.next()
    }
}
