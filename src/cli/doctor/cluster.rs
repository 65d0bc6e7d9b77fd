//! What can be wrong with topics, permissions, clocks and transactions.

use super::Finding;
use super::picture::{Open, Picture, Seen, place};
use crate::cli::topics::{mend, other_count};
use crate::log::kafka::picture::Copies;

/// How far clocks may be apart, milliseconds.
const SKEW_MS: i64 = 10_000;
/// How long brokers take to end a transaction whose time is over: they look every ten seconds.
const SWEEP_MS: i64 = 10_000;
/// The longest that brokers let other people's transactions be open by default.
const FOREIGN_TRANSACTION_MS: i64 = 900_000;

/// Topics as `topics plan` sees them.
pub(super) fn topics(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for Seen { found, source, .. } in &picture.topics {
        let (topic, name) = (&found.topic, &found.topic.name);
        let Some(count) = found.partitions else {
            let (what, fix) = ("it is missing".to_owned(), "trustline topics apply".to_owned());
            findings.push(if source.is_some() {
                Finding::warning("topics", name, what, format!("{fix}, if its records are to come"))
            } else {
                Finding::error("topics", name, what, fix)
            });
            continue;
        };
        if topic.fixed && count != topic.partitions {
            let what = format!("it has {count} partitions where {} are configured", topic.partitions);
            findings.push(Finding::error("topics", name, what, other_count(count)));
        }
        if !found.drift.is_empty() {
            let drift: Vec<String> = found.drift.iter().map(ToString::to_string).collect();
            let fix = mend(picture.config, name, &found.drift);
            let of = if source.is_some() { Finding::warning } else { Finding::error };
            findings.push(of("topics", name, drift.join("; "), fix));
        }
    }
    let is_there = |seen: &&Seen| {
        seen.found.partitions.is_some() && seen.source.is_some_and(|source| source.is_person_events())
    };
    if !picture.topics.iter().any(|seen| is_there(&seen)) {
        let what = "no source topic of person events is there".to_owned();
        findings.push(Finding::error("topics", "sources", what, "set the names under [topics]".to_owned()));
    }
    findings
}

/// Copies of partitions.
pub(super) fn copies(picture: &Picture<'_>) -> Vec<Finding> {
    let finding = |copies: &Copies| {
        let Copies { of, has_leader, in_sync, wanted } = copies;
        let fix = "bring back the broker that is down".to_owned();
        if !has_leader {
            let what = "no broker leads it: it can be neither read nor written".to_owned();
            return Finding::error("copies", place(of), what, fix);
        }
        Finding::warning("copies", place(of), format!("{in_sync} of {wanted} copies are in sync"), fix)
    };
    picture.copies.iter().map(finding).collect()
}

/// What `run` must be allowed.
pub(super) fn permissions(picture: &Picture<'_>) -> Vec<Finding> {
    let fix = "trustline topics acls prints what to allow";
    let finding = |what: &String| {
        Finding::error("permissions", "this user", format!("it needs {what}"), fix.to_owned())
    };
    picture.refused.iter().map(finding).collect()
}

/// Source topics whose timestamps are their producers'.
pub(super) fn timestamps(picture: &Picture<'_>) -> Vec<Finding> {
    let skew_ms = picture.config.settings.time.max_future_skew_ms;
    let finding = |seen: &Seen| {
        let holds_frontier = picture.config.topic(seen.source?).holds_frontier;
        let kind = seen.settings.get("message.timestamp.type")?;
        let after = seen.settings.get("message.timestamp.after.max.ms");
        let is_bounded = after.and_then(|ms| ms.parse().ok()).is_some_and(|ms: i64| ms <= skew_ms);
        (holds_frontier && kind == "CreateTime" && !is_bounded).then(|| {
            let name = &seen.found.topic.name;
            let what = "its timestamps are the producers' (CreateTime): one fast clock moves event time, and what comes after it is late";
            let fix = format!(
                "kafka-configs.sh --bootstrap-server {} --alter --entity-type topics --entity-name {name} --add-config message.timestamp.type=LogAppendTime, or message.timestamp.after.max.ms={skew_ms} where producers' clocks are kept right",
                picture.brokers()
            );
            Finding::warning("timestamps", name, what.to_owned(), fix)
        })
    };
    picture.topics.iter().filter_map(finding).collect()
}

/// Clocks that are ahead of this machine's. One that is behind cannot be told from a topic without records.
pub(super) fn clocks(picture: &Picture<'_>) -> Vec<Finding> {
    let mut findings = Vec::new();
    for seen in &picture.topics {
        let name = &seen.found.topic.name;
        let of_topic = picture.extents.values().filter(|extent| *extent.of.topic == **name);
        let Some(latest_ms) = of_topic.filter_map(|extent| extent.latest_ms).max() else { continue };
        let ahead_ms = latest_ms - picture.now_ms;
        let is_brokers = seen.settings.get("message.timestamp.type").is_some_and(|t| t == "LogAppendTime");
        let (whose, allowed_ms) = match (seen.source, is_brokers) {
            (_, true) => ("a broker's clock", SKEW_MS),
            (Some(_), false) => ("a producer's clock", picture.config.settings.time.max_future_skew_ms),
            (None, false) => ("the clock of an instance", SKEW_MS),
        };
        if ahead_ms > allowed_ms {
            let what =
                format!("{whose} is {} s ahead of this machine's, by the newest timestamp", ahead_ms / 1_000);
            let fix = "let NTP keep the clocks of brokers, instances and producers".to_owned();
            findings.push(Finding::warning("clocks", name, what, fix));
        }
    }
    findings
}

/// Transactions that nobody ends.
pub(super) fn transactions(picture: &Picture<'_>) -> Vec<Finding> {
    let own_ms = i64::from(picture.config.settings.kafka.transaction_timeout_ms) + SWEEP_MS;
    let finding = |open: &Open| {
        let Open { of, offset, since_ms } = open;
        let is_own = picture.topic(&of.topic).is_some_and(|seen| seen.found.topic.own);
        let held_ms = since_ms.map(|since_ms| picture.now_ms - since_ms);
        // Other people's may be open for long on purpose.
        let limit_ms = if is_own { own_ms } else { FOREIGN_TRANSACTION_MS };
        let hangs = held_ms.is_none_or(|held_ms| held_ms > limit_ms);
        if !hangs && held_ms.is_some_and(|held_ms| held_ms <= own_ms) {
            return None;
        }
        let held =
            held_ms.map_or_else(|| "for an unknown time".to_owned(), |ms| format!("for {} s", ms / 1_000));
        let what = format!("an open transaction holds readers back at offset {offset}, {held}");
        let fix = format!(
            "kafka-transactions.sh --bootstrap-server {} abort --topic {} --partition {} --start-offset {offset}, once its producer is known to be gone",
            picture.brokers(),
            of.topic,
            of.partition
        );
        let of_kind = if hangs { Finding::error } else { Finding::warning };
        Some(of_kind("transactions", place(of), what, fix))
    };
    picture.open.iter().filter_map(finding).collect()
}
