//! Consumer groups: who is a member and who owns which partition. Pure, no I/O.
//!
//! Lives behind the lock of the writer: a change of owners and a commit exclude each other.
//! Assignments are even and stable: a rebalance moves no more partitions than it must.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::catalog::Partition;
use crate::log::Subscription;

/// A session's membership in its group.
#[derive(Clone, Debug)]
pub(super) struct Membership {
    /// Which member it is; never given twice.
    pub(super) id: u64,
    /// Changes whenever owners in the group change, so that a poll need not lock to look.
    pub(super) version: Arc<AtomicU64>,
}

/// A partition and since which version its owner has it: lost and regained is not the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owned {
    /// The partition.
    pub(super) partition: Partition,
    /// The version of the group that assigned it.
    pub(super) since: u64,
}

/// All groups with members.
#[derive(Debug, Default)]
pub(super) struct Groups {
    groups: HashMap<String, Group>,
    members: u64,
}

#[derive(Debug, Default)]
struct Group {
    version: Arc<AtomicU64>,
    members: BTreeMap<u64, Member>,
    owners: BTreeMap<Partition, Owner>,
    /// Subscribed topics that were missing once: when they appear, nothing of them is old.
    awaited: BTreeSet<Arc<str>>,
}

#[derive(Debug)]
struct Member {
    handler: String,
    slot: u32,
    topics: Vec<Arc<str>>,
}

#[derive(Clone, Copy, Debug)]
struct Owner {
    member: u64,
    since: u64,
}

impl Groups {
    /// Adds a member; an earlier one of the same handler and slot is out. Call
    /// [`Groups::assign`] after it.
    pub(super) fn join(&mut self, subscription: &Subscription) -> Membership {
        self.members += 1;
        let group = self.groups.entry(subscription.group.clone()).or_default();
        group.members.retain(|_, member| {
            member.handler != subscription.handler || member.slot != subscription.slot
        });
        let member = Member {
            handler: subscription.handler.clone(),
            slot: subscription.slot,
            topics: subscription.topics.clone(),
        };
        group.members.insert(self.members, member);
        Membership { id: self.members, version: Arc::clone(&group.version) }
    }

    /// Removes a member, if it still is one. Call [`Groups::assign`] after it.
    pub(super) fn leave(&mut self, group: &str, member: u64) {
        if let Some(found) = self.groups.get_mut(group) {
            found.members.remove(&member);
            if found.members.is_empty() {
                self.groups.remove(group);
            }
        }
    }

    /// The names of the groups.
    pub(super) fn names(&self) -> Vec<String> {
        self.groups.keys().cloned().collect()
    }

    /// Group, handler and slot of all members.
    pub(super) fn sessions(&self) -> impl Iterator<Item = (&str, &str, u32)> {
        self.groups.iter().flat_map(|(name, group)| {
            let members = group.members.values();
            members.map(|member| (name.as_str(), member.handler.as_str(), member.slot))
        })
    }

    /// The topics that members of a group subscribe to.
    pub(super) fn topics(&self, group: &str) -> BTreeSet<Arc<str>> {
        let members = self.groups.get(group).into_iter().flat_map(|group| group.members.values());
        members.flat_map(|member| member.topics.iter().cloned()).collect()
    }

    /// Spreads the partitions of the subscribed topics over the members. A topic without
    /// partitions does not exist yet.
    pub(super) fn assign(&mut self, group: &str, topics: &BTreeMap<Arc<str>, Vec<Partition>>) {
        let Some(group) = self.groups.get_mut(group) else { return };
        let missing = topics.iter().filter(|(_, partitions)| partitions.is_empty());
        group.awaited.extend(missing.map(|(topic, _)| Arc::clone(topic)));
        let partitions: BTreeSet<_> = topics.values().flatten().cloned().collect();
        group.assign(&partitions);
    }

    /// Whether a topic was missing when the group looked first.
    pub(super) fn was_awaited(&self, group: &str, topic: &str) -> bool {
        self.groups.get(group).is_some_and(|group| group.awaited.contains(topic))
    }

    /// What a member owns; `None` when it is not a member any more.
    pub(super) fn owned(&self, group: &str, member: u64) -> Option<Vec<Owned>> {
        let group = self.groups.get(group)?;
        group.members.get(&member)?;
        let own = group.owners.iter().filter(|(_, owner)| owner.member == member);
        let owned = |(partition, owner): (&Partition, &Owner)| Owned {
            partition: partition.clone(),
            since: owner.since,
        };
        Some(own.map(owned).collect())
    }

    /// Whether a member has owned a partition ever since.
    pub(super) fn owns(&self, group: &str, member: u64, owned: &Owned) -> bool {
        let owner = self.groups.get(group).and_then(|group| group.owners.get(&owned.partition));
        owner.is_some_and(|owner| owner.member == member && owner.since == owned.since)
    }
}

impl Group {
    fn assign(&mut self, partitions: &BTreeSet<Partition>) {
        let next = self.version.load(Ordering::Relaxed) + 1;
        let members = &self.members;
        let subscribes = |id: u64, partition: &Partition| match members.get(&id) {
            Some(member) => member.topics.contains(&partition.at.topic),
            None => false,
        };
        self.owners.retain(|partition, owner| {
            partitions.contains(partition) && subscribes(owner.member, partition)
        });
        let mut load: BTreeMap<u64, usize> = members.keys().map(|id| (*id, 0)).collect();
        for owner in self.owners.values() {
            *load.entry(owner.member).or_default() += 1;
        }
        // What nobody has comes first, so that no more moves than must.
        let mut order: Vec<_> = partitions.iter().collect();
        order.sort_by_key(|partition| self.owners.contains_key(partition));
        for partition in order {
            let least = least_loaded(&load, |id| subscribes(id, partition));
            let Some((least, least_load)) = least else { continue };
            let moves = match self.owners.get(partition) {
                Some(owner) => load.get(&owner.member).is_some_and(|own| *own > least_load + 1),
                None => true,
            };
            if moves {
                let owner = Owner { member: least, since: next };
                if let Some(old) = self.owners.insert(partition.clone(), owner)
                    && let Some(load) = load.get_mut(&old.member)
                {
                    *load -= 1;
                }
                *load.entry(least).or_default() += 1;
            }
        }
        self.version.store(next, Ordering::Release);
    }
}

fn least_loaded(
    load: &BTreeMap<u64, usize>,
    eligible: impl Fn(u64) -> bool,
) -> Option<(u64, usize)> {
    let eligible = load.iter().filter(|(id, _)| eligible(**id));
    eligible.map(|(id, load)| (*id, *load)).min_by_key(|(id, load)| (*load, *id))
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::event::TopicPartition;
    use crate::log::{BatchBounds, Start};

    fn subscription(slot: u32, topics: &[&str]) -> Subscription {
        Subscription {
            handler: "h".to_owned(),
            group: "g".to_owned(),
            topics: topics.iter().map(|topic| Arc::from(*topic)).collect(),
            outputs: Vec::new(),
            slot,
            start: Start::Earliest,
            bounds: BatchBounds { events: 1, bytes: 1 },
        }
    }

    fn topics(counts: &[(&str, i32)]) -> BTreeMap<Arc<str>, Vec<Partition>> {
        let partition = |topic: &Arc<str>, number| Partition {
            at: TopicPartition { topic: Arc::clone(topic), partition: number },
            id: i64::from(number),
        };
        let topic = |(name, count): &(&str, i32)| {
            let name: Arc<str> = Arc::from(*name);
            let partitions = (0..*count).map(|number| partition(&name, number)).collect();
            (name, partitions)
        };
        counts.iter().map(topic).collect()
    }

    fn owned(groups: &Groups, member: &Membership) -> Vec<Owned> {
        groups.owned("g", member.id).unwrap_or_default()
    }

    #[test]
    fn partitions_are_spread_evenly_and_what_can_stay_stays() {
        let (mut groups, topics) = (Groups::default(), topics(&[("a", 4), ("b", 3)]));
        let first = groups.join(&subscription(0, &["a", "b"]));
        groups.assign("g", &topics);
        let before = owned(&groups, &first);
        assert_eq!(before.len(), 7);

        let second = groups.join(&subscription(1, &["a", "b"]));
        groups.assign("g", &topics);
        let (kept, taken) = (owned(&groups, &first), owned(&groups, &second));
        assert_eq!((kept.len(), taken.len()), (4, 3));
        assert!(kept.iter().all(|one| before.contains(one)), "{kept:?}");

        groups.leave("g", first.id);
        groups.assign("g", &topics);
        let all = owned(&groups, &second);
        assert_eq!(all.len(), 7);
        assert!(taken.iter().all(|one| all.contains(one)), "{all:?}");
    }

    #[test]
    fn a_member_gets_partitions_of_its_own_topics_only() {
        let mut groups = Groups::default();
        let one = groups.join(&subscription(0, &["a"]));
        let other = groups.join(&subscription(1, &["b"]));
        groups.assign("g", &topics(&[("a", 3), ("b", 1)]));
        assert_eq!((owned(&groups, &one).len(), owned(&groups, &other).len()), (3, 1));
    }

    #[test]
    fn lost_and_regained_is_not_owned_ever_since() {
        let (mut groups, topics) = (Groups::default(), topics(&[("a", 2)]));
        let first = groups.join(&subscription(0, &["a"]));
        groups.assign("g", &topics);
        let before = owned(&groups, &first);
        let second = groups.join(&subscription(1, &["a"]));
        groups.assign("g", &topics);
        groups.leave("g", second.id);
        groups.assign("g", &topics);
        assert_eq!(owned(&groups, &first).len(), 2);
        let still = before.iter().filter(|one| groups.owns("g", first.id, one)).count();
        assert_eq!(still, 1);
    }

    #[test]
    fn a_second_member_of_the_same_slot_replaces_the_first() {
        let mut groups = Groups::default();
        let first = groups.join(&subscription(0, &["a"]));
        let second = groups.join(&subscription(0, &["a"]));
        groups.assign("g", &topics(&[("a", 2)]));
        assert_eq!(groups.owned("g", first.id), None);
        assert_eq!(owned(&groups, &second).len(), 2);
    }

    #[test]
    fn a_topic_that_appears_later_is_assigned() {
        let mut groups = Groups::default();
        let member = groups.join(&subscription(0, &["a"]));
        groups.assign("g", &topics(&[("a", 0)]));
        assert!(owned(&groups, &member).is_empty());
        groups.assign("g", &topics(&[("a", 2)]));
        assert_eq!(owned(&groups, &member).len(), 2);
        assert!(groups.was_awaited("g", "a"));
    }
}
