//! The committed offsets of one group, for whoever asks again and again: one client, one question a
//! topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context as _;
use rdkafka::Offset;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::metadata::MetadataTopic;

use super::super::client::{Clients, Redacting};
use super::super::consumer::list;
use super::super::watched::Aside;
use super::{KafkaAdmin, TIMEOUT, find};
use crate::event::TopicPartition;

/// Asks where a group is. It never joins the group.
pub struct GroupOffsets {
    clients: Arc<Clients>,
    consumer: Aside<BaseConsumer<Redacting>>,
    group: String,
}

impl KafkaAdmin {
    /// Those of this group, which need not exist yet.
    pub(in crate::log::kafka) fn group_offsets(&self, group: &str) -> anyhow::Result<GroupOffsets> {
        let (clients, consumer) = (Arc::clone(&self.clients), self.consumer(group)?);
        Ok(GroupOffsets { clients, consumer, group: group.to_owned() })
    }
}

impl GroupOffsets {
    /// The next offset that the group handles, by partition; partitions without one are left out.
    pub fn committed(&self, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
        let failed = || format!("failed to read the offsets of group {:?}", self.group);
        let metadata = self.consumer.fetch_metadata(Some(topic), TIMEOUT);
        let metadata = metadata.map_err(|e| self.clients.no_answer(&e)).with_context(failed)?;
        let name: Arc<str> = topic.into();
        let partitions = find(&metadata, topic).map_or(&[][..], MetadataTopic::partitions);
        let all: Vec<_> = partitions
            .iter()
            .map(|partition| TopicPartition { topic: Arc::clone(&name), partition: partition.id() })
            .collect();
        let committed = self
            .consumer
            .committed_offsets(list(all.iter().map(|at| (at, Offset::Invalid)))?, TIMEOUT)
            .map_err(|e| self.clients.error(&e))
            .with_context(failed)?;
        let elements = committed.elements();
        let known = elements.iter().filter_map(|element| match element.offset() {
            Offset::Offset(next) => Some((element.partition(), next)),
            _ => None,
        });
        Ok(known.collect())
    }
}
