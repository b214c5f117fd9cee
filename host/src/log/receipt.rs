//! The promise of an append: resolves once the log has the event for good.

use tokio::sync::oneshot;

use crate::event::Position;

/// Why an append failed. Callers answer each differently, so it is an enum.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AppendError {
    /// The topic does not exist in the log.
    #[error("topic {0:?} does not exist")]
    UnknownTopic(String),
    /// The event exceeds what the topic takes.
    #[error("the event is too large: {0}")]
    TooLarge(String),
    /// Too many events wait for the log; try again later.
    #[error("too many events wait for the log")]
    QueueFull,
    /// The log did not confirm the event. It may have it all the same: the outcome is unknown.
    #[error("the log is unreachable: {0}")]
    Unavailable(String),
    /// The log refuses the event, and will again.
    #[error("the log refuses the event: {0}")]
    Refused(String),
}

/// The waiting end of an append.
#[derive(Debug)]
pub struct Receipt(oneshot::Receiver<Result<Position, AppendError>>);

/// The log's end of an append.
#[derive(Debug)]
pub struct Completer(oneshot::Sender<Result<Position, AppendError>>);

impl Receipt {
    /// Both ends of one append.
    pub fn pair() -> (Completer, Self) {
        let (tx, rx) = oneshot::channel();
        (Completer(tx), Self(rx))
    }

    /// Waits for the log's answer on an async task.
    pub async fn wait(self) -> Result<Position, AppendError> {
        self.0.await.unwrap_or_else(|_| Err(closed()))
    }

    /// Waits for the log's answer on a plain thread; panics on an async task.
    pub fn wait_blocking(self) -> Result<Position, AppendError> {
        self.0.blocking_recv().unwrap_or_else(|_| Err(closed()))
    }
}

impl Completer {
    /// Gives the answer. The waiter may be gone, which is fine.
    pub fn complete(self, result: Result<Position, AppendError>) {
        drop(self.0.send(result));
    }
}

fn closed() -> AppendError {
    AppendError::Unavailable("the log was closed".to_owned())
}
