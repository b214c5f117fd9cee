//! One worker's lives: rebuilds what died with back-off, notices what hangs.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tokio::sync::watch;
use tracing::{error, info, warn};

use crate::board::StatusCell;
use crate::log::Log;
use crate::panics;
use crate::retry::RetryPolicy;
use crate::revision::Revision;
use crate::stop::Stop;
use crate::worker::Worker;

/// Pauses between the lives of a worker.
const REBIRTH: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    initial: Duration::from_millis(200),
    max: Duration::from_secs(10),
    multiplier: 2.0,
    jitter: 0.3,
};
/// A worker that lived for so long has recovered: its next pause is the first one again.
const RECOVERED: Duration = Duration::from_secs(60);
/// How often the watchdog looks.
const WATCH: Duration = Duration::from_secs(1);
/// What a worker may take beyond its own budget before it counts as hanging.
const GRACE: Duration = Duration::from_secs(120);
/// How soon a resting worker hears of another revision.
const STEP: Duration = Duration::from_millis(100);

/// All lives of one worker.
#[derive(Clone)]
pub(super) struct Life {
    /// The handler's name.
    pub(super) name: String,
    /// What the worker runs.
    pub(super) active: watch::Receiver<Arc<Revision>>,
    /// The stack of its thread, in bytes.
    pub(super) stack: usize,
    /// The host's id.
    pub(super) host: Arc<str>,
    /// Its number within the handler on this host, from 0.
    pub(super) slot: u32,
    /// Where it says how it is.
    pub(super) status: StatusCell,
    /// Where its sessions come from.
    pub(super) log: Arc<dyn Log>,
    /// Ends it for good.
    pub(super) stop: Stop,
}

impl Life {
    /// Runs the worker on a thread of its own and watches it. A worker that hangs in a call that
    /// has no timeout is left behind: its successor has the same transactional ids, so that
    /// nothing the old one may still do becomes visible. On Kafka the group takes the partitions
    /// from the old one after `max.poll.interval.ms`.
    pub(super) fn watch(&self) {
        let mut limit = Duration::ZERO;
        while !self.stop.requested() {
            // A stop of its own, so that a worker left behind ends as soon as it wakes.
            let own_stop = Stop::default();
            let Some(thread) = self.spawn(&own_stop) else {
                self.stop.sleep(WATCH);
                continue;
            };
            while !thread.is_finished() {
                if self.stop.sleep(WATCH) {
                    own_stop.request();
                    // Bounded by those who wait for this thread.
                    drop(thread.join());
                    return;
                }
                // The worker may still be in a call of a revision that was allowed more.
                limit = limit.max(self.budget() + GRACE);
                if self.status.silence() > limit {
                    error!(
                        handler = %self.name, slot = self.slot,
                        "worker has been silent for {:?}; starting another in its place",
                        self.status.silence()
                    );
                    own_stop.request();
                    self.status.beat();
                    break;
                }
            }
        }
    }

    /// How long the active revision may work without a sign of life.
    fn budget(&self) -> Duration {
        let handler = &self.active.borrow().handler;
        handler.interval + handler.limits.time
    }

    fn spawn(&self, stop: &Stop) -> Option<JoinHandle<()>> {
        let life = self.clone();
        let stop = stop.clone();
        let spawned = thread::Builder::new()
            .name(format!("{}-{}", self.name, self.slot))
            .stack_size(self.stack)
            .spawn(move || life.live(&stop));
        spawned
            .inspect_err(|error| {
                self.status.backing_off(format!("failed to start a thread: {error}"));
            })
            .ok()
    }

    /// Lives again and again until a stop is requested.
    fn live(&self, stop: &Stop) {
        let worker = Worker {
            active: self.active.clone(),
            host: Arc::clone(&self.host),
            slot: self.slot,
            status: self.status.clone(),
            stop: stop.clone(),
        };
        let (handler, slot) = (&self.name, self.slot);
        let mut deaths = 0;
        while !stop.requested() {
            let born = Instant::now();
            let mut active = self.active.clone();
            active.mark_unchanged();
            self.status.starting();
            let result = catch_unwind(AssertUnwindSafe(|| worker.run(&*self.log)));
            if stop.requested() {
                // What ended it does not matter any more: nothing of it is committed.
                break;
            }
            let problem = match result {
                Ok(Ok(())) => break,
                Ok(Err(error)) => format!("{error:#}"),
                Err(panic) => format!("a defect of the host: {}", panics::text(&*panic)),
            };
            if born.elapsed() > RECOVERED {
                deaths = 0;
            }
            deaths += 1;
            let pause = REBIRTH.backoff(deaths, fastrand::f64());
            warn!(%handler, slot, "worker ended, starting again in {pause:.1?}: {problem}");
            self.status.backing_off(problem);
            self.rest(stop, pause, &active);
        }
        // Not so when another one has taken its place.
        if self.stop.requested() {
            self.status.stopped();
            info!(%handler, slot, "worker stopped");
        }
    }

    /// Sleeps in short steps that the watchdog sees, and no longer than until another revision
    /// becomes active, which may be what the worker needs.
    fn rest(&self, stop: &Stop, pause: Duration, active: &watch::Receiver<Arc<Revision>>) {
        let end = Instant::now() + pause;
        while Instant::now() < end && !active.has_changed().unwrap_or(true) {
            self.status.beat();
            if stop.sleep(STEP.min(end.saturating_duration_since(Instant::now()))) {
                return;
            }
        }
    }
}
