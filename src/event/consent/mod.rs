//! Consent signals: what an event's TCF, GPP and US Privacy strings and its flags say about tracking.
//!
//! Malformed strings say nothing, and are noted. No input makes the decoders panic.

mod bits;
mod cache;
mod gpp;
mod rules;
mod signals;
mod tcf;
mod us_privacy;

pub use rules::ConsentRules;
pub use signals::{Flaw, Quality, Signals};

use super::raw::RawConsent;
use cache::Cache;
use gpp::UsSections;

/// Longest TC or GPP string that is read; a longer one is malformed.
pub const CONSENT_STRING_BYTES_MAX: usize = 4_096;

/// Reads the privacy signals of events; remembers the strings decoded last.
pub struct SignalsDecoder {
    rules: ConsentRules,
    tc_strings: Cache<Option<bool>>,
    gpp_strings: Cache<Option<UsSections>>,
}

impl SignalsDecoder {
    /// A decoder that remembers nothing yet.
    pub fn new(rules: ConsentRules) -> SignalsDecoder {
        SignalsDecoder {
            rules,
            tc_strings: Cache::new(tcf::personalised_ads_consented),
            gpp_strings: Cache::new(gpp::us_sections),
        }
    }

    /// What the signals of an event in `jurisdiction` say, and which of them could not be read.
    pub fn decode(&mut self, consent: &RawConsent<'_>, jurisdiction: Option<&str>) -> (Signals, Quality) {
        let mut quality = Quality::default();
        let tcf = self.tc_string(consent, &mut quality).filter(|_| consent.gdpr_applies == Some(true));
        let gpp_opted_out = self.gpp_opted_out(consent.gpp, &mut quality);
        let us_opted_out = us_privacy_opted_out(consent.us_privacy, &mut quality);
        let att_status = consent.att_status.inspect(|status| {
            if !(0..=3).contains(status) {
                quality.note(Flaw::AttStatus);
            }
        });
        let gpc = consent.gpc == Some(true);
        let gpc_binds = gpc && self.rules.gpc_binds(jurisdiction);

        let refused_cross = matches!(att_status, Some(1 | 2))
            || consent.lmt == Some(true)
            || gpc_binds
            || gpp_opted_out
            || us_opted_out;
        let signals = Signals::default()
            .with(Signals::REFUSED_ALL, tcf == Some(false))
            .with(Signals::REFUSED_CROSS, refused_cross)
            .with(Signals::ALLOWED, att_status == Some(3) || tcf == Some(true))
            .with(Signals::VOLUNTARY, consent.dnt == Some(true) || (gpc && !gpc_binds));
        (signals, quality)
    }

    fn tc_string(&mut self, consent: &RawConsent<'_>, quality: &mut Quality) -> Option<bool> {
        let tc_string = consent.tc_string?;
        let consented = is_readable(tc_string).then(|| self.tc_strings.get(tc_string)).flatten();
        if consented.is_none() {
            quality.note(Flaw::TcString);
        }
        consented
    }

    fn gpp_opted_out(&mut self, gpp: Option<&str>, quality: &mut Quality) -> bool {
        let Some(gpp) = gpp else { return false };
        let Some(sections) = is_readable(gpp).then(|| self.gpp_strings.get(gpp)).flatten() else {
            quality.note(Flaw::Gpp);
            return false;
        };
        if sections.unreadable {
            quality.note(Flaw::GppSection);
        }
        sections.opted_out
    }
}

fn us_privacy_opted_out(us_privacy: Option<&str>, quality: &mut Quality) -> bool {
    let Some(us_privacy) = us_privacy else { return false };
    us_privacy::opted_out(us_privacy).unwrap_or_else(|| {
        quality.note(Flaw::UsPrivacy);
        false
    })
}

fn is_readable(string: &str) -> bool {
    string.len() <= CONSENT_STRING_BYTES_MAX
}

#[cfg(test)]
mod tests;
