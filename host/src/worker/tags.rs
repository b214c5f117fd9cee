//! The names of a worker's transactions, for readers who want to tell attempts apart.

use crate::event::{Event, Header};
use crate::handler::{Handler, Provenance, TRANSACTION_HEADER};

/// Names the transactions of one session of a worker, also those that it gives up.
pub(super) struct Tags {
    /// Host, slot and nonce.
    session: String,
    number: u64,
}

impl Tags {
    /// Those of a session that begins.
    pub(super) fn new(host: &str, slot: u32) -> Self {
        Self { session: format!("{host}/{slot}/{:016x}", fastrand::u64(..)), number: 0 }
    }

    /// A transaction begins.
    pub(super) fn begin(&mut self) {
        self.number += 1;
    }

    /// The name of the present transaction.
    pub(super) fn current(&self) -> String {
        format!("{}-{}", self.session, self.number)
    }

    /// Names the present transaction in outputs and dead letters, where the handler wants that.
    pub(super) fn sign(&self, handler: &Handler, events: &mut [Event]) {
        if handler.provenance != Provenance::Transaction {
            return;
        }
        for event in events {
            event.headers.push(Header::text(TRANSACTION_HEADER, self.current()));
        }
    }
}
