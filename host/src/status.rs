//! What handlers and their workers are doing, for people and programs that ask.
//!
//! Plain data with its JSON form; those who run workers fill it, those who show it read it.

use serde::{Serialize, Serializer};
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

fn as_text<S: Serializer>(positions: &[Position], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(positions.iter().map(ToString::to_string))
}
