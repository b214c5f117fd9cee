//! The partitions that a handler reads: who has each of them, how far it is, and what keeps it.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Fleet, time};
use crate::deployment::hosts::Hosts;
use crate::deployment::manifest;
use crate::deployment::ownership::Owner;
use crate::deployment::registry::Deployed;
use crate::event::TopicPartition;
use crate::log::{GroupOffset, Start};
use crate::status::PartitionState;

/// One partition of a source topic of a handler.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Partition {
    /// The source topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The host that has it; `None`: nobody, as when the handler is paused or the group
    /// rebalances. So are worker, revision, state and rate.
    pub host: Option<String>,
    /// The number of the worker that has it, within the handler on that host, from 0.
    pub worker: Option<u32>,
    /// The revision that this worker runs.
    pub revision: Option<u64>,
    /// `running`, `retrying` or `halted`.
    pub state: Option<&'static str>,
    /// The offset of the event that it waits at.
    pub waits_at: Option<i64>,
    /// When that is tried again, in UTC as RFC 3339 has it; `None` when it is halted.
    pub waits_until: Option<String>,
    /// Events per second over the last seconds.
    pub rate: Option<f64>,
    /// The offset that it goes on at; `None` when nothing of it was handled yet.
    pub committed: Option<i64>,
    /// The offset of the next event that is written there.
    pub end: i64,
    /// The number of events that wait; `None` while it is open where the group begins.
    pub lag: Option<i64>,
    /// The last failure of one of its events since its worker got it, possibly cut.
    pub error: Option<String>,
}

impl Fleet {
    /// All partitions of the topics that the active revision reads, in order.
    pub(super) fn partitions(
        &self,
        hosts: &Hosts,
        name: &str,
        deployed: &Deployed,
    ) -> Result<Vec<Partition>, Error> {
        let Some((number, active)) = deployed.active() else { return Ok(Vec::new()) };
        let handler = manifest::parse(Path::new(&format!("{name}@{number}")), &active.manifest)
            .map_err(anyhow::Error::from)?;
        let admin = self.store.log().admin();
        let by_place = |offset: GroupOffset| (offset.at.clone(), offset);
        let mut offsets: BTreeMap<TopicPartition, GroupOffset> =
            admin.group(&handler.group)?.into_iter().map(by_place).collect();
        let mut owners = hosts.owners(name);
        let mut partitions = Vec::new();
        for topic in &handler.from {
            let Some(description) = admin.topic(topic)? else { continue };
            for range in description.partitions {
                let at = TopicPartition { topic: topic.clone(), partition: range.partition };
                let mut one = Partition::of(&at, owners.remove(&at));
                (one.committed, one.end, one.lag) = match offsets.remove(&at) {
                    Some(offset) => (Some(offset.committed), offset.end, Some(offset.lag)),
                    // Where "latest" is, is decided when a worker gets the partition.
                    None if handler.start == Start::Latest => (None, range.end, None),
                    None => (None, range.end, Some(range.end - range.start)),
                };
                partitions.push(one);
            }
        }
        partitions.sort_unstable_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        Ok(partitions)
    }
}

impl Partition {
    /// What is known of its owner; where the group is in it, is not.
    pub(crate) fn of(at: &TopicPartition, owner: Option<Owner>) -> Self {
        let state = owner.as_ref().map(|owner| owner.state);
        let (waits_at, waits_until) = match state {
            Some(PartitionState::Retrying { offset, until }) => (Some(offset), Some(time(until))),
            Some(PartitionState::Halted { offset }) => (Some(offset), None),
            Some(PartitionState::Running) | None => (None, None),
        };
        Self {
            topic: at.topic.to_string(),
            partition: at.partition,
            worker: owner.as_ref().map(|owner| owner.worker),
            revision: owner.as_ref().map(|owner| owner.revision),
            state: state.map(|state| match state {
                PartitionState::Running => "running",
                PartitionState::Retrying { .. } => "retrying",
                PartitionState::Halted { .. } => "halted",
            }),
            rate: owner.as_ref().map(|owner| owner.rate),
            host: owner.as_ref().map(|owner| owner.host.clone()),
            error: owner.and_then(|owner| owner.error),
            waits_at,
            waits_until,
            committed: None,
            end: 0,
            lag: None,
        }
    }
}
