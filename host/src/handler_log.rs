//! What is said about handlers: by their guests on stdout and stderr, and by the host itself.
//!
//! Taken from the `tracing` events of the program that have a field `handler`, and kept in a
//! bounded queue until somebody takes it away. Whoever speaks never waits: what the queue has no
//! room for is counted instead, and the count is handed over too. A leaf: it does not know where
//! the entries go.

mod capture;
mod entry;
mod queue;

pub use capture::{Capture, installed, layer, tell};
pub use entry::{Entry, Severity};
pub use queue::{Queue, Taken};
