//! A worker's session: poll, and commit in one write transaction.
//!
//! Whether it still owns what it read is checked behind the lock under which the commit writes,
//! so nothing of a lost partition is ever written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;

use super::groups::{Membership, Owned};
use super::read::{self, Cursor, Gap, Room};
use super::signal::deadline;
use super::storage;
use super::store::{Shared, Store};
use super::write::Write;
use crate::event::TopicPartition;
use crate::failpoint;
use crate::log::backlog::Backlog;
use crate::log::{Batch, Commit, Decision, Outcome, Reassigned, Session, Start, Subscription};

/// The session of one worker.
pub(super) struct EmbeddedSession {
    shared: Arc<Shared>,
    subscription: Subscription,
    membership: Membership,
    /// Reads, without waiting for those that write.
    connection: Connection,
    /// The version of the group that `owned` is from.
    seen: Option<u64>,
    /// The partitions of this session.
    owned: Vec<Owned>,
    /// Where it reads them, one for each.
    cursors: Vec<Cursor>,
    backlog: Backlog,
    /// What the group gave to others, and to this session, since the last poll.
    reassigned: Reassigned,
    /// The partition that is read first, in turn.
    turn: usize,
}

impl EmbeddedSession {
    /// Joins the group.
    pub(super) fn open(shared: &Arc<Shared>, subscription: &Subscription) -> anyhow::Result<Self> {
        let connection = shared.open_reader()?;
        let joined = shared.store.lock().join(subscription);
        let membership =
            joined.with_context(|| format!("failed to join group {:?}", subscription.group))?;
        let mut session = Self {
            shared: Arc::clone(shared),
            subscription: subscription.clone(),
            membership,
            connection,
            seen: None,
            owned: Vec::new(),
            cursors: Vec::new(),
            backlog: Backlog::default(),
            reassigned: Reassigned::default(),
            turn: 0,
        };
        // At once, so that "latest" is the end as of now.
        session.follow_group()?;
        shared.signal.notify();
        Ok(session)
    }

    /// Takes over what a rebalance gave to this session and forgets what it took.
    fn follow_group(&mut self) -> anyhow::Result<()> {
        if self.seen == Some(self.membership.version.load(Ordering::Acquire)) {
            return Ok(());
        }
        let Self { subscription, membership, .. } = &*self;
        let mut store = self.shared.store.lock();
        let version = membership.version.load(Ordering::Acquire);
        let owned = store.groups.owned(&subscription.group, membership.id).with_context(|| {
            format!(
                "another session took over slot {} of handler {:?}",
                subscription.slot, subscription.handler
            )
        })?;
        let (kept, gained): (Vec<_>, Vec<_>) =
            owned.into_iter().partition(|one| self.owned.contains(one));
        let new = store.positions(subscription, &gained).with_context(|| {
            format!("failed to read the offsets of group {:?}", subscription.group)
        })?;
        drop(store);
        let gone = self.owned.iter().filter(|one| !kept.contains(one));
        gone.for_each(|one| self.reassigned.lose(one.partition.at.clone()));
        gained.iter().for_each(|one| self.reassigned.gain(one.partition.at.clone()));
        self.backlog.forget(|at| !kept.iter().any(|one| one.partition.at == *at));
        self.cursors.retain(|cursor| kept.iter().any(|one| one.partition == cursor.partition));
        self.owned.retain(|one| kept.contains(one));
        self.owned.extend(gained);
        self.cursors.extend(new);
        self.seen = Some(version);
        Ok(())
    }

    /// Reads from the partitions that are not held into the empty backlog.
    fn fill(&mut self) -> anyhow::Result<()> {
        let (mut reading, held): (Vec<_>, Vec<_>) = std::mem::take(&mut self.cursors)
            .into_iter()
            .partition(|cursor| !self.backlog.is_held(&cursor.partition.at));
        let bounds = self.subscription.bounds;
        let room = Room { events: bounds.events.max(1), bytes: bounds.bytes };
        let backlog = &mut self.backlog;
        let filled = match reading.len() {
            0 => Ok(Vec::new()),
            count => {
                self.turn = (self.turn + 1) % count;
                let mut sink = |event| backlog.push(event);
                read::fill(&self.connection, &mut reading, self.turn, room, &mut sink)
            }
        };
        let gaps = filled.context("failed to read from the log")?;
        self.skip_gaps(&mut reading, &gaps)?;
        reading.extend(held);
        reading.sort_by(|a, b| a.partition.cmp(&b.partition));
        self.cursors = reading;
        Ok(())
    }

    /// Retention has deleted what was to be read next: the group's policy decides.
    fn skip_gaps(&self, cursors: &mut [Cursor], gaps: &[Gap]) -> anyhow::Result<()> {
        for gap in gaps {
            let Some(cursor) = cursors.get_mut(gap.cursor) else { continue };
            tracing::warn!(group = self.subscription.group, partition = %cursor.partition.at,
                position = cursor.next, start = gap.oldest, policy = ?self.subscription.start,
                "retention has deleted events that were not processed");
            let mut store = self.shared.store.lock();
            let is_lost = self.lost_one(&store, &cursor.partition.at);
            cursor.next = match self.subscription.start {
                Start::Latest if !is_lost => store
                    .skip_to_end(&self.subscription.group, &cursor.partition)
                    .context("failed to skip deleted events")?,
                _ => gap.oldest,
            };
        }
        Ok(())
    }

    /// Writes the decision; whatever does not end as committed wrote nothing.
    fn write(&self, decision: &Decision) -> anyhow::Result<Commit> {
        let mut store = self.shared.store.lock();
        if let Some(reason) = self.lost(&store, decision) {
            return Ok(Commit::Abandoned(reason));
        }
        match self.transact(&mut store, decision) {
            Ok(None) => Ok(Commit::Committed),
            Ok(Some(rejected)) => Ok(rejected),
            Err(error) if storage::is_busy(&error) => {
                Ok(Commit::Abandoned("another process keeps the log locked".to_owned()))
            }
            Err(error) => Err(error).with_context(|| {
                format!("failed to commit to the log in {:?}", self.shared.dir.display())
            }),
        }
    }

    /// Why the session may not commit, if a partition of the decision is not its own any more.
    fn lost(&self, store: &Store, decision: &Decision) -> Option<String> {
        let lost = decision.offsets.keys().find(|at| self.lost_one(store, at))?;
        let group = &self.subscription.group;
        Some(format!("partition {lost} belongs to another session of group {group:?}"))
    }

    /// Whether a partition is not this session's own, or not without a break.
    fn lost_one(&self, store: &Store, at: &TopicPartition) -> bool {
        let mine = self.owned.iter().find(|one| one.partition.at == *at);
        let group = &self.subscription.group;
        !mine.is_some_and(|one| store.groups.owns(group, self.membership.id, one))
    }

    /// One transaction: outputs, dead letters, offsets. `Some` when an output is refused.
    fn transact(&self, store: &mut Store, decision: &Decision) -> rusqlite::Result<Option<Commit>> {
        if failpoint::mutant("mutant-offsets-outside") {
            let write = store.begin((self.shared.clock)())?;
            self.set_offsets(&write, decision)?;
            write.commit()?;
        }
        let mut write = store.begin((self.shared.clock)())?;
        for produced in &decision.produced {
            if let Err(refusal) = write.append(&produced.event, None)?
                && let Some(input) = decision.done.get(produced.input)
            {
                let reason = refusal.to_string();
                return Ok(Some(Commit::Rejected { input: input.position(), reason }));
            }
            failpoint::reach("mid-produce");
        }
        failpoint::reach("before-send-offsets");
        self.set_offsets(&write, decision)?;
        failpoint::reach("after-send-offsets");
        if failpoint::mutant("abort-transaction") {
            failpoint::reach("before-abort");
            if failpoint::mutant("mutant-skip-abort") {
                write.commit()?;
            }
            return Ok(Some(Commit::Abandoned("a failpoint asks for it".to_owned())));
        }
        failpoint::reach("before-end-txn");
        write.commit()?;
        Ok(None)
    }

    fn set_offsets(&self, write: &Write<'_>, decision: &Decision) -> rusqlite::Result<()> {
        for (at, next) in &decision.offsets {
            if let Some(one) = self.owned.iter().find(|one| one.partition.at == *at) {
                write.set_offset(&self.subscription.group, one.partition.id, *next)?;
            }
        }
        Ok(())
    }
}

impl Session for EmbeddedSession {
    fn poll(&mut self, max_wait: Duration) -> anyhow::Result<Batch> {
        let deadline = deadline(max_wait);
        loop {
            let seen = self.shared.signal.current();
            self.follow_group()?;
            let now = Instant::now();
            self.backlog.release_due(now);
            if self.backlog.is_empty() {
                self.fill()?;
            }
            if !self.backlog.is_empty() {
                let batch = self.backlog.take(self.subscription.bounds);
                return Ok(batch.with_reassigned(std::mem::take(&mut self.reassigned)));
            }
            if now >= deadline {
                let reassigned = std::mem::take(&mut self.reassigned);
                return Ok(Batch::default().with_reassigned(reassigned));
            }
            let until = self.backlog.next_due().map_or(deadline, |due| due.min(deadline));
            self.shared.signal.wait(seen, until);
        }
    }

    fn commit(&mut self, outcome: Outcome) -> anyhow::Result<Commit> {
        let decision = outcome.decide();
        let nothing = decision.produced.is_empty() && decision.offsets.is_empty();
        let commit = if nothing { Commit::Committed } else { self.write(&decision)? };
        if commit == Commit::Committed {
            for (at, due) in decision.holds {
                self.backlog.hold(at, due);
            }
            self.backlog.restore(decision.rest);
            if !nothing {
                self.shared.signal.notify();
            }
        } else {
            self.backlog.restore(decision.rest);
            if !failpoint::mutant("mutant-skip-rewind") {
                self.backlog.restore(decision.done);
            }
        }
        Ok(commit)
    }

    fn release(&mut self) -> anyhow::Result<()> {
        self.backlog.release_all();
        Ok(())
    }

    fn close(self: Box<Self>) -> anyhow::Result<()> {
        Ok(())
    }
}

impl Drop for EmbeddedSession {
    /// Leaves the group: in one process there is no session timeout to wait for.
    fn drop(&mut self) {
        self.shared.store.lock().leave(&self.subscription.group, self.membership.id);
        self.shared.signal.notify();
    }
}
