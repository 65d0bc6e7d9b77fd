//! What is remembered of one (brand, person): a compact record of variable length.
//!
//! A record is a fixed head (windows) and up to [`SECTIONS`] sections, each a list of entries of one
//! fixed width, packed without gaps. Absent sections cost nothing. The stored form is also the form
//! in snapshots: `present bitmap, head, lengths of present sections, entries`, little-endian.

mod check;

/// Upper limit of sections of a record.
pub const SECTIONS: usize = 22;

/// How many window lengths a record can follow.
pub const WINDOWS_MAX: usize = 4;

/// Something kept in a section: a value of fixed width.
pub trait Entry: Copy + 'static {
    /// The section it lives in.
    const SECTION: usize;
    /// Its width in bytes.
    const WIDTH: usize;
    /// Reads it from exactly [`Entry::WIDTH`] bytes.
    fn read(bytes: &[u8]) -> Self;
    /// Writes it to exactly [`Entry::WIDTH`] bytes.
    fn write(&self, bytes: &mut [u8]);
}

/// A field of an entry.
trait Field: Copy {
    const WIDTH: usize;
    fn get(bytes: &[u8]) -> Self;
    fn put(self, bytes: &mut [u8]);
}

macro_rules! int_field {
    ($($type:ty),+) => {$(
        impl Field for $type {
            const WIDTH: usize = size_of::<$type>();
            #[inline]
            fn get(bytes: &[u8]) -> Self {
                let mut raw = [0; size_of::<$type>()];
                raw.copy_from_slice(bytes);
                <$type>::from_le_bytes(raw)
            }
            #[inline]
            fn put(self, bytes: &mut [u8]) {
                bytes.copy_from_slice(&self.to_le_bytes());
            }
        }
    )+};
}
int_field!(u8, u16, u32, u64, u128);

/// Milliseconds since the epoch in six bytes. Times lie in 2000 to 2100, so 42 bits would do.
impl Field for i64 {
    const WIDTH: usize = 6;
    #[inline]
    fn get(bytes: &[u8]) -> Self {
        let mut raw = [0; 8];
        raw[..6].copy_from_slice(bytes);
        i64::from_le_bytes(raw)
    }
    #[inline]
    fn put(self, bytes: &mut [u8]) {
        debug_assert!((0..1 << 48).contains(&self));
        bytes.copy_from_slice(&self.to_le_bytes()[..6]);
    }
}

impl Field for bool {
    const WIDTH: usize = 1;
    #[inline]
    fn get(bytes: &[u8]) -> Self {
        bytes[0] != 0
    }
    #[inline]
    fn put(self, bytes: &mut [u8]) {
        bytes[0] = u8::from(self);
    }
}

/// Declares the entries, numbered in order; the order is part of the stored form.
macro_rules! entries {
    ($($(#[$meta:meta])* $index:literal $name:ident { $($(#[$fmeta:meta])* $field:ident: $type:ty,)+ })+) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, PartialEq, Eq)]
            pub struct $name { $($(#[$fmeta])* #[doc = concat!("`", stringify!($field), "`.")] pub $field: $type,)+ }

            impl Entry for $name {
                const SECTION: usize = $index;
                const WIDTH: usize = 0 $(+ <$type as Field>::WIDTH)+;

                #[inline]
                fn read(bytes: &[u8]) -> Self {
                    let mut at = 0;
                    $(
                        let $field = <$type as Field>::get(&bytes[at..at + <$type as Field>::WIDTH]);
                        at += <$type as Field>::WIDTH;
                    )+
                    debug_assert_eq!(at, Self::WIDTH);
                    $name { $($field,)+ }
                }

                #[inline]
                fn write(&self, bytes: &mut [u8]) {
                    let mut at = 0;
                    $(
                        self.$field.put(&mut bytes[at..at + <$type as Field>::WIDTH]);
                        at += <$type as Field>::WIDTH;
                    )+
                    debug_assert_eq!(at, Self::WIDTH);
                }
            }
        )+

        const WIDTHS: [usize; SECTIONS] = {
            let mut widths = [0; SECTIONS];
            $(widths[$index] = <$name as Entry>::WIDTH;)+
            widths
        };
    };
}

entries! {
    /// Last first-party signal and last sign of interest (0: none).
    0 Signals { signal: i64, interest: i64, }
    /// P1: a counted retargeted impression.
    1 Hit { time: i64, creative: u32, }
    /// P1: a page view whose impression was counted.
    2 Page { time: i64, page_view: u64, }
    /// P2: a living order.
    3 Order { time: i64, order: u128, category: u64, ads: u16, slot: u8, }
    /// P2: a product of a living order.
    4 Bought { slot: u8, product: u64, }
    /// P3: a device of the person.
    5 Device { device: u64, last: i64, signal: i64, }
    /// P3: a retargeted impression on a device that the signal did not come from.
    6 Followed { device: u64, time: i64, }
    /// P4b: an e-mail sent.
    7 EmailSent { time: i64, message: u64, engaged: bool, }
    /// P4b: an SMS sent.
    8 SmsSent { time: i64, message: u64, engaged: bool, }
    /// P4b: a push message sent.
    9 PushSent { time: i64, message: u64, engaged: bool, }
    /// P4a: the person's word on a channel: the first and the last "no" since the last "yes" (0: none).
    10 Word { channel: u8, first: i64, last: i64, subscribed: i64, }
    /// P5: the person's last decision on a prompt type, and how often it was asked again.
    11 Decision { prompt: u8, refused: bool, time: i64, version: u64, repeats: u8, }
    /// P5: a day on which a type was prompted, with the latest such prompt's event time.
    12 PromptDay { prompt: u8, day: u16, time: i64, }
    /// P5: a repeat.
    13 Repeat { prompt: u8, time: i64, }
    /// P6: the person's decision on tracking: first refusal since the last grant, last grant, last word (0: none).
    14 Tracking { refused: i64, granted: i64, last: i64, }
    /// P6: an explicitly refused impression.
    15 Refused { time: i64, }
    /// P7: an undisclosed use of inferred, third-party or offline data.
    16 Undisclosed { time: i64, }
    /// P8, P13: a cart.
    17 Cart { cart: u64, added: i64, last: i64, reminders: u16, ordered: bool, }
    /// P9: a recommendation shown on a fitting basis.
    18 Shown { recommendation: u64, time: i64, }
    /// P10: a requested message sent.
    19 Requested { message: u64, time: i64, channel: u8, }
    /// An opened moment.
    20 Opened { pattern: u8, severity: u8, revision: u16, ended: bool, anchor: u64, time: i64, place: i64, event: u128, }
    /// P12: the waiting request.
    21 Request { place: i64, event: u128, touched: bool, broken: bool, device_key: bool, }
}

/// Where a person stands in the open window of one length.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct WindowState {
    /// Number of the window: its start divided by its length.
    pub number: u32,
    /// What was counted, see `fold::detect::windows`.
    pub bits: u64,
}

/// The record of one pair, unpacked for work on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The open windows, by position in the list of lengths.
    pub windows: [WindowState; WINDOWS_MAX],
    /// A bit for each section that holds anything.
    present: u32,
    ends: [u32; SECTIONS],
    body: Vec<u8>,
}

impl Record {
    /// Number of entries of a section.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "`has` asks whether a section holds anything")]
    pub fn len<E: Entry>(&self) -> usize {
        self.range(E::SECTION).len() / E::WIDTH
    }

    /// Whether a section holds anything.
    #[inline]
    pub fn has<E: Entry>(&self) -> bool {
        self.present & (1 << E::SECTION) != 0
    }

    /// The entries of a section, oldest first.
    #[inline]
    pub fn iter<E: Entry>(&self) -> impl DoubleEndedIterator<Item = E> + ExactSizeIterator + '_ {
        self.body[self.range(E::SECTION)].chunks_exact(E::WIDTH).map(E::read)
    }

    /// The entry at a position, if there are that many.
    #[inline]
    pub fn get<E: Entry>(&self, index: usize) -> Option<E> {
        let range = self.range(E::SECTION);
        let at = range.start + index * E::WIDTH;
        (at < range.end).then(|| E::read(&self.body[at..at + E::WIDTH]))
    }

    /// The first entry for which the condition holds, with its position.
    #[inline]
    pub fn find<E: Entry>(&self, is: impl Fn(&E) -> bool) -> Option<(usize, E)> {
        self.iter::<E>().enumerate().find(|(_, entry)| is(entry))
    }

    /// The n-th last entry, 1 for the last.
    #[inline]
    pub fn nth_last<E: Entry>(&self, n: usize) -> Option<E> {
        self.len::<E>().checked_sub(n).and_then(|index| self.get(index))
    }

    /// Overwrites the entry at an existing position.
    #[inline]
    pub fn set<E: Entry>(&mut self, index: usize, entry: &E) {
        let at = self.range(E::SECTION).start + index * E::WIDTH;
        entry.write(&mut self.body[at..at + E::WIDTH]);
    }

    /// Appends an entry.
    pub fn push<E: Entry>(&mut self, entry: &E) {
        let end = self.range(E::SECTION).end;
        let old = self.body.len();
        self.body.resize(old + E::WIDTH, 0);
        self.body.copy_within(end..old, end + E::WIDTH);
        entry.write(&mut self.body[end..end + E::WIDTH]);
        self.present |= 1 << E::SECTION;
        for position in &mut self.ends[E::SECTION..] {
            *position += E::WIDTH as u32;
        }
    }

    /// Removes the entry at an existing position.
    pub fn remove<E: Entry>(&mut self, index: usize) {
        self.cut::<E>(index, 1);
    }

    /// Removes the oldest entries while the condition holds.
    pub fn drop_front_while<E: Entry>(&mut self, gone: impl Fn(&E) -> bool) {
        let count = self.iter::<E>().take_while(|entry| gone(entry)).count();
        if count > 0 {
            self.cut::<E>(0, count);
        }
    }

    /// Keeps the newest `limit` entries.
    pub fn keep_last<E: Entry>(&mut self, limit: usize) {
        let surplus = self.len::<E>().saturating_sub(limit);
        if surplus > 0 {
            self.cut::<E>(0, surplus);
        }
    }

    /// Removes every entry for which the condition holds.
    pub fn remove_where<E: Entry>(&mut self, gone: impl Fn(&E) -> bool) {
        let mut index = 0;
        while let Some(entry) = self.get::<E>(index) {
            if gone(&entry) {
                self.remove::<E>(index);
            } else {
                index += 1;
            }
        }
    }

    /// Makes this the record of a pair that nothing is known of.
    pub fn clear(&mut self) {
        self.windows = Default::default();
        self.present = 0;
        self.ends = [0; SECTIONS];
        self.body.clear();
    }

    /// Bytes that [`Record::store`] writes.
    pub fn stored_len(&self, windows: usize) -> usize {
        4 + windows * 12 + self.present.count_ones() as usize * 2 + self.body.len()
    }

    /// Packs the record into exactly [`Record::stored_len`] bytes.
    pub fn store(&self, windows: usize, bytes: &mut [u8]) {
        let (head, rest) = bytes.split_at_mut(4 + windows * 12);
        let (lengths, body) = rest.split_at_mut(self.present.count_ones() as usize * 2);
        let mut present = self.present;
        for length in lengths.chunks_exact_mut(2) {
            let section = present.trailing_zeros() as usize;
            present &= present - 1;
            length.copy_from_slice(&(self.range(section).len() as u16).to_le_bytes());
        }
        body.copy_from_slice(&self.body);
        head[..4].copy_from_slice(&self.present.to_le_bytes());
        for (window, slot) in self.windows.iter().zip(head[4..].chunks_exact_mut(12)) {
            slot[..4].copy_from_slice(&window.number.to_le_bytes());
            slot[4..].copy_from_slice(&window.bits.to_le_bytes());
        }
    }

    /// Unpacks what [`Record::store`] wrote.
    pub fn load(&mut self, windows: usize, bytes: &[u8]) {
        let (head, rest) = bytes.split_at(4 + windows * 12);
        self.present = u32::get(&head[..4]);
        self.windows = Default::default();
        for (window, slot) in self.windows.iter_mut().zip(head[4..].chunks_exact(12)) {
            *window = WindowState { number: u32::get(&slot[..4]), bits: u64::get(&slot[4..]) };
        }
        let (lengths, body) = rest.split_at(self.present.count_ones() as usize * 2);
        let (mut present, mut section, mut end) = (self.present, 0, 0);
        for length in lengths.chunks_exact(2) {
            let next = present.trailing_zeros() as usize;
            present &= present - 1;
            self.ends[section..next].fill(end);
            end += u32::from(u16::get(length));
            section = next;
        }
        self.ends[section..].fill(end);
        self.body.clear();
        self.body.extend_from_slice(body);
    }

    #[inline]
    fn range(&self, section: usize) -> std::ops::Range<usize> {
        let start = if section == 0 { 0 } else { self.ends[section - 1] };
        start as usize..self.ends[section] as usize
    }

    fn cut<E: Entry>(&mut self, index: usize, count: usize) {
        let start = self.range(E::SECTION).start + index * E::WIDTH;
        let width = count * E::WIDTH;
        self.body.drain(start..start + width);
        if self.range(E::SECTION).len() == width {
            self.present &= !(1 << E::SECTION);
        }
        for position in &mut self.ends[E::SECTION..] {
            *position -= width as u32;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hit(time: i64) -> Hit {
        Hit { time, creative: 7 }
    }

    #[test]
    fn sections_do_not_disturb_each_other() {
        let mut record = Record::default();
        record.push(&hit(10));
        record.push(&Signals { signal: 1, interest: 2 });
        record.push(&Refused { time: 30 });
        record.push(&hit(20));
        assert_eq!(record.iter::<Hit>().map(|h| h.time).collect::<Vec<_>>(), [10, 20]);
        assert_eq!(record.get::<Signals>(0), Some(Signals { signal: 1, interest: 2 }));
        assert_eq!(record.nth_last::<Hit>(2), Some(hit(10)));
        assert_eq!(record.nth_last::<Hit>(3), None);
        record.drop_front_while::<Hit>(|h| h.time < 20);
        record.set(0, &hit(21));
        assert_eq!(record.get::<Hit>(0), Some(hit(21)));
        assert_eq!(record.get::<Refused>(0), Some(Refused { time: 30 }));
        record.remove::<Signals>(0);
        assert!(!record.has::<Signals>());
        assert_eq!(record.get::<Refused>(0), Some(Refused { time: 30 }));
    }

    proptest! {
        /// A record behaves like one list per section, and its stored form reads back.
        #[test]
        fn a_record_is_a_list_per_section(steps in prop::collection::vec((0u8..6, 0i64..1 << 42), 0..60)) {
            let mut record = Record::default();
            let (mut hits, mut refused) = (Vec::new(), Vec::new());
            for (what, time) in steps {
                match what {
                    0 | 1 => { record.push(&hit(time)); hits.push(hit(time)); }
                    2 | 3 => { record.push(&Refused { time }); refused.push(Refused { time }); }
                    4 if !hits.is_empty() => {
                        let index = time as usize % hits.len();
                        record.remove::<Hit>(index);
                        hits.remove(index);
                    }
                    _ => { record.keep_last::<Refused>(2); let surplus = refused.len().saturating_sub(2); refused.drain(..surplus); }
                }
            }
            record.windows[1] = WindowState { number: 5, bits: 1 << 63 };
            let mut bytes = vec![0; record.stored_len(2)];
            record.store(2, &mut bytes);
            let mut back = Record::default();
            back.load(2, &bytes);
            prop_assert_eq!(&back, &record);
            prop_assert_eq!(back.iter::<Hit>().collect::<Vec<_>>(), hits);
            prop_assert_eq!(back.iter::<Refused>().collect::<Vec<_>>(), refused);
        }
    }
}
