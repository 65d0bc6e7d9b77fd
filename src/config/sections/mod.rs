//! The sections of the file, grouped by what they are about.

mod event_time;
mod input;
mod kafka;
mod process;
mod topics;

pub use event_time::{Identity, Length, Match, Time, Wait, WaitWord, Windows};
pub use input::ForeignInput;
pub use kafka::{GroupProtocol, Kafka, Mechanism, Registry, Security};
pub use process::{Breaker, Frames, Http, Level, LogFormat, LostOffsets, Privacy, Run, State, Telemetry};
pub use topics::{EventTopic, Format, OtherTopic, OwnTopics, Topics};
