//! A log that takes every event at once and remembers it.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use lockstep::event::{Event, Position};
use lockstep::log::{
    Admin, AppendError, Log, ReadFrom, Reader, Receipt, Session, Subscription, Writer,
};

/// The events since they were last taken out.
#[derive(Default)]
pub struct Memory(Mutex<Vec<Event>>);

impl Memory {
    /// Takes the events out.
    pub fn take(&self) -> Vec<Event> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Log for Memory {
    fn describe(&self) -> String {
        "a log in memory".to_owned()
    }

    fn append(&self, event: Event, _: Option<i32>) -> Result<Receipt, AppendError> {
        let mut events = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let offset = i64::try_from(events.len()).unwrap_or(i64::MAX);
        let position = Position { topic: event.topic.clone(), partition: 0, offset };
        events.push(event);
        let (completer, receipt) = Receipt::pair();
        completer.complete(Ok(position));
        Ok(receipt)
    }

    fn session(&self, _: &Subscription) -> anyhow::Result<Box<dyn Session>> {
        anyhow::bail!("ingest opens no session")
    }

    fn reader(&self, _: &str, _: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
        anyhow::bail!("ingest reads nothing")
    }

    fn writer(&self, _: &str) -> anyhow::Result<Box<dyn Writer>> {
        anyhow::bail!("ingest opens no writer")
    }

    fn admin(&self) -> &dyn Admin {
        unreachable!("ingest administers nothing")
    }

    fn ping(&self, _: Duration) -> anyhow::Result<()> {
        Ok(())
    }
}
