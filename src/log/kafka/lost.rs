//! Records that retention removed before they were read.

use crate::config::sections::LostOffsets;
use crate::log::{LogError, TopicPartition};
use crate::telemetry::occurrence::RecordsLost;

/// Where to go on when a partition is to be read from an offset that the log, which holds `kept`, has lost.
///
/// # Errors
/// When the configuration says to stop.
pub(super) fn go_on(
    policy: LostOffsets,
    of: &TopicPartition,
    offset: i64,
    kept: (i64, i64),
) -> Result<i64, LogError> {
    let (low, high) = kept;
    let to = match policy {
        LostOffsets::Stop => {
            return Err(LogError::Fatal {
                doing: format!("going on with {} {} at offset {offset}", of.topic, of.partition),
                cause: format!(
                    "the log holds {low} to {high} only: retention was faster; set run.on_lost_offsets to \
                     \"earliest\" or \"latest\" to go on without what is gone"
                ),
            });
        }
        LostOffsets::Earliest => low,
        LostOffsets::Latest => high,
    };
    RecordsLost { topic: &of.topic, partition: &of.partition, from: &offset, to: &to }.note();
    Ok(to)
}
