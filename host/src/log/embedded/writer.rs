//! The exclusive writer: an epoch for each name in the database, which whoever opens a writer
//! raises, and which is checked in the same transaction that writes. So it works between all
//! processes that use the directory.

use std::sync::Arc;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::storage;
use super::store::Shared;
use crate::event::Event;
use crate::log::{WriteError, Writer};

const RAISE: &str = "INSERT INTO writers (name, epoch) VALUES (?1, 1) \
    ON CONFLICT DO UPDATE SET epoch = epoch + 1 RETURNING epoch";
const READ: &str = "SELECT epoch FROM writers WHERE name = ?1";

/// The writer of one name, as long as no other is opened.
pub(super) struct EmbeddedWriter {
    shared: Arc<Shared>,
    name: String,
    epoch: i64,
}

impl EmbeddedWriter {
    /// Takes the name over.
    pub(super) fn open(shared: &Arc<Shared>, name: &str) -> anyhow::Result<Self> {
        let epoch = raise(shared, name).with_context(|| {
            format!("failed to open writer {name:?} of the log in {:?}", shared.dir.display())
        })?;
        Ok(Self { shared: Arc::clone(shared), name: name.to_owned(), epoch })
    }

    /// One transaction; the inner error leaves the log as it was.
    fn transact(&self, events: &[Event]) -> rusqlite::Result<Result<(), WriteError>> {
        let mut store = self.shared.store.lock();
        let mut write = store.begin((self.shared.clock)())?;
        if current(write.connection(), &self.name)? != self.epoch {
            return Ok(Err(WriteError::Fenced));
        }
        for event in events {
            if let Err(refusal) = write.append(event, None)? {
                let context = format!("failed to write to topic {:?}", event.topic);
                return Ok(Err(anyhow::Error::new(refusal).context(context).into()));
            }
        }
        write.commit().map(Ok)
    }
}

impl Writer for EmbeddedWriter {
    fn write(&mut self, events: Vec<Event>) -> Result<(), WriteError> {
        let written = self.transact(&events).unwrap_or_else(|error| {
            let dir = self.shared.dir.display();
            Err(WriteError::Failed(match storage::is_busy(&error) {
                true => anyhow::anyhow!("another process keeps the log in {dir:?} locked"),
                false => anyhow::Error::new(error).context(format!("failed to write to {dir:?}")),
            }))
        });
        if written.is_ok() {
            self.shared.signal.notify();
        }
        written
    }
}

fn raise(shared: &Shared, name: &str) -> rusqlite::Result<i64> {
    let mut store = shared.store.lock();
    let write = store.begin((shared.clock)())?;
    let epoch = write.connection().prepare_cached(RAISE)?.query_row([name], |row| row.get(0))?;
    write.commit()?;
    Ok(epoch)
}

fn current(connection: &Connection, name: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(READ)?.query_row(params![name], |row| row.get(0))
}
