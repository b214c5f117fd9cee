//! What handlers and their workers are doing, for people and programs that ask.
//!
//! Plain data with its JSON form; those who run workers fill it, those who show it read it.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use crate::event::Position;

/// One handler on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HandlerStatus {
    /// The handler's name.
    pub name: String,
    /// The active revision. A worker that is still at its last transaction with another one says
    /// so itself.
    pub revision: u64,
    /// Its workers, in the order of their slots.
    pub workers: Vec<WorkerStatus>,
}

impl HandlerStatus {
    /// Whether every worker has its session open and runs the active revision.
    pub fn runs(&self) -> bool {
        self.workers
            .iter()
            .all(|worker| worker.revision == self.revision && worker.state == WorkerState::Running)
    }
}

/// One worker of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct WorkerStatus {
    /// The worker's number within its handler on this host, from 0.
    pub slot: u32,
    /// The revision that it runs; 0 before it has taken up one.
    pub revision: u64,
    /// What it is doing.
    pub state: WorkerState,
    /// Events that became outputs or dead letters, in committed transactions, since it began.
    pub events: u64,
    /// How many of them became dead letters.
    pub dead_letters: u64,
    /// Why it last had to start over; `None` when it never had to.
    pub last_error: Option<String>,
    /// The events whose partitions wait for another revision or a restart, because the handler
    /// stops on failure.
    #[serde(serialize_with = "as_text")]
    #[schema(value_type = Vec<String>)]
    pub stopped_at: Vec<Position>,
    /// The partitions that the group has given to it, in order; none while its session is closed.
    pub partitions: Vec<PartitionStatus>,
}

/// A partition that a worker has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct PartitionStatus {
    /// The topic.
    #[serde(serialize_with = "as_str")]
    #[schema(value_type = String)]
    pub topic: Arc<str>,
    /// The partition, from 0.
    pub partition: i32,
    /// Whether it goes on.
    #[serde(flatten)]
    pub state: PartitionState,
    /// Its events that became outputs or dead letters, in committed transactions, since the worker
    /// got it.
    pub events: u64,
    /// The last failure of one of its events since then.
    pub last_error: Option<String>,
}

/// Whether a partition goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum PartitionState {
    /// Its events are processed as they come.
    Running,
    /// It waits to try an event again.
    Retrying {
        /// The event's offset.
        offset: i64,
        /// When it is tried again, in milliseconds since the Unix epoch.
        until: i64,
    },
    /// It waits for another revision or a restart, because the handler stops on failure.
    Halted {
        /// The offset of the event that failed.
        offset: i64,
    },
}

/// What a worker is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    /// It opens its session.
    Starting,
    /// It processes events, or waits for them.
    Running,
    /// Its session ended; the next one is opened after a pause.
    BackingOff,
    /// It is done and will not start again.
    Stopped,
}

fn as_str<S: Serializer>(topic: &Arc<str>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(topic)
}

fn as_text<S: Serializer>(positions: &[Position], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(positions.iter().map(ToString::to_string))
}
