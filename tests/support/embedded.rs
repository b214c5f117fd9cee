//! Access to an embedded log, also while a host works on it.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use lockstep::event::{Consumed, Event};
use lockstep::log::embedded::EmbeddedLog;
use lockstep::log::{Log, ReadFrom, Reader};
use lockstep::topic::TopicSpec;

use crate::log::{LogAccess, Tail};

/// Access to the embedded log in one directory.
pub struct Embedded(EmbeddedLog);

impl Embedded {
    /// Access to the log in this directory, which is made when there is none.
    pub fn at(directory: &Path) -> Self {
        let log = EmbeddedLog::open_client(directory, true)
            .unwrap_or_else(|error| panic!("failed to open the log in {directory:?}: {error:#}"));
        Self(log)
    }
}

/// The database of the embedded log in this directory, for tests that get in its way.
pub fn database(directory: &Path) -> rusqlite::Connection {
    let file = directory.join("log.sqlite3");
    rusqlite::Connection::open(&file).unwrap_or_else(|e| panic!("failed to open {file:?}: {e}"))
}

impl LogAccess for Embedded {
    fn create_topic(&self, name: &str, partitions: u32, settings: &[(&str, &str)]) {
        let settings = settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let spec = TopicSpec { partitions, settings, ..TopicSpec::named(name) };
        self.0
            .admin()
            .create_topic(&spec)
            .unwrap_or_else(|error| panic!("failed to create topic {name:?}: {error:#}"));
    }

    fn try_produce(&self, events: &[(Event, Option<i32>)]) -> Result<(), String> {
        // A window of receipts, so that the log may write many events at once.
        for some in events.chunks(1_000) {
            let receipts: Result<Vec<_>, _> =
                some.iter().map(|(event, at)| self.0.append(event.clone(), *at)).collect();
            for receipt in receipts.map_err(|error| error.to_string())? {
                receipt.wait_blocking().map_err(|error| error.to_string())?;
            }
        }
        Ok(())
    }

    fn send(&self, event: &Event, partition: Option<i32>) -> Result<(), String> {
        self.0.append(event.clone(), partition).map(drop).map_err(|error| error.to_string())
    }

    fn tail(&self, topic: &str) -> Box<dyn Tail> {
        let reader = self
            .0
            .reader(topic, ReadFrom::Earliest)
            .unwrap_or_else(|error| panic!("failed to read topic {topic:?}: {error:#}"));
        Box::new(EmbeddedTail(reader))
    }

    fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let offsets = self
            .0
            .admin()
            .group(group)
            .unwrap_or_else(|error| panic!("failed to read group {group:?}: {error:#}"));
        let of_topic = offsets.into_iter().filter(|offset| &*offset.at.topic == topic);
        of_topic.map(|offset| (offset.at.partition, offset.committed)).collect()
    }

    fn partitions(&self, topic: &str) -> Option<usize> {
        let described = self
            .0
            .admin()
            .topic(topic)
            .unwrap_or_else(|error| panic!("failed to describe topic {topic:?}: {error:#}"));
        described.map(|topic| topic.partitions.len())
    }
}

struct EmbeddedTail(Box<dyn Reader>);

impl Tail for EmbeddedTail {
    fn read(&mut self, wait: Duration) -> Vec<Consumed> {
        self.0.read(1_000, wait).unwrap_or_else(|error| panic!("failed to read: {error:#}"))
    }

    fn at_end(&self) -> bool {
        self.0.at_end()
    }
}
