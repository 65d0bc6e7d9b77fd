//! The traffic of a demo: the generator's records in the order of their arrival, and the times of its story.

use crate::event::kinds::Topic;
use crate::synth::write::{json_line, topic_of};
use crate::synth::{Arrival, Arrivals, Generated, Generator, Params, Story};
use crate::time::HOUR_MS;

use super::DemoError;

/// Share of events that arrive late, twice or damaged.
const DIRT: f64 = 0.004;
/// How long the clock goes on after the last record, so that the last windows close.
const AFTERMATH_MS: i64 = 3 * HOUR_MS;
/// How long before its campaign turns bad the story becomes worth watching.
const PRELUDE_MS: i64 = 4 * HOUR_MS;

/// Times of a story, milliseconds of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first instant.
    pub start: i64,
    /// From when on it is worth watching: shortly before its campaign turns bad.
    pub prelude: i64,
    /// When it is over and its windows can close.
    pub end: i64,
}

/// A record on its way to its topic.
#[derive(Clone, Copy, Debug)]
pub struct Sent<'a> {
    /// The topic.
    pub topic: Topic,
    /// When it arrives, milliseconds of event time.
    pub time: i64,
    /// What compacted topics keep the newest record of.
    pub key: Option<&'a str>,
    /// The record as JSON, damaged if that is its flaw.
    pub value: &'a [u8],
}

/// What the generator still has to send.
pub struct Traffic {
    arrivals: Arrivals,
    upcoming: Option<Arrival>,
    story: Story,
    span: Span,
}

impl Traffic {
    /// All traffic of these parameters.
    ///
    /// # Errors
    /// When the parameters make no sense.
    pub fn new(params: &Params) -> Result<Traffic, DemoError> {
        let generator = Generator::new(params).map_err(DemoError::Params)?;
        let story = generator.story().cloned().ok_or(DemoError::NoStory)?;
        let start = params.start.0;
        let prelude = (story.since.0 - PRELUDE_MS).max(start);
        let span = Span { start, prelude, end: params.end().0 + AFTERMATH_MS };
        let mut arrivals = Arrivals::new(generator, params.seed, DIRT);
        let upcoming = arrivals.next();
        Ok(Traffic { arrivals, upcoming, story, span })
    }

    /// The planted story.
    pub fn story(&self) -> &Story {
        &self.story
    }

    /// Its times.
    pub fn span(&self) -> Span {
        self.span
    }

    /// Sends what arrives up to an instant.
    ///
    /// # Errors
    /// The first failure of `send`; its record is lost.
    pub fn send_up_to<E>(
        &mut self,
        to: i64,
        mut send: impl FnMut(Sent<'_>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut value = Vec::new();
        while let Some(arrival) = self.upcoming.take_if(|arrival| arrival.time <= to) {
            self.upcoming = self.arrivals.next();
            value.clear();
            json_line(&arrival, &mut value);
            let key = match &arrival.record {
                Generated::Link(link) => Some(link.device_id.as_str()),
                _ => None,
            };
            send(Sent { topic: topic_of(&arrival.record), time: arrival.time, key, value: &value })?;
        }
        // Labels are for measuring detectors; here they would only pile up.
        self.arrivals.generator().take_labels();
        Ok(())
    }
}

impl std::fmt::Debug for Traffic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Traffic").field("span", &self.span).finish_non_exhaustive()
    }
}
