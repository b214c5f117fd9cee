//! The bounded queue between those who speak and the one who takes away what was said.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::{Condvar, Mutex};

use super::entry::Entry;

/// Entries that may wait.
const ENTRIES: usize = 4_096;
/// Bytes that may wait, about.
const BYTES: usize = 4 << 20;

/// What was said and not taken away yet. Closed at first: without somebody who takes it away
/// nothing is kept.
#[derive(Default)]
pub struct Queue {
    open: AtomicBool,
    state: Mutex<State>,
    /// Something waits, or it was closed.
    changed: Condvar,
    /// It was closed.
    closing: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Taken,
    bytes: usize,
    closed: Option<Instant>,
}

/// What was taken away.
#[derive(Debug, Default, PartialEq)]
pub struct Taken {
    /// In the order in which it was said.
    pub entries: Vec<Entry>,
    /// How many entries were lost since, by handler.
    pub lost: BTreeMap<String, u64>,
}

impl Queue {
    /// Keeps what is said from now on.
    pub fn open(&self) {
        self.state.lock().closed = None;
        self.open.store(true, Ordering::Release);
    }

    /// Keeps nothing of what is said from now on; what waits can still be taken.
    pub fn close(&self) {
        self.open.store(false, Ordering::Release);
        self.state.lock().closed = Some(Instant::now());
        self.changed.notify_all();
        self.closing.notify_all();
    }

    /// Whether what is said is kept. Costs next to nothing.
    pub(super) fn is_open(&self) -> bool {
        self.open.load(Ordering::Acquire)
    }

    /// For how long it has been closed; `None` while it is open.
    pub fn closed_for(&self) -> Option<Duration> {
        self.state.lock().closed.map(|at| at.elapsed())
    }

    /// Keeps an entry, or counts it when there is no room. Never waits.
    pub(super) fn push(&self, entry: Entry) {
        if !self.is_open() {
            return;
        }
        let mut state = self.state.lock();
        let size = entry.size();
        // What follows a loss is lost too until it has been told: a count has one place.
        let room = state.waiting.lost.is_empty()
            && state.waiting.entries.len() < ENTRIES
            && state.bytes + size <= BYTES;
        if room {
            state.bytes += size;
            state.waiting.entries.push(entry);
        } else {
            *state.waiting.lost.entry(entry.handler).or_default() += 1;
        }
        drop(state);
        self.changed.notify_all();
    }

    /// Counts entries that were taken away and did not arrive.
    pub fn lose(&self, handler: &str, count: u64) {
        *self.state.lock().waiting.lost.entry(handler.to_owned()).or_default() += count;
    }

    /// Waits until something waits, and takes all of it. `None`: closed, and nothing is left.
    pub fn take(&self) -> Option<Taken> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed.is_some() {
                return None;
            }
            self.changed.wait(&mut state);
        }
        state.bytes = 0;
        Some(std::mem::take(&mut state.waiting))
    }

    /// Sleeps, but not beyond the close; `true` when it is closed.
    pub fn sleep(&self, duration: Duration) -> bool {
        let end = Instant::now() + duration;
        let mut state = self.state.lock();
        while state.closed.is_none() {
            if self.closing.wait_until(&mut state, end).timed_out() {
                break;
            }
        }
        state.closed.is_some()
    }
}

impl Taken {
    fn is_empty(&self) -> bool {
        self.entries.is_empty() && self.lost.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::handler_log::Severity;

    fn say(queue: &Queue, handler: &str, body: &str) {
        queue.push(Entry::now(handler, Some(1), Severity::Info, body));
    }

    #[test]
    fn what_is_said_is_taken_in_order_and_what_has_no_room_is_counted_by_handler() {
        let queue = Queue::default();
        queue.open();
        for number in 0..ENTRIES {
            say(&queue, "a", &number.to_string());
        }
        for handler in ["a", "b", "a"] {
            say(&queue, handler, "too much");
        }
        let taken = queue.take().unwrap();
        let bodies: Vec<_> = taken.entries.iter().map(|entry| entry.body.clone()).collect();
        let all: Vec<_> = (0..ENTRIES).map(|number| number.to_string()).collect();
        assert_eq!(bodies, all);
        assert_eq!(taken.lost, BTreeMap::from([("a".to_owned(), 2), ("b".to_owned(), 1)]));
        say(&queue, "a", "there is room again");
        assert_eq!(queue.take().map(|taken| taken.entries.len()), Some(1));
    }

    #[test]
    fn large_entries_are_counted_by_their_bytes() {
        let queue = Queue::default();
        queue.open();
        let large = "x".repeat(60 << 10);
        for _ in 0..1_000 {
            say(&queue, "a", &large);
        }
        let taken = queue.take().unwrap();
        assert!(taken.entries.len() < 100, "{}", taken.entries.len());
        assert_eq!(taken.entries.len() as u64 + taken.lost["a"], 1_000);
    }

    #[test]
    fn without_anybody_to_take_it_nothing_is_kept() {
        let queue = Queue::default();
        say(&queue, "a", "before");
        queue.open();
        say(&queue, "a", "one");
        queue.lose("b", 3);
        queue.close();
        say(&queue, "a", "after");
        assert!(queue.sleep(Duration::from_secs(3_600)));
        let taken = queue.take().unwrap();
        assert_eq!((taken.entries.len(), taken.lost["b"]), (1, 3));
        assert_eq!(queue.take(), None);
    }
}
