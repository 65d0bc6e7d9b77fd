//! The patterns, each at every threshold and at both edges of every interval.

mod building;
mod consent;
mod following;
mod messages;
mod overrides;
mod retargeting;
mod sensitive;
