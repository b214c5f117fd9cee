//! Which partitions a worker has taken over with its revision, and what is still to be written
//! down about it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use crate::deployment::fence::Fences;
use crate::event::{Consumed, Event, TopicPartition};

/// What a worker has written down about the partitions that its revision took over.
#[derive(Default)]
pub(super) struct Takeovers {
    /// `None` for a handler that is not deployed: nobody asks for its history.
    fences: Option<Arc<Fences>>,
    written: HashSet<TopicPartition>,
    /// In the transaction that is not committed yet, with their places in its order.
    pending: HashMap<TopicPartition, usize>,
}

impl Takeovers {
    /// Those of a revision.
    pub(super) fn new(fences: Option<Arc<Fences>>) -> Self {
        Self { fences, ..Self::default() }
    }

    /// The record that goes with this event, if it is the first one of its partition.
    pub(super) fn record(&mut self, input: &Consumed) -> anyhow::Result<Option<Event>> {
        let Some(fences) = &self.fences else { return Ok(None) };
        let partition = input.topic_partition();
        if self.written.contains(&partition)
            || self.pending.contains_key(&partition)
            || fences.knows(&partition)
        {
            return Ok(None);
        }
        let record = fences.record(&input.position())?;
        self.pending.insert(partition, self.pending.len());
        Ok(Some(record))
    }

    /// The place that the next record of the present transaction has.
    pub(super) fn mark(&self) -> usize {
        self.pending.len()
    }

    /// The records of the present transaction from this place on are not written.
    pub(super) fn take_back(&mut self, mark: usize) {
        self.pending.retain(|_, place| *place < mark);
    }

    /// The transaction is committed, or it is not.
    pub(super) fn settle(&mut self, committed: bool) {
        if committed {
            self.written.extend(self.pending.drain().map(|(partition, _)| partition));
        }
        self.pending.clear();
    }

    /// The partition is somebody else's now.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.written.remove(partition);
    }
}
