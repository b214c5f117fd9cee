//! Where a revision took a partition over: written into the transaction that holds the first
//! event that it handled there, so that it is as true as the offsets themselves.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::record::{Key, encode};
use super::registry::Deployed;
use crate::event::{Event, Position, TopicPartition, now_ms};

/// The beginning of what a revision has handled in a partition. Its end is the next one's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fence {
    /// The revision.
    pub revision: u64,
    /// The source topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset of the first event.
    pub from: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
}

/// Writes down what a revision takes over.
#[derive(Debug)]
pub struct Fences {
    /// The topic of the records.
    topic: Arc<str>,
    handler: String,
    revision: u64,
    /// The revision that had each partition last, when this one was activated.
    known: BTreeMap<TopicPartition, u64>,
}

impl Fence {
    /// The first event, by which its record is named.
    pub(super) fn first(&self) -> Position {
        Position { topic: self.topic.as_str().into(), partition: self.partition, offset: self.from }
    }

    /// Where it was.
    pub fn place(&self) -> TopicPartition {
        TopicPartition { topic: self.topic.as_str().into(), partition: self.partition }
    }
}

impl Fences {
    /// Those of a revision that is about to become active.
    pub fn new(topic: &Arc<str>, handler: &str, revision: u64, deployed: &Deployed) -> Self {
        let known = deployed.fences.iter().map(|fence| (fence.place(), fence.revision)).collect();
        Self { topic: Arc::clone(topic), handler: handler.to_owned(), revision, known }
    }

    /// The topic that they are written to.
    pub fn topic(&self) -> &Arc<str> {
        &self.topic
    }

    /// Whether it was written down already that this partition is the revision's.
    pub fn knows(&self, partition: &TopicPartition) -> bool {
        self.known.get(partition) == Some(&self.revision)
    }

    /// The record that says that the revision has a partition from this event on.
    pub fn record(&self, first: &Position) -> anyhow::Result<Event> {
        let fence = Fence {
            revision: self.revision,
            topic: first.topic.to_string(),
            partition: first.partition,
            from: first.offset,
            at: now_ms(),
        };
        let key = Key::Fence(self.handler.clone(), self.revision, first.clone());
        Ok(Event {
            topic: Arc::clone(&self.topic),
            key: Some(key.to_string().into_bytes()),
            value: Some(encode(&fence)?),
            headers: Vec::new(),
            timestamp_ms: Some(fence.at),
        })
    }
}
