//! The notice board of a host: workers say how they are and what they have, others read it. No
//! policy.

mod partitions;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::event::{Position, TopicPartition};
use crate::handler::Handler;
use crate::status::{HandlerStatus, PartitionState, WorkerState, WorkerStatus};
use partitions::Partitions;

/// All workers of a host. Cloning shares the board.
#[derive(Clone, Default)]
pub struct Board(Arc<Mutex<BTreeMap<String, Entry>>>);

struct Entry {
    revision: u64,
    workers: Vec<StatusCell>,
}

/// Where one worker says how it is. Cloning shares the cell.
#[derive(Clone)]
pub struct StatusCell(Arc<Mutex<Cell>>);

struct Cell {
    /// Without the partitions.
    status: WorkerStatus,
    partitions: Partitions,
    beat: Instant,
}

impl Board {
    /// Adds a worker, which has not started yet.
    pub fn worker(&self, handler: &Handler, slot: u32) -> StatusCell {
        let status = WorkerStatus {
            slot,
            revision: 0,
            state: WorkerState::Starting,
            events: 0,
            dead_letters: 0,
            last_error: None,
            stopped_at: Vec::new(),
            partitions: Vec::new(),
        };
        let cell = Cell { status, partitions: Partitions::default(), beat: Instant::now() };
        let cell = StatusCell(Arc::new(Mutex::new(cell)));
        let mut board = lock(&self.0);
        let entry = board
            .entry(handler.name.clone())
            .or_insert_with(|| Entry { revision: handler.revision, workers: Vec::new() });
        entry.workers.push(cell.clone());
        cell
    }

    /// Another revision of the handler is active now.
    pub fn activated(&self, handler: &Handler) {
        if let Some(entry) = lock(&self.0).get_mut(&handler.name) {
            entry.revision = handler.revision;
        }
    }

    /// The handler has no workers any more.
    pub fn remove(&self, name: &str) {
        lock(&self.0).remove(name);
    }

    /// Whether every worker of the handler has its session open and runs this revision.
    pub fn runs(&self, name: &str, revision: u64) -> bool {
        let board = lock(&self.0);
        let found = board.get(name).filter(|entry| entry.revision == revision);
        found.is_some_and(|entry| status(name, entry).runs())
    }

    /// What all workers said last, by handler name.
    pub fn handlers(&self) -> Vec<HandlerStatus> {
        lock(&self.0).iter().map(|(name, entry)| status(name, entry)).collect()
    }
}

impl StatusCell {
    /// The worker is alive: it polls, or it is told to wait.
    pub fn beat(&self) {
        lock(&self.0).beat = Instant::now();
    }

    /// How long ago the worker last gave a sign of life.
    pub fn silence(&self) -> Duration {
        lock(&self.0).beat.elapsed()
    }

    /// It opens its session.
    pub fn starting(&self) {
        self.enter(WorkerState::Starting);
    }

    /// Its session is open, and it runs this revision. Partitions that waited for a restart do
    /// not wait any more.
    pub fn running(&self, revision: u64) {
        self.enter(WorkerState::Running);
        self.adopted(revision);
    }

    /// It has taken up this revision. Partitions that waited for it do not wait any more.
    pub fn adopted(&self, revision: u64) {
        let mut cell = lock(&self.0);
        cell.status.revision = revision;
        cell.partitions.release();
    }

    /// A transaction is committed, in which so many events of each partition are done.
    pub fn committed(&self, events: &BTreeMap<TopicPartition, u64>, dead_letters: u64) {
        let mut cell = lock(&self.0);
        cell.status.events += events.values().sum::<u64>();
        cell.status.dead_letters += dead_letters;
        events.iter().for_each(|(at, events)| cell.partitions.progress(at, *events));
    }

    /// Its session ended for this reason; another one follows.
    pub fn backing_off(&self, reason: String) {
        self.enter(WorkerState::BackingOff);
        self.failed(reason);
    }

    /// It is done.
    pub fn stopped(&self) {
        self.enter(WorkerState::Stopped);
    }

    /// Something went wrong that does not end it.
    pub fn failed(&self, reason: String) {
        lock(&self.0).status.last_error = Some(reason);
    }

    /// The same, of an event of this partition.
    pub fn failed_in(&self, partition: &TopicPartition, reason: String) {
        lock(&self.0).partitions.fail(partition, reason);
    }

    /// The group has given it this partition.
    pub fn gained(&self, partition: &TopicPartition) {
        lock(&self.0).partitions.gain(partition);
    }

    /// The partition is somebody else's now, and so is what it waits for.
    pub fn lost(&self, partition: &TopicPartition) {
        lock(&self.0).partitions.lose(partition);
    }

    /// The partition of this event waits to try it again, at a time in milliseconds since the Unix
    /// epoch.
    pub fn retrying(&self, at: &Position, until: i64, reason: String) {
        let state = PartitionState::Retrying { offset: at.offset, until };
        lock(&self.0).partitions.wait(&at.topic_partition(), state, reason);
    }

    /// The partition of this event waits for another revision, or a restart.
    pub fn halted(&self, at: &Position, reason: String) {
        let mut cell = lock(&self.0);
        let state = PartitionState::Halted { offset: at.offset };
        cell.partitions.wait(&at.topic_partition(), state, reason.clone());
        cell.status.last_error = Some(reason);
    }

    fn status(&self) -> WorkerStatus {
        let cell = lock(&self.0);
        WorkerStatus {
            stopped_at: cell.partitions.halted(),
            partitions: cell.partitions.statuses(),
            ..cell.status.clone()
        }
    }

    /// Whatever state it enters, its session has not polled yet, or never will again: until it
    /// does, it has no partitions.
    fn enter(&self, state: WorkerState) {
        let mut cell = lock(&self.0);
        cell.status.state = state;
        cell.partitions.clear();
        cell.beat = Instant::now();
    }
}

fn status(name: &str, entry: &Entry) -> HandlerStatus {
    HandlerStatus {
        name: name.to_owned(),
        revision: entry.revision,
        workers: entry.workers.iter().map(StatusCell::status).collect(),
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
