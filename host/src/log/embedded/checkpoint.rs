//! Moves what the write-ahead log holds into the database, beside the commits instead of within
//! them: a commit then costs its own bytes, and none waits for all those before it.
//!
//! Only speed depends on this thread. Without it, or when it cannot keep up, SQLite does the
//! same within a commit: see `storage`.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use rusqlite::Connection;

use super::signal::{Stop, Ticker};
use super::storage::{CHECKPOINT_BYTES, WAL_FILE};
use super::store::Shared;

/// How often the size is looked at; at most this much more is written in between.
const INTERVAL: Duration = Duration::from_millis(50);

/// How long writers may be kept waiting for readers of the old part.
const PATIENCE: Duration = Duration::from_millis(100);

/// Pages moved while writers wait; more are moved beside them first.
const FEW_PAGES: i64 = 256;

/// Rounds beside the writers; they may write faster than this thread moves.
const ROUNDS: u32 = 4;

/// Starts the thread.
pub(super) fn start(shared: &Arc<Shared>) -> anyhow::Result<Ticker> {
    let connection = shared.open_reader()?;
    connection.busy_timeout(PATIENCE)?;
    let shared = Arc::clone(shared);
    // The size after the last one: the file is cut back by the next write only.
    let mut settled = 0;
    let tick = move |_: &Stop| {
        let size = wal_bytes(&shared);
        // It is cut back when it is begun anew, so a larger one has that much in it.
        if size <= CHECKPOINT_BYTES || size == settled {
            return;
        }
        match run(&shared, &connection) {
            Ok(true) => settled = wal_bytes(&shared),
            Ok(false) => {}
            // SQLite tells those who write, if it concerns them.
            Err(error) => tracing::debug!(%error, "failed to checkpoint the log"),
        }
    };
    Ticker::start("log-checkpoint", INTERVAL, tick).context("failed to start the checkpoints")
}

fn wal_bytes(shared: &Shared) -> i64 {
    let wal = std::fs::metadata(shared.dir.join(WAL_FILE));
    wal.map_or(0, |wal| i64::try_from(wal.len()).unwrap_or(i64::MAX))
}

/// Makes a checkpoint; whether it moved everything.
fn run(shared: &Shared, connection: &Connection) -> rusqlite::Result<bool> {
    for _ in 0..ROUNDS {
        if move_pages(connection, "PRAGMA wal_checkpoint(PASSIVE)")? <= FEW_PAGES {
            break;
        }
    }
    // Begins the file anew, which needs a moment in which nobody writes.
    let writers = shared.store.lock();
    let left = move_pages(connection, "PRAGMA wal_checkpoint(RESTART)")?;
    drop(writers);
    Ok(left == 0)
}

/// Checkpoints and returns the number of pages that are left.
fn move_pages(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(pragma)?.query_row([], |row| {
        let (all, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(all - moved)
    })
}
