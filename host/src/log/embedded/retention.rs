//! Deletes old events, by age and by bytes, oldest first and in small transactions so that
//! those who write wait little. Only a host does.
//!
//! As in Kafka, age is counted from the timestamps of the events, and nothing is deleted behind
//! an event that stays. The file does not shrink; its free pages are used again.

use rusqlite::{Connection, params};

use super::catalog::{self, Topic};
use super::signal::Stop;
use super::store::Shared;
use super::{read, record};

/// Events deleted in one transaction.
const CHUNK_EVENTS: i64 = 1_000;

/// Bytes deleted in one transaction, about: a large event has many pages to free.
const CHUNK_BYTES: i64 = 16 * 1024 * 1024;

/// Goes through all topics once, until nothing is left to delete or the owner is gone.
pub(super) fn sweep(shared: &Shared, stop: &dyn Fn() -> bool) -> anyhow::Result<()> {
    let connection = shared.open_reader()?;
    for name in catalog::names(&connection)? {
        let Some(topic) = catalog::load(&connection, &name)? else { continue };
        let settings = topic.settings;
        if settings.retention_ms.is_none() && settings.retention_bytes.is_none() {
            continue;
        }
        for partition in &topic.partitions {
            while let Some(expired) = expired(&connection, &topic, *partition, (shared.clock)())? {
                if stop() {
                    return Ok(());
                }
                shared.store.lock().delete(*partition, expired.before, expired.bytes)?;
                tracing::debug!(topic = name, partition, before = expired.before, "events expired");
            }
        }
    }
    Ok(())
}

/// The tick of the thread: an error is told and the next tick tries again.
pub(super) fn tick(shared: &Shared, stop: &Stop) {
    if let Err(error) = sweep(shared, &|| stop.requested()) {
        tracing::warn!(dir = %shared.dir.display(), error = format!("{error:#}"),
            "failed to delete expired events");
    }
}

/// What may be deleted at the front of a partition.
struct Expired {
    /// The offset of the first event that stays.
    before: i64,
    /// The bytes of those that go.
    bytes: i64,
}

fn expired(
    connection: &Connection,
    topic: &Topic,
    partition: i64,
    now_ms: i64,
) -> rusqlite::Result<Option<Expired>> {
    let settings = topic.settings;
    // A clock that goes back moves this back too: fewer events are old.
    let oldest_ms = settings.retention_ms.map_or(i64::MIN, |age| now_ms.saturating_sub(age));
    // As in Kafka, what stays has at least the bytes of the setting.
    let spare = match settings.retention_bytes {
        Some(keep) => read::bytes(connection, partition)? - keep,
        None => -1,
    };
    let (mut before, mut bytes) = (None, 0);
    let mut statement = connection.prepare_cached(record::OLDEST)?;
    let mut rows = statement.query(params![partition, CHUNK_EVENTS])?;
    while let Some(row) = rows.next()? {
        let (offset, timestamp, size): (i64, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
        if timestamp >= oldest_ms && bytes + size > spare {
            break;
        }
        bytes += size;
        before = Some(offset + 1);
        if bytes >= CHUNK_BYTES {
            break;
        }
    }
    Ok(before.map(|before| Expired { before, bytes }))
}
