//! The client's own batches: what the wrapper does not offer. All that is unsafe about reading stands here.

use std::any::Any;
use std::collections::VecDeque;
use std::ffi::{CStr, CString, c_void};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::client::{Client, ClientContext};
use rdkafka::error::{IsError, RDKafkaErrorCode};
use rdkafka_sys as sys;

use crate::log::{Headers, RecordRef, Records};

/// A message of the client, or an error that it put in a message's place.
pub(super) struct Message(NonNull<sys::rd_kafka_message_t>);

#[expect(unsafe_code, reason = "messages are the client's structs; each pointer is live until dropped here")]
impl Message {
    fn raw(&self) -> &sys::rd_kafka_message_t {
        // SAFETY: the client gave it to us, and only `drop` destroys it.
        unsafe { self.0.as_ref() }
    }

    /// Its topic's handle, which stands for the name as long as the client lives.
    pub(super) fn topic_handle(&self) -> *const c_void {
        self.raw().rkt.cast_const().cast()
    }

    /// Its topic's name; none in an error that belongs to no topic.
    pub(super) fn topic(&self) -> Option<&str> {
        let handle = self.raw().rkt;
        if handle.is_null() {
            return None;
        }
        // SAFETY: the handle is live as long as the message, and its name is a C string that lives as long.
        unsafe { CStr::from_ptr(sys::rd_kafka_topic_name(handle)) }.to_str().ok()
    }

    pub(super) fn partition(&self) -> i32 {
        self.raw().partition
    }

    pub(super) fn offset(&self) -> i64 {
        self.raw().offset
    }

    /// The error that stands here instead of a message.
    pub(super) fn error(&self) -> Option<RDKafkaErrorCode> {
        let code = self.raw().err;
        code.is_error().then(|| code.into())
    }

    fn bytes(start: *const c_void, length: usize) -> Option<&'static [u8]> {
        // SAFETY: the client says that so many bytes are there; the caller shortens the lifetime to the message's.
        (!start.is_null()).then(|| unsafe { slice::from_raw_parts(start.cast(), length) })
    }

    fn value(&self) -> &[u8] {
        let raw = self.raw();
        Self::bytes(raw.payload, raw.len).unwrap_or_default()
    }

    fn record(&self) -> RecordRef<'_> {
        let raw = self.raw();
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is live, and the client only writes to `kind`.
        let timestamp = unsafe { sys::rd_kafka_message_timestamp(self.0.as_ptr(), &raw mut kind) };
        RecordRef {
            offset: raw.offset,
            timestamp_ms: (timestamp >= 0).then_some(timestamp),
            key: Self::bytes(raw.key, raw.key_len),
            value: self.value(),
            headers: self,
        }
    }
}

#[expect(unsafe_code, reason = "headers are parsed by the client")]
impl Headers for Message {
    fn headers(&self) -> Vec<(String, Vec<u8>)> {
        let mut list = std::ptr::null_mut();
        // SAFETY: the message is live; the client parses its headers once and keeps them with it.
        if unsafe { sys::rd_kafka_message_headers(self.0.as_ptr(), &raw mut list) }.is_error() {
            return Vec::new();
        }
        let mut headers = Vec::new();
        loop {
            let (mut name, mut value, mut size) = (std::ptr::null(), std::ptr::null(), 0);
            // SAFETY: the list lives with the message; the three places are ours.
            let found = unsafe {
                sys::rd_kafka_header_get_all(
                    list,
                    headers.len(),
                    &raw mut name,
                    &raw mut value,
                    &raw mut size,
                )
            };
            if found.is_error() {
                return headers;
            }
            // SAFETY: the name is a C string that lives with the message.
            let name = unsafe { CStr::from_ptr(name) }.to_string_lossy().into_owned();
            headers.push((name, Self::bytes(value, size).unwrap_or_default().to_vec()));
        }
    }
}

impl Drop for Message {
    #[expect(unsafe_code, reason = "the client's own destructor")]
    fn drop(&mut self) {
        // SAFETY: it was not destroyed before; nothing borrowed from it is left.
        unsafe { sys::rd_kafka_message_destroy(self.0.as_ptr()) }
    }
}

/// Messages of one partition.
pub struct KafkaRecords {
    messages: VecDeque<Message>,
    current: Option<Message>,
    /// The offset after the last record that was taken; before the first, that after what was handed out before.
    next: Option<i64>,
    /// After the messages, which it must outlive.
    _consumer: Arc<dyn Any>,
}

impl KafkaRecords {
    pub(super) fn new(
        messages: VecDeque<Message>,
        next: Option<i64>,
        consumer: Arc<dyn Any>,
    ) -> KafkaRecords {
        KafkaRecords { messages, current: None, next, _consumer: consumer }
    }

    /// What was not taken, and the offset after what was.
    pub(super) fn left(self) -> (VecDeque<Message>, Option<i64>) {
        (self.messages, self.next)
    }
}

impl Records for KafkaRecords {
    fn peek(&self) -> Option<i64> {
        self.messages.front().map(Message::offset)
    }

    fn peek_value(&self) -> Option<&[u8]> {
        self.messages.front().map(Message::value)
    }

    fn next(&mut self) -> Option<RecordRef<'_>> {
        let message = self.messages.pop_front()?;
        self.next = Some(message.offset() + 1);
        self.current = Some(message);
        self.current.as_ref().map(Message::record)
    }
}

impl std::fmt::Debug for KafkaRecords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KafkaRecords").field("left", &self.messages.len()).finish()
    }
}

/// A queue into which partitions put what was fetched.
///
/// The client answers each rebalance itself if batches are taken from the consumer's own queue, so partitions
/// are forwarded to this one.
pub(super) struct Queue {
    own: NonNull<sys::rd_kafka_queue_t>,
    taken: Vec<*mut sys::rd_kafka_message_t>,
}

#[expect(unsafe_code, reason = "queues of the client")]
impl Queue {
    /// A queue of a client, which must outlive it.
    pub(super) fn new<C: ClientContext>(client: &Client<C>, batch: usize) -> Option<Queue> {
        // SAFETY: the client is live.
        let own = NonNull::new(unsafe { sys::rd_kafka_queue_new(client.native_ptr()) })?;
        Some(Queue { own, taken: vec![std::ptr::null_mut(); batch] })
    }

    /// The queue, for [`forward`].
    pub(super) fn handle(&self) -> usize {
        self.own.as_ptr() as usize
    }

    /// Takes what is there, at most a batch; waits for the first message at most so long.
    pub(super) fn take(&mut self, wait: Duration, into: &mut impl Extend<Message>) {
        let before = self.take_now(0, usize::MAX, into);
        // The client would wait until the whole batch is filled: wait for one, then take what came with it.
        if before == 0 && !wait.is_zero() {
            let wait = i32::try_from(wait.as_millis()).unwrap_or(i32::MAX);
            if self.take_now(wait.max(1), 1, into) > 0 {
                self.take_now(0, usize::MAX, into);
            }
        }
    }

    fn take_now(&mut self, wait_ms: i32, most: usize, into: &mut impl Extend<Message>) -> usize {
        let most = most.min(self.taken.len());
        // SAFETY: the queue is live, and the client writes at most so many pointers.
        let count = unsafe {
            sys::rd_kafka_consume_batch_queue(self.own.as_ptr(), wait_ms, self.taken.as_mut_ptr(), most)
        };
        let count = usize::try_from(count).unwrap_or(0);
        into.extend(self.taken[..count].iter().filter_map(|message| NonNull::new(*message)).map(Message));
        count
    }
}

impl Drop for Queue {
    #[expect(unsafe_code, reason = "the client's own destructor")]
    fn drop(&mut self) {
        // SAFETY: it was not destroyed before.
        unsafe { sys::rd_kafka_queue_destroy(self.own.as_ptr()) }
    }
}

/// Where a partition puts what it fetches.
#[derive(Clone, Copy)]
pub(super) enum Target {
    /// Into a queue, by its [`Queue::handle`].
    Queue(usize),
    /// Into the consumer's own.
    Consumer,
    /// Nowhere: it keeps what it fetches, as much as it may, until there is another target.
    Itself,
}

/// Lets a partition of a client put what it fetches, and what it keeps, somewhere.
#[expect(unsafe_code, reason = "queues of the client")]
pub(super) fn forward<C: ClientContext>(client: &Client<C>, topic: &str, partition: i32, target: Target) {
    let Ok(topic) = CString::new(topic) else { return };
    let native = client.native_ptr();
    // SAFETY: the client is live; handles got here are given back here; a handle of a queue is live as long as
    // its owner, the source, which outlives the callbacks that call this.
    unsafe {
        let from = sys::rd_kafka_queue_get_partition(native, topic.as_ptr(), partition);
        if from.is_null() {
            return;
        }
        match target {
            Target::Queue(own) => sys::rd_kafka_queue_forward(from, own as *mut sys::rd_kafka_queue_t),
            Target::Consumer => {
                let consumer = sys::rd_kafka_queue_get_consumer(native);
                sys::rd_kafka_queue_forward(from, consumer);
                sys::rd_kafka_queue_destroy(consumer);
            }
            Target::Itself => sys::rd_kafka_queue_forward(from, std::ptr::null_mut()),
        }
        sys::rd_kafka_queue_destroy(from);
    }
}

/// The oldest offset of a partition and its end, open transactions included, as they came with the last fetch.
#[expect(unsafe_code, reason = "the wrapper asks the broker")]
pub(super) fn cached_extent<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    partition: i32,
) -> Option<(i64, i64)> {
    let topic = CString::new(topic).ok()?;
    let (mut low, mut high) = (-1, -1);
    // SAFETY: the client and the name are live; the two places are ours.
    let error = unsafe {
        sys::rd_kafka_get_watermark_offsets(
            client.native_ptr(),
            topic.as_ptr(),
            partition,
            &raw mut low,
            &raw mut high,
        )
    };
    (!error.is_error() && high >= 0).then_some((low, high))
}
