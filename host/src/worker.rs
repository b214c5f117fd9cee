//! The loop: poll, handle, commit. One worker is one thread with one session and one instance.
//!
//! One batch is one transaction. Handling cannot fail: a failure becomes a dead letter, or holds
//! its partition. The worker knows neither which log it works on nor how the sandbox is built.

mod failures;
mod fault_row;
mod recourse;
mod tags;
mod takeover;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio::sync::watch;
use tracing::{debug, debug_span, warn};

use crate::board::StatusCell;
use crate::deployment::fence::Fences;
use crate::event::{Consumed, Event, TopicPartition};
use crate::failpoint;
use crate::handler::{Failure, FailureKind, Handler, Output};
use crate::log::{self, Batch, Commit, Log, Outcome, Session, Subscription};
use crate::revision::Revision;
use crate::stop::Stop;
use crate::wasm::Instance;
use failures::{Failures, Verdict};
use recourse::{Recourse, Standing};
use tags::Tags;
use takeover::Takeovers;

/// How long a poll waits when there is nothing: also how late a worker notices a stop.
const MAX_WAIT: Duration = Duration::from_millis(100);
/// A transaction is committed once its outputs weigh this many times `batch.bytes`, however much
/// of the batch is left: each is within its limit, but the interval may see thousands of them.
const OUTPUTS_PER_INPUT: usize = 2;
/// What an event takes of the host beside its key, value and headers.
const EVENT_OVERHEAD: usize = 256;
/// The longest pause after transactions that were abandoned one after the other.
const MAX_ABANDON_PAUSE: Duration = Duration::from_secs(1);

/// One worker of a handler, as far as it outlives its sessions.
pub struct Worker {
    /// The active revision of its handler. It may change while the worker runs, as long as the
    /// [`subscription`] stays and the thread's stack is deep enough.
    pub active: watch::Receiver<Arc<Revision>>,
    /// The host's id, for the names of transactions.
    pub host: Arc<str>,
    /// Its number within the handler on this host, from 0.
    pub slot: u32,
    /// Where it says how it is.
    pub status: StatusCell,
    /// When it ends.
    pub stop: Stop,
}

impl Worker {
    /// Opens a session and works until a stop is requested. `Err` means that the session or the
    /// instance is finished; calling again begins anew from the committed offsets.
    pub fn run(&self, log: &dyn Log) -> anyhow::Result<()> {
        let mut active = self.active.clone();
        let revision = Arc::clone(&active.borrow_and_update());
        let instance = instantiate(&revision)?;
        let session = log.session(&subscription(&revision, self.slot))?;
        self.status.running(revision.handler.revision);
        let mut running = Running {
            worker: self,
            active,
            failures: Failures::new(Arc::clone(&revision.handler)),
            takeovers: Takeovers::new(revision.fences.clone()),
            recourse: Recourse::of(&revision),
            tags: Tags::new(&self.host, self.slot),
            handler: Arc::clone(&revision.handler),
            instance,
            abandoned: 0,
        };
        running.work(session)
    }
}

/// What a worker of this revision subscribes to.
pub fn subscription(revision: &Revision, slot: u32) -> Subscription {
    let handler = &revision.handler;
    let outputs = handler.to.iter().chain([&handler.dead_letter_topic]);
    let outputs = outputs.chain(revision.fences.as_deref().map(Fences::topic));
    Subscription {
        handler: handler.name.clone(),
        group: handler.group.clone(),
        topics: handler.from.clone(),
        outputs: outputs.cloned().collect(),
        slot,
        start: handler.start,
        bounds: handler.batch,
    }
}

fn instantiate(revision: &Revision) -> anyhow::Result<Instance> {
    revision.program.instantiate().context("failed to instantiate the component")
}

/// A worker with an open session.
struct Running<'a> {
    worker: &'a Worker,
    active: watch::Receiver<Arc<Revision>>,
    /// The revision that it has taken up: this, and an instance of it.
    handler: Arc<Handler>,
    instance: Instance,
    failures: Failures,
    takeovers: Takeovers,
    recourse: Recourse<Mark>,
    tags: Tags,
    /// Transactions abandoned one after the other.
    abandoned: u32,
}

/// A place in a transaction.
#[derive(Clone, Copy)]
struct Mark {
    outcome: log::Mark,
    failures: failures::Mark,
    takeovers: usize,
}

impl Running<'_> {
    /// However it ends, the session is closed, so that others get its partitions at once.
    fn work(&mut self, mut session: Box<dyn Session>) -> anyhow::Result<()> {
        let worked = self.serve(&mut *session);
        let closed = session.close();
        worked.and(closed)
    }

    fn serve(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        while !self.worker.stop.requested() {
            self.worker.status.beat();
            let batch = session.poll(MAX_WAIT)?;
            for partition in batch.lost() {
                self.failures.forget(partition);
                self.takeovers.forget(partition);
                self.worker.status.lost(partition);
            }
            for partition in batch.gained() {
                self.worker.status.gained(partition);
            }
            self.adopt_active_revision(session)?;
            let standing = self.recourse.standing();
            if standing == Standing::Returned {
                session.release()?;
            }
            if batch.is_empty() {
                continue;
            }
            failpoint::reach("after-poll");
            let _span = span(&self.handler, &batch);
            let (outcome, broken) = match standing {
                Standing::Withdrawn => (left_alone(batch), None),
                _ => self.process(batch),
            };
            let completed = outcome.completed();
            failpoint::reach("before-commit");
            let commit = session.commit(outcome)?;
            failpoint::reach("after-commit");
            self.settle(commit, &completed);
            if let Some(error) = broken {
                return Err(error);
            }
        }
        Ok(())
    }

    /// Takes up the active revision. Only here: between two transactions. After the poll rather
    /// than before it, so that a partition that another worker has just given up is never handled
    /// by an older revision than that worker's: what the poll handed over was committed before.
    ///
    /// What waits is tried again at once, for the new revision may be its cure.
    fn adopt_active_revision(&mut self, session: &mut dyn Session) -> anyhow::Result<()> {
        // An error says that the supervisor is gone; the stop follows.
        if !self.active.has_changed().unwrap_or(false) {
            return Ok(());
        }
        let revision = Arc::clone(&self.active.borrow_and_update());
        self.instance = instantiate(&revision)?;
        self.handler = Arc::clone(&revision.handler);
        self.failures = Failures::new(Arc::clone(&revision.handler));
        self.takeovers = Takeovers::new(revision.fences.clone());
        self.recourse = Recourse::of(&revision);
        session.release()?;
        self.worker.status.adopted(revision.handler.revision);
        debug!(handler = %revision.handler.name, slot = self.worker.slot,
            revision = revision.handler.revision, "revision taken up");
        Ok(())
    }

    /// Handles the batch event by event until it is done, it has become as much as a transaction
    /// may hold, the interval is over or a stop is requested. The error, if any, is the host's: no
    /// instance could be made.
    fn process(&mut self, batch: Batch) -> (Outcome, Option<anyhow::Error>) {
        let begun = Instant::now();
        self.tags.begin();
        let mut outcome = Outcome::new(batch);
        let mut weight = 0_usize;
        loop {
            failpoint::reach("mid-batch");
            let mark = self.mark(&outcome);
            let Some(input) = outcome.current() else { break };
            match self.handle(input, mark) {
                Ok(Verdict::Done(events)) => {
                    weight = events.iter().map(weigh).fold(weight, usize::saturating_add);
                    outcome.complete(events);
                }
                Ok(Verdict::Hold(due)) => outcome.hold(due),
                Ok(Verdict::Withdraw) => {
                    self.withdraw(&mut outcome);
                    break;
                }
                Err(error) => return (outcome, Some(error)),
            }
            let full = weight / OUTPUTS_PER_INPUT >= self.handler.batch.bytes;
            if full || begun.elapsed() >= self.handler.interval || self.worker.stop.requested() {
                break;
            }
        }
        (outcome, None)
    }

    /// What becomes of an event, with the record that goes with it.
    fn handle(&mut self, input: &Consumed, mark: Mark) -> anyhow::Result<Verdict> {
        let mut verdict = match self.failures.known(input) {
            Some(verdict) => verdict,
            None => self.call(input, mark)?,
        };
        if let Verdict::Done(events) = &mut verdict {
            self.tags.sign(&self.handler, events);
            events.extend(self.takeovers.record(input)?);
        }
        Ok(verdict)
    }

    fn call(&mut self, input: &Consumed, mark: Mark) -> anyhow::Result<Verdict> {
        let handler = &self.handler;
        let result = match self.instance.handle(input)? {
            Ok(outputs) => handler.route(input, outputs),
            Err(failure) => Err(failure),
        };
        Ok(match result {
            Ok(events) => {
                self.recourse.ended_well();
                Verdict::Done(events)
            }
            Err(failure) => {
                let verdict = self.fail(input, &failure, mark);
                if failpoint::mutant("mutant-produce-early") {
                    produce_early(&self.handler, input, verdict)
                } else {
                    verdict
                }
            }
        })
    }

    fn fail(&mut self, input: &Consumed, failure: &Failure, mark: Mark) -> Verdict {
        if failure.kind.is_fault() {
            self.instance.discard();
            if self.recourse.gives_up(input, failure, mark, &self.worker.status) {
                return Verdict::Withdraw;
            }
        } else {
            self.recourse.ended_well();
        }
        self.failures.verdict(input, failure, fastrand::f64())
    }

    /// The events of the faults that led here are handled by the revision that takes over, and
    /// everything waits for that one.
    fn withdraw(&mut self, outcome: &mut Outcome) {
        if let Some(mark) = self.recourse.withdraw() {
            outcome.take_back(mark.outcome);
            self.failures.take_back(mark.failures);
            self.takeovers.take_back(mark.takeovers);
        }
        outcome.hold_rest(None);
    }

    fn mark(&self, outcome: &Outcome) -> Mark {
        Mark {
            outcome: outcome.mark(),
            failures: self.failures.mark(),
            takeovers: self.takeovers.mark(),
        }
    }

    /// Draws the consequences of a commit of so many events of each partition.
    fn settle(&mut self, commit: Commit, completed: &BTreeMap<TopicPartition, u64>) {
        self.takeovers.settle(commit == Commit::Committed);
        self.recourse.settle(commit == Commit::Committed);
        match commit {
            Commit::Committed => {
                self.abandoned = 0;
                self.failures.committed(completed, &self.worker.status);
            }
            Commit::Abandoned(reason) => {
                self.failures.rewound();
                self.abandoned = self.abandoned.saturating_add(1);
                let pause = Duration::from_millis(1 << self.abandoned.min(10));
                let transaction = self.tags.current();
                // The first one is everyday life: a rebalance, a broker that restarts.
                if self.abandoned > 1 {
                    warn!(handler = %self.handler.name, times = self.abandoned,
                        transaction, "transaction abandoned, trying again: {reason}");
                } else {
                    debug!(transaction, "transaction abandoned, trying again: {reason}");
                }
                self.worker.stop.sleep(pause.min(MAX_ABANDON_PAUSE));
            }
            Commit::Rejected { input, reason } => {
                self.failures.rewound();
                warn!(handler = %self.handler.name, revision = self.handler.revision,
                    source = %input, kind = %FailureKind::Rejected, "the log refuses outputs: {reason}");
                self.failures.refuse(input, reason);
            }
        }
    }
}

/// What an output or a dead letter takes of the host until it is committed.
fn weigh(event: &Event) -> usize {
    event.weight().saturating_add(EVENT_OVERHEAD)
}

/// A mutant: something of an event is produced although its call did not end well.
fn produce_early(handler: &Handler, input: &Consumed, verdict: Verdict) -> Verdict {
    let Verdict::Done(mut events) = verdict else { return verdict };
    let Event { key, value, headers, timestamp_ms, .. } = input.event.clone();
    let early = Output { topic: None, key, value, headers, timestamp_ms };
    events.extend(handler.route(input, vec![early]).unwrap_or_default());
    Verdict::Done(events)
}

/// Nothing of the batch is handled, and all of it waits.
fn left_alone(batch: Batch) -> Outcome {
    let mut outcome = Outcome::new(batch);
    outcome.hold_rest(None);
    outcome
}

/// One span for each transaction.
fn span(handler: &Handler, batch: &Batch) -> tracing::span::EnteredSpan {
    let first = batch.events().first();
    debug_span!(
        "transaction",
        handler = %handler.name,
        revision = handler.revision,
        topic = first.map(|e| &*e.event.topic),
        partition = first.map(|e| e.partition),
        first_offset = first.map(|e| e.offset),
        events = batch.events().len(),
    )
    .entered()
}
