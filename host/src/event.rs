//! Events as they lie in the log: plain data, no I/O.
//!
//! Knows nothing of handlers, components or logs. Everything is kept byte for byte: a null key
//! is not an empty key, a tombstone is not an empty value, headers keep order and duplicates.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::failpoint;

/// One header of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The name; UTF-8 without NUL.
    pub name: String,
    /// `None` is Kafka's header without a value, which differs from an empty one.
    pub value: Option<Vec<u8>>,
}

impl Header {
    /// A header with a text value.
    pub fn text(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: Some(value.into().into_bytes()) }
    }
}

/// An event on its way into a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The topic it goes to, or was read from.
    pub topic: Arc<str>,
    /// Decides the partition; `None` spreads evenly.
    pub key: Option<Vec<u8>>,
    /// The payload; `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    /// In order, duplicates legal.
    pub headers: Vec<Header>,
    /// Milliseconds since the Unix epoch; the log stamps an event that has none on arrival.
    pub timestamp_ms: Option<i64>,
}

/// What a header takes of memory beside its name and value: two strings and where they are.
const HEADER_BYTES: usize = 64;

impl Event {
    /// What the event takes of memory, about. Unlike [`Self::size`] it counts headers without name
    /// and value too: they are next to nothing in the log, and 150,000 of them fit into an output
    /// of a few KiB.
    pub fn weight(&self) -> usize {
        self.size().saturating_add(self.headers.len().saturating_mul(HEADER_BYTES))
    }

    /// The bytes the event carries: key, value, header names and values. What limits count.
    pub fn size(&self) -> usize {
        let headers: usize =
            self.headers.iter().map(|h| h.name.len() + h.value.as_ref().map_or(0, Vec::len)).sum();
        self.key.as_ref().map_or(0, Vec::len) + self.value.as_ref().map_or(0, Vec::len) + headers
    }
}

/// Where an event stands in the log.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Position {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0. Signed because Kafka's protocol says so.
    pub partition: i32,
    /// The offset in the partition, from 0.
    pub offset: i64,
}

impl Position {
    /// The topic and partition it lies in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: Arc::clone(&self.topic), partition: self.partition }
    }
}

impl fmt::Display for Position {
    /// `topic/partition/offset`, the form of the `lockstep-source` header.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for Position {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parse = || {
            let (rest, offset) = text.rsplit_once('/')?;
            let (topic, partition) = rest.rsplit_once('/')?;
            let (partition, offset) = (partition.parse().ok()?, offset.parse().ok()?);
            (!topic.is_empty()).then(|| Self { topic: topic.into(), partition, offset })
        };
        parse().ok_or_else(|| format!("{text:?} is not topic/partition/offset"))
    }
}

/// An event read from the log; its topic is `event.topic`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consumed {
    /// The event as it was written.
    pub event: Event,
    /// The partition it lies in.
    pub partition: i32,
    /// Its offset in that partition.
    pub offset: i64,
}

impl Consumed {
    /// Where the event lies.
    pub fn position(&self) -> Position {
        Position {
            topic: Arc::clone(&self.event.topic),
            partition: self.partition,
            offset: self.offset,
        }
    }

    /// The topic and partition it lies in.
    pub fn topic_partition(&self) -> TopicPartition {
        TopicPartition { topic: Arc::clone(&self.event.topic), partition: self.partition }
    }
}

/// One partition of one topic: the unit of order.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    /// The topic.
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
}

impl fmt::Display for TopicPartition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.topic, self.partition)
    }
}

/// Milliseconds since the Unix epoch, by the system's clock.
pub fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX));
    // A clock that jumps: milliseconds, forward or back.
    let jump = failpoint::value("clock").and_then(|ms| ms.parse::<i64>().ok());
    jump.map_or(now, |jump| now.saturating_add(jump))
}
