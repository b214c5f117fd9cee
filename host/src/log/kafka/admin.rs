//! Topics and groups of a Kafka cluster.

mod group_offsets;
mod removal;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use futures_executor::block_on;
use rdkafka::Offset;
use rdkafka::admin::{
    AdminClient, AdminOptions, ConfigSource, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::metadata::{Metadata, MetadataTopic};

pub use group_offsets::GroupOffsets;

use super::client::{Clients, Redacting};
use super::consumer::list;
use super::positions;
use super::reader::KafkaReader;
use super::watched::Aside;
use super::watermarks::watermarks;
use crate::event::TopicPartition;
use crate::log::{
    Admin, GroupOffset, PartitionRange, ReadFrom, Reader as _, TopicDescription, TopicSummary,
    has_members,
};
use crate::topic::TopicSpec;

const TIMEOUT: Duration = Duration::from_secs(10);
/// How long a created topic may take to be known to the broker that is asked.
const CREATION: Duration = Duration::from_secs(10);
/// Distances up to this are counted event by event, since markers occupy offsets too.
const COUNTED_LAG: i64 = 1_000;

/// The administrator's view of a cluster.
pub(super) struct KafkaAdmin {
    clients: Arc<Clients>,
    admin: AdminClient<Redacting>,
}

impl KafkaAdmin {
    pub(super) fn new(clients: Arc<Clients>) -> anyhow::Result<Self> {
        let admin = clients
            .admin()
            .create_with_context(clients.context())
            .map_err(|e| clients.error(&e))?;
        Ok(Self { clients, admin })
    }

    fn metadata(&self, topic: Option<&str>) -> anyhow::Result<Metadata> {
        self.admin
            .inner()
            .fetch_metadata(topic, TIMEOUT)
            .map_err(|e| self.clients.no_answer(&e))
            .with_context(|| format!("{} does not answer", self.clients.config().brokers()))
    }

    /// Reads what a group has committed; offsets that lie in an open transaction, as a host that was
    /// killed leaves them behind, are not waited for (KIP-447 lets `read_committed` wait).
    fn consumer(&self, group: &str) -> anyhow::Result<Aside<BaseConsumer<Redacting>>> {
        self.clients
            .consumer(group)
            .set("isolation.level", "read_uncommitted")
            .create_with_context(self.clients.context())
            .map(Aside::new)
            .map_err(|e| self.clients.error(&e))
    }

    /// The offset of the oldest event of a partition, and the one after the newest.
    fn watermarks(&self, topic: &str, partition: i32) -> anyhow::Result<(i64, i64)> {
        watermarks(self.admin.inner(), topic, partition)
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to read offsets of {topic}/{partition}"))
    }

    /// Notes how large the records of these topics may be, for the producers that are made next.
    pub(super) fn look_up_message_limits(&self, topics: &[Arc<str>]) -> anyhow::Result<()> {
        topics.iter().try_for_each(|topic| self.settings(topic).map(drop))
    }

    /// The settings of a topic; empty where this principal may not see them.
    fn settings(&self, topic: &str) -> anyhow::Result<BTreeMap<String, String>> {
        let options = AdminOptions::new().request_timeout(Some(TIMEOUT));
        let described =
            block_on(self.admin.describe_configs([&ResourceSpecifier::Topic(topic)], &options))
                .map_err(|e| self.clients.error(&e))?;
        let resource = match described.into_iter().next() {
            Some(Ok(resource)) => resource,
            Some(Err(
                RDKafkaErrorCode::TopicAuthorizationFailed
                | RDKafkaErrorCode::ClusterAuthorizationFailed,
            )) => {
                tracing::debug!(topic, "not allowed to read the settings of the topic");
                return Ok(BTreeMap::new());
            }
            Some(Err(code)) => bail!("failed to read the settings of topic {topic:?}: {code}"),
            None => bail!("the broker did not describe topic {topic:?}"),
        };
        let settings: BTreeMap<_, _> = resource
            .entries
            .into_iter()
            .filter(|entry| entry.source != ConfigSource::Unknown && !entry.is_sensitive)
            .filter_map(|entry| Some((entry.name, entry.value?)))
            .collect();
        if let Some(bytes) = settings.get("max.message.bytes").and_then(|v| v.parse().ok()) {
            self.clients.note_message_limit(topic, bytes);
        }
        Ok(settings)
    }

    /// Waits until the topic is in the metadata: creation is acknowledged before that.
    fn await_topic(&self, name: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while find(&self.metadata(Some(name))?, name).is_none() {
            if begun.elapsed() > CREATION {
                bail!("topic {name:?} was created but is not known after {CREATION:?}");
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    /// The number of events from the committed offsets on, where it can be counted quickly.
    fn count(&self, topic: &str, offsets: &mut [GroupOffset]) -> anyhow::Result<()> {
        let near = |o: &GroupOffset| (1..=COUNTED_LAG).contains(&(o.end - o.committed));
        let from: Vec<_> =
            offsets.iter().filter(|o| near(o)).map(|o| (o.at.clone(), o.committed)).collect();
        if from.is_empty() {
            return Ok(());
        }
        let mut reader = KafkaReader::at(&self.clients, topic, &from)?;
        let mut counts: BTreeMap<i32, i64> = BTreeMap::new();
        let begun = Instant::now();
        while !reader.at_end() && begun.elapsed() < TIMEOUT {
            for event in reader.read(COUNTED_LAG as usize, Duration::from_millis(100))? {
                *counts.entry(event.partition).or_default() += 1;
            }
        }
        if reader.at_end() {
            for offset in offsets.iter_mut().filter(|o| near(o)) {
                offset.lag = counts.get(&offset.at.partition).copied().unwrap_or(0);
            }
        }
        Ok(())
    }
}

impl Admin for KafkaAdmin {
    fn topics(&self) -> anyhow::Result<Vec<TopicSummary>> {
        let metadata = self.metadata(None)?;
        let mut topics: Vec<_> = metadata
            .topics()
            .iter()
            .filter(|topic| topic.error().is_none() && !topic.name().starts_with("__"))
            .map(|topic| TopicSummary {
                name: topic.name().to_owned(),
                partitions: u32::try_from(topic.partitions().len()).unwrap_or(u32::MAX),
                replication_factor: replication(topic),
            })
            .collect();
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    fn topic(&self, name: &str) -> anyhow::Result<Option<TopicDescription>> {
        // Asked for by name, a topic may be created by the broker; the whole list never does.
        let metadata = self.metadata(None)?;
        let Some(topic) = find(&metadata, name) else { return Ok(None) };
        let mut partitions = Vec::with_capacity(topic.partitions().len());
        for partition in topic.partitions() {
            let (start, end) = self.watermarks(name, partition.id())?;
            partitions.push(PartitionRange { partition: partition.id(), start, end });
        }
        partitions.sort_by_key(|range| range.partition);
        Ok(Some(TopicDescription {
            name: name.to_owned(),
            replication_factor: replication(topic),
            partitions,
            settings: self.settings(name)?,
        }))
    }

    fn create_topic(&self, spec: &TopicSpec) -> anyhow::Result<bool> {
        let replication = spec.replication_factor.map_or(-1, i32::from);
        let partitions = i32::try_from(spec.partitions).context("too many partitions")?;
        let mut topic = NewTopic::new(&spec.name, partitions, TopicReplication::Fixed(replication));
        for (key, value) in &spec.settings {
            topic = topic.set(key, value);
        }
        let options =
            AdminOptions::new().request_timeout(Some(TIMEOUT)).operation_timeout(Some(TIMEOUT));
        let created = block_on(self.admin.create_topics([&topic], &options))
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to create topic {:?}", spec.name))?;
        match created.into_iter().next() {
            Some(Ok(_)) => self.await_topic(&spec.name).map(|()| true),
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => {
                bail!("the broker refuses to create topic {:?}: {code}", spec.name)
            }
            None => bail!("the broker did not say whether it created topic {:?}", spec.name),
        }
    }

    fn groups(&self) -> anyhow::Result<Vec<String>> {
        let groups = self
            .admin
            .inner()
            .fetch_group_list(None, TIMEOUT)
            .map_err(|e| self.clients.error(&e))
            .context("failed to list groups")?;
        let mut names: Vec<_> = groups.groups().iter().map(|g| g.name().to_owned()).collect();
        names.sort();
        Ok(names)
    }

    fn group(&self, name: &str) -> anyhow::Result<Vec<GroupOffset>> {
        let metadata = self.metadata(None)?;
        let all: Vec<TopicPartition> = metadata
            .topics()
            .iter()
            .filter(|topic| !topic.name().starts_with("__"))
            .flat_map(|topic| {
                let name: Arc<str> = topic.name().into();
                topic.partitions().iter().map(move |partition| TopicPartition {
                    topic: Arc::clone(&name),
                    partition: partition.id(),
                })
            })
            .collect();
        let consumer = self.consumer(name)?;
        let committed = consumer
            .committed_offsets(list(all.iter().map(|at| (at, Offset::Invalid)))?, TIMEOUT)
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to read the offsets of group {name:?}"))?;
        let mut by_topic: BTreeMap<String, Vec<GroupOffset>> = BTreeMap::new();
        for element in committed.elements() {
            let Offset::Offset(committed) = element.offset() else { continue };
            let (topic, partition) = (element.topic(), element.partition());
            let (_, end) = self.watermarks(topic, partition)?;
            by_topic.entry(topic.to_owned()).or_default().push(GroupOffset {
                at: TopicPartition { topic: topic.into(), partition },
                committed,
                end,
                lag: (end - committed).max(0),
            });
        }
        for (topic, offsets) in &mut by_topic {
            offsets.sort_by_key(|offset| offset.at.partition);
            self.count(topic, offsets)?;
        }
        Ok(by_topic.into_values().flatten().collect())
    }

    fn member_names(&self, group: &str) -> anyhow::Result<Vec<String>> {
        let groups = self
            .admin
            .inner()
            .fetch_group_list(Some(group), TIMEOUT)
            .map_err(|e| self.clients.error(&e))
            .with_context(|| format!("failed to read the members of group {group:?}"))?;
        let members = groups.groups().iter().filter(|g| g.name() == group).flat_map(|g| {
            g.members().iter().map(|member| {
                // The broker's form of an address is `/127.0.0.1`.
                let host = member.client_host().trim_start_matches('/');
                format!("client {:?} at {host}", member.client_id())
            })
        });
        Ok(members.collect())
    }

    fn set_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> anyhow::Result<()> {
        let names = self.member_names(group)?;
        ensure!(names.is_empty(), has_members(group, &names));
        let metadata = self.metadata(None)?;
        for at in offsets.keys() {
            let partitions = find(&metadata, &at.topic).map_or(&[][..], MetadataTopic::partitions);
            ensure!(
                partitions.iter().any(|partition| partition.id() == at.partition),
                "partition {at} does not exist; the offsets of group {group:?} are unchanged"
            );
        }
        if offsets.is_empty() { Ok(()) } else { positions::set(&self.clients, group, offsets) }
    }

    fn offsets(&self, topic: &str, at: ReadFrom) -> anyhow::Result<BTreeMap<i32, i64>> {
        // Asked for by name, a topic may be created by the broker; the whole list never does.
        ensure!(find(&self.metadata(None)?, topic).is_some(), "topic {topic:?} does not exist");
        KafkaReader::offsets(&self.clients, topic, at)
    }
}

fn find<'a>(metadata: &'a Metadata, name: &str) -> Option<&'a MetadataTopic> {
    metadata
        .topics()
        .iter()
        .find(|t| t.name() == name && t.error().is_none() && !t.partitions().is_empty())
}

fn replication(topic: &MetadataTopic) -> u16 {
    topic.partitions().first().map_or(0, |p| u16::try_from(p.replicas().len()).unwrap_or(u16::MAX))
}
