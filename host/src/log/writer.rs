//! The exclusive writer of a log: transactions of its own, outside any group, by one at a time.
//!
//! Whoever opens a writer fences the one who opened it before, so two who change the same state
//! cannot both succeed without one having seen what the other wrote: open, read the state to its
//! end, write. Knows nothing of what is written.

use crate::event::Event;

/// Writes events in transactions of its own, outside any group.
///
/// After an error the way on is to open another writer and to read again what the write depends
/// on. Those who fence each other in turn have to pause for different times, or none gets on.
pub trait Writer: Send {
    /// Writes all of these, or none. On success everything is visible to `read_committed`
    /// readers.
    fn write(&mut self, events: Vec<Event>) -> Result<(), WriteError>;
}

/// Why a writer wrote nothing.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Another writer of the same name was opened since (on Kafka also: the transaction took
    /// longer than its timeout). Nothing was written, and this writer never will: open another.
    #[error("another writer of the same name was opened since; nothing was written")]
    Fenced,
    /// Nothing was written or, where the text says so, it is unknown whether anything was.
    #[error(transparent)]
    Failed(#[from] anyhow::Error),
}
