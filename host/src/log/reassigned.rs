//! What rebalances changed between two polls, so that a worker knows which partitions it has, idle
//! ones included. Pure bookkeeping, no I/O.

use std::collections::BTreeSet;

use crate::event::TopicPartition;

/// Partitions that changed hands since the last poll: first some were lost, then some were gained.
/// One that came back is in both; one that came and went is lost.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reassigned {
    lost: BTreeSet<TopicPartition>,
    gained: BTreeSet<TopicPartition>,
}

impl Reassigned {
    /// The group gave this partition to another session.
    pub fn lose(&mut self, at: TopicPartition) {
        self.gained.remove(&at);
        self.lost.insert(at);
    }

    /// The group gave this partition to this session.
    pub fn gain(&mut self, at: TopicPartition) {
        self.gained.insert(at);
    }

    /// Adds what happened after this.
    pub fn then(&mut self, later: Self) {
        later.lost.into_iter().for_each(|at| self.lose(at));
        self.gained.extend(later.gained);
    }

    /// The partitions that others have now, or had meanwhile.
    pub fn lost(&self) -> &BTreeSet<TopicPartition> {
        &self.lost
    }

    /// The partitions that this session has now and had not before, or not without a break.
    pub fn gained(&self) -> &BTreeSet<TopicPartition> {
        &self.gained
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(partition: i32) -> TopicPartition {
        TopicPartition { topic: "t".into(), partition }
    }

    fn numbers(partitions: &BTreeSet<TopicPartition>) -> Vec<i32> {
        partitions.iter().map(|at| at.partition).collect()
    }

    #[test]
    fn what_comes_and_goes_between_two_polls_ends_as_it_is_at_last() {
        let mut all = Reassigned::default();
        all.gain(at(0));
        all.gain(at(1));
        all.lose(at(1));
        let mut later = Reassigned::default();
        later.lose(at(0));
        later.gain(at(0));
        later.gain(at(2));
        all.then(later);
        assert_eq!(numbers(all.lost()), [0, 1], "0 was lost and came back");
        assert_eq!(numbers(all.gained()), [0, 2]);
    }
}
