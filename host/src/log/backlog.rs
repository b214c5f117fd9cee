//! What a session has read and not yet committed, in memory.
//!
//! Both logs keep the same bookkeeping: events to hand over next, and partitions that wait for
//! a retry with the events behind it. Dropping a partition forgets it entirely. No I/O.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use super::{Batch, BatchBounds};
use crate::event::{Consumed, TopicPartition};

/// Events read but not committed.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    ready: VecDeque<Consumed>,
    /// The weight of what is ready.
    bytes: usize,
    held: HashMap<TopicPartition, Held>,
}

#[derive(Debug)]
struct Held {
    /// When the partition goes on; `None`: not by itself.
    due: Option<Instant>,
    events: VecDeque<Consumed>,
}

impl Backlog {
    /// Adds an event read from the log, behind the others.
    pub(super) fn push(&mut self, event: Consumed) {
        if !self.held.is_empty()
            && let Some(held) = self.held.get_mut(&event.topic_partition())
        {
            held.events.push_back(event);
        } else {
            self.bytes += event.event.weight();
            self.ready.push_back(event);
        }
    }

    /// Puts events back in front, in order: they were handed over and are not done.
    pub(super) fn restore(&mut self, events: Vec<Consumed>) {
        for event in events.into_iter().rev() {
            match self.held.get_mut(&event.topic_partition()) {
                Some(held) => held.events.push_front(event),
                None => {
                    self.bytes += event.event.weight();
                    self.ready.push_front(event);
                }
            }
        }
    }

    /// Holds a partition until `due`. What is ready of it waits too.
    pub(super) fn hold(&mut self, at: TopicPartition, due: Option<Instant>) {
        let (waiting, ready) =
            self.ready.drain(..).partition(|event| event.topic_partition() == at);
        self.ready = ready;
        self.count();
        let held = self.held.entry(at).or_insert_with(|| Held { due, events: VecDeque::default() });
        held.due = due;
        held.events.extend::<VecDeque<_>>(waiting);
    }

    /// Ends the holds that are due and names their partitions.
    pub(super) fn release_due(&mut self, now: Instant) -> Vec<TopicPartition> {
        self.release(|held| held.due.is_some_and(|due| due <= now))
    }

    /// Ends all holds, also those without end, and names their partitions.
    pub(super) fn release_all(&mut self) -> Vec<TopicPartition> {
        self.release(|_| true)
    }

    fn release(&mut self, over: impl Fn(&Held) -> bool) -> Vec<TopicPartition> {
        let over: Vec<_> =
            self.held.iter().filter(|(_, held)| over(held)).map(|(at, _)| at.clone()).collect();
        for at in &over {
            if let Some(held) = self.held.remove(at) {
                self.restore(held.events.into());
            }
        }
        over
    }

    /// When the next hold ends.
    pub(super) fn next_due(&self) -> Option<Instant> {
        self.held.values().filter_map(|held| held.due).min()
    }

    /// Forgets the partitions for which `gone` is true, held or not.
    pub(super) fn forget(&mut self, gone: impl Fn(&TopicPartition) -> bool) {
        self.ready.retain(|event| !gone(&event.topic_partition()));
        self.count();
        self.held.retain(|at, _| !gone(at));
    }

    /// Whether the partition waits.
    pub(super) fn is_held(&self, at: &TopicPartition) -> bool {
        self.held.contains_key(at)
    }

    /// Whether nothing is ready.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty()
    }

    /// Whether what is ready fills a batch.
    pub(super) fn fills(&self, bounds: BatchBounds) -> bool {
        self.ready.len() >= bounds.events || self.bytes >= bounds.bytes
    }

    /// Takes the next batch within its bounds, at least one event when one is ready.
    pub(super) fn take(&mut self, bounds: BatchBounds) -> Batch {
        let mut bytes = 0;
        let mut count = 0;
        for event in self.ready.iter().take(bounds.events.max(1)) {
            bytes += event.event.weight();
            if count > 0 && bytes > bounds.bytes {
                break;
            }
            count += 1;
        }
        let events: Vec<_> = self.ready.drain(..count).collect();
        self.bytes -= events.iter().map(|event| event.event.weight()).sum::<usize>();
        Batch::new(events)
    }

    fn count(&mut self) {
        self.bytes = self.ready.iter().map(|event| event.event.weight()).sum();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::event::{Event, Header};

    fn consumed(partition: i32, offset: i64) -> Consumed {
        let event = Event {
            topic: "t".into(),
            key: None,
            value: Some(vec![0; 10]),
            headers: vec![],
            timestamp_ms: None,
        };
        Consumed { event, partition, offset }
    }

    fn offsets(batch: &Batch) -> Vec<i64> {
        batch.events().iter().map(|e| e.offset).collect()
    }

    const WIDE: BatchBounds = BatchBounds { events: 100, bytes: 10_000 };

    #[test]
    fn a_held_partition_comes_back_in_order_and_first() {
        let now = Instant::now();
        let mut backlog = Backlog::default();
        for (partition, offset) in [(0, 1), (1, 10), (0, 2)] {
            backlog.push(consumed(partition, offset));
        }
        let at = consumed(0, 0).topic_partition();
        backlog.hold(at.clone(), Some(now));
        backlog.push(consumed(0, 3));
        backlog.restore(vec![consumed(0, 0)]);
        assert_eq!(offsets(&backlog.take(WIDE)), [10]);
        assert_eq!(backlog.release_due(now), [at]);
        assert_eq!(offsets(&backlog.take(WIDE)), [0, 1, 2, 3]);
    }

    #[test]
    fn a_hold_without_end_is_never_due_and_is_forgotten_with_its_partition() {
        let mut backlog = Backlog::default();
        let at = consumed(0, 0).topic_partition();
        backlog.push(consumed(0, 1));
        backlog.hold(at.clone(), None);
        assert!(backlog.release_due(Instant::now() + Duration::from_secs(1_000)).is_empty());
        backlog.forget(|gone| *gone == at);
        backlog.push(consumed(0, 2));
        assert_eq!(offsets(&backlog.take(WIDE)), [2]);
    }

    #[test]
    fn all_holds_can_be_ended_at_once_and_each_partition_keeps_its_order() {
        let mut backlog = Backlog::default();
        for (partition, offset) in [(0, 1), (1, 7), (0, 2), (1, 8)] {
            backlog.push(consumed(partition, offset));
        }
        let at = |partition| consumed(partition, 0).topic_partition();
        backlog.hold(at(0), None);
        backlog.hold(at(1), Some(Instant::now() + Duration::from_secs(1_000)));
        backlog.push(consumed(0, 3));
        let mut released = backlog.release_all();
        released.sort();
        assert_eq!(released, [at(0), at(1)]);
        let batch = backlog.take(WIDE);
        let of = |partition| -> Vec<i64> {
            let events = batch.events().iter().filter(|e| e.partition == partition);
            events.map(|e| e.offset).collect()
        };
        assert_eq!((of(0), of(1)), (vec![1, 2, 3], vec![7, 8]));
    }

    #[test]
    fn what_is_ready_counts_towards_the_bounds_wherever_it_came_from() {
        let bounds = BatchBounds { events: 100, bytes: 30 };
        let mut backlog = Backlog::default();
        backlog.push(consumed(0, 2));
        backlog.push(consumed(1, 7));
        assert!(!backlog.fills(bounds));
        backlog.restore(vec![consumed(0, 1)]);
        assert!(backlog.fills(bounds));
        backlog.hold(consumed(0, 0).topic_partition(), Some(Instant::now()));
        assert!(!backlog.fills(bounds));
        backlog.release_due(Instant::now());
        assert!(backlog.fills(bounds));
        assert_eq!(backlog.take(bounds).events().len(), 3);
        assert!(!backlog.fills(bounds));
    }

    #[test]
    fn headers_of_nothing_fill_a_batch_too() {
        let nothing = Header { name: String::new(), value: None };
        let mut backlog = Backlog::default();
        for offset in 0..5 {
            let mut heavy = consumed(0, offset);
            heavy.event.headers = vec![nothing.clone(); 1_000];
            backlog.push(heavy);
        }
        let bounds = BatchBounds { events: 100, bytes: 150_000 };
        assert!(backlog.fills(bounds));
        assert_eq!(offsets(&backlog.take(bounds)), [0, 1]);
    }

    #[test]
    fn a_batch_ends_at_its_bounds_and_one_event_always_fits() {
        let mut backlog = Backlog::default();
        (0..5).for_each(|offset| backlog.push(consumed(0, offset)));
        assert_eq!(offsets(&backlog.take(BatchBounds { events: 2, bytes: 10_000 })), [0, 1]);
        assert_eq!(offsets(&backlog.take(BatchBounds { events: 9, bytes: 1 })), [2]);
        assert_eq!(offsets(&backlog.take(BatchBounds { events: 9, bytes: 20 })), [3, 4]);
    }
}
