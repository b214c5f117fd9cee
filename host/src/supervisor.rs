//! Runs the workers of a host: starts them, rebuilds what died with back-off, notices what
//! hangs, stops them in time. One worker's death never touches another.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tracing::{error, info, warn};

use crate::board::{Board, StatusCell};
use crate::handler::Handler;
use crate::log::Log;
use crate::panics;
use crate::retry::RetryPolicy;
use crate::stop::Stop;
use crate::wasm::{Program, Runtime};
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

/// The running workers of a host.
pub struct Supervisor {
    log: Arc<dyn Log>,
    board: Board,
    stop: Stop,
    threads: Vec<JoinHandle<()>>,
}

impl Supervisor {
    /// A supervisor without workers.
    pub fn new(log: Arc<dyn Log>, board: Board, stop: Stop) -> Self {
        Self { log, board, stop, threads: Vec::new() }
    }

    /// Starts the workers of a handler.
    pub fn start(&mut self, handler: &Arc<Handler>, program: &Arc<Program>) -> anyhow::Result<()> {
        for slot in 0..handler.workers {
            let life = Life {
                handler: Arc::clone(handler),
                program: Arc::clone(program),
                slot,
                status: self.board.worker(handler, slot),
                log: Arc::clone(&self.log),
                stop: self.stop.clone(),
            };
            let name = format!("{}-{slot}", handler.name);
            let watch = thread::Builder::new().name(format!("watch-{name}"));
            self.threads.push(
                watch
                    .spawn(move || life.watch())
                    .with_context(|| format!("failed to start a thread for worker {name:?}"))?,
            );
        }
        Ok(())
    }

    /// Asks the workers to stop and waits until they have left their groups. Calls that are
    /// still running after half of the time are interrupted. A worker that hangs all the same,
    /// because the log does not answer, is left to the end of the process.
    pub fn stop(self, sandbox: &Runtime, deadline: Instant) {
        self.stop.request();
        let patience = Instant::now() + deadline.saturating_duration_since(Instant::now()) / 2;
        while self.threads.iter().any(|thread| !thread.is_finished()) && Instant::now() < patience {
            thread::sleep(Duration::from_millis(5));
        }
        if self.threads.iter().any(|thread| !thread.is_finished()) {
            sandbox.interrupt();
        }
        let mut late = Vec::new();
        for thread in self.threads {
            while !thread.is_finished() && Instant::now() < deadline {
                thread::sleep(Duration::from_millis(5));
            }
            if thread.is_finished() {
                // A panic was caught and told inside the thread.
                drop(thread.join());
            } else {
                late.push(thread.thread().name().unwrap_or_default().replace("watch-", ""));
            }
        }
        if !late.is_empty() {
            warn!(
                "workers {late:?} did not stop in time; nothing of their transactions is visible, \
                 and the log aborts them"
            );
        }
    }
}

/// All lives of one worker.
#[derive(Clone)]
struct Life {
    handler: Arc<Handler>,
    program: Arc<Program>,
    slot: u32,
    status: StatusCell,
    log: Arc<dyn Log>,
    stop: Stop,
}

impl Life {
    /// Runs the worker on a thread of its own and watches it. A worker that hangs in a call that
    /// has no timeout is left behind: its successor has the same transactional ids, so that
    /// nothing the old one may still do becomes visible. On Kafka the group takes the partitions
    /// from the old one after `max.poll.interval.ms`.
    fn watch(&self) {
        let limit = self.handler.interval + self.handler.limits.time + GRACE;
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
                    // Bounded by the deadline of `Supervisor::stop`.
                    drop(thread.join());
                    return;
                }
                if self.status.silence() > limit {
                    error!(
                        handler = %self.handler.name, slot = self.slot,
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

    fn spawn(&self, stop: &Stop) -> Option<JoinHandle<()>> {
        let life = self.clone();
        let stop = stop.clone();
        let spawned = thread::Builder::new()
            .name(format!("{}-{}", self.handler.name, self.slot))
            .stack_size(crate::wasm::native_stack(&self.handler))
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
            handler: Arc::clone(&self.handler),
            program: Arc::clone(&self.program),
            slot: self.slot,
            status: self.status.clone(),
            stop: stop.clone(),
        };
        let (handler, slot) = (&self.handler.name, self.slot);
        let mut deaths = 0;
        while !stop.requested() {
            let born = Instant::now();
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
            self.rest(stop, pause);
        }
        // Not so when another one has taken its place.
        if self.stop.requested() {
            self.status.stopped();
            info!(%handler, slot, "worker stopped");
        }
    }

    /// Sleeps in short steps that the watchdog sees.
    fn rest(&self, stop: &Stop, pause: Duration) {
        let end = Instant::now() + pause;
        while Instant::now() < end {
            self.status.beat();
            if stop.sleep(WATCH.min(end.saturating_duration_since(Instant::now()))) {
                return;
            }
        }
    }
}
