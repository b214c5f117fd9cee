//! The present state of the registry: what its records, read in their order, amount to. Pure.

use std::collections::BTreeMap;

use super::fence::Fence;
use super::record::{ComponentRecord, DeploymentRecord, Record, RevisionRecord};
use crate::digest::Digest;
use crate::event::TopicPartition;

/// All handlers and components that were deployed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Registry {
    handlers: BTreeMap<String, Deployed>,
    components: BTreeMap<Digest, ComponentRecord>,
}

/// A handler in the registry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deployed {
    /// Its revisions, by number.
    pub revisions: BTreeMap<u64, RevisionRecord>,
    /// How it runs; `None` once it is deleted.
    pub deployment: Option<DeploymentRecord>,
    /// Where revisions took partitions over, in the order in which that was written.
    pub fences: Vec<Fence>,
}

impl Registry {
    /// Takes one more record into account.
    pub fn apply(&mut self, record: Record) {
        match record {
            Record::Revision(handler, number, value) => {
                let deployed = self.handlers.entry(handler.clone()).or_default();
                put(&mut deployed.revisions, number, value);
                self.forget_if_empty(&handler);
            }
            Record::Deployment(handler, value) => {
                self.handlers.entry(handler.clone()).or_default().deployment = value;
                self.forget_if_empty(&handler);
            }
            Record::Component(digest, value) => put(&mut self.components, digest, value),
            Record::Fence(handler, number, first, value) => {
                let deployed = self.handlers.entry(handler.clone()).or_default();
                let is_it = |fence: &Fence| {
                    (fence.revision, &*fence.topic, fence.partition, fence.from)
                        == (number, &*first.topic, first.partition, first.offset)
                };
                deployed.fences.retain(|fence| !is_it(fence));
                deployed.fences.extend(value);
                self.forget_if_empty(&handler);
            }
        }
    }

    fn forget_if_empty(&mut self, handler: &str) {
        let empty = |deployed: &Deployed| {
            deployed.revisions.is_empty()
                && deployed.deployment.is_none()
                && deployed.fences.is_empty()
        };
        if self.handlers.get(handler).is_some_and(empty) {
            self.handlers.remove(handler);
        }
    }

    /// The handlers that run or are paused, by name.
    pub fn handlers(&self) -> impl Iterator<Item = (&str, &Deployed, &DeploymentRecord)> {
        self.handlers.iter().filter_map(|(name, deployed)| {
            deployed.deployment.as_ref().map(|record| (name.as_str(), deployed, record))
        })
    }

    /// One handler, also a deleted one whose revisions are kept.
    pub fn handler(&self, name: &str) -> Option<&Deployed> {
        self.handlers.get(name)
    }

    /// Where the bytes of a component are.
    pub fn component(&self, digest: &Digest) -> Option<&ComponentRecord> {
        self.components.get(digest)
    }

    /// All components.
    pub fn components(&self) -> impl Iterator<Item = (&Digest, &ComponentRecord)> {
        self.components.iter()
    }

    /// Whether a revision of a handler that is not deleted refers to this component.
    pub fn refers_to(&self, digest: &Digest) -> bool {
        let of = |deployed: &Deployed| deployed.revisions.values().any(|r| r.component == *digest);
        self.handlers().any(|(_, deployed, _)| of(deployed))
    }
}

impl Deployed {
    /// The number of the newest revision; 0 when there is none.
    pub fn newest(&self) -> u64 {
        self.revisions.last_key_value().map_or(0, |(number, _)| *number)
    }

    /// The fences at which another revision took over, or the same one went back. Another worker
    /// that goes on with the revision of its predecessor writes a fence too.
    pub fn takeovers(&self) -> Vec<&Fence> {
        let mut last: BTreeMap<TopicPartition, &Fence> = BTreeMap::new();
        let mut takeovers = Vec::new();
        for fence in &self.fences {
            let goes_on = last.get(&fence.place()).is_some_and(|before| {
                before.revision == fence.revision && before.from <= fence.from
            });
            if !goes_on {
                last.insert(fence.place(), fence);
                takeovers.push(fence);
            }
        }
        takeovers
    }

    /// Where the active revision took over the partitions that are still its own.
    pub fn begin_of_active(&self) -> BTreeMap<TopicPartition, i64> {
        let mut last = BTreeMap::new();
        for fence in self.takeovers() {
            last.insert(fence.place(), fence);
        }
        let active = self.deployment.as_ref().map(|record| record.revision);
        let is_active = |fence: &Fence| Some(fence.revision) == active;
        last.into_iter()
            .filter(|(_, fence)| is_active(fence))
            .map(|(place, fence)| (place, fence.from))
            .collect()
    }

    /// The active revision with its number.
    pub fn active(&self) -> Option<(u64, &RevisionRecord)> {
        let number = self.deployment.as_ref()?.revision;
        self.revisions.get(&number).map(|revision| (number, revision))
    }
}

fn put<K: Ord, V>(map: &mut BTreeMap<K, V>, key: K, value: Option<V>) {
    match value {
        Some(value) => map.insert(key, value),
        None => map.remove(&key),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_worker_that_goes_on_with_its_predecessors_revision_takes_nothing_over() {
        let fence = |revision, partition, from| Fence {
            revision,
            topic: "orders".to_owned(),
            partition,
            from,
            at: 1,
        };
        let record = DeploymentRecord {
            revision: 2,
            paused: false,
            workers: None,
            restarts: 0,
            hosts: BTreeMap::new(),
            replaced: None,
            rollbacks: Vec::new(),
            at: 1,
            by: "ada".to_owned(),
            action: "deploy".to_owned(),
        };
        let mut deployed = Deployed {
            revisions: BTreeMap::new(),
            deployment: Some(record),
            fences: vec![fence(1, 0, 0), fence(2, 0, 4), fence(2, 1, 7), fence(2, 0, 6)],
        };
        let begins = |deployed: &Deployed| -> Vec<_> {
            deployed.begin_of_active().into_iter().map(|(at, from)| (at.partition, from)).collect()
        };
        assert_eq!(begins(&deployed), [(0, 4), (1, 7)]);
        // Set back by hand, it begins there.
        deployed.fences.push(fence(2, 0, 1));
        assert_eq!(begins(&deployed), [(0, 1), (1, 7)]);
        assert_eq!(deployed.takeovers().len(), 4);
    }
}
