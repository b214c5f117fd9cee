//! What becomes of events that fail: retries, dead letters, halts. Remembers attempts while the
//! session lives and the revision stays; in another one they count from the beginning.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Instant;

use tracing::{error, warn};

use crate::board::StatusCell;
use crate::event::{Consumed, Event, Position, TopicPartition, now_ms};
use crate::failpoint;
use crate::handler::{Failure, FailureKind, Handler, OnFailure};
use crate::handler_log::{self, Severity};

/// What happens to one event.
#[derive(Debug)]
pub(super) enum Verdict {
    /// It became these events: outputs, or its one dead letter.
    Done(Vec<Event>),
    /// Its partition waits until then, or for another revision or a restart.
    Hold(Option<Instant>),
    /// The revision is not to handle this one, nor any other: a rollback is asked for.
    Withdraw,
}

/// The failures of one session.
pub(super) struct Failures {
    handler: Arc<Handler>,
    /// The event each waiting partition waits at.
    waiting: HashMap<TopicPartition, Waiting>,
    /// Inputs whose outputs the log refuses.
    refused: HashMap<Position, Refused>,
    /// What the present transaction will have done, to be told once it is committed.
    dead_letters: Vec<(Position, Failure)>,
    /// Where the handler halts, and why.
    halts: Vec<(Position, Failure)>,
    /// The partitions that the present transaction holds until a retry.
    retries: Vec<TopicPartition>,
}

/// A place in what the present transaction will have done.
#[derive(Clone, Copy)]
pub(super) struct Mark {
    dead_letters: usize,
    halts: usize,
}

struct Waiting {
    offset: i64,
    /// How often the event's handling failed.
    failed: u32,
    /// When it is tried again.
    due: Instant,
    /// Why it failed last.
    reason: String,
}

struct Refused {
    reason: String,
    /// Whether its dead letter was refused as well.
    even_dead: bool,
}

impl Failures {
    pub(super) fn new(handler: Arc<Handler>) -> Self {
        Self {
            handler,
            waiting: HashMap::new(),
            refused: HashMap::new(),
            dead_letters: Vec::new(),
            halts: Vec::new(),
            retries: Vec::new(),
        }
    }

    /// The verdict on a failure; `random` is uniform in `0.0..1.0`.
    pub(super) fn verdict(&mut self, input: &Consumed, failure: &Failure, random: f64) -> Verdict {
        let failed = self.failed_before(input) + 1;
        if failure.kind == FailureKind::Retryable
            && let Some(pause) = self.handler.retry.pause(failed, random)
        {
            let due = Instant::now() + pause;
            let reason = text(&input.position(), failure);
            let waiting = Waiting { offset: input.offset, failed, due, reason };
            self.waiting.insert(input.topic_partition(), waiting);
            self.retries.push(input.topic_partition());
            return Verdict::Hold(Some(due));
        }
        match self.handler.on_failure {
            OnFailure::DeadLetter => self.dead_letter(input, failure.clone(), failed),
            OnFailure::Stop => self.halt(input, failure.clone()),
        }
    }

    /// The verdict on an input that needs no call: it is not due yet, since the transaction
    /// that was to hold it was abandoned, or the log refuses what it becomes.
    pub(super) fn known(&mut self, input: &Consumed) -> Option<Verdict> {
        if !self.waiting.is_empty()
            && let Some(waiting) = self.waiting.get(&input.topic_partition())
            && waiting.offset == input.offset
            && waiting.due > Instant::now()
        {
            self.retries.push(input.topic_partition());
            return Some(Verdict::Hold(Some(waiting.due)));
        }
        if self.refused.is_empty() {
            return None;
        }
        let refused = self.refused.get(&input.position())?;
        let even_dead = refused.even_dead;
        let failure = Failure::new(FailureKind::Rejected, refused.reason.clone());
        Some(if even_dead || self.handler.on_failure == OnFailure::Stop {
            self.halt(input, failure)
        } else {
            let attempts = self.failed_before(input) + 1;
            self.dead_letter(input, failure, attempts)
        })
    }

    /// The log refuses what this input became.
    pub(super) fn refuse(&mut self, input: Position, reason: String) {
        self.refused
            .entry(input)
            .and_modify(|refused| {
                refused.even_dead = true;
                refused.reason = format!("its dead letter is refused too: {reason}");
            })
            .or_insert(Refused { reason, even_dead: false });
    }

    /// The transaction, in which so many events of each partition were done, is committed: tell
    /// what it did, once for each transaction.
    pub(super) fn committed(
        &mut self,
        events: &BTreeMap<TopicPartition, u64>,
        status: &StatusCell,
    ) {
        status.committed(events, self.dead_letters.len() as u64);
        self.tell_dead_letters(status);
        for partition in self.retries.drain(..) {
            if let Some(Waiting { offset, due, reason, .. }) = self.waiting.get(&partition) {
                let at = Position {
                    topic: partition.topic,
                    partition: partition.partition,
                    offset: *offset,
                };
                status.retrying(&at, wall_clock(*due), reason.clone());
            }
        }
        for (position, failure) in self.halts.drain(..) {
            let text = text(&position, &failure);
            error!(
                handler = %self.handler.name,
                revision = self.handler.revision,
                "handler halted at {text}; correct the cause, then swap the handler or restart the \
                 host to go on"
            );
            tell_details(&self.handler, &position, &failure);
            status.halted(&position, text);
        }
    }

    fn tell_dead_letters(&mut self, status: &StatusCell) {
        if let Some((position, failure)) = self.dead_letters.first() {
            let text = text(position, failure);
            warn!(
                handler = %self.handler.name,
                revision = self.handler.revision,
                dead_letters = self.dead_letters.len(),
                topic = %self.handler.dead_letter_topic,
                "first dead letter of the transaction: {text}"
            );
            tell_details(&self.handler, position, failure);
            status.failed(text);
        }
        // A transaction may have thousands: each partition keeps its last one.
        let mut last = HashMap::new();
        for (position, failure) in self.dead_letters.drain(..) {
            self.refused.remove(&position);
            last.insert(position.topic_partition(), (position, failure));
        }
        for (partition, (position, failure)) in last {
            status.failed_in(&partition, text(&position, &failure));
        }
    }

    /// Another worker has the partition now, and counts anew.
    pub(super) fn forget(&mut self, partition: &TopicPartition) {
        self.waiting.remove(partition);
    }

    /// Where the present transaction stands.
    pub(super) fn mark(&self) -> Mark {
        Mark { dead_letters: self.dead_letters.len(), halts: self.halts.len() }
    }

    /// What the present transaction did from this place on is not done.
    pub(super) fn take_back(&mut self, mark: Mark) {
        self.dead_letters.truncate(mark.dead_letters);
        self.halts.truncate(mark.halts);
    }

    /// The transaction is not committed: its events come again.
    pub(super) fn rewound(&mut self) {
        self.dead_letters.clear();
        self.halts.clear();
        self.retries.clear();
    }

    /// How often handling this event failed so far.
    fn failed_before(&self, input: &Consumed) -> u32 {
        let waiting = self.waiting.get(&input.topic_partition());
        waiting.filter(|w| w.offset == input.offset).map_or(0, |w| w.failed)
    }

    fn dead_letter(&mut self, input: &Consumed, mut failure: Failure, attempts: u32) -> Verdict {
        let event = self.handler.dead_letter(input, &failure, attempts);
        if !self.dead_letters.is_empty() {
            // Only the first is told, and a transaction may have thousands.
            failure.details = String::new();
        }
        self.dead_letters.push((input.position(), failure));
        if failpoint::mutant("mutant-drop-dead-letter") {
            return Verdict::Done(Vec::new());
        }
        Verdict::Done(vec![event])
    }

    fn halt(&mut self, input: &Consumed, failure: Failure) -> Verdict {
        self.halts.push((input.position(), failure));
        Verdict::Hold(None)
    }
}

/// A failure in one line, whatever the handler said.
fn text(position: &Position, failure: &Failure) -> String {
    let mut text = format!("{position}: {}: ", failure.kind);
    for c in failure.message.chars() {
        if c.is_control() { text.extend(c.escape_default()) } else { text.push(c) }
    }
    text
}

/// A point in time as people and other machines know it, in milliseconds since the Unix epoch.
fn wall_clock(due: Instant) -> i64 {
    let left = due.saturating_duration_since(Instant::now());
    now_ms().saturating_add(i64::try_from(left.as_millis()).unwrap_or(i64::MAX))
}

/// Tells what a failure's message leaves out: an event of its own and without fields, which would
/// stand behind the last line.
pub(super) fn tell_details(handler: &Handler, position: &Position, failure: &Failure) {
    if !failure.details.is_empty() {
        let text = format!("more about {position}:\n{}", failure.details);
        warn!("{text}");
        handler_log::tell(&handler.name, handler.revision, Severity::Warn, &text);
    }
}
