//! Records as JSON objects, one per line.

mod event;
mod known;
mod readable;
mod rfc3339;
mod value;

use bumpalo::Bump;

pub use self::readable::{Readable, readable};
use self::value::Context;
use crate::event::kinds::Topic;
use crate::event::raw::{RawEvent, RawRecord};
use crate::event::reject::{Reason, Reject};
use crate::event::validate;

/// Decodes the JSON records of one topic. Strings borrow from the line; those with escapes from an arena.
#[derive(Debug)]
pub struct Decoder {
    topic: Topic,
    arena: Bump,
}

impl Decoder {
    /// A decoder of a topic's records.
    pub fn new(topic: Topic) -> Decoder {
        Decoder { topic, arena: Bump::new() }
    }

    /// Decodes and validates a record.
    ///
    /// # Errors
    /// When the line is no JSON object, or a known field is repeated, missing, of another type or out of range.
    pub fn decode<'a>(&'a mut self, line: &'a [u8]) -> Result<RawRecord<'a>, Reject> {
        self.arena.reset();
        let text = std::str::from_utf8(line).map_err(|_| Reject::new(Reason::Undecodable, "not UTF-8"))?;
        let context = Context::new(&self.arena);
        match self.topic {
            Topic::AdDeliveries | Topic::Clickstream | Topic::Messages => {
                let mut event = RawEvent::new(self.topic);
                event::read(text, &context, &mut event)?;
                validate::event(&event)?;
                Ok(RawRecord::Event(event))
            }
            Topic::BrandIncidents => known::incident(text, &context).map(RawRecord::Incident),
            Topic::IdentityLinks => known::link(text, &context).map(RawRecord::Link),
            Topic::Erasures => known::erasure(text, &context).map(RawRecord::Erasure),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const GOOD: &str =
        r#"{"event_id":"e","event_time":1740960000000,"kind":"RECAP_VIEWED","brand_id":"b","person_id":"p""#;

    fn check(tail: &str, expected: Result<(), (Reason, &str)>) {
        let line = format!("{GOOD}{tail}");
        let got = Decoder::new(Topic::Clickstream).decode(line.as_bytes()).map(|_| ());
        let got = got.map_err(|reject| (reject.reason, reject.detail));
        assert_eq!(got, expected.map_err(|(reason, detail)| (reason, detail.to_owned())), "{line}");
    }

    #[test]
    fn what_is_good_and_what_is_not() {
        check("}", Ok(()));
        check(r#","viewed_share":1,"test":null,"product_ids":null,"consent":{}}"#, Ok(()));
        check(
            r#","unknown":[{"deep":[1,2,{"a":null}]}],"unknown":NaN}"#,
            Err((Reason::Undecodable, "not a JSON object")),
        );
        check(r#","unknown":1,"unknown":{"event_id":2}}"#, Ok(()));
        check(r#","kind":"RECAP_SHARED"}"#, Err((Reason::RepeatedField, "kind")));
        check(r#","consent":{"lmt":true,"lmt":true}}"#, Err((Reason::RepeatedField, "lmt")));
        check(r#","consent":{"att_status":77,"x":1,"x":2}}"#, Ok(()));
        check(r#","consent":{"att_status":18446744073709551615}}"#, Ok(()));
        check(r#","consent":{"att_status":2.5}}"#, Err((Reason::WrongType, "att_status")));
        check(r#","consent":"yes"}"#, Err((Reason::WrongType, "consent")));
        check(r#","disclosed":0}"#, Err((Reason::WrongType, "disclosed")));
        check(r#","viewed_share":"0.5"}"#, Err((Reason::WrongType, "viewed_share")));
        check(r#","viewed_share":1.0001}"#, Err((Reason::OutOfRange, "viewed_share")));
        check(r#","basis":"GUESSED"}"#, Err((Reason::UnknownSymbol, "basis")));
        check(r#","product_ids":["a",null]}"#, Err((Reason::WrongType, "product_ids")));
        check(r#","product_ids":"a"}"#, Err((Reason::WrongType, "product_ids")));
        check(r#","order_id":""}"#, Err((Reason::EmptyId, "order_id")));
        check("} {}", Err((Reason::Undecodable, "not a JSON object")));
        check(r#","channel":7,"match":7}"#, Ok(()));
    }

    #[test]
    fn times_are_integers_or_rfc_3339() {
        let line = |time: &str| {
            format!(
                r#"{{"event_id":"e","event_time":{time},"kind":"SENT","brand_id":"b","person_id":"p","channel":"PUSH"}}"#
            )
        };
        let read = |time: &str| {
            let line = line(time);
            let mut decoder = Decoder::new(Topic::Messages);
            match decoder.decode(line.as_bytes()) {
                Ok(RawRecord::Event(event)) => Ok(event.event_time),
                Ok(_) => unreachable!("messages are events"),
                Err(reject) => Err(reject.reason),
            }
        };
        assert_eq!(read("1740960000000"), Ok(1_740_960_000_000));
        assert_eq!(read(r#""2025-03-03t01:30:00.1239+01:30""#), Ok(1_740_960_000_123));
        assert_eq!(read("1740960000000.0"), Err(Reason::WrongType));
        assert_eq!(read("true"), Err(Reason::WrongType));
        assert_eq!(read(r#""yesterday""#), Err(Reason::WrongType));
        assert_eq!(read(r#""2024-12-31T23:59:60Z""#), Err(Reason::WrongType));
        assert_eq!(read("1740960000"), Err(Reason::TimeOutOfRange));
        assert_eq!(read("18446744073709551615"), Err(Reason::TimeOutOfRange));
        assert_eq!(read("null"), Err(Reason::MissingField));
    }

    #[test]
    fn escapes_are_read_and_borrowed_text_is_not_copied() {
        let line = br#"{"event_id":"a\u00e9\n","event_time":1740960000000,"kind":"CLICK","brand_id":"caf\u00c3","device_id":"d","\u0074est":true}"#;
        let mut decoder = Decoder::new(Topic::AdDeliveries);
        let Ok(RawRecord::Event(event)) = decoder.decode(line) else { panic!("it is good") };
        assert_eq!((event.event_id, event.brand_id, event.test), ("aé\n", "cafÃ", true));
        let device = event.device_id.map(str::as_ptr).unwrap();
        assert!(line.as_ptr_range().contains(&device));
    }

    #[test]
    fn deep_nesting_is_read_in_bounded_memory() {
        let line = format!("{GOOD},\"x\":{}{}}}", "[".repeat(400_000), "]".repeat(400_000));
        assert!(Decoder::new(Topic::Clickstream).decode(line.as_bytes()).is_ok());
        let line = format!("{GOOD},\"product_ids\":{}", "[".repeat(400_000));
        assert!(Decoder::new(Topic::Clickstream).decode(line.as_bytes()).is_err());
    }

    proptest! {
        #[test]
        fn nothing_panics(topic in 0u8..6, cut in 0usize..200, bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let topic = Topic::from_index(topic).unwrap();
            let mut line = GOOD.as_bytes()[..cut.min(GOOD.len())].to_vec();
            line.extend_from_slice(&bytes);
            let _refused = Decoder::new(topic).decode(&line).is_err();
            let _readable = readable(&line);
        }
    }
}
