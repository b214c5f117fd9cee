//! One handler on this host, from its start to its end: its active revision and its workers.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::watch;

use super::life::Life;
use crate::board::Board;
use crate::log::Log;
use crate::revision::Revision;
use crate::stop::Stop;
use crate::wasm::native_stack;
use crate::worker::subscription;

/// What a worker may take to end beyond the transaction that it is in: its commit, and leaving
/// its group.
const LEAVE: Duration = Duration::from_secs(30);

/// A handler that runs.
pub(super) struct Lifecycle {
    /// What the workers run. Dropped with the lifecycle, after their end.
    active: watch::Sender<Arc<Revision>>,
    /// The stack of the workers' threads, which no revision may outgrow.
    stack: usize,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Lifecycle {
    /// Starts the workers of a revision, each under a thread that watches it.
    pub(super) fn start(
        revision: &Arc<Revision>,
        log: &Arc<dyn Log>,
        board: &Board,
        host: &Arc<str>,
    ) -> anyhow::Result<Self> {
        let handler = &revision.handler;
        let mut lifecycle = Self {
            active: watch::Sender::new(Arc::clone(revision)),
            stack: native_stack(handler),
            stop: Stop::default(),
            threads: Vec::new(),
        };
        for slot in 0..handler.workers {
            let life = Life {
                name: handler.name.clone(),
                active: lifecycle.active.subscribe(),
                stack: lifecycle.stack,
                host: Arc::clone(host),
                slot,
                status: board.worker(handler, slot),
                log: Arc::clone(log),
                stop: lifecycle.stop.clone(),
            };
            let name = format!("{}-{slot}", handler.name);
            let watch = thread::Builder::new().name(format!("watch-{name}"));
            let thread = watch
                .spawn(move || life.watch())
                .with_context(|| format!("failed to start a thread for worker {name:?}"));
            match thread {
                Ok(thread) => lifecycle.threads.push(thread),
                Err(error) => {
                    // Those that run already must not stay without an owner.
                    lifecycle.request_stop();
                    board.remove(&handler.name);
                    return Err(error);
                }
            }
        }
        Ok(lifecycle)
    }

    /// Whether the workers can take this revision up as they are.
    pub(super) fn fits(&self, revision: &Revision) -> bool {
        let active = self.active.borrow();
        revision.handler.workers == active.handler.workers
            && subscription(revision, 0) == subscription(&active, 0)
            && native_stack(&revision.handler) <= self.stack
    }

    /// From now on each worker takes this revision up between two transactions.
    pub(super) fn swap(&self, revision: Arc<Revision>) {
        self.active.send_replace(revision);
    }

    /// How long its workers may take to end.
    pub(super) fn patience(&self) -> Duration {
        let handler = &self.active.borrow().handler;
        handler.interval + handler.limits.time + LEAVE
    }

    /// Asks the workers to end.
    pub(super) fn request_stop(&self) {
        self.stop.request();
    }

    /// Whether all workers have ended.
    pub(super) fn ended(&self) -> bool {
        self.threads.iter().all(JoinHandle::is_finished)
    }

    /// Lets go of the threads and names the workers that have not ended.
    pub(super) fn join(self) -> Vec<String> {
        let mut late = Vec::new();
        for thread in self.threads {
            if thread.is_finished() {
                // A panic was caught and told inside the thread.
                drop(thread.join());
            } else {
                late.push(thread.thread().name().unwrap_or_default().replace("watch-", ""));
            }
        }
        late
    }
}
