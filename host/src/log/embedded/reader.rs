//! Reading a topic outside any group: all its partitions, merged fairly, each in order.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use rusqlite::Connection;

use super::catalog;
use super::read::{self, Cursor, Room};
use super::signal::deadline;
use super::store::Shared;
use crate::event::Consumed;
use crate::log::{ReadFrom, Reader};

/// Bounds the memory of one read, whatever the number of events asked for.
const READ_BYTES: usize = 16 * 1024 * 1024;

/// The reader of one topic.
pub(super) struct EmbeddedReader {
    shared: Arc<Shared>,
    connection: Connection,
    topic: String,
    cursors: Vec<Cursor>,
    /// The partition that is read first, in turn.
    turn: usize,
    at_end: bool,
}

impl EmbeddedReader {
    /// Opens a reader; the topic must exist.
    pub(super) fn open(shared: &Arc<Shared>, topic: &str, start: ReadFrom) -> anyhow::Result<Self> {
        let connection = shared.open_reader()?;
        let context = || format!("failed to read topic {topic:?}");
        let found = catalog::load(&connection, topic).with_context(context)?;
        let found = found.with_context(|| format!("topic {topic:?} does not exist"))?;
        let mut cursors = Vec::with_capacity(found.partitions.len());
        for partition in found.partitions() {
            let next = first(&connection, partition.id, start).with_context(context)?;
            cursors.push(Cursor { partition, next });
        }
        let at_end = is_at_end(&connection, &cursors).with_context(context)?;
        let shared = Arc::clone(shared);
        Ok(Self { shared, connection, topic: topic.to_owned(), cursors, turn: 0, at_end })
    }

    fn read_now(&mut self, max: usize) -> rusqlite::Result<Vec<Consumed>> {
        let mut events = Vec::new();
        self.turn = (self.turn + 1) % self.cursors.len().max(1);
        loop {
            let room = Room { events: max - events.len(), bytes: READ_BYTES };
            let (cursors, turn) = (&mut self.cursors, self.turn);
            let mut sink = |event| events.push(event);
            let gaps = read::fill(&self.connection, cursors, turn, room, &mut sink)?;
            // Retention was faster: go on with what is left.
            for gap in &gaps {
                if let Some(cursor) = cursors.get_mut(gap.cursor) {
                    cursor.next = gap.oldest;
                }
            }
            if gaps.is_empty() || events.len() >= max {
                break;
            }
        }
        self.at_end = is_at_end(&self.connection, &self.cursors)?;
        Ok(events)
    }
}

impl Reader for EmbeddedReader {
    fn read(&mut self, max: usize, max_wait: Duration) -> anyhow::Result<Vec<Consumed>> {
        let deadline = deadline(max_wait);
        loop {
            let seen = self.shared.signal.current();
            let events = self.read_now(max);
            let events =
                events.with_context(|| format!("failed to read topic {:?}", self.topic))?;
            if !events.is_empty() || max == 0 || Instant::now() >= deadline {
                return Ok(events);
            }
            self.shared.signal.wait(seen, deadline);
        }
    }

    fn at_end(&self) -> bool {
        self.at_end
    }
}

/// Where reading a partition begins.
pub(super) fn first(
    connection: &Connection,
    partition: i64,
    start: ReadFrom,
) -> rusqlite::Result<i64> {
    let range = read::range(connection, partition)?;
    Ok(match start {
        ReadFrom::Earliest => range.start,
        ReadFrom::Latest => range.end,
        ReadFrom::Offset(offset) => offset.clamp(range.start, range.end),
        ReadFrom::Timestamp(timestamp) => read::offset_at(connection, partition, timestamp)?,
    })
}

fn is_at_end(connection: &Connection, cursors: &[Cursor]) -> rusqlite::Result<bool> {
    for cursor in cursors {
        let range = read::range(connection, cursor.partition.id)?;
        if cursor.next.max(range.start) < range.end {
            return Ok(false);
        }
    }
    Ok(true)
}
