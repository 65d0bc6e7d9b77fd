//! Asking where partitions begin and end.
#![expect(unsafe_code, reason = "the wrapper does not list offsets")]

use std::ffi::{CStr, CString};
use std::time::Duration;

use rdkafka::TopicPartitionList;
use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError, KafkaError};
use rdkafka_sys as sys;

/// A place in a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    /// Its oldest record.
    Oldest,
    /// Its end for readers of committed records: open transactions lie behind it.
    StableEnd,
    /// Its end.
    End,
    /// The record with the latest timestamp.
    Latest,
}

/// An offset, and the timestamp of the record there where it was asked for by time.
pub(super) type At = (i64, i64);

/// The end of each partition for readers of committed records, asked now; in the order asked, none where the
/// broker cannot tell.
pub(super) fn stable_ends<C: ClientContext>(
    client: &Client<C>,
    of: &[(&str, i32)],
    wait: Duration,
) -> Result<Vec<Option<i64>>, KafkaError> {
    let found = list_offsets(client, of, Place::StableEnd, wait)?;
    Ok(found.into_iter().map(|at| at.map(|(offset, _)| offset)).collect())
}

/// A place of each partition, asked now; in the order asked, none where the broker cannot tell.
pub(super) fn list_offsets<C: ClientContext>(
    client: &Client<C>,
    of: &[(&str, i32)],
    place: Place,
    wait: Duration,
) -> Result<Vec<Option<At>>, KafkaError> {
    use sys::rd_kafka_IsolationLevel_t::{
        RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED,
    };
    use sys::rd_kafka_OffsetSpec_t::{
        RD_KAFKA_OFFSET_SPEC_EARLIEST, RD_KAFKA_OFFSET_SPEC_LATEST, RD_KAFKA_OFFSET_SPEC_MAX_TIMESTAMP,
    };
    let (spec, isolation) = match place {
        Place::Oldest => (RD_KAFKA_OFFSET_SPEC_EARLIEST, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        Place::StableEnd => (RD_KAFKA_OFFSET_SPEC_LATEST, RD_KAFKA_ISOLATION_LEVEL_READ_COMMITTED),
        Place::End => (RD_KAFKA_OFFSET_SPEC_LATEST, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
        Place::Latest => (RD_KAFKA_OFFSET_SPEC_MAX_TIMESTAMP, RD_KAFKA_ISOLATION_LEVEL_READ_UNCOMMITTED),
    };
    let list = TopicPartitionList::with_capacity(of.len());
    let native = client.native_ptr();
    let wait_ms = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
    let mut places = vec![None; of.len()];
    // SAFETY: the client and the list are live, names during the call that copies them; options, queue and event
    // are given back below; the results live as long as the event.
    unsafe {
        for (topic, partition) in of {
            let topic = CString::new(*topic).unwrap_or_default();
            sys::rd_kafka_topic_partition_list_add(list.ptr(), topic.as_ptr(), *partition);
            let at = spec as i64;
            sys::rd_kafka_topic_partition_list_set_offset(list.ptr(), topic.as_ptr(), *partition, at);
        }
        let options =
            sys::rd_kafka_AdminOptions_new(native, sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_LISTOFFSETS);
        let error = sys::rd_kafka_AdminOptions_set_isolation_level(options, isolation);
        if !error.is_null() {
            sys::rd_kafka_error_destroy(error);
        }
        let queue = sys::rd_kafka_queue_new(native);
        sys::rd_kafka_ListOffsets(native, list.ptr(), options, queue);
        let event = sys::rd_kafka_queue_poll(queue, wait_ms);
        if !event.is_null() {
            let result = sys::rd_kafka_event_ListOffsets_result(event);
            if !result.is_null() {
                let mut count = 0;
                let infos = sys::rd_kafka_ListOffsets_result_infos(result, &raw mut count);
                for at in 0..count {
                    let info = *infos.add(at);
                    let found = &*sys::rd_kafka_ListOffsetsResultInfo_topic_partition(info);
                    let topic = CStr::from_ptr(found.topic).to_bytes();
                    let asked = of.iter().position(|(name, partition)| {
                        name.as_bytes() == topic && *partition == found.partition
                    });
                    if let Some(asked) = asked.filter(|_| !found.err.is_error()) {
                        let timestamp = sys::rd_kafka_ListOffsetsResultInfo_timestamp(info);
                        places[asked] = Some((found.offset, timestamp));
                    }
                }
            }
            sys::rd_kafka_event_destroy(event);
        }
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
    }
    Ok(places)
}
