//! What a worker does about faults in a row: it asks for the rollback of its revision, and handles
//! nothing more with it.
//!
//! Every call that ends without a fault ends the row, also one in which the handler says that the
//! event is bad: that is what it is there for.

use std::sync::Arc;

use super::failures::tell_details;
use super::fault_row::FaultRow;
use crate::board::StatusCell;
use crate::deployment::trigger::Trigger;
use crate::event::Consumed;
use crate::handler::{Failure, Handler};
use crate::revision::Revision;

/// How a worker is with its revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// It handles events.
    Working,
    /// It handles none, and waits for another revision.
    Withdrawn,
    /// It did, and there will be none: what waits goes on.
    Returned,
}

/// The way out of a revision that faults. `M` is a place in the present transaction.
pub(super) struct Recourse<M> {
    handler: Arc<Handler>,
    /// `None` for a revision that is not to be rolled back.
    trigger: Option<Arc<Trigger>>,
    row: FaultRow<M>,
    /// Whether partitions wait.
    withdrawn: bool,
}

impl<M: Copy> Recourse<M> {
    /// That of a revision which has just been taken up.
    pub(super) fn of(revision: &Revision) -> Self {
        Self {
            handler: Arc::clone(&revision.handler),
            trigger: revision.trigger.clone(),
            row: FaultRow::new(),
            withdrawn: false,
        }
    }

    /// A call has ended without a fault.
    pub(super) fn ended_well(&mut self) {
        self.row.end();
    }

    /// Whether this fault is one too many, or any is by now: the rollback is asked for.
    pub(super) fn gives_up(
        &mut self,
        input: &Consumed,
        failure: &Failure,
        mark: M,
        status: &StatusCell,
    ) -> bool {
        let Some(trigger) = &self.trigger else { return false };
        let count = self.row.fault(mark);
        if trigger.is_pulled() {
            return true;
        }
        if count < trigger.after() {
            return false;
        }
        let position = input.position();
        let row = match count {
            1 => String::new(),
            count => format!("{count} faults in a row, the last: "),
        };
        let reason = format!("{row}{position}: {}: {}", failure.kind, failure.message);
        if !trigger.pull(&reason) {
            return false;
        }
        tell_details(&self.handler, &position, failure);
        status.failed(reason);
        true
    }

    /// From now on nothing is handled. The faults of the present transaction have not been; gives
    /// the place before the first of them.
    pub(super) fn withdraw(&mut self) -> Option<M> {
        self.withdrawn = true;
        self.row.take_back()
    }

    /// How the worker is now; asked between two transactions.
    pub(super) fn standing(&mut self) -> Standing {
        let pulled = self.trigger.as_ref().is_some_and(|trigger| trigger.is_pulled());
        let before = std::mem::replace(&mut self.withdrawn, pulled);
        match (pulled, before) {
            (true, _) => Standing::Withdrawn,
            (false, true) => Standing::Returned,
            (false, false) => Standing::Working,
        }
    }

    /// The transaction is committed, or it is not.
    pub(super) fn settle(&mut self, committed: bool) {
        self.row.settle(committed);
    }
}
