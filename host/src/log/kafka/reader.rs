//! Reads topics outside any group's life: no membership, no commits, committed events only.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;

use super::client::{Clients, Redacting};
use super::consumer::list;
use super::record::{TopicNames, consumed};
use super::watched::Aside;
use super::watermarks::watermarks;
use crate::event::{Consumed, TopicPartition};
use crate::log::{ReadFrom, Reader};

/// The group id that librdkafka demands even of a consumer that joins no group.
const READER_GROUP: &str = "lockstep-reader";
const TIMEOUT: Duration = Duration::from_secs(10);

/// A consumer with partitions assigned by hand.
pub(super) struct KafkaReader {
    clients: Arc<Clients>,
    consumer: Aside<BaseConsumer<Redacting>>,
    topics: TopicNames,
    /// Partitions that have not been read to their end. librdkafka reports an end once and
    /// again after new events.
    behind: HashSet<TopicPartition>,
    /// librdkafka names only the partition of an end, so one topic is read at a time.
    topic: Arc<str>,
}

impl KafkaReader {
    /// Reads one topic from a point on.
    pub(super) fn open(
        clients: &Arc<Clients>,
        topic: &str,
        start: ReadFrom,
    ) -> anyhow::Result<Self> {
        let mut reader = Self::create(clients, topic)?;
        let partitions = reader.partitions()?;
        let from = reader.resolve(&partitions, start)?;
        reader.assign(&from)?;
        Ok(reader)
    }

    /// Reads partitions of one topic from these offsets on.
    pub(super) fn at(
        clients: &Arc<Clients>,
        topic: &str,
        from: &[(TopicPartition, i64)],
    ) -> anyhow::Result<Self> {
        let mut reader = Self::create(clients, topic)?;
        let from: Vec<_> =
            from.iter().map(|(at, offset)| (at.clone(), Offset::Offset(*offset))).collect();
        reader.assign(&from)?;
        Ok(reader)
    }

    /// Where reading one topic from a point on begins, by partition.
    pub(super) fn offsets(
        clients: &Arc<Clients>,
        topic: &str,
        start: ReadFrom,
    ) -> anyhow::Result<BTreeMap<i32, i64>> {
        let reader = Self::create(clients, topic)?;
        let resolved = reader.resolve(&reader.partitions()?, start)?;
        let known = resolved.into_iter().filter_map(|(at, offset)| match offset {
            Offset::Offset(offset) => Some((at.partition, offset)),
            _ => None,
        });
        Ok(known.collect())
    }

    fn create(clients: &Arc<Clients>, topic: &str) -> anyhow::Result<Self> {
        let consumer = clients
            .consumer(READER_GROUP)
            .set("enable.partition.eof", "true")
            .set("auto.offset.reset", "earliest")
            .create_with_context(clients.context())
            .map_err(|e| clients.error(&e))?;
        let topic: Arc<str> = topic.into();
        Ok(Self {
            clients: Arc::clone(clients),
            consumer: Aside::new(consumer),
            topics: TopicNames::new(vec![Arc::clone(&topic)]),
            behind: HashSet::new(),
            topic,
        })
    }

    fn partitions(&self) -> anyhow::Result<Vec<TopicPartition>> {
        let metadata = self
            .consumer
            .fetch_metadata(Some(&self.topic), TIMEOUT)
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to look up topic {:?}", self.topic))?;
        let found = metadata.topics().iter().find(|topic| topic.name() == &*self.topic);
        let partitions: Vec<_> = found
            .iter()
            .flat_map(|topic| topic.partitions())
            .map(|partition| TopicPartition {
                topic: Arc::clone(&self.topic),
                partition: partition.id(),
            })
            .collect();
        if partitions.is_empty() {
            bail!("topic {:?} does not exist", self.topic);
        }
        Ok(partitions)
    }

    /// Where each partition begins. "Latest" is pinned to the present end, so that nothing
    /// written after this call is missed.
    fn resolve(
        &self,
        partitions: &[TopicPartition],
        start: ReadFrom,
    ) -> anyhow::Result<Vec<(TopicPartition, Offset)>> {
        if let ReadFrom::Timestamp(ms) = start {
            let times = list(partitions.iter().map(|at| (at, Offset::Offset(ms))))?;
            let found = self
                .consumer
                .offsets_for_times(times, TIMEOUT)
                .map_err(|e| self.clients.error(&e))
                .with_context(|| format!("failed to look up offsets in {:?}", self.topic))?;
            let mut offsets = HashMap::new();
            for element in found.elements() {
                element
                    .error()
                    .map_err(|e| self.clients.error(&e))
                    .with_context(|| format!("failed to look up offsets in {:?}", self.topic))?;
                offsets.insert(element.partition(), element.offset());
            }
            return partitions
                .iter()
                .map(|at| match offsets.get(&at.partition) {
                    Some(Offset::Offset(offset)) => Ok((at.clone(), Offset::Offset(*offset))),
                    _ => Ok((at.clone(), Offset::Offset(self.watermarks(at)?.1))),
                })
                .collect();
        }
        partitions
            .iter()
            .map(|at| {
                let (low, high) = self.watermarks(at)?;
                let offset = match start {
                    ReadFrom::Latest => high,
                    ReadFrom::Offset(offset) => offset.clamp(low, high),
                    ReadFrom::Earliest | ReadFrom::Timestamp(_) => low,
                };
                Ok((at.clone(), Offset::Offset(offset)))
            })
            .collect()
    }

    fn watermarks(&self, at: &TopicPartition) -> anyhow::Result<(i64, i64)> {
        watermarks(self.consumer.client(), &at.topic, at.partition)
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to look up the offsets of {at}"))
    }

    fn assign(&mut self, from: &[(TopicPartition, Offset)]) -> anyhow::Result<()> {
        let assignment = list(from.iter().map(|(at, offset)| (at, *offset)))?;
        self.consumer.assign(&assignment).map_err(|e| self.clients.error(&e))?;
        self.behind = from.iter().map(|(at, _)| at.clone()).collect();
        Ok(())
    }
}

impl Reader for KafkaReader {
    fn read(&mut self, max: usize, max_wait: Duration) -> anyhow::Result<Vec<Consumed>> {
        let deadline = Instant::now() + max_wait;
        let mut events = Vec::new();
        while events.len() < max {
            let wait = if events.is_empty() {
                deadline.saturating_duration_since(Instant::now())
            } else {
                Duration::ZERO
            };
            match self.consumer.poll(wait) {
                Some(Ok(message)) => {
                    let event = consumed(&message, &mut self.topics);
                    self.behind.insert(event.topic_partition());
                    events.push(event);
                }
                Some(Err(KafkaError::PartitionEOF(partition))) => {
                    self.behind
                        .remove(&TopicPartition { topic: Arc::clone(&self.topic), partition });
                    if self.behind.is_empty() {
                        break;
                    }
                }
                Some(Err(error @ KafkaError::MessageConsumptionFatal(_))) => {
                    return Err(self.clients.error(&error));
                }
                // Lost brokers and the like: librdkafka goes on by itself.
                Some(Err(error)) => tracing::debug!("{}", self.clients.error(&error)),
                None if Instant::now() >= deadline || !events.is_empty() => break,
                None => {}
            }
        }
        Ok(events)
    }

    fn at_end(&self) -> bool {
        self.behind.is_empty()
    }
}
