//! Group commit: appends queue up, one thread writes what waits in one transaction.
//!
//! A receipt is completed after the commit, so nothing is acknowledged before it is synced, and
//! each one is completed: neither a disk that fails nor a panic leaves anybody waiting.

use std::collections::VecDeque;
use std::mem::replace;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::JoinHandle;

use anyhow::Context;
use parking_lot::{Condvar, Mutex};

use super::store::Shared;
use crate::event::{Event, Position};
use crate::failpoint;
use crate::log::{AppendError, Completer, Receipt};
use crate::panics;

/// Events that may wait for the thread.
const QUEUE_EVENTS: usize = 100_000;

/// Bytes that may wait for the thread; one event always fits.
const QUEUE_BYTES: usize = 64 * 1024 * 1024;

/// What one transaction takes of the queue, so that sessions get their turn in between.
const TRANSACTION_BYTES: usize = 8 * 1024 * 1024;

/// The thread and its queue. Dropping it writes what still waits.
pub(super) struct Appender {
    queue: Arc<Queue>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Waiting>,
    /// The size of what waits.
    bytes: usize,
    /// The appender is being dropped.
    closed: bool,
}

struct Waiting {
    event: Event,
    /// As counted on arrival.
    size: usize,
    partition: Option<i32>,
    completer: Completer,
}

impl Appender {
    /// Starts the thread.
    pub(super) fn start(shared: Arc<Shared>) -> anyhow::Result<Self> {
        let queue = Arc::new(Queue::default());
        let theirs = Arc::clone(&queue);
        let mut writer = Writer { shared, failing: false };
        let run = move || {
            while let Some(waiting) = theirs.take() {
                writer.write(waiting);
            }
        };
        let thread = std::thread::Builder::new().name("log-appender".to_owned()).spawn(run);
        let thread = thread.context("failed to start the appender of the log")?;
        Ok(Self { queue, thread: Some(thread) })
    }

    /// Queues one event.
    pub(super) fn append(
        &self,
        event: Event,
        partition: Option<i32>,
    ) -> Result<Receipt, AppendError> {
        let size = event.size();
        let mut state = self.queue.state.lock();
        let is_full = state.waiting.len() >= QUEUE_EVENTS || state.bytes + size > QUEUE_BYTES;
        if is_full && !state.waiting.is_empty() {
            return Err(AppendError::QueueFull);
        }
        let (completer, receipt) = Receipt::pair();
        state.bytes += size;
        state.waiting.push_back(Waiting { event, size, partition, completer });
        drop(state);
        self.queue.changed.notify_one();
        Ok(receipt)
    }
}

impl Drop for Appender {
    fn drop(&mut self) {
        self.queue.state.lock().closed = true;
        self.queue.changed.notify_one();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the appender of the embedded log has panicked");
        }
    }
}

impl Queue {
    /// Waits for events and takes what fits into a transaction; `None` when none will come.
    fn take(&self) -> Option<Vec<Waiting>> {
        let mut state = self.state.lock();
        while state.waiting.is_empty() {
            if state.closed {
                return None;
            }
            self.changed.wait(&mut state);
        }
        let (mut bytes, mut count) = (0, 0);
        for waiting in &state.waiting {
            if count > 0 && bytes + waiting.size > TRANSACTION_BYTES {
                break;
            }
            (bytes, count) = (bytes + waiting.size, count + 1);
        }
        state.bytes -= bytes;
        Some(state.waiting.drain(..count).collect())
    }
}

/// What the thread does.
struct Writer {
    shared: Arc<Shared>,
    /// The last transaction failed, and that was told.
    failing: bool,
}

impl Writer {
    /// Writes in one transaction and answers everybody, also after a panic: the transaction is
    /// rolled back as it unwinds, so that the next one begins from what the disk holds.
    fn write(&mut self, waiting: Vec<Waiting>) {
        let answers = catch_unwind(AssertUnwindSafe(|| transact(&self.shared, &waiting)));
        let problem = match answers {
            Ok(Ok(answers)) => return self.answer(waiting, answers),
            Ok(Err(error)) => error.to_string(),
            Err(panic) => format!("a defect of the host: {}", panics::text(&*panic)),
        };
        let dir = self.shared.dir.display();
        if !replace(&mut self.failing, true) {
            tracing::error!(%dir, events = waiting.len(), problem,
                "failed to write appended events; they were not acknowledged");
        }
        let reason = format!("failed to write to {:?}: {problem}", self.shared.dir);
        for waiting in waiting {
            waiting.completer.complete(Err(AppendError::Unavailable(reason.clone())));
        }
    }

    fn answer(&mut self, waiting: Vec<Waiting>, answers: Vec<Answer>) {
        // Refusals alone write nothing and say nothing about the disk.
        if self.failing && answers.iter().any(Result::is_ok) {
            self.failing = false;
            tracing::info!(dir = %self.shared.dir.display(), "appended events are written again");
        }
        self.shared.signal.notify();
        for (waiting, answer) in waiting.into_iter().zip(answers) {
            let topic = waiting.event.topic;
            let answer = answer.map(|(partition, offset)| Position { topic, partition, offset });
            waiting.completer.complete(answer);
        }
    }
}

type Answer = Result<(i32, i64), AppendError>;

fn transact(shared: &Shared, waiting: &[Waiting]) -> rusqlite::Result<Vec<Answer>> {
    let mut store = shared.store.lock();
    let mut write = store.begin((shared.clock)())?;
    let answers = waiting.iter().map(|one| {
        failpoint::reach("mid-append");
        write.append(&one.event, one.partition)
    });
    let answers = answers.collect::<Result<_, _>>()?;
    failpoint::reach("before-append-commit");
    write.commit()?;
    failpoint::reach("after-append-commit");
    Ok(answers)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::logged;
    use crate::topic::TopicSpec;

    /// Writes one event to this topic; whether it was acknowledged.
    fn write(writer: &mut Writer, topic: &str) -> bool {
        let (completer, receipt) = Receipt::pair();
        let event = Event {
            topic: topic.into(),
            key: None,
            value: None,
            headers: vec![],
            timestamp_ms: None,
        };
        writer.write(vec![Waiting { event, size: 0, partition: None, completer }]);
        receipt.wait_blocking().is_ok()
    }

    #[test]
    fn a_disk_that_fails_is_told_once_and_so_is_its_recovery() {
        let dir = tempfile::TempDir::new().unwrap();
        let shared = Arc::new(Shared::open(dir.path(), None, Arc::new(|| 0)).unwrap());
        assert!(shared.store.lock().create_topic(&TopicSpec::named("t")).unwrap());
        let disk =
            rusqlite::Connection::open(dir.path().join(super::super::storage::FILE)).unwrap();
        let mut writer = Writer { shared, failing: false };
        let log = logged(|| {
            assert!(write(&mut writer, "t"));
            let fail = "CREATE TRIGGER fail BEFORE INSERT ON records \
                BEGIN SELECT raise(ABORT, 'no'); END";
            disk.execute_batch(fail).unwrap();
            assert!((0..5).all(|_| !write(&mut writer, "t")));
            assert!(!write(&mut writer, "missing"));
            assert!(!write(&mut writer, "t"));
            disk.execute_batch("DROP TRIGGER fail").unwrap();
            assert!(write(&mut writer, "t") && write(&mut writer, "t"));
        });
        assert_eq!(log.matches("not acknowledged").count(), 1, "{log}");
        assert_eq!(log.matches("written again").count(), 1, "{log}");
    }
}
