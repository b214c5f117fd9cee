//! A worker's transactional view of Kafka: one consumer, two transactional producers in turn.
//!
//! A producer that begins again right after its commit waits for the broker to write markers;
//! two in turn do not. The second begins only when the first one's transaction is decided, so
//! at most one is open. A transaction spans one `commit` call and never a poll.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::Offset;

use super::Identity;
use super::client::Clients;
use super::consumer::{GroupConsumer, Polled, list};
use super::producer::{Failed, TransactionalProducer};
use super::watched::drop_within;
use crate::event::TopicPartition;
use crate::failpoint;
use crate::log::backlog::Backlog;
use crate::log::{
    Batch, BatchBounds, Commit, Decision, Outcome, Reassigned, Session, Subscription,
};

/// One consumer and two producers.
pub(super) struct KafkaSession {
    // Dropped first: leaves the group before the producers go.
    consumer: GroupConsumer,
    producers: [TransactionalProducer; 2],
    turn: usize,
    backlog: Backlog,
    bounds: BatchBounds,
    /// Events of the next batch; smaller than the bound while a refused record is searched.
    limit: usize,
    /// Transactions abandoned in a row.
    abandoned: u32,
}

/// After so many the session is given up: a new one begins from the committed offsets.
const MAX_ABANDONED: u32 = 20;

/// How long leaving the group may take; without a broker it would take for ever.
const CLOSE_LIMIT: Duration = Duration::from_secs(10);

impl KafkaSession {
    /// Has both producers decide what was left open, and only then joins the group: the offsets
    /// that the consumer starts from are final.
    pub(super) fn open(
        clients: &Arc<Clients>,
        identity: &Identity,
        subscription: &Subscription,
    ) -> anyhow::Result<Self> {
        let producer = |turn: usize| {
            let Identity { cluster_id, host_id } = identity;
            let Subscription { handler, slot, .. } = subscription;
            let id = format!("{cluster_id}-{handler}-{host_id}-{slot}-{turn}");
            TransactionalProducer::open(clients, id, &subscription.outputs)
        };
        let producers = [producer(0)?, producer(1)?];
        Ok(Self {
            consumer: GroupConsumer::open(clients, subscription)?,
            producers,
            turn: 0,
            backlog: Backlog::default(),
            bounds: subscription.bounds,
            limit: subscription.bounds.events,
            abandoned: 0,
        })
    }

    fn resume_due(&mut self) -> anyhow::Result<()> {
        let due = self.backlog.release_due(Instant::now());
        if due.is_empty() { Ok(()) } else { self.consumer.resume(&due) }
    }

    /// Writes the transaction with the producer whose turn it is.
    fn transact(&mut self, decision: &Decision) -> Result<(), Failed> {
        let offsets = list(decision.offsets.iter().map(|(at, next)| (at, Offset::Offset(*next))))
            .map_err(Failed::Fatal)?;
        let group = self.consumer.group_metadata().map_err(Failed::Fatal)?;
        if self.consumer.lost() {
            return Err(Failed::Unopened("the partitions were lost".to_owned()));
        }
        if self.producers.iter().any(TransactionalProducer::shaken) {
            for producer in &mut self.producers {
                producer.replace().map_err(Failed::Fatal)?;
            }
        }
        if failpoint::mutant("mutant-offsets-outside") {
            self.consumer.commit(&offsets).map_err(Failed::Fatal)?;
        }
        let turn = self.turn;
        self.turn = 1 - turn;
        let producer = &mut self.producers[turn];
        let filled = producer.fill(&decision.produced, offsets, group);
        let result = filled.and_then(|()| self.end(turn));
        if let Err(Failed::Abort(_) | Failed::Refused(..)) = &result {
            let producer = &mut self.producers[turn];
            if failpoint::mutant("mutant-skip-abort") {
                producer.commit()?;
            } else {
                producer.abort().map_err(Failed::Fatal)?;
            }
        }
        result
    }

    /// Commits what a producer has open. A mutant leaves each other transaction open, until the
    /// one behind it is committed.
    fn end(&mut self, turn: usize) -> Result<(), Failed> {
        if !failpoint::mutant("mutant-overlap") {
            return self.producers[turn].commit();
        }
        let before = 1 - turn;
        if !self.producers[before].is_open() {
            return Ok(());
        }
        self.producers[turn].commit()?;
        failpoint::reach("late-commit");
        self.producers[before].commit()
    }

    /// Keeps what was not done for the next poll and pauses what waits.
    fn settle(&mut self, decision: Decision) -> anyhow::Result<()> {
        let held: Vec<TopicPartition> = decision.holds.keys().cloned().collect();
        for (at, due) in decision.holds {
            self.backlog.hold(at, due);
        }
        self.backlog.restore(decision.rest);
        if held.is_empty() { Ok(()) } else { self.consumer.pause(&held) }
    }

    /// Puts everything back: the batch is still in memory, so no seek is needed. Partitions
    /// that were lost meanwhile are dropped by the next poll.
    fn rewind(&mut self, decision: Decision) {
        self.backlog.restore(decision.rest);
        if !failpoint::mutant("mutant-skip-rewind") {
            self.backlog.restore(decision.done);
        }
    }

    /// Finds the one input whose records are refused. A broker refuses whole requests, so good
    /// records may be refused with a bad one: halve the batch until one input is left.
    fn refuse(&mut self, decision: Decision, refused: &[usize], reason: String) -> Commit {
        let commit = match (refused, &decision.done[..]) {
            ([first, rest @ ..], done) if rest.iter().all(|other| other == first) => {
                Commit::Rejected { input: done[*first].position(), reason }
            }
            ([], [only]) => Commit::Rejected { input: only.position(), reason },
            _ => {
                self.limit = (decision.done.len() / 2).max(1);
                Commit::Abandoned(format!("searching for a refused record: {reason}"))
            }
        };
        self.rewind(decision);
        commit
    }
}

impl Session for KafkaSession {
    fn poll(&mut self, max_wait: Duration) -> anyhow::Result<Batch> {
        self.resume_due()?;
        let mut wait = if self.backlog.is_empty() {
            let due = self.backlog.next_due();
            due.map_or(max_wait, |due| max_wait.min(due.saturating_duration_since(Instant::now())))
        } else {
            Duration::ZERO
        };
        let bounds = BatchBounds { events: self.limit, bytes: self.bounds.bytes };
        let mut reassigned = Reassigned::default();
        // At least one look, however much is waiting: rebalances run inside the poll.
        loop {
            let polled = self.consumer.poll(wait)?;
            wait = Duration::ZERO;
            // Before the event is kept: it may be from a partition that came back.
            if let Some(news) = self.consumer.take_reassigned()? {
                self.backlog.forget(|at| news.lost().contains(at));
                reassigned.then(news);
            }
            let Polled::Event(event) = polled else { break };
            self.backlog.push(event);
            if self.backlog.fills(bounds) {
                break;
            }
        }
        Ok(self.backlog.take(bounds).with_reassigned(reassigned))
    }

    fn commit(&mut self, outcome: Outcome) -> anyhow::Result<Commit> {
        let decision = outcome.decide();
        if decision.offsets.is_empty() {
            self.settle(decision)?;
            return Ok(Commit::Committed);
        }
        match self.transact(&decision) {
            Ok(()) => {
                self.settle(decision)?;
                self.limit = self.limit.saturating_mul(2).min(self.bounds.events);
                self.abandoned = 0;
                Ok(Commit::Committed)
            }
            Err(Failed::Abort(reason) | Failed::Unopened(reason)) => {
                self.rewind(decision);
                self.abandoned += 1;
                if self.abandoned >= MAX_ABANDONED {
                    bail!("{MAX_ABANDONED} transactions were abandoned in a row: {reason}");
                }
                Ok(Commit::Abandoned(reason))
            }
            Err(Failed::Refused(inputs, reason)) => Ok(self.refuse(decision, &inputs, reason)),
            Err(Failed::Fatal(error) | Failed::Undecided(error)) => Err(error),
        }
    }

    fn release(&mut self) -> anyhow::Result<()> {
        let held = self.backlog.release_all();
        if held.is_empty() { Ok(()) } else { self.consumer.resume(&held) }
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        // Dropping the consumer closes it, which leaves the group.
        if !drop_within(CLOSE_LIMIT, self) {
            tracing::warn!(
                "the consumer could not leave its group within {CLOSE_LIMIT:?}; the broker takes \
                 its partitions when its session times out"
            );
        }
        Ok(())
    }
}
