//! Waking those that wait for events, and threads that end with their owner.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError, channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::Context;
use parking_lot::{Condvar, Mutex};

/// The moment after `max_wait`, however long that is.
pub(super) fn deadline(max_wait: Duration) -> Instant {
    let now = Instant::now();
    now.checked_add(max_wait).unwrap_or_else(|| now + LONGEST_WAIT)
}

/// As good as no limit.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// Says that the log may have changed. Waiters look for themselves.
#[derive(Debug, Default)]
pub(super) struct Signal {
    version: Mutex<u64>,
    changed: Condvar,
}

impl Signal {
    /// To be taken before looking, so that a change in between is not missed.
    pub(super) fn current(&self) -> u64 {
        *self.version.lock()
    }

    /// Wakes everybody.
    pub(super) fn notify(&self) {
        *self.version.lock() += 1;
        self.changed.notify_all();
    }

    /// Returns when something changed after `seen` was taken, at `until` at the latest.
    pub(super) fn wait(&self, seen: u64, until: Instant) {
        let mut version = self.version.lock();
        while *version == seen {
            if self.changed.wait_until(&mut version, until).timed_out() {
                return;
            }
        }
    }
}

/// A thread that does something at an interval until it is dropped.
#[derive(Debug)]
pub(super) struct Ticker {
    /// Dropping it is the request to stop.
    owner: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// Lets a long tick ask whether its owner is gone.
#[derive(Debug)]
pub(super) struct Stop(Receiver<()>);

impl Stop {
    /// Whether the ticker is being dropped.
    pub(super) fn requested(&self) -> bool {
        self.0.try_recv() == Err(TryRecvError::Disconnected)
    }
}

impl Ticker {
    /// Starts the thread; its first tick comes after one interval.
    pub(super) fn start(
        name: &str,
        interval: Duration,
        mut tick: impl FnMut(&Stop) + Send + 'static,
    ) -> anyhow::Result<Self> {
        let (owner, stop) = channel();
        let stop = Stop(stop);
        let run = move || {
            while stop.0.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
                tick(&stop);
            }
        };
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.with_context(|| format!("failed to start the thread {name:?}"))?;
        Ok(Self { owner: Some(owner), thread: Some(thread) })
    }
}

impl Drop for Ticker {
    fn drop(&mut self) {
        drop(self.owner.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("a thread of the embedded log has panicked");
        }
    }
}
