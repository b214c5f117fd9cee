//! Events to and from librdkafka's messages, byte for byte.

use std::ffi::CStr;
use std::fmt;
use std::ptr;
use std::sync::Arc;

use rdkafka::bindings as native;
use rdkafka::message::{BorrowedMessage, Header as KafkaHeader, Message, OwnedHeaders};
use rdkafka::producer::BaseRecord;
use rdkafka::util::IntoOpaque;

use crate::event::{Consumed, Event, Header};

/// The topic names of a subscription, so that events of one topic share one allocation.
pub(super) struct TopicNames(Vec<Arc<str>>);

impl TopicNames {
    pub(super) fn new(topics: Vec<Arc<str>>) -> Self {
        Self(topics)
    }

    pub(super) fn get(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.0.iter().find(|known| &***known == name) {
            return Arc::clone(known);
        }
        let new: Arc<str> = name.into();
        self.0.push(Arc::clone(&new));
        new
    }
}

impl fmt::Display for TopicNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join(" "))
    }
}

/// Copies a message out of librdkafka's memory.
pub(super) fn consumed(message: &BorrowedMessage<'_>, topics: &mut TopicNames) -> Consumed {
    let event = Event {
        topic: topics.get(message.topic()),
        key: message.key().map(<[u8]>::to_vec),
        value: message.payload().map(<[u8]>::to_vec),
        headers: headers(message),
        timestamp_ms: message.timestamp().to_millis(),
    };
    Consumed { event, partition: message.partition(), offset: message.offset() }
}

/// The headers of a message. rdkafka's own accessor panics on a header name that is not UTF-8,
/// which any producer can send; here such a name becomes lossy text.
fn headers(message: &BorrowedMessage<'_>) -> Vec<Header> {
    let mut list = ptr::null_mut();
    // SAFETY: the message is alive for the whole function and owns the list, which is only read.
    let found = unsafe { native::rd_kafka_message_headers(message.ptr(), &raw mut list) };
    if found != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
        return Vec::new();
    }
    // SAFETY: `list` was set by the successful call above.
    let count = unsafe { native::rd_kafka_header_cnt(list) };
    let mut headers = Vec::with_capacity(count);
    for index in 0..count {
        let (mut name, mut value, mut size) = (ptr::null(), ptr::null(), 0);
        // SAFETY: `list` is valid; on success `name` is a C string and `value` is null or points
        // to `size` bytes, both owned by the message.
        let header = unsafe {
            let result = native::rd_kafka_header_get_all(
                list,
                index,
                &raw mut name,
                &raw mut value,
                &raw mut size,
            );
            if result != native::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                break;
            }
            let value = (!value.is_null())
                .then(|| std::slice::from_raw_parts(value.cast::<u8>(), size).to_vec());
            Header { name: CStr::from_ptr(name).to_string_lossy().into_owned(), value }
        };
        headers.push(header);
    }
    headers
}

/// An event as rdkafka takes it.
pub(super) fn record<O: IntoOpaque>(event: &Event, opaque: O) -> BaseRecord<'_, [u8], [u8], O> {
    let mut record = BaseRecord::with_opaque_to(&event.topic, opaque);
    record.key = event.key.as_deref();
    record.payload = event.value.as_deref();
    record.timestamp = event.timestamp_ms;
    if !event.headers.is_empty() {
        let list = OwnedHeaders::new_with_capacity(event.headers.len());
        record.headers = Some(event.headers.iter().fold(list, |list, header| {
            list.insert(KafkaHeader { key: &header.name, value: header.value.as_deref() })
        }));
    }
    record
}
