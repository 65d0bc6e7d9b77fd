//! Labelled synthetic traffic.
//!
//! People visit brands; most brands behave well, some campaigns do not. What is planted is written
//! down as [`Label`]s, so that detectors can be measured. Nothing here shares code with the detectors.
//! The same [`Params`] always give the same bytes: no clock, no randomness but the seed.

pub mod arrivals;
pub mod avro;
pub mod evaluate;
pub mod event;
pub mod gaps;
pub mod generator;
pub mod json;
pub mod label;
pub mod params;
pub mod story;
pub mod write;

mod calendar;
mod plan;
mod prng;
mod render;
mod scenario;
mod step;
mod tcf;
mod visit;
mod world;

pub use arrivals::{Arrival, Arrivals, Flaw};
pub use evaluate::{Score, Scorecard, evaluate};
pub use event::OwnedEvent;
pub use gaps::{Gap, Gaps};
pub use generator::{Generated, Generator, Next};
pub use label::Label;
pub use params::{Mix, Params, ParamsError};
pub use story::Story;
