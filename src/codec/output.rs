//! The Avro encoding of the output records and their keys, under the schemas of this build.

use super::canonical::put_long;
use crate::event::output::{
    BrandTrust, BrandTrustKey, BrandTrustLatestKey, ErasureReceipt, ErasureReceiptKey, PatternTrust,
    PatternTrustKey, TrustAlert, TrustAlertKey, TrustMoment, TrustMomentKey,
};

/// A record of an output topic, or its key.
pub trait Output {
    /// Appends its encoding.
    fn encode(&self, out: &mut Vec<u8>);
}

/// Encodes records field by field. The pattern names every field, so that one more in the record does not
/// compile without one more here.
macro_rules! records {
    ($($record:ident $(<$life:lifetime>)? { $($field:ident),+ $(,)? }),+ $(,)?) => {
        $(impl Output for $record $(<$life>)? {
            fn encode(&self, out: &mut Vec<u8>) {
                let $record { $($field),+ } = self;
                $($field.put(out);)+
            }
        })+
    };
}

records! {
    TrustMoment { moment_id, revision, status, brand_id, person, pattern, severity, weight, event_time, opened_time, opening_event, anchor, evidence, explanation, config_hash },
    BrandTrust { brand_id, window_start, window_end, window, status, revision, people_reached, device_key_share, touches, trust, trust_low, trust_high, experience, experience_low, experience_high, brand_layer, net, net_variance, consent_prompted, consent_granted, consent_refused, consent_withdrawn, opt_in_rate, consent_known, consent_authorised, addressable_share, opted_out, completeness, late, dead_lettered, unreadable_share, partitions_incomplete, frontier_age_ms, config_hash },
    PatternTrust { brand_id, window_start, window_end, window, status, revision, pattern, evaluated, at_risk, affected_1, affected_2, affected_3, incidence, incidence_low, incidence_high, weight, contribution, exposed_days, exposed_opt_outs, unexposed_days, unexposed_opt_outs, exposed_days_30d, exposed_opt_outs_30d, unexposed_days_30d, unexposed_opt_outs_30d, rate_ratio, rate_ratio_low, rate_ratio_high, config_hash },
    TrustAlert { alert_id, kind, state, brand_id, window, since, at, value, low, high, baseline, mover_1, mover_1_change, mover_2, mover_2_change, mover_3, mover_3_change, incident_id, summary },
    ErasureReceipt { request_id, received_time, done_time, partition, pairs_deleted, events_dropped, links_removed },
    TrustMomentKey<'_> { brand_id },
    BrandTrustKey<'_> { brand_id, window, window_start },
    BrandTrustLatestKey<'_> { brand_id, window },
    PatternTrustKey<'_> { brand_id, window, window_start, pattern },
    TrustAlertKey<'_> { alert_id },
    ErasureReceiptKey<'_> { request_id },
}

/// A value of a field.
trait Put {
    fn put(&self, out: &mut Vec<u8>);
}

impl Put for String {
    fn put(&self, out: &mut Vec<u8>) {
        self.as_str().put(out);
    }
}

impl Put for &str {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, self.len() as i64);
        out.extend_from_slice(self.as_bytes());
    }
}

impl Put for i32 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, i64::from(*self));
    }
}

impl Put for i64 {
    fn put(&self, out: &mut Vec<u8>) {
        put_long(out, *self);
    }
}

impl Put for f64 {
    fn put(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.to_le_bytes());
    }
}

impl Put for bool {
    fn put(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
}

/// A union of null and something.
impl<T: Put> Put for Option<T> {
    fn put(&self, out: &mut Vec<u8>) {
        match self {
            None => out.push(0),
            Some(value) => {
                out.push(2);
                value.put(out);
            }
        }
    }
}
