//! A batch and what it became: one batch is one transaction.
//!
//! An offset is never passed by hand. An [`Outcome`] owns its batch, walks through it in order
//! and records for each event that it is done, or that its partition has to wait; the session
//! derives the offsets from that. Until then decisions can be taken back, from a mark on. Pure bookkeeping, no I/O.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Instant;

use super::Reassigned;
use crate::event::{Consumed, Event, TopicPartition};
use crate::failpoint;

/// What one poll handed over.
#[derive(Debug, Default)]
pub struct Batch {
    events: Vec<Consumed>,
    reassigned: Reassigned,
}

impl Batch {
    /// A batch of these events; those of one partition stand in the order of their offsets.
    pub fn new(events: Vec<Consumed>) -> Self {
        Self { events, reassigned: Reassigned::default() }
    }

    /// The same batch, which also says what rebalances changed since the last poll.
    pub fn with_reassigned(self, reassigned: Reassigned) -> Self {
        Self { reassigned, ..self }
    }

    /// The partitions that the group gave to others since the last poll. To be forgotten before
    /// those that were gained are noted: one that came back is in both.
    pub fn lost(&self) -> &BTreeSet<TopicPartition> {
        self.reassigned.lost()
    }

    /// The partitions that the group gave to this session since the last poll, the first one
    /// included; whether there are events in them or not.
    pub fn gained(&self) -> &BTreeSet<TopicPartition> {
        self.reassigned.gained()
    }

    /// Whether there is nothing to do.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// The events, in order.
    pub fn events(&self) -> &[Consumed] {
        &self.events
    }
}

/// What a batch became, filled event by event.
#[derive(Debug)]
pub struct Outcome {
    events: Vec<Consumed>,
    done: Vec<bool>,
    cursor: usize,
    produced: Vec<Produced>,
    holds: HashMap<TopicPartition, Hold>,
}

/// A place in an outcome: what was decided before it, and what after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark(usize);

/// Why events of a partition are left out.
#[derive(Debug)]
struct Hold {
    due: Option<Instant>,
    /// The index of the event that it was decided at.
    at: usize,
}

/// An event to be written, and the input that it came from.
#[derive(Debug)]
pub struct Produced {
    /// An output or a dead letter.
    pub event: Event,
    /// Index of its input in [`Decision::done`].
    pub input: usize,
}

/// An outcome as a session needs it.
#[derive(Debug)]
pub struct Decision {
    /// Outputs and dead letters, in the order of their inputs.
    pub produced: Vec<Produced>,
    /// For each partition with progress: the offset of its next event to process.
    pub offsets: BTreeMap<TopicPartition, i64>,
    /// The inputs that are done; to be replayed when the transaction fails.
    pub done: Vec<Consumed>,
    /// The inputs that are not done, in order: they come first at the next poll.
    pub rest: Vec<Consumed>,
    /// Partitions that wait, and until when; `None` waits for another revision or a restart.
    pub holds: HashMap<TopicPartition, Option<Instant>>,
}

impl Outcome {
    /// Begins with nothing done.
    pub fn new(batch: Batch) -> Self {
        Self {
            done: vec![false; batch.events.len()],
            events: batch.events,
            cursor: 0,
            produced: Vec::new(),
            holds: HashMap::new(),
        }
    }

    /// The next event to handle: the first one that is not done and whose partition is not held.
    pub fn current(&mut self) -> Option<&Consumed> {
        if !self.holds.is_empty() {
            while let Some(event) = self.events.get(self.cursor) {
                if !self.holds.contains_key(&event.topic_partition()) {
                    break;
                }
                self.cursor += 1;
            }
        }
        self.events.get(self.cursor)
    }

    /// The current event is done and became these events; none filters it out.
    pub fn complete(&mut self, produced: impl IntoIterator<Item = Event>) {
        let Some(done) = self.done.get_mut(self.cursor) else { return };
        *done = true;
        let input = self.cursor;
        self.produced.extend(produced.into_iter().map(|event| Produced { event, input }));
        self.cursor += 1;
    }

    /// How many events are done, in each partition with any.
    pub fn completed(&self) -> BTreeMap<TopicPartition, u64> {
        let mut counts: Vec<(&Consumed, u64)> = Vec::new();
        for (event, _) in self.events.iter().zip(&self.done).filter(|(_, done)| **done) {
            // Few partitions, long runs: look before building a key.
            let same = |other: &Consumed| {
                other.partition == event.partition && other.event.topic == event.event.topic
            };
            match counts.iter_mut().rev().find(|(other, _)| same(other)) {
                Some((_, count)) => *count += 1,
                None => counts.push((event, 1)),
            }
        }
        counts.into_iter().map(|(event, count)| (event.topic_partition(), count)).collect()
    }

    /// The current event is not done: its partition waits until `due`, or for another
    /// revision or a restart.
    pub fn hold(&mut self, due: Option<Instant>) {
        if let Some(event) = self.events.get(self.cursor) {
            self.holds.insert(event.topic_partition(), Hold { due, at: self.cursor });
            self.cursor += 1;
        }
    }

    /// Every event that is not done yet stays so: its partition waits, as in [`Self::hold`].
    pub fn hold_rest(&mut self, due: Option<Instant>) {
        while self.current().is_some() {
            self.hold(due);
        }
    }

    /// The place in front of the next event to handle.
    pub fn mark(&self) -> Mark {
        Mark(self.cursor)
    }

    /// Takes back everything that was decided since the mark was set: those events are not done,
    /// became nothing and hold nothing, and the first of them is the current one again.
    pub fn take_back(&mut self, Mark(mark): Mark) {
        self.done.iter_mut().skip(mark).for_each(|done| *done = false);
        self.produced.retain(|produced| produced.input < mark);
        self.holds.retain(|_, hold| hold.at < mark);
        self.cursor = self.cursor.min(mark);
    }

    /// What the session writes, and what it keeps for later.
    pub fn decide(self) -> Decision {
        let mut offsets = BTreeMap::new();
        let (mut done, mut rest) = (Vec::with_capacity(self.events.len()), Vec::new());
        let mut place = Vec::with_capacity(self.events.len());
        for (event, is_done) in self.events.into_iter().zip(&self.done) {
            place.push(done.len());
            if *is_done {
                // Few partitions, long runs: look before building a key.
                match offsets.iter_mut().find(|(at, _): &(&TopicPartition, _)| {
                    at.partition == event.partition && at.topic == event.event.topic
                }) {
                    Some((_, next)) => *next = event.offset + 1,
                    None => {
                        offsets.insert(event.topic_partition(), event.offset + 1);
                    }
                }
                done.push(event);
            } else {
                rest.push(event);
            }
        }
        let mut produced = self.produced;
        for item in &mut produced {
            item.input = place[item.input];
        }
        if failpoint::mutant("mutant-offset-plus-one") {
            offsets.values_mut().for_each(|next| *next += 1);
        }
        let holds = self.holds.into_iter().map(|(at, hold)| (at, hold.due)).collect();
        Decision { produced, offsets, done, rest, holds }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn consumed(partition: i32, offset: i64) -> Consumed {
        let event = Event {
            topic: "t".into(),
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: None,
        };
        Consumed { event, partition, offset }
    }

    fn output() -> Event {
        Event { topic: "o".into(), key: None, value: None, headers: vec![], timestamp_ms: None }
    }

    #[test]
    fn a_held_partition_stops_at_its_event_and_the_others_go_on() {
        let batch = Batch::new(vec![
            consumed(0, 5),
            consumed(1, 7),
            consumed(0, 6),
            consumed(1, 9),
            consumed(0, 8),
        ]);
        let mut outcome = Outcome::new(batch);
        outcome.complete([output()]);
        outcome.complete([]);
        assert_eq!(outcome.current().map(|e| e.offset), Some(6));
        outcome.hold(None);
        assert_eq!(outcome.current().map(|e| e.offset), Some(9));
        outcome.complete([output(), output()]);
        assert_eq!(outcome.current(), None, "8 is behind the held event");
        let completed: Vec<_> = outcome.completed().into_values().collect();
        assert_eq!(completed, [1, 2], "5 in one partition, 7 and 9 in the other");

        let decision = outcome.decide();
        let next: Vec<_> = decision.offsets.iter().map(|(at, o)| (at.partition, *o)).collect();
        assert_eq!(next, [(0, 6), (1, 10)]);
        assert_eq!(decision.rest.iter().map(|e| e.offset).collect::<Vec<_>>(), [6, 8]);
        let inputs: Vec<_> =
            decision.produced.iter().map(|p| decision.done[p.input].offset).collect();
        assert_eq!(inputs, [5, 9, 9]);
        assert_eq!(decision.holds.len(), 1);
    }

    #[test]
    fn what_is_taken_back_was_never_decided() {
        let at = [(0, 5), (1, 7), (0, 6), (1, 8), (2, 1)];
        let batch = || Batch::new(at.iter().map(|(p, o)| consumed(*p, *o)).collect());
        let due = Some(Instant::now());
        let mut outcome = Outcome::new(batch());
        outcome.complete([output()]);
        outcome.hold(due);
        let mark = outcome.mark();
        outcome.complete([output(), output()]);
        assert_eq!(outcome.current().map(|e| e.partition), Some(2), "8 is behind the held event");
        outcome.hold(None);
        assert_eq!(outcome.current(), None);
        outcome.take_back(mark);
        assert_eq!(outcome.current().map(|e| (e.partition, e.offset)), Some((0, 6)));
        outcome.hold_rest(None);

        let decision = outcome.decide();
        let next: Vec<_> = decision.offsets.iter().map(|(at, o)| (at.partition, *o)).collect();
        assert_eq!((next, decision.produced.len()), (vec![(0, 6)], 1));
        let rest: Vec<_> = decision.rest.iter().map(|e| (e.partition, e.offset)).collect();
        assert_eq!(rest, [(1, 7), (0, 6), (1, 8), (2, 1)]);
        let mut holds: Vec<_> = decision.holds.iter().map(|(at, d)| (at.partition, *d)).collect();
        holds.sort();
        assert_eq!(holds, [(0, None), (1, due), (2, None)], "what was held before stays held");
    }

    #[test]
    fn what_was_not_reached_is_left_for_the_next_poll() {
        let mut outcome = Outcome::new(Batch::new(vec![consumed(0, 1), consumed(0, 2)]));
        outcome.complete([]);
        let decision = outcome.decide();
        assert_eq!(decision.offsets.values().copied().collect::<Vec<_>>(), [2]);
        assert_eq!(decision.rest.len(), 1);
    }
}
