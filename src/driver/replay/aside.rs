//! Records set aside: dead letters and late events, with the original bytes.

use std::sync::Arc;

use base64::Engine;
use serde::Serialize;

use crate::event::kinds::Topic;
use crate::event::reject::Reject;

/// A record as it came.
#[derive(Clone, PartialEq, Eq)]
pub struct Aside {
    /// Its topic.
    pub topic: Topic,
    /// Name of the file it stands in, if that is not the topic's own.
    pub source: Option<Arc<str>>,
    /// Its number in the file, from 0.
    pub record: u64,
    /// Its bytes.
    pub original: Vec<u8>,
}

/// A line of `dead-letters.jsonl` or `late-events.jsonl`.
#[derive(Serialize)]
struct AsideLine<'a> {
    topic: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    source: Option<&'a str>,
    offset: u64,
    stage: &'static str,
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lateness_ms: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

/// All records set aside in a run, in the order in which they were read.
#[derive(Default)]
pub struct SetAside {
    dead: Vec<(Aside, Reject)>,
    late: Vec<(Aside, i64)>,
}

impl SetAside {
    /// Sets a dead letter aside.
    pub fn dead(&mut self, aside: Aside, reject: Reject) {
        self.dead.push((aside, reject));
    }

    /// Sets a record aside that came too late, by so many milliseconds.
    pub fn late(&mut self, aside: Aside, by_ms: i64) {
        self.late.push((aside, by_ms));
    }

    /// Adds what was set aside elsewhere.
    pub fn append(&mut self, mut other: SetAside) {
        self.dead.append(&mut other.dead);
        self.late.append(&mut other.late);
    }

    /// How many dead letters there are.
    pub fn dead_letters(&self) -> usize {
        self.dead.len()
    }

    /// How many records came too late.
    pub fn late_events(&self) -> usize {
        self.late.len()
    }

    /// How many dead letters there are of each reason.
    pub fn reasons(&self) -> std::collections::BTreeMap<&'static str, u64> {
        let mut reasons = std::collections::BTreeMap::new();
        for (_, reject) in &self.dead {
            *reasons.entry(reject.reason.code()).or_default() += 1;
        }
        reasons
    }

    /// The dead letters as JSON lines.
    pub fn dead_lines(&self) -> impl Iterator<Item = serde_json::Result<String>> + '_ {
        self.dead.iter().map(|(aside, reject)| {
            let detail = Some(reject.detail.as_str());
            line(aside, reject.reason.code(), detail, None)
        })
    }

    /// The late events as JSON lines.
    pub fn late_lines(&self) -> impl Iterator<Item = serde_json::Result<String>> + '_ {
        self.late.iter().map(|(aside, by_ms)| line(aside, "too_late", None, Some(*by_ms)))
    }
}

fn line(
    aside: &Aside,
    reason: &'static str,
    detail: Option<&str>,
    lateness_ms: Option<i64>,
) -> serde_json::Result<String> {
    let value = std::str::from_utf8(&aside.original).ok();
    let encode = || base64::engine::general_purpose::STANDARD.encode(&aside.original);
    serde_json::to_string(&AsideLine {
        topic: aside.topic.symbol(),
        source: aside.source.as_deref(),
        offset: aside.record,
        stage: "route",
        reason,
        detail,
        lateness_ms,
        value,
        value_base64: value.is_none().then(encode),
    })
}

impl std::fmt::Debug for SetAside {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (dead, late) = (self.dead.len(), self.late.len());
        f.debug_struct("SetAside").field("dead", &dead).field("late", &late).finish()
    }
}
