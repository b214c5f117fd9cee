//! The behaviour of the embedded log, through its traits.

mod appending;
mod compacting;
mod expiring;
mod group_sharing;
mod opening;
mod reading;
mod transactions;
mod writing;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use super::EmbeddedLog;
use crate::event::{Consumed, Event, Header, Position};
use crate::log::{
    AppendError, Batch, BatchBounds, Commit, Log, Outcome, ReadFrom, Session, Start, Subscription,
};
use crate::topic::TopicSpec;

/// The longest a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

/// Long enough to see what is there, short enough to see nothing.
const GLANCE: Duration = Duration::from_millis(1);

/// A host's log in a directory of its own, with topics `in` (4 partitions) and `out` (1).
struct Host {
    log: EmbeddedLog,
    dir: TempDir,
}

impl Host {
    fn new() -> Self {
        let dir = TempDir::new().unwrap();
        let log = EmbeddedLog::open_host(dir.path(), "host-1").unwrap();
        create(&log, "in", 4, &[]);
        create(&log, "out", 1, &[]);
        Self { log, dir }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Ends the host and starts it again on the same directory.
    fn restart(self) -> Self {
        let Self { log, dir } = self;
        drop(log);
        let log = EmbeddedLog::open_host(dir.path(), "host-1").unwrap();
        Self { log, dir }
    }
}

fn create(log: &EmbeddedLog, name: &str, partitions: u32, settings: &[(&str, &str)]) {
    let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    let spec = TopicSpec { partitions, settings, ..TopicSpec::named(name) };
    assert!(log.admin().create_topic(&spec).unwrap());
}

fn event(topic: &str, value: &str) -> Event {
    Event {
        topic: topic.into(),
        key: None,
        value: Some(value.as_bytes().to_vec()),
        headers: vec![],
        timestamp_ms: None,
    }
}

fn append(log: &EmbeddedLog, event: Event, partition: i32) -> Result<Position, AppendError> {
    log.append(event, Some(partition)).unwrap().wait_blocking()
}

/// Appends one event to each partition named.
fn append_to(log: &EmbeddedLog, topic: &str, partitions: &[i32]) {
    for partition in partitions {
        append(log, event(topic, "x"), *partition).unwrap();
    }
}

fn subscription(slot: u32) -> Subscription {
    Subscription {
        handler: "handler".to_owned(),
        group: "group".to_owned(),
        topics: vec!["in".into()],
        outputs: Vec::new(),
        slot,
        start: Start::Earliest,
        bounds: BatchBounds { events: 100, bytes: 1 << 20 },
    }
}

/// Polls until there are events.
fn poll(session: &mut dyn Session) -> Batch {
    let batch = session.poll(PATIENCE).unwrap();
    assert!(!batch.is_empty(), "no events came");
    batch
}

/// Makes one output of each event of a batch.
fn echo(batch: Batch) -> Outcome {
    let mut outcome = Outcome::new(batch);
    while let Some(input) = outcome.current().cloned() {
        outcome.complete([Event { topic: "out".into(), ..input.event }]);
    }
    outcome
}

fn positions(events: &[Consumed]) -> Vec<(i32, i64)> {
    events.iter().map(|event| (event.partition, event.offset)).collect()
}

/// Everything that a topic holds.
fn read_all(log: &dyn Log, topic: &str) -> Vec<Consumed> {
    let mut reader = log.reader(topic, ReadFrom::Earliest).unwrap();
    let mut events = Vec::new();
    while !reader.at_end() {
        events.extend(reader.read(1_000, GLANCE).unwrap());
    }
    events
}
