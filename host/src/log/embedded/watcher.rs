//! Notices what other processes write to the same directory: one thread for the whole log, so
//! that those who wait need not look at the disk.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;

use super::signal::{Stop, Ticker};
use super::store::Shared;

/// The longest time until a write of another process is seen.
const INTERVAL: Duration = Duration::from_millis(40);

/// Starts the thread.
pub(super) fn start(shared: &Arc<Shared>) -> anyhow::Result<Ticker> {
    let connection = shared.open_reader()?;
    let shared = Arc::clone(shared);
    let (mut seen, mut topics) = (None, None);
    let tick = move |_: &Stop| {
        let version = data_version(&connection);
        if version.is_ok() && version.as_ref().ok() == seen.as_ref() {
            return;
        }
        // What cannot be read here fails where it is used, with the right context.
        seen = version.ok();
        let newest = newest_topic(&connection).ok();
        if newest != topics {
            topics = newest;
            look_for_topics(&shared);
        }
        shared.signal.notify();
    };
    Ticker::start("log-watcher", INTERVAL, tick).context("failed to watch the log")
}

fn look_for_topics(shared: &Shared) {
    if let Err(error) = shared.store.lock().assign_all() {
        tracing::warn!(%error, "failed to look for new topics");
    }
}

/// Changes with each write of another connection.
fn data_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.prepare_cached("PRAGMA data_version")?.query_row([], |row| row.get(0))
}

fn newest_topic(connection: &Connection) -> rusqlite::Result<Option<i64>> {
    connection.prepare_cached("SELECT max(id) FROM topics")?.query_row([], |row| row.get(0))
}
