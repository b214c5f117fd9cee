//! What a trial sees of a log: on Kafka with clients of its own, which share no code with the
//! host's and live as long as the trial.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use lockstep::audit::observer::{LogSight, Sight};
use lockstep::event::Consumed;
use lockstep::log::Reader;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::kafka::KafkaTail;
use crate::log::Tail;
use crate::scenario::Scenario;
use crate::seam;

const TIMEOUT: Duration = Duration::from_secs(5);

/// The sight of a trial's log.
pub enum TrialSight {
    /// The embedded log has one implementation: it is read as another process would.
    Embedded(LogSight),
    /// Kafka.
    Kafka {
        /// The brokers.
        address: String,
        /// Asks for committed offsets without waiting for those that are undecided, and for the
        /// ends of everything that was written.
        uncommitted: BaseConsumer,
        /// Asks for the ends of what can be read.
        committed: BaseConsumer,
    },
}

impl TrialSight {
    /// The sight of a scenario's log, for a group.
    pub fn of(world: &Scenario, group: &str) -> Self {
        let Some(address) = world.broker() else {
            return Self::Embedded(LogSight::new(Arc::from(seam::open(world))));
        };
        let consumer = |isolation: &str| -> BaseConsumer {
            ClientConfig::new()
                .set("bootstrap.servers", address)
                .set("group.id", group)
                .set("isolation.level", isolation)
                .set("enable.auto.commit", "false")
                .create()
                .expect("the properties are right")
        };
        Self::Kafka {
            address: address.to_owned(),
            uncommitted: consumer("read_uncommitted"),
            committed: consumer("read_committed"),
        }
    }
}

fn partitions(consumer: &BaseConsumer, topic: &str) -> anyhow::Result<TopicPartitionList> {
    let metadata = consumer.fetch_metadata(Some(topic), TIMEOUT)?;
    let found = metadata.topics().first().context("no answer about the topic")?;
    let mut list = TopicPartitionList::new();
    for partition in found.partitions() {
        list.add_partition(topic, partition.id());
    }
    Ok(list)
}

impl Sight for TrialSight {
    fn reader(&self, topic: &str) -> anyhow::Result<Box<dyn Reader>> {
        match self {
            Self::Embedded(sight) => sight.reader(topic),
            Self::Kafka { address, committed, .. } => {
                let partitions = partitions(committed, topic)?;
                anyhow::ensure!(partitions.count() > 0, "topic {topic:?} does not exist");
                Ok(Box::new(Tailing(KafkaTail::of(address, partitions)?)))
            }
        }
    }

    fn committed(&self, group: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
        let consumer = match self {
            Self::Embedded(sight) => return sight.committed(group, topic),
            Self::Kafka { uncommitted, .. } => uncommitted,
        };
        let offsets = consumer.committed_offsets(partitions(consumer, topic)?, TIMEOUT)?;
        let mut known = BTreeMap::new();
        for element in offsets.elements() {
            element.error()?;
            if let Offset::Offset(offset) = element.offset() {
                known.insert(element.partition(), offset);
            }
        }
        Ok(known)
    }

    fn ends(&self, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
        let (uncommitted, committed) = match self {
            Self::Embedded(sight) => return sight.ends(topic),
            Self::Kafka { uncommitted, committed, .. } => (uncommitted, committed),
        };
        let mut ends = Vec::new();
        for element in partitions(uncommitted, topic)?.elements() {
            let at = element.partition();
            let (_, stable) = committed.fetch_watermarks(topic, at, TIMEOUT)?;
            let (_, high) = uncommitted.fetch_watermarks(topic, at, TIMEOUT)?;
            ends.push((at, stable, high));
        }
        Ok(ends)
    }
}

/// A tail as the observer wants it.
struct Tailing(KafkaTail);

impl Reader for Tailing {
    fn read(&mut self, _max: usize, max_wait: Duration) -> anyhow::Result<Vec<Consumed>> {
        Ok(self.0.read(max_wait))
    }

    fn at_end(&self) -> bool {
        self.0.at_end()
    }
}
