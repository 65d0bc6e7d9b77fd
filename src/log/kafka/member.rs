//! How a reader is a member of its group.

use std::time::Duration;

use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::RDKafkaErrorCode;

use super::Connection;
use crate::config::sections::GroupProtocol;

/// How long a reader whose name is taken waits before it tries again.
pub(super) const NAME_WAIT: Duration = Duration::from_secs(2);

/// Settings of a reader of a group. `member` names it among the group's readers.
///
/// Members are dynamic by default. A static member that is killed between the two rounds of a cooperative rebalance
/// and comes back under its name gets its old assignment without another round, and the partitions that it had to give
/// up stay without an owner: seen in the test that kills instances. So static members of the classic protocol are
/// balanced in one round, which takes all partitions from all of them. The brokers balance the other protocol: it knows
/// no rounds, and what they decide may not be set here.
pub(super) fn reader(connection: &Connection, group: &str, member: &str) -> ClientConfig {
    let mut config = connection.config();
    config
        .set("group.id", group)
        .set("max.poll.interval.ms", connection.max_poll_interval_ms.to_string())
        .set("isolation.level", "read_committed")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // No ends of partitions are reported: the client counts them as records when it notes how far a batch
        // came, and begins anew when it later goes on behind the end.
        .set("auto.offset.reset", "earliest")
        .set("topic.metadata.refresh.interval.ms", "10000")
        .set("fetch.wait.max.ms", "50")
        // What is fetched ahead, of a partition that waits too; a full queue is looked at again soon.
        .set("queued.min.messages", "20000")
        .set("queued.max.messages.kbytes", "16384")
        .set("fetch.queue.backoff.ms", "10");
    match connection.group_protocol {
        GroupProtocol::Classic => {
            let strategy = if connection.static_membership { "roundrobin" } else { "cooperative-sticky" };
            config
                .set("partition.assignment.strategy", strategy)
                .set("session.timeout.ms", connection.session_timeout_ms.to_string());
        }
        GroupProtocol::Consumer => {
            config.set("group.protocol", "consumer");
        }
    }
    if connection.static_membership {
        config.set("group.instance.id", member);
    }
    config
}

/// Whether a reader was refused, for good, because the group still has a member of its name. Only the brokers' protocol
/// does so; in the other one the new member takes the place of the old.
pub(super) fn is_name_taken<C: ConsumerContext + 'static>(consumer: &BaseConsumer<C>) -> bool {
    let fatal = consumer.client().fatal_error();
    fatal.is_some_and(|(code, _)| code == RDKafkaErrorCode::UnreleasedInstanceId)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_of_member_has_settings_that_the_client_takes() {
        let kinds = [
            (GroupProtocol::Classic, false, [Some("cooperative-sticky"), None, None]),
            (GroupProtocol::Classic, true, [Some("roundrobin"), None, Some("a-0")]),
            (GroupProtocol::Consumer, false, [None, Some("consumer"), None]),
            (GroupProtocol::Consumer, true, [None, Some("consumer"), Some("a-0")]),
        ];
        for (group_protocol, static_membership, expected) in kinds {
            let plain = Connection::plain("127.0.0.1:1", "a");
            let config = reader(&Connection { group_protocol, static_membership, ..plain }, "a-route", "a-0");
            let names = ["partition.assignment.strategy", "group.protocol", "group.instance.id"];
            assert_eq!(names.map(|name| config.get(name)), expected);
            assert!(config.create::<BaseConsumer>().is_ok(), "{expected:?}");
        }
    }
}
