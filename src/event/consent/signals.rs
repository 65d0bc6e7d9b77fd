//! What the privacy signals of one event say, in a byte.

use std::fmt;

/// What the privacy signals of one event say, as P6 and the addressable share ask it.
///
/// The default is an event without signals.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Signals(u8);

impl Signals {
    /// Refuses every behavioural use of data: the GDPR applies and TCF purpose 3 or 4 is not consented.
    pub const REFUSED_ALL: Signals = Signals(1);
    /// Refuses tracking across companies: App Tracking Transparency, limited ad tracking, Global
    /// Privacy Control where it binds, a GPP US section or US Privacy.
    pub const REFUSED_CROSS: Signals = Signals(1 << 1);
    /// Authorises: App Tracking Transparency, or the GDPR applies and TCF purposes 3 and 4 are consented.
    pub const ALLOWED: Signals = Signals(1 << 2);
    /// Wishes not to be tracked across companies: do-not-track, or Global Privacy Control where it
    /// does not bind.
    pub const VOLUNTARY: Signals = Signals(1 << 3);

    const NAMES: [(Signals, &'static str); 4] = [
        (Signals::REFUSED_ALL, "REFUSED_ALL"),
        (Signals::REFUSED_CROSS, "REFUSED_CROSS"),
        (Signals::ALLOWED, "ALLOWED"),
        (Signals::VOLUNTARY, "VOLUNTARY"),
    ];

    /// The set as one byte.
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// The set that [`Signals::bits`] gave; `None` when a bit has no meaning.
    pub const fn from_bits(bits: u8) -> Option<Signals> {
        if bits < 1 << 4 { Some(Signals(bits)) } else { None }
    }

    /// Whether every signal of `other` is in this set.
    pub const fn contains(self, other: Signals) -> bool {
        self.0 & other.0 == other.0
    }

    /// What the explicit signals decide for the addressable share: denied, else authorised, else unknown.
    pub const fn authorised(self) -> Option<bool> {
        if self.contains(Signals::REFUSED_ALL) || self.contains(Signals::REFUSED_CROSS) {
            Some(false)
        } else if self.contains(Signals::ALLOWED) {
            Some(true)
        } else {
            None
        }
    }

    /// This set and `other`, if `present`.
    pub(super) const fn with(self, other: Signals, present: bool) -> Signals {
        if present { Signals(self.0 | other.0) } else { self }
    }
}

impl fmt::Debug for Signals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Signals::NAMES.iter().filter(|(signal, _)| self.contains(*signal));
        f.debug_set().entries(names.map(|(_, name)| format_args!("{name}").to_string())).finish()
    }
}

/// A signal that says nothing because it cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Flaw {
    /// The TC string is malformed.
    TcString,
    /// The GPP string is malformed.
    Gpp,
    /// A US section of the GPP string cannot be decoded.
    GppSection,
    /// The US Privacy string is malformed.
    UsPrivacy,
    /// `att_status` is not one of 0 to 3.
    AttStatus,
}

impl Flaw {
    /// All flaws.
    pub const ALL: [Flaw; 5] =
        [Flaw::TcString, Flaw::Gpp, Flaw::GppSection, Flaw::UsPrivacy, Flaw::AttStatus];

    /// The code under which the flaw is counted.
    pub const fn code(self) -> &'static str {
        match self {
            Flaw::TcString => "tc_string",
            Flaw::Gpp => "gpp",
            Flaw::GppSection => "gpp_section",
            Flaw::UsPrivacy => "us_privacy",
            Flaw::AttStatus => "att_status",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

/// The flaws of one event's signals, for the counters of data quality.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quality(u8);

impl Quality {
    /// Whether every signal could be read.
    pub const fn is_clean(self) -> bool {
        self.0 == 0
    }

    /// The flaws, each once.
    pub fn flaws(self) -> impl Iterator<Item = Flaw> {
        Flaw::ALL.into_iter().filter(move |flaw| self.0 & flaw.bit() != 0)
    }

    pub(super) fn note(&mut self, flaw: Flaw) {
        self.0 |= flaw.bit();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_read_back_and_others_are_refused() {
        for bits in 0..=u8::MAX {
            assert_eq!(Signals::from_bits(bits).map(Signals::bits), (bits < 16).then_some(bits));
        }
        assert_eq!(Signals::default().bits(), 0);
    }

    #[test]
    fn a_denial_goes_before_an_authorisation() {
        for bits in 0..16 {
            let expected = match bits & 0b111 {
                0 => None,
                0b100 => Some(true),
                _ => Some(false),
            };
            assert_eq!(Signals(bits).authorised(), expected, "{:?}", Signals(bits));
        }
    }

    #[test]
    fn flaws_are_listed_once() {
        let mut quality = Quality::default();
        assert!(quality.is_clean());
        for flaw in [Flaw::AttStatus, Flaw::Gpp, Flaw::AttStatus] {
            quality.note(flaw);
        }
        assert_eq!(quality.flaws().collect::<Vec<_>>(), [Flaw::Gpp, Flaw::AttStatus]);
        assert!(!quality.is_clean());
    }
}
