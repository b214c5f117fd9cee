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
    let tick = move |_: &Stop| {
        if is_due(&shared)
            && let Err(error) = run(&shared, &connection)
        {
            // SQLite tells those who write, if it concerns them.
            tracing::debug!(%error, "failed to checkpoint the log");
        }
    };
    Ticker::start("log-checkpoint", INTERVAL, tick).context("failed to start the checkpoints")
}

/// The file is cut back to this size when it is begun anew, so a larger one holds that much.
fn is_due(shared: &Shared) -> bool {
    let wal = std::fs::metadata(shared.dir.join(WAL_FILE));
    wal.is_ok_and(|wal| i64::try_from(wal.len()).is_ok_and(|bytes| bytes > CHECKPOINT_BYTES))
}

fn run(shared: &Shared, connection: &Connection) -> rusqlite::Result<()> {
    for _ in 0..ROUNDS {
        if move_pages(connection, "PRAGMA wal_checkpoint(PASSIVE)")? <= FEW_PAGES {
            break;
        }
    }
    // Begins the file anew, which needs a moment in which nobody writes.
    let writers = shared.store.lock();
    move_pages(connection, "PRAGMA wal_checkpoint(RESTART)")?;
    drop(writers);
    Ok(())
}

/// Checkpoints and returns the number of pages that are left.
fn move_pages(connection: &Connection, pragma: &str) -> rusqlite::Result<i64> {
    connection.prepare_cached(pragma)?.query_row([], |row| {
        let (all, moved): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(all - moved)
    })
}
