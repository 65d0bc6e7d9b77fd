//! Asking the brokers what is there and what is allowed, before anything is done.
//!
//! The wrapper of the client's library offers neither the question for a principal's permissions nor the
//! reason for which a connection was refused: the first is asked with the library's own calls, the second is
//! noted in the callback for errors.
#![expect(unsafe_code, reason = "the wrapper does not offer these calls")]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, CString, c_char};
use std::ptr;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use rdkafka::client::ClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer, ConsumerContext};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka_sys as sys;

use super::picture::{Group, Member};
use super::{CALL_WAIT, Connection};
use crate::log::access::{Operation, Permission, Resource};
use crate::log::{LogError, TopicPartition};

/// What the brokers say of a topic or group.
pub(super) struct Answer {
    /// Partitions of a topic; none of a group.
    pub partitions: i32,
    /// What this connection may do with it.
    pub allowed: BTreeSet<Operation>,
}

/// The outcome of an inquiry, in the order asked for.
pub(super) type Answers<A = Answer> = Vec<Result<A, RDKafkaErrorCode>>;

/// A connection that only asks.
pub(super) struct Inquiry {
    client: BaseConsumer<Notes>,
}

/// Notes what the client reports beside the answers.
#[derive(Default)]
struct Notes {
    refused: Mutex<Option<String>>,
    last: Mutex<Option<String>>,
}

impl ClientContext for Notes {
    fn error(&self, error: KafkaError, reason: &str) {
        let fix = match error.rdkafka_error_code() {
            Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
                Some("check kafka.mechanism, kafka.user and its password")
            }
            // Of the faults of TLS only this one is a matter of trust: a broker that goes down makes others.
            Some(RDKafkaErrorCode::SSL) if reason.contains("certificate") => {
                Some("check kafka.ca_file and kafka.cert_file")
            }
            _ => None,
        };
        let (note, text) = match fix {
            Some(fix) => (&self.refused, format!("{reason}; {fix}")),
            None => (&self.last, reason.to_owned()),
        };
        *note.lock().unwrap_or_else(PoisonError::into_inner) = Some(text);
    }
}

impl ConsumerContext for Notes {}

fn noted(note: &Mutex<Option<String>>) -> Option<String> {
    note.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// An object of the library that must be destroyed.
struct Owned<T>(*mut T, unsafe extern "C" fn(*mut T));

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: the pointer came from the library with this destructor and is destroyed once.
        unsafe { (self.1)(self.0) }
    }
}

impl Inquiry {
    /// Makes the connection's client; it connects when it asks.
    pub(super) fn new(connection: &Connection) -> Result<Inquiry, LogError> {
        let client = connection.config().create_with_context(Notes::default());
        let failed = |error: KafkaError| super::failure("connecting to the brokers", &error);
        Ok(Inquiry { client: client.map_err(failed)? })
    }

    /// Asks for topics.
    pub(super) fn topics(&self, names: &[&str]) -> Result<Answers, LogError> {
        let op = sys::RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        // SAFETY: the arguments live during the calls; results belong to the event, which outlives their use.
        unsafe {
            let event = self.ask("asking for the topics", op, names, |client, names, options, queue| {
                let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
                let topics = Owned(topics, sys::rd_kafka_TopicCollection_destroy);
                sys::rd_kafka_DescribeTopics(client, topics.0, options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeTopics_result(event.0);
            let found = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
            in_order(names, found, count, |topic| {
                let name = CStr::from_ptr(sys::rd_kafka_TopicDescription_name(topic));
                let error = sys::rd_kafka_error_code(sys::rd_kafka_TopicDescription_error(topic));
                let (mut partitions, mut count) = (0, 0);
                sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
                let allowed = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
                let partitions = i32::try_from(partitions).unwrap_or(i32::MAX);
                (name, error, Answer { partitions, allowed: operations(allowed.cast(), count) })
            })
        }
    }

    /// Asks for consumer groups.
    pub(super) fn groups(&self, names: &[&str]) -> Result<Answers, LogError> {
        self.groups_with(names, |group| {
            let mut count = 0;
            // SAFETY: `groups_with` hands in a valid description.
            unsafe {
                let allowed =
                    sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
                Answer { partitions: 0, allowed: operations(allowed.cast(), count) }
            }
        })
    }

    /// Asks for the state and the members of consumer groups.
    pub(super) fn members(&self, names: &[&str]) -> Result<Answers<Group>, LogError> {
        // SAFETY: `groups_with` hands in a valid description, of which all parts live as long.
        self.groups_with(names, |group| unsafe {
            let state = sys::rd_kafka_ConsumerGroupDescription_state(group);
            let count = sys::rd_kafka_ConsumerGroupDescription_member_count(group);
            let members = (0..count)
                .map(|at| member(sys::rd_kafka_ConsumerGroupDescription_member(group, at)))
                .collect();
            Group { state: text(sys::rd_kafka_consumer_group_state_name(state)), members }
        })
    }

    fn groups_with<A>(
        &self,
        names: &[&str],
        take: impl Fn(*const sys::rd_kafka_ConsumerGroupDescription_t) -> A,
    ) -> Result<Answers<A>, LogError> {
        let op = sys::RDKafkaAdminOp::RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS;
        // SAFETY: as for topics.
        unsafe {
            let event = self.ask("asking for the groups", op, names, |client, names, options, queue| {
                sys::rd_kafka_DescribeConsumerGroups(client, names.as_mut_ptr(), names.len(), options, queue);
            })?;
            let mut count = 0;
            let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event.0);
            let found = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
            in_order(names, found, count, |group| {
                let name = CStr::from_ptr(sys::rd_kafka_ConsumerGroupDescription_group_id(group));
                let error = sys::rd_kafka_error_code(sys::rd_kafka_ConsumerGroupDescription_error(group));
                (name, error, take(group))
            })
        }
    }

    /// Asks and waits for the answer, or for the reason why there will be none.
    ///
    /// # Safety
    /// `submit` must pass its arguments to the library only.
    unsafe fn ask(
        &self,
        doing: &str,
        op: sys::RDKafkaAdminOp,
        names: &[&str],
        submit: impl FnOnce(
            *mut sys::RDKafka,
            &mut [*const c_char],
            *mut sys::RDKafkaAdminOptions,
            *mut sys::RDKafkaQueue,
        ),
    ) -> Result<Owned<sys::RDKafkaEvent>, LogError> {
        let failed = |cause: String| LogError::Unavailable { doing: doing.to_owned(), cause };
        let names: Result<Vec<CString>, _> = names.iter().map(|name| CString::new(*name)).collect();
        let names = names.map_err(|error| failed(error.to_string()))?;
        let mut names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
        let client = self.client.client().native_ptr();
        let wait = i32::try_from(CALL_WAIT.as_millis()).unwrap_or(i32::MAX);
        // SAFETY: the client outlives the calls; what they return is owned, or checked for null.
        unsafe {
            let queue = Owned(sys::rd_kafka_queue_new(client), sys::rd_kafka_queue_destroy);
            let options =
                Owned(sys::rd_kafka_AdminOptions_new(client, op), sys::rd_kafka_AdminOptions_destroy);
            sys::rd_kafka_AdminOptions_set_request_timeout(options.0, wait, ptr::null_mut(), 0);
            let error = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options.0, 1);
            assert!(error.is_null(), "the library takes this option for this question");
            submit(client, &mut names, options.0, queue.0);
            let deadline = Instant::now() + CALL_WAIT;
            while Instant::now() < deadline {
                let event = sys::rd_kafka_queue_poll(queue.0, 50);
                if event.is_null() {
                    self.check_connection()?;
                    continue;
                }
                let event = Owned(event, sys::rd_kafka_event_destroy);
                let error = sys::rd_kafka_event_error(event.0);
                if error == sys::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
                    return Ok(event);
                }
                self.check_connection()?;
                return Err(failed(self.with_last(RDKafkaErrorCode::from(error).to_string())));
            }
        }
        Err(failed(self.with_last("no answer in time".to_owned())))
    }

    /// Lets the client report; a log-in or certificate that is refused ends the waiting.
    fn check_connection(&self) -> Result<(), LogError> {
        while self.client.poll(std::time::Duration::ZERO).is_some() {}
        match noted(&self.client.context().refused) {
            Some(cause) => Err(LogError::Refused { doing: "connecting to the brokers".to_owned(), cause }),
            None => Ok(()),
        }
    }

    fn with_last(&self, cause: String) -> String {
        let last = noted(&self.client.context().last);
        last.map_or(cause.clone(), |last| format!("{cause}; the last that was heard: {last}"))
    }
}

/// # Safety
/// `found` must be an array of so many valid pointers; `take` must accept them.
unsafe fn in_order<'a, T, A>(
    names: &[&str],
    found: *mut *const T,
    count: usize,
    take: impl Fn(*const T) -> (&'a CStr, sys::RDKafkaRespErr, A),
) -> Result<Answers<A>, LogError> {
    // SAFETY: promised by the caller; the library gives no array when there is nothing.
    let found = if count == 0 { &[] } else { unsafe { std::slice::from_raw_parts(found, count) } };
    let mut answers: Vec<_> = names.iter().map(|_| Err(RDKafkaErrorCode::UnknownTopicOrPartition)).collect();
    for one in found {
        let (name, error, answer) = take(*one);
        let at = names.iter().position(|of| of.as_bytes() == name.to_bytes());
        if let Some(slot) = at.and_then(|at| answers.get_mut(at)) {
            *slot = match error {
                sys::RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR => Ok(answer),
                error => Err(error.into()),
            };
        }
    }
    Ok(answers)
}

/// # Safety
/// `member` must be valid.
unsafe fn member(member: *const sys::rd_kafka_MemberDescription_t) -> Member {
    // SAFETY: promised by the caller; parts live as long as the whole, and a list has so many elements.
    unsafe {
        let list = sys::rd_kafka_MemberDescription_assignment(member);
        let list = &*sys::rd_kafka_MemberAssignment_partitions(list);
        let count = usize::try_from(list.cnt).unwrap_or(0);
        let elements = if count == 0 { &[] } else { std::slice::from_raw_parts(list.elems, count) };
        let partition = |one: &sys::rd_kafka_topic_partition_t| TopicPartition {
            topic: text(one.topic).into(),
            partition: one.partition,
        };
        Member {
            host: text(sys::rd_kafka_MemberDescription_host(member)),
            partitions: elements.iter().map(partition).collect(),
        }
    }
}

/// # Safety
/// `text` must be null or a C string.
unsafe fn text(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: promised by the caller.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

/// # Safety
/// `allowed` must be null or an array of so many numbers of operations.
unsafe fn operations(allowed: *const u32, count: usize) -> BTreeSet<Operation> {
    if allowed.is_null() {
        return BTreeSet::new();
    }
    // SAFETY: promised by the caller. They are read as numbers, since brokers may know more than the library.
    let numbers = unsafe { std::slice::from_raw_parts(allowed, count) };
    let known = [
        (sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_READ, Operation::Read),
        (sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_WRITE, Operation::Write),
        (sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE, Operation::Describe),
        (sys::rd_kafka_AclOperation_t::RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS, Operation::DescribeConfigs),
    ];
    let of_number = |number: &u32| known.iter().find(|(known, _)| *known as u32 == *number).map(|(_, o)| *o);
    numbers.iter().filter_map(of_number).collect()
}

/// Which of these permissions the brokers do not give. Transactional ids cannot be asked for: they show when a
/// producer starts.
///
/// # Errors
/// When the brokers cannot be asked.
pub fn refused<'a>(
    connection: &Connection,
    needed: &'a BTreeSet<Permission>,
) -> Result<Vec<&'a Permission>, LogError> {
    let inquiry = Inquiry::new(connection)?;
    let names = |resource| -> Vec<&'a str> {
        let of_kind = needed.iter().filter(|one| one.resource == resource).map(|one| one.name.as_str());
        of_kind.collect::<BTreeSet<_>>().into_iter().collect()
    };
    let (topics, groups) = (names(Resource::Topic), names(Resource::Group));
    let topic_answers: BTreeMap<_, _> = topics.iter().zip(inquiry.topics(&topics)?).collect();
    let group_answers: BTreeMap<_, _> = groups.iter().zip(inquiry.groups(&groups)?).collect();
    let is_refused = |one: &&'a Permission| {
        let answer = match one.resource {
            Resource::Topic => topic_answers.get(&one.name.as_str()),
            Resource::Group => group_answers.get(&one.name.as_str()),
            Resource::TransactionalId => None,
        };
        match answer {
            // Who may do nothing is refused the answer: an empty one comes from a broker that does not tell.
            Some(Ok(answer)) => !answer.allowed.is_empty() && !answer.allowed.contains(&one.operation),
            Some(Err(code)) => matches!(
                code,
                RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::GroupAuthorizationFailed
            ),
            None => false,
        }
    };
    Ok(needed.iter().filter(is_refused).collect())
}
