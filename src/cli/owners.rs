//! Asks the group of `route` which sources are read, for as long as the process runs.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::driver::health::Health;
use crate::log::TopicPartition;
use crate::log::kafka::Connection;
use crate::log::kafka::picture::groups;

/// How often it is asked.
const ASK_EVERY: Duration = Duration::from_secs(20);
/// How often the end is looked for.
const TICK: Duration = Duration::from_millis(200);

/// Begins to ask. The process does not wait for an answer that is still due when it ends.
pub(super) fn watch(
    connection: &Connection,
    group: String,
    all: BTreeSet<TopicPartition>,
    health: &Arc<Health>,
    stop: &Arc<AtomicBool>,
) {
    let (connection, health, stop) = (connection.clone(), Arc::clone(health), Arc::clone(stop));
    thread::spawn(move || {
        while !stop.load(Ordering::Relaxed) {
            let asked = Instant::now();
            let groups = groups(&connection, &[&group]);
            let owned = groups.map(|groups| {
                groups
                    .into_iter()
                    .flat_map(|group| group.members)
                    .flat_map(|member| member.partitions)
                    .collect()
            });
            health.owned(&all, owned.ok().as_ref());
            while asked.elapsed() < ASK_EVERY && !stop.load(Ordering::Relaxed) {
                thread::sleep(TICK);
            }
        }
    });
}
