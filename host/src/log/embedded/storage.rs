//! The database file: how it is opened, its pragmas, its schema and its version.
//!
//! Durable by construction: WAL with `synchronous=FULL` syncs at every commit. Knows nothing of
//! what the tables mean.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use rusqlite::{Connection, ErrorCode, OpenFlags, TransactionBehavior};

/// Name of the database within its directory.
pub(super) const FILE: &str = "log.sqlite3";

/// Name of SQLite's write-ahead log of it.
pub(super) const WAL_FILE: &str = "log.sqlite3-wal";

/// How long a write waits for another process to finish its own.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// How often it is tried in that time.
const BUSY_STEP: Duration = Duration::from_millis(1);

/// Large pages: an event of 1 KiB shares a page with its neighbours instead of spilling over.
const PAGE_BYTES: i64 = 16 * 1024;

/// A checkpoint every 64 MiB keeps its cost per event small and the WAL bounded.
pub(super) const CHECKPOINT_BYTES: i64 = 64 * 1024 * 1024;

/// When a commit of a host makes a checkpoint itself, because the thread that does cannot.
const LATEST_CHECKPOINT_BYTES: i64 = 4 * CHECKPOINT_BYTES;

/// Page cache of a connection that reads, in KiB: the partitions of one batch lie in the same
/// pages, which should be read once.
const READ_CACHE_KIB: i64 = 12 * 1024;

/// Page cache of the connection that writes, in KiB.
const WRITE_CACHE_KIB: i64 = 32 * 1024;

/// What makes each version of the schema out of the one before; the first makes it out of
/// nothing.
const MIGRATIONS: [&str; 2] = [EVENTS, MAINTENANCE];

/// Version of the schema, kept in `user_version`.
const VERSION: i64 = MIGRATIONS.len() as i64;

/// `records` has a rowid on purpose: events are appended to one B-tree whatever their
/// partition, and the index that orders them holds small entries only.
const EVENTS: &str = "
CREATE TABLE topics (
    id       INTEGER PRIMARY KEY,
    name     TEXT NOT NULL UNIQUE,
    settings TEXT NOT NULL
) STRICT;
CREATE TABLE partitions (
    id           INTEGER PRIMARY KEY,
    topic        INTEGER NOT NULL REFERENCES topics (id),
    number       INTEGER NOT NULL,
    first_offset INTEGER NOT NULL DEFAULT 0,
    next_offset  INTEGER NOT NULL DEFAULT 0,
    bytes        INTEGER NOT NULL DEFAULT 0,
    UNIQUE (topic, number)
) STRICT;
CREATE TABLE records (
    id        INTEGER PRIMARY KEY,
    partition INTEGER NOT NULL,
    offset    INTEGER NOT NULL,
    timestamp INTEGER NOT NULL,
    key       BLOB,
    value     BLOB,
    headers   BLOB,
    UNIQUE (partition, offset)
) STRICT;
CREATE TABLE group_offsets (
    group_name  TEXT NOT NULL,
    partition   INTEGER NOT NULL REFERENCES partitions (id),
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (group_name, partition)
) STRICT, WITHOUT ROWID;
";

/// Exclusive writers, what is compacted, and the sessions of the host that has the directory.
/// A version of its own because from here on a partition may have holes.
const MAINTENANCE: &str = "
CREATE TABLE writers (
    name  TEXT PRIMARY KEY,
    epoch INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE TABLE compactions (
    partition    INTEGER PRIMARY KEY REFERENCES partitions (id),
    clean_to     INTEGER NOT NULL,
    clean_events INTEGER NOT NULL,
    tombstone    INTEGER
) STRICT;
CREATE TABLE members (
    group_name TEXT NOT NULL,
    handler    TEXT NOT NULL,
    slot       INTEGER NOT NULL,
    PRIMARY KEY (group_name, handler, slot)
) STRICT, WITHOUT ROWID;
";

/// Opens the connection that writes, and creates the database when it is missing. A host makes
/// its checkpoints elsewhere.
pub(super) fn open_writer(dir: &Path, is_host: bool) -> anyhow::Result<Connection> {
    let give_up = Instant::now() + BUSY_TIMEOUT;
    loop {
        match try_open_writer(dir, is_host) {
            // Turning on WAL does not wait for another process that does the same.
            Err(error) if is_busy_chain(&error) && Instant::now() < give_up => {
                std::thread::sleep(Duration::from_millis(10));
            }
            opened => {
                return opened.with_context(|| {
                    format!("failed to open the log {:?}", dir.join(FILE).display())
                });
            }
        }
    }
}

/// Opens a connection that reads; the database exists.
pub(super) fn open_reader(dir: &Path) -> anyhow::Result<Connection> {
    let connection = connect(dir, OpenFlags::empty())?;
    connection.pragma_update(None, "query_only", true)?;
    connection.pragma_update(None, "cache_size", -READ_CACHE_KIB)?;
    Ok(connection)
}

/// Whether another process holds the lock that was wanted: the same call may succeed later.
pub(super) fn is_busy(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked))
}

fn is_busy_chain(error: &anyhow::Error) -> bool {
    error.downcast_ref::<rusqlite::Error>().is_some_and(is_busy)
}

fn try_open_writer(dir: &Path, is_host: bool) -> anyhow::Result<Connection> {
    let mut connection = connect(dir, OpenFlags::SQLITE_OPEN_CREATE)?;
    // SQLite opens what it may not write all the same.
    ensure!(!connection.is_readonly("main")?, "the file may not be written; check its permissions");
    // Has an effect on a new database only, and must come before WAL.
    connection.pragma_update(None, "page_size", PAGE_BYTES)?;
    let mode: String =
        connection.pragma_update_and_check(None, "journal_mode", "wal", |row| row.get(0))?;
    ensure!(mode == "wal", "the file system does not support a write-ahead log");
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "cache_size", -WRITE_CACHE_KIB)?;
    let page: i64 = connection.pragma_query_value(None, "page_size", |row| row.get(0))?;
    let checkpoint = if is_host { LATEST_CHECKPOINT_BYTES } else { CHECKPOINT_BYTES };
    let pages = checkpoint / page.max(1);
    connection.pragma_update_and_check(None, "wal_autocheckpoint", pages, |_| Ok(()))?;
    connection.pragma_update_and_check(None, "journal_size_limit", CHECKPOINT_BYTES, |_| Ok(()))?;
    migrate(&mut connection)?;
    Ok(connection)
}

fn connect(dir: &Path, extra: OpenFlags) -> anyhow::Result<Connection> {
    // Each connection is used by one thread at a time: SQLite need not lock it again.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | extra;
    let mut connection = Connection::open_with_flags(dir.join(FILE), flags)?;
    connection.busy_handler(Some(wait_for_other))?;
    Ok(connection)
}

/// Waits for another process in short, even steps. SQLite's own steps grow to 100 ms, so that
/// one who writes all the time starves one who writes now and then.
fn wait_for_other(tries: i32) -> bool {
    std::thread::sleep(BUSY_STEP);
    BUSY_STEP.saturating_mul(tries.unsigned_abs()) < BUSY_TIMEOUT
}

fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let read = |c: &Connection| c.pragma_query_value(None, "user_version", |r| r.get::<_, i64>(0));
    if read(connection)? == VERSION {
        return Ok(());
    }
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    let version = read(&transaction)?;
    let done = usize::try_from(version).unwrap_or(usize::MAX);
    let Some(missing) = MIGRATIONS.get(done..) else {
        bail!(
            "it was written by a newer Lockstep: its format is {version} and this one reads up \
             to {VERSION}; use the newer Lockstep, or another directory"
        )
    };
    for migration in missing {
        transaction.execute_batch(migration)?;
    }
    transaction.pragma_update(None, "user_version", VERSION)?;
    transaction.commit()?;
    Ok(())
}
