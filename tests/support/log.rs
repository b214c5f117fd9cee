//! What tests do with a log, whichever of the two it is.

use std::collections::BTreeMap;
use std::time::Duration;

use lockstep::event::{Consumed, Event};

/// The two logs; every behaviour is tested on both.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// The log on one machine, in a data directory.
    Embedded,
    /// A Kafka broker.
    Kafka,
}

/// A test's hands and eyes on a log. Whatever fails, panics: the log is not under test here.
pub trait LogAccess: Send + Sync {
    /// Creates a topic.
    fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]);

    /// Writes the events in this order and waits until the log has them; the number overrides
    /// the partition that the key decides.
    fn try_produce(&self, events: &[(Event, Option<i32>)]) -> Result<(), String>;

    /// Hands an event to the log and does not wait.
    fn send(&self, event: &Event, partition: Option<i32>) -> Result<(), String>;

    /// Reads a topic from its start on, as it grows.
    fn tail(&self, topic: &str) -> Box<dyn Tail>;

    /// The offsets that a group has committed in a topic, by partition.
    fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64>;

    /// The number of partitions; `None` when there is no such topic.
    fn partitions(&self, topic: &str) -> Option<usize>;
}

/// A reader of one topic, all its partitions, committed events only.
pub trait Tail {
    /// Waits for events, at most this long.
    fn read(&mut self, wait: Duration) -> Vec<Consumed>;

    /// Whether everything has been read that the log had when it was asked last.
    fn at_end(&self) -> bool;
}
