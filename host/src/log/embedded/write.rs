//! One write transaction: events with their offsets, and offsets of groups. All or nothing:
//! dropping it before the commit leaves the log as it was.

use std::collections::HashMap;

use rusqlite::{CachedStatement, Connection, Transaction, TransactionBehavior, params};

use super::catalog::{Catalog, Topic};
use super::{partitioner, record};
use crate::event::Event;
use crate::log::AppendError;

const READ_TAIL: &str = "SELECT next_offset, bytes FROM partitions WHERE id = ?1";
const WRITE_TAIL: &str = "UPDATE partitions SET next_offset = ?2, bytes = ?3 WHERE id = ?1";
const WRITE_OFFSET: &str = "INSERT INTO group_offsets (group_name, partition, next_offset) \
    VALUES (?1, ?2, ?3) ON CONFLICT DO UPDATE SET next_offset = excluded.next_offset";
const DELETE: &str = "DELETE FROM records WHERE partition = ?1 AND offset < ?2";
const REMOVE: &str = "DELETE FROM records WHERE partition = ?1 AND offset = ?2";
const SHRINK: &str = "UPDATE partitions SET bytes = bytes - ?2 WHERE id = ?1";
const WRITE_START: &str =
    "UPDATE partitions SET first_offset = ?2, bytes = bytes - ?3 WHERE id = ?1";

/// A transaction that holds SQLite's write lock.
pub(super) struct Write<'a> {
    /// Taken from the cache once, not for each event. Before the transaction, because fields go
    /// in this order and a statement must end before a rollback.
    insert: CachedStatement<'a>,
    transaction: Transaction<'a>,
    catalog: &'a mut Catalog,
    /// The ends of the partitions written to, by row; stored at the commit.
    tails: HashMap<i64, Tail>,
    /// The time given to events that have none.
    now_ms: i64,
}

#[derive(Clone, Copy, Debug)]
struct Tail {
    next_offset: i64,
    bytes: i64,
}

impl<'a> Write<'a> {
    /// Begins, waiting for other processes within the busy timeout.
    pub(super) fn begin(
        connection: &'a mut Connection,
        catalog: &'a mut Catalog,
        now_ms: i64,
    ) -> rusqlite::Result<Self> {
        // Unchecked lets the statement borrow the connection too; it cannot be nested, because
        // this borrows the connection alone.
        let connection = &*connection;
        let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
        let insert = connection.prepare_cached(record::INSERT)?;
        Ok(Self { insert, transaction, catalog, tails: HashMap::new(), now_ms })
    }

    /// Adds an event and returns its partition and offset. The inner error concerns this event
    /// alone and leaves the transaction usable.
    pub(super) fn append(
        &mut self,
        event: &Event,
        partition: Option<i32>,
    ) -> rusqlite::Result<Result<(i32, i64), AppendError>> {
        let Some(topic) = self.catalog.topic(&self.transaction, &event.topic)? else {
            return Ok(Err(AppendError::UnknownTopic(event.topic.to_string())));
        };
        if let Err(refusal) = check(topic, event) {
            return Ok(Err(refusal));
        }
        let (number, id) = match place(topic, event, partition) {
            Ok(place) => place,
            Err(refusal) => return Ok(Err(refusal)),
        };
        let tail = match self.tails.get_mut(&id) {
            Some(tail) => tail,
            None => {
                let tail = read_tail(&self.transaction, id)?;
                self.tails.entry(id).or_insert(tail)
            }
        };
        let timestamp = event.timestamp_ms.unwrap_or(self.now_ms);
        tail.bytes += record::insert(&mut self.insert, (id, tail.next_offset), timestamp, event)?;
        tail.next_offset += 1;
        Ok(Ok((number, tail.next_offset - 1)))
    }

    /// Moves a group to `next` in a partition, which exists.
    pub(super) fn set_offset(
        &self,
        group: &str,
        partition: i64,
        next: i64,
    ) -> rusqlite::Result<()> {
        let mut statement = self.transaction.prepare_cached(WRITE_OFFSET)?;
        statement.execute(params![group, partition, next]).map(drop)
    }

    /// Deletes the events of a partition before an offset; `bytes` is what they have.
    pub(super) fn delete(&self, partition: i64, before: i64, bytes: i64) -> rusqlite::Result<()> {
        let mut records = self.transaction.prepare_cached(DELETE)?;
        records.execute(params![partition, before])?;
        let mut start = self.transaction.prepare_cached(WRITE_START)?;
        start.execute(params![partition, before, bytes]).map(drop)
    }

    /// Removes events from the middle of a partition; `bytes` is what they have.
    pub(super) fn remove(
        &self,
        partition: i64,
        offsets: &[i64],
        bytes: i64,
    ) -> rusqlite::Result<()> {
        let mut records = self.transaction.prepare_cached(REMOVE)?;
        for offset in offsets {
            records.execute(params![partition, offset])?;
        }
        let mut shrink = self.transaction.prepare_cached(SHRINK)?;
        shrink.execute(params![partition, bytes]).map(drop)
    }

    /// The transaction, for what is not about events and offsets.
    pub(super) fn connection(&self) -> &Connection {
        &self.transaction
    }

    /// Makes everything visible and durable.
    pub(super) fn commit(self) -> rusqlite::Result<()> {
        {
            let mut statement = self.transaction.prepare_cached(WRITE_TAIL)?;
            for (id, tail) in &self.tails {
                statement.execute(params![id, tail.next_offset, tail.bytes])?;
            }
        }
        self.transaction.commit()
    }
}

fn check(topic: &Topic, event: &Event) -> Result<(), AppendError> {
    let (size, max) = (event.size(), topic.settings.max_message_bytes);
    if size > max {
        return Err(AppendError::TooLarge(format!(
            "it has {size} bytes and topic {:?} takes {max} (max.message.bytes)",
            topic.name
        )));
    }
    match event.timestamp_ms {
        Some(timestamp) if timestamp < 0 => Err(AppendError::Refused(format!(
            "its timestamp {timestamp} is before 1970; use 0 or more milliseconds"
        ))),
        _ => Ok(()),
    }
}

/// Number and row of the partition that an event goes to.
fn place(
    topic: &mut Topic,
    event: &Event,
    partition: Option<i32>,
) -> Result<(i32, i64), AppendError> {
    let count = u32::try_from(topic.partitions.len()).unwrap_or(u32::MAX).max(1);
    let number = match (partition, &event.key) {
        (Some(number), _) => number,
        (None, Some(key)) => partitioner::of_key(key, count).cast_signed(),
        (None, None) => topic.unkeyed.next(count).cast_signed(),
    };
    let row = usize::try_from(number).ok().and_then(|index| topic.partitions.get(index));
    row.map(|id| (number, *id)).ok_or_else(|| {
        AppendError::Refused(format!(
            "topic {:?} has no partition {number}; it has {count}, from 0",
            topic.name
        ))
    })
}

fn read_tail(transaction: &Transaction<'_>, id: i64) -> rusqlite::Result<Tail> {
    transaction
        .prepare_cached(READ_TAIL)?
        .query_row([id], |row| Ok(Tail { next_offset: row.get(0)?, bytes: row.get(1)? }))
}
