//! One sick picture for each finding.

use std::collections::{BTreeMap, BTreeSet};

use super::ledger::parse;
use super::picture::{Open, Picture, Seen, Snapshot, StageGroup};
use super::{Finding, GroupLine, Severity, examine, groups};
use crate::cli::topics::Found;
use crate::config::{Config, Input};
use crate::driver::stages::StageName;
use crate::driver::topics::wanted;
use crate::event::kinds::Topic;
use crate::log::kafka::picture::{Copies, Extent, Group, Member};
use crate::log::{Position, TopicPartition};
use crate::registry::State;

const NOW: i64 = 1_800_000_000_000;

fn config() -> Config {
    Config::load(&Input::text("[own_topics]\nperson_partitions = 2\nbrand_partitions = 1")).unwrap()
}

fn of(topic: &str, partition: i32) -> TopicPartition {
    TopicPartition { topic: topic.into(), partition }
}

/// A cluster on which all is well: 100 records in each partition, all processed.
fn healthy(config: &Config) -> Picture<'_> {
    let mut settings = BTreeMap::new();
    settings.insert("message.timestamp.type".to_owned(), "LogAppendTime".to_owned());
    settings.insert("retention.ms".to_owned(), "86400000".to_owned());
    let topics: Vec<Seen> = wanted(config)
        .into_iter()
        .map(|topic| {
            let source = Topic::ALL.iter().find(|source| config.topic(**source).name == topic.name).copied();
            let found = Found { partitions: Some(topic.partitions), topic, drift: Vec::new() };
            Seen { found, settings: settings.clone(), source }
        })
        .collect();
    let partitions: Vec<TopicPartition> = topics
        .iter()
        .flat_map(|seen| (0..seen.found.topic.partitions).map(|number| of(&seen.found.topic.name, number)))
        .collect();
    let extent = |of: &TopicPartition| {
        let of = of.clone();
        (of.clone(), Extent { of, oldest: 0, stable_end: 100, end: 100, latest_ms: Some(NOW - 1_000) })
    };
    let group = |stage: StageName| {
        let is_read = |of: &&TopicPartition| match stage.input() {
            Some(input) => *of.topic == *format!("trustline.{input}"),
            None => Topic::ALL.iter().any(|source| config.topic(*source).name == *of.topic),
        };
        let inputs: Vec<TopicPartition> = partitions.iter().filter(is_read).cloned().collect();
        let position = Position { next: 100, metadata: String::new() };
        let member = Member { host: "/10.0.0.1".to_owned(), partitions: inputs.clone() };
        StageGroup {
            stage,
            name: format!("trustline-{}", stage.name()),
            group: Group { state: "Stable".to_owned(), members: vec![member] },
            positions: inputs.iter().map(|of| (of.clone(), position.clone())).collect(),
            inputs,
        }
    };
    Picture {
        config,
        now_ms: NOW,
        copies: Vec::new(),
        refused: Vec::new(),
        groups: StageName::ALL.map(group).into(),
        extents: partitions.iter().map(extent).collect(),
        topics,
        open: Vec::new(),
        is_local: true,
        snapshots: vec![Snapshot {
            of: of("trustline.person-events", 0),
            offset: 50,
            written_ms: Some(NOW - 60_000),
        }],
        subjects: None,
        ledgers: Vec::new(),
        unchecked: Vec::new(),
    }
}

/// What is found once something is wrong: severity, check and place of each, and all words.
fn found(harm: impl FnOnce(&mut Picture<'_>)) -> (Vec<(Severity, &'static str, String)>, String) {
    let config = config();
    let mut picture = healthy(&config);
    harm(&mut picture);
    let findings = examine(&picture);
    let words = findings.iter().map(|Finding { what, fix, .. }| format!("{what} {fix}\n")).collect();
    (findings.into_iter().map(|one| (one.severity, one.check, one.place)).collect(), words)
}

/// That exactly this is found, with these words.
#[track_caller]
fn one(
    severity: Severity,
    check: &'static str,
    place: &str,
    words: &[&str],
    harm: impl FnOnce(&mut Picture<'_>),
) {
    let (findings, told) = found(harm);
    assert_eq!(findings, [(severity, check, place.to_owned())], "{told}");
    for word in words {
        assert!(told.contains(word), "{word:?} is not in {told:?}");
    }
}

fn seen<'p>(picture: &'p mut Picture<'_>, name: &str) -> &'p mut Seen {
    picture.topics.iter_mut().find(|seen| seen.found.topic.name == name).unwrap()
}

fn extent<'p>(picture: &'p mut Picture<'_>, topic: &str, partition: i32) -> &'p mut Extent {
    picture.extents.get_mut(&of(topic, partition)).unwrap()
}

use Severity::{Error, Warning};

#[test]
fn nothing_is_found_where_all_is_well() {
    assert_eq!(found(|_| {}).0, []);
    let config = config();
    let picture = healthy(&config);
    let expected = GroupLine {
        group: "trustline-detect".to_owned(),
        state: "Stable".to_owned(),
        members: 1,
        partitions: 2,
        unowned: 0,
        lag: 0,
    };
    assert_eq!(groups::line(&picture, &picture.groups[1]), expected);
}

#[test]
fn topics_that_are_not_as_they_should_be() {
    let missing = "trustline topics apply";
    one(Error, "topics", "trustline.moments", &[missing], |picture| {
        seen(picture, "trustline.moments").found.partitions = None;
    });
    one(Warning, "topics", "erasures", &[missing], |picture| {
        seen(picture, "erasures").found.partitions = None;
    });
    let words = ["it has 3 partitions where 2 are configured", "set own_topics to 3"];
    one(Error, "topics", "trustline.person-events", &words, |picture| {
        seen(picture, "trustline.person-events").found.partitions = Some(3);
    });
    let (findings, _) = found(|picture| picture.topics.retain(|seen| seen.source.is_none()));
    assert!(findings.contains(&(Error, "topics", "sources".to_owned())));
    for (name, severity) in [("trustline.moments", Error), ("identity-links", Warning)] {
        one(severity, "topics", name, &["cleanup.policy is", "kafka-configs.sh"], |picture| {
            let found = &mut seen(picture, name).found;
            let mut settings: BTreeMap<String, String> =
                found.topic.settings.iter().map(|one| (one.name().to_owned(), one.value())).collect();
            settings.insert("cleanup.policy".to_owned(), "other".to_owned());
            found.drift = found.topic.drift(&settings);
        });
    }
}

#[test]
fn copies_and_permissions_that_are_missing() {
    let copies = |has_leader| Copies { of: of("trustline.moments", 1), has_leader, in_sync: 1, wanted: 3 };
    one(Error, "copies", "trustline.moments 1", &["no broker leads it"], |picture| {
        picture.copies.push(copies(false));
    });
    one(Warning, "copies", "trustline.moments 1", &["1 of 3 copies"], |picture| {
        picture.copies.push(copies(true));
    });
    one(Error, "permissions", "this user", &["Write on topic x", "topics acls"], |picture| {
        picture.refused.push("Write on topic x".to_owned());
    });
}

#[test]
fn clocks_that_cannot_be_trusted() {
    let set = |picture: &mut Picture<'_>, name: &str, value: &str| {
        seen(picture, "clickstream").settings.insert(name.to_owned(), value.to_owned());
    };
    one(Warning, "timestamps", "clickstream", &["message.timestamp.type=LogAppendTime"], |picture| {
        set(picture, "message.timestamp.type", "CreateTime");
    });
    let (bounded, _) = found(|picture| {
        set(picture, "message.timestamp.type", "CreateTime");
        set(picture, "message.timestamp.after.max.ms", "300000");
    });
    assert_eq!(bounded, []);
    one(Warning, "clocks", "clickstream", &["a broker's clock is 11 s ahead"], |picture| {
        extent(picture, "clickstream", 2).latest_ms = Some(NOW + 11_000);
    });
    one(Warning, "clocks", "trustline.moments", &["the clock of an instance is 11 s ahead"], |picture| {
        seen(picture, "trustline.moments").settings.clear();
        extent(picture, "trustline.moments", 2).latest_ms = Some(NOW + 11_000);
    });
    assert_eq!(found(|picture| extent(picture, "clickstream", 2).latest_ms = Some(NOW + 9_000)).0, []);
}

#[test]
fn transactions_that_nobody_ends() {
    let open = |topic: &str, since_ms| Open { of: of(topic, 1), offset: 7, since_ms };
    let own = "trustline.person-events";
    let abort = "abort --topic trustline.person-events --partition 1 --start-offset 7";
    one(Error, "transactions", "trustline.person-events 1", &["for 21 s", abort], |picture| {
        picture.open.push(open(own, Some(NOW - 21_000)));
    });
    assert_eq!(found(|picture| picture.open.push(open(own, Some(NOW - 19_000)))).0, []);
    one(Error, "transactions", "trustline.person-events 1", &["unknown time"], |picture| {
        picture.open.push(open(own, None));
    });
    one(Warning, "transactions", "clickstream 1", &["for 60 s"], |picture| {
        picture.open.push(open("clickstream", Some(NOW - 60_000)));
    });
    one(Error, "transactions", "clickstream 1", &["for 901 s"], |picture| {
        picture.open.push(open("clickstream", Some(NOW - 901_000)));
    });
}

#[test]
fn groups_and_positions() {
    one(Warning, "groups", "trustline-score", &["no instance runs score; 10 offsets wait"], |picture| {
        picture.groups[2].group = Group { state: "Empty".to_owned(), members: Vec::new() };
        extent(picture, "trustline.brand-partials", 0).stable_end = 110;
        extent(picture, "trustline.brand-partials", 0).end = 110;
    });
    one(Warning, "groups", "trustline-score", &["PreparingRebalance"], |picture| {
        picture.groups[2].group.state = "PreparingRebalance".to_owned();
    });
    one(Error, "groups", "trustline-detect", &["no member has trustline.person-events 1"], |picture| {
        picture.groups[1].group.members[0].partitions.pop();
    });
    let place = "trustline-route, clickstream 3";
    one(Error, "offsets", place, &["removed 20 offsets", "on_lost_offsets"], |picture| {
        extent(picture, "clickstream", 3).oldest = 120;
        extent(picture, "clickstream", 3).end = 130;
    });
    one(Error, "offsets", place, &["the topic was made anew", "--delete-offsets"], |picture| {
        extent(picture, "clickstream", 3).end = 99;
    });
    let (findings, told) = found(|picture| {
        extent(picture, "trustline.brand-partials", 0).oldest = 101;
    });
    assert_eq!(findings.len(), 1);
    assert!(told.contains("--rebuild"), "{told}");
}

#[test]
fn snapshots_that_are_of_no_use() {
    let url = config().settings.state.url;
    let other_host = |picture: &mut Picture<'_>| {
        let member = Member { host: "/10.0.0.2".to_owned(), partitions: Vec::new() };
        picture.groups[0].group.members.push(member);
    };
    one(Error, "snapshots", &url, &["instances run on 2"], other_host);
    let (elsewhere, _) = found(|picture| {
        other_host(picture);
        picture.is_local = false;
    });
    assert_eq!(elsewhere, []);
    let place = "trustline.person-events 0";
    one(Error, "snapshots", place, &["is missing"], |picture| picture.snapshots[0].written_ms = None);
    one(Error, "snapshots", place, &["no state can go on from it"], |picture| {
        extent(picture, "trustline.person-events", 0).oldest = 51;
    });
    one(Warning, "snapshots", place, &["is 86401 s old, and the log is kept for 86400 s"], |picture| {
        picture.snapshots[0].written_ms = Some(NOW - 86_401_000);
    });
}

#[test]
fn schemas_that_do_not_go_together() {
    let subject = |state, level: Option<&str>| crate::registry::Finding::written("s-value", state, level);
    let harm = |state, level| {
        move |picture: &mut Picture<'_>| picture.subjects = Some(Ok(vec![subject(state, level)]))
    };
    assert_eq!(found(harm(State::Registered, Some("BACKWARD"))).0, []);
    one(Error, "schemas", "s-value", &["INCOMPATIBLE"], harm(State::Incompatible, Some("BACKWARD")));
    one(Error, "schemas", "s-value", &["UNREADABLE"], harm(State::Unreadable, Some("BACKWARD")));
    one(Error, "schemas", "s-value", &["schemas register"], harm(State::Unregistered, Some("BACKWARD")));
    one(Warning, "schemas", "s-value", &["NONE", "BACKWARD"], harm(State::Registered, Some("NONE")));
    one(Error, "schemas", "registry", &["no answer"], |picture| {
        picture.subjects = Some(Err("no answer".to_owned()));
    });
}

#[test]
fn a_ledger_that_does_not_balance() {
    let metrics = |read: u64| {
        format!(
            "# TYPE trustline_ledger_records_total counter\n\
             trustline_ledger_records_total{{class=\"applied\",partition=\"0\",source=\"messages\",stage=\"detect\"}} 6\n\
             trustline_ledger_records_total{{class=\"duplicate\",partition=\"0\",source=\"messages\",stage=\"detect\"}} 1\n\
             trustline_ledger_records_total{{class=\"read\",partition=\"0\",source=\"messages\",stage=\"detect\"}} {read}\n\
             trustline_ledger_records_total{{class=\"read\",partition=\"1\",source=\"messages\",stage=\"detect\"}} 0\n\
             trustline_ledger_waiting{{partition=\"0\",source=\"messages\",stage=\"detect\"}} 2\n"
        )
    };
    let ledger = |read| {
        move |picture: &mut Picture<'_>| picture.ledgers = vec![("a:1".to_owned(), Ok(parse(&metrics(read))))]
    };
    assert_eq!(parse(&metrics(9)).len(), 2);
    assert_eq!(found(ledger(9)).0, []);
    let words = ["partition=0, source=messages, stage=detect: 10 records were read and 9 are accounted for"];
    one(Error, "ledger", "a:1", &words, ledger(10));
    one(Error, "ledger", "a:1", &["refused"], |picture| {
        picture.ledgers = vec![("a:1".to_owned(), Err("refused".to_owned()))];
    });
}

#[test]
fn every_finding_has_a_fix_and_the_worst_come_first() {
    let config = config();
    let mut picture = healthy(&config);
    picture.copies.push(Copies { of: of("a", 0), has_leader: true, in_sync: 1, wanted: 3 });
    picture.refused.push("Write on topic x".to_owned());
    let findings = examine(&picture);
    assert_eq!(findings.iter().map(|one| one.severity).collect::<Vec<_>>(), [Error, Warning]);
    assert!(findings.iter().all(|one| !one.fix.is_empty()));
    let checks: BTreeSet<&str> = findings.iter().map(|one| one.check).collect();
    assert_eq!(checks.len(), 2);
}
