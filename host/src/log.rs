//! The seam to the log: where events live, and the one place where atomicity is decided.
//!
//! Topics, partitions, offsets, consumer groups and transactions mean here what they mean in
//! Kafka. Two implementations: [`embedded`] on one machine, [`kafka`] on a cluster; nothing
//! else in the program knows which is in use. Outputs, dead letters and offsets cross this seam
//! in one call, [`Session::commit`].

mod backlog;
mod batch;
pub mod embedded;
pub mod kafka;
mod read_from;
mod reassigned;
mod receipt;
pub mod topics;
mod writer;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub use batch::{Batch, Decision, Mark, Outcome, Produced};
pub use reassigned::Reassigned;
pub use receipt::{AppendError, Completer, Receipt};
pub use writer::{WriteError, Writer};

use crate::event::{Consumed, Event, Position, TopicPartition};
use crate::topic::TopicSpec;

/// A log: appends, sessions, readers and the administration of topics and groups.
pub trait Log: Send + Sync {
    /// Names the log in messages, for example `Kafka at 127.0.0.1:9092`. Holds no secret.
    fn describe(&self) -> String;

    /// Hands one event to the log and returns at once. The receipt resolves when the log has
    /// the event for good (Kafka `acks=all`; embedded: synced). `partition` overrides the key.
    fn append(&self, event: Event, partition: Option<i32>) -> Result<Receipt, AppendError>;

    /// Opens a worker's transactional view. Blocks while earlier transactions of the same slot
    /// are decided.
    fn session(&self, subscription: &Subscription) -> anyhow::Result<Box<dyn Session>>;

    /// Reads a topic outside any group, committed events only.
    fn reader(&self, topic: &str, start: ReadFrom) -> anyhow::Result<Box<dyn Reader>>;

    /// Opens the exclusive writer of this name: whoever opened it before can write nothing more.
    fn writer(&self, name: &str) -> anyhow::Result<Box<dyn Writer>>;

    /// Administers topics and groups.
    fn admin(&self) -> &dyn Admin;

    /// Whether the log answers within `timeout`: what readiness asks.
    fn ping(&self, timeout: Duration) -> anyhow::Result<()>;
}

/// A worker's transactional view of the log. Used by one thread.
///
/// `Err` from any method means that the session is finished: drop it and open another.
pub trait Session: Send {
    /// Waits up to `max_wait` for events and hands over what is there. Returns an empty batch
    /// when there is nothing. What an earlier outcome left undone comes first. The batch also
    /// names the partitions that the session lost and gained since the last poll, idle ones too.
    fn poll(&mut self, max_wait: Duration) -> anyhow::Result<Batch>;

    /// Writes outputs, dead letters and offsets in one transaction: all or nothing.
    fn commit(&mut self, outcome: Outcome) -> anyhow::Result<Commit>;

    /// Ends every hold: the partitions that wait, for a retry or without end, are handed over
    /// again from where they wait. Called between two transactions.
    fn release(&mut self) -> anyhow::Result<()>;

    /// Leaves the group, so that others take over at once. Without it they wait for the session
    /// timeout.
    fn close(self: Box<Self>) -> anyhow::Result<()>;
}

/// How a commit ended.
#[derive(Debug, PartialEq, Eq)]
pub enum Commit {
    /// Everything is visible to `read_committed` readers.
    Committed,
    /// Nothing is visible: the transaction was aborted or the partitions were lost. The session
    /// has rewound itself; poll again. The text says why.
    Abandoned(String),
    /// Nothing is visible, because the log refuses what this one input became (too large, topic
    /// not authorised). The session has rewound itself to hand the input over again.
    Rejected {
        /// The input whose outputs are refused.
        input: Position,
        /// The log's reason.
        reason: String,
    },
}

/// What a worker subscribes to, and within which bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subscription {
    /// The handler's name; part of the transactional id.
    pub handler: String,
    /// The consumer group.
    pub group: String,
    /// The source topics.
    pub topics: Vec<Arc<str>>,
    /// The topics that outputs and dead letters go to.
    pub outputs: Vec<Arc<str>>,
    /// The worker's number within its handler on this host, from 0: stable across restarts.
    pub slot: u32,
    /// Where a group without a committed offset begins, and one whose offset is out of range.
    pub start: Start,
    /// How much one batch, and so one transaction, may hold.
    pub bounds: BatchBounds,
}

/// Where a group without a committed offset begins. Kafka's `auto.offset.reset`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// At the oldest event kept.
    Earliest,
    /// At the next event written.
    Latest,
}

/// The bounds of a batch; whichever is reached first ends it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchBounds {
    /// Number of events, at least 1.
    pub events: usize,
    /// Weight, as [`Event::weight`] counts; one event always fits.
    pub bytes: usize,
}

/// Reads a topic from a point on.
pub trait Reader: Send {
    /// Waits up to `max_wait` for events, at most `max` of them.
    fn read(&mut self, max: usize, max_wait: Duration) -> anyhow::Result<Vec<Consumed>>;

    /// Whether every partition has been read up to the end that was seen last.
    fn at_end(&self) -> bool;
}

/// Where a reader begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReadFrom {
    /// At the oldest event kept, in every partition.
    Earliest,
    /// After the newest event, in every partition.
    Latest,
    /// At this offset, in every partition; clamped to what the partition holds.
    Offset(i64),
    /// At the first event with this timestamp or a later one, in milliseconds since the epoch.
    Timestamp(i64),
}

/// Topics and groups.
pub trait Admin: Send + Sync {
    /// All topics, by name, without the log's internal ones.
    fn topics(&self) -> anyhow::Result<Vec<TopicSummary>>;

    /// One topic in detail; `None` when it does not exist.
    fn topic(&self, name: &str) -> anyhow::Result<Option<TopicDescription>>;

    /// Creates a topic; `false` when it exists already, which changes nothing.
    fn create_topic(&self, spec: &TopicSpec) -> anyhow::Result<bool>;

    /// The names of all consumer groups.
    fn groups(&self) -> anyhow::Result<Vec<String>>;

    /// The committed offsets of one group; empty when it has none.
    fn group(&self, name: &str) -> anyhow::Result<Vec<GroupOffset>>;

    /// Who is in a group now, each member in words that help to find and stop it.
    fn member_names(&self, group: &str) -> anyhow::Result<Vec<String>>;

    /// How many members a group has now: whoever has any, has sessions open.
    fn members(&self, group: &str) -> anyhow::Result<usize> {
        self.member_names(group).map(|names| names.len())
    }

    /// Sets where a group goes on, each offset clamped to what its partition holds. Fails, and
    /// changes nothing, while the group has members, and when a partition does not exist.
    fn set_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> anyhow::Result<()>;

    /// The offset at which reading would begin, for each partition of a topic, which exists.
    fn offsets(&self, topic: &str, at: ReadFrom) -> anyhow::Result<BTreeMap<i32, i64>>;
}

/// The refusal of [`Admin::set_offsets`], the same on every log.
fn has_members(group: &str, names: &[String]) -> anyhow::Error {
    let who = if names.is_empty() { String::new() } else { format!(" ({})", names.join(", ")) };
    anyhow::anyhow!(
        "group {group:?} has members{who}, which would go on from where they are; stop the hosts \
         that run its handler, then try again"
    )
}

/// A line of a topic list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSummary {
    /// The name.
    pub name: String,
    /// Number of partitions.
    pub partitions: u32,
    /// Copies of each partition.
    pub replication_factor: u16,
}

/// A topic as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicDescription {
    /// The name.
    pub name: String,
    /// Copies of each partition.
    pub replication_factor: u16,
    /// The partitions, in order.
    pub partitions: Vec<PartitionRange>,
    /// The settings in force, defaults included where the log tells them.
    pub settings: BTreeMap<String, String>,
}

/// The offsets that a partition holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionRange {
    /// The partition, from 0.
    pub partition: i32,
    /// The offset of the oldest event kept.
    pub start: i64,
    /// The offset after the newest event.
    pub end: i64,
}

/// How far a group is in one partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupOffset {
    /// The partition.
    pub at: TopicPartition,
    /// The next offset the group will process.
    pub committed: i64,
    /// The offset after the newest event.
    pub end: i64,
    /// Events still to be processed. Transaction markers occupy offsets in Kafka, so this may
    /// be less than `end - committed`, and is 0 when nothing is left.
    pub lag: i64,
}
