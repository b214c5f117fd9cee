//! The partitions of one worker and how each of them is: pure bookkeeping.
//!
//! Whatever is told of a partition that the worker has not is left out, so that a worker that was
//! left behind says nothing about what its successor has.

use std::collections::BTreeMap;

use crate::event::{Position, TopicPartition};
use crate::status::{PartitionState, PartitionStatus};

/// The partitions of one worker.
#[derive(Default)]
pub(super) struct Partitions(BTreeMap<TopicPartition, Partition>);

struct Partition {
    state: PartitionState,
    events: u64,
    last_error: Option<String>,
}

impl Partitions {
    /// The worker has this partition from now on.
    pub(super) fn gain(&mut self, at: &TopicPartition) {
        let new = Partition { state: PartitionState::Running, events: 0, last_error: None };
        self.0.insert(at.clone(), new);
    }

    /// It is somebody else's now.
    pub(super) fn lose(&mut self, at: &TopicPartition) {
        self.0.remove(at);
    }

    /// The worker has none any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// So many of its events are done.
    pub(super) fn progress(&mut self, at: &TopicPartition, events: u64) {
        if let Some(partition) = self.0.get_mut(at) {
            partition.events += events;
            partition.state = PartitionState::Running;
        }
    }

    /// Something went wrong that does not stop it.
    pub(super) fn fail(&mut self, at: &TopicPartition, reason: String) {
        if let Some(partition) = self.0.get_mut(at) {
            partition.last_error = Some(reason);
        }
    }

    /// It waits, for this reason.
    pub(super) fn wait(&mut self, at: &TopicPartition, state: PartitionState, reason: String) {
        if let Some(partition) = self.0.get_mut(at) {
            partition.state = state;
            partition.last_error = Some(reason);
        }
    }

    /// None of them waits any more.
    pub(super) fn release(&mut self) {
        self.0.values_mut().for_each(|partition| partition.state = PartitionState::Running);
    }

    /// The events at which partitions are halted.
    pub(super) fn halted(&self) -> Vec<Position> {
        let position = |(at, partition): (&TopicPartition, &Partition)| match partition.state {
            PartitionState::Halted { offset } => {
                Some(Position { topic: at.topic.clone(), partition: at.partition, offset })
            }
            _ => None,
        };
        self.0.iter().filter_map(position).collect()
    }

    /// All of them, in order.
    pub(super) fn statuses(&self) -> Vec<PartitionStatus> {
        let status = |(at, partition): (&TopicPartition, &Partition)| PartitionStatus {
            topic: at.topic.clone(),
            partition: at.partition,
            state: partition.state,
            events: partition.events,
            last_error: partition.last_error.clone(),
        };
        self.0.iter().map(status).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    #[test]
    fn a_partition_waits_until_it_goes_on_and_takes_what_it_is_along_when_it_leaves() {
        let mut partitions = Partitions::default();
        partitions.gain(&at(0));
        partitions.gain(&at(1));
        let retrying = PartitionState::Retrying { offset: 7, until: 1_000 };
        partitions.wait(&at(0), retrying, "too early".to_owned());
        partitions.wait(&at(1), PartitionState::Halted { offset: 9 }, "a trap".to_owned());
        partitions.wait(&at(2), PartitionState::Halted { offset: 1 }, "not mine".to_owned());
        let states: Vec<_> = partitions.statuses().iter().map(|status| status.state).collect();
        assert_eq!(states, [retrying, PartitionState::Halted { offset: 9 }]);
        assert_eq!(
            partitions.halted().iter().map(ToString::to_string).collect::<Vec<_>>(),
            ["t/1/9"]
        );

        partitions.progress(&at(0), 3);
        let first = &partitions.statuses()[0];
        assert_eq!((first.state, first.events), (PartitionState::Running, 3));
        assert_eq!(first.last_error.as_deref(), Some("too early"), "it is still the last one");
        partitions.lose(&at(1));
        partitions.gain(&at(1));
        assert_eq!(partitions.statuses()[1].state, PartitionState::Running);
        assert_eq!(partitions.statuses()[1].last_error, None);
    }
}
