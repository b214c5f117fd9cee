//! The embedded log: one directory on one machine, kept by SQLite.
//!
//! Durable and atomic: each commit and each group of appends is one synced transaction. One
//! host per directory opens sessions; commands may use the directory beside it, from other
//! processes. Only this module and those below it know that SQLite is in use.

mod admin;
mod appender;
mod catalog;
mod checkpoint;
mod compaction;
mod groups;
mod lock;
mod members;
mod partitioner;
mod positions;
mod read;
mod reader;
pub mod record;
mod retention;
mod session;
mod settings;
mod signal;
mod storage;
mod store;
#[cfg(test)]
mod tests;
mod watcher;
mod write;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail, ensure};

use super::{Admin, AppendError, Log, ReadFrom, Reader, Receipt, Session, Subscription, Writer};
use crate::event::{Event, now_ms};
use appender::Appender;
use compaction::Compactor;
use lock::HostLock;
use reader::EmbeddedReader;
use session::EmbeddedSession;
use signal::Ticker;
use store::{Clock, Shared};
use writer::EmbeddedWriter;

/// How often a host looks for events to delete, and for topics to compact.
const RETENTION_INTERVAL: Duration = Duration::from_secs(30);

/// The log in a directory. Dropping it writes what was appended and ends its threads.
pub struct EmbeddedLog {
    shared: Arc<Shared>,
    appender: Appender,
    /// Ended before `shared` goes.
    _threads: Vec<Ticker>,
}

impl EmbeddedLog {
    /// Opens the host's view and creates what is missing. Refused while another host has the
    /// directory.
    pub fn open_host(dir: &Path, host_id: &str) -> anyhow::Result<Self> {
        Self::open_host_at(dir, host_id, Arc::new(now_ms))
    }

    /// Opens a command's view, also while a host runs: append, read, administer; no sessions.
    /// An error when `dir` holds no log, unless `create`.
    pub fn open_client(dir: &Path, create: bool) -> anyhow::Result<Self> {
        if !create {
            ensure!(
                dir.join(storage::FILE).is_file(),
                "there is no log in {:?}; start a host on this directory, or create a topic \
                 in it, to make one",
                dir.display()
            );
        }
        make_dir(dir)?;
        Self::start(Shared::open(dir, None, Arc::new(now_ms))?)
    }

    fn open_host_at(dir: &Path, host_id: &str, clock: Clock) -> anyhow::Result<Self> {
        make_dir(dir)?;
        let lock = HostLock::take(dir, host_id)?;
        Self::start(Shared::open(dir, Some(lock), clock)?)
    }

    fn start(shared: Shared) -> anyhow::Result<Self> {
        let shared = Arc::new(shared);
        let mut threads = vec![watcher::start(&shared)?];
        if shared.host.is_some() {
            threads.push(checkpoint::start(&shared)?);
            let theirs = Arc::clone(&shared);
            let mut compactor = Compactor::default();
            let tick = move |stop: &_| {
                retention::tick(&theirs, stop);
                compactor.tick(&theirs, stop);
            };
            threads.push(Ticker::start("log-retention", RETENTION_INTERVAL, tick)?);
        }
        let appender = Appender::start(Arc::clone(&shared))?;
        Ok(Self { shared, appender, _threads: threads })
    }
}

impl Log for EmbeddedLog {
    fn describe(&self) -> String {
        format!("the embedded log in {:?}", self.shared.dir.display())
    }

    fn append(&self, event: Event, partition: Option<i32>) -> Result<Receipt, AppendError> {
        self.appender.append(event, partition)
    }

    fn session(&self, subscription: &Subscription) -> anyhow::Result<Box<dyn Session>> {
        if self.shared.host.is_none() {
            bail!(
                "a session of group {:?} needs the host's view of the log in {:?}; commands \
                 may only append, read and administer",
                subscription.group,
                self.shared.dir.display()
            );
        }
        Ok(Box::new(EmbeddedSession::open(&self.shared, subscription)?))
    }

    fn reader(&self, topic: &str, start: ReadFrom) -> anyhow::Result<Box<dyn Reader>> {
        Ok(Box::new(EmbeddedReader::open(&self.shared, topic, start)?))
    }

    fn writer(&self, name: &str) -> anyhow::Result<Box<dyn Writer>> {
        Ok(Box::new(EmbeddedWriter::open(&self.shared, name)?))
    }

    fn admin(&self) -> &dyn Admin {
        &*self.shared
    }

    fn ping(&self, timeout: Duration) -> anyhow::Result<()> {
        let reads = self.shared.reads.try_lock_for(timeout);
        let context = || format!("the log in {:?} does not answer", self.shared.dir.display());
        let reads = reads.with_context(context)?;
        reads.query_row("SELECT count(*) FROM topics", [], |_| Ok(())).with_context(context)
    }
}

fn make_dir(dir: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(dir)
        .with_context(|| format!("failed to create the data directory {:?}", dir.display()))
}
