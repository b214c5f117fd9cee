//! Reading partitions: range scans over the index, and the ends of partitions. Sees what is
//! committed and nothing else, because SQLite does.

use rusqlite::{Connection, OptionalExtension, params};

use super::catalog::Partition;
use super::record;
use crate::event::Consumed;

/// A place in a partition.
#[derive(Clone, Debug)]
pub(super) struct Cursor {
    /// The partition.
    pub(super) partition: Partition,
    /// The offset to read next.
    pub(super) next: i64,
}

/// What may still be read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Room {
    /// Number of events.
    pub(super) events: usize,
    /// Bytes, as [`Event::weight`](crate::event::Event::weight) counts.
    pub(super) bytes: usize,
}

/// A cursor whose next event was deleted because it was too old, and the oldest event that is
/// left. What compaction has removed is no gap: a later event says the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Gap {
    /// Index of the cursor.
    pub(super) cursor: usize,
    /// Offset of the oldest event.
    pub(super) oldest: i64,
}

/// Offsets of a partition: the oldest event kept, and the one after the newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Range {
    /// The oldest event kept.
    pub(super) start: i64,
    /// After the newest event.
    pub(super) end: i64,
}

/// How the reading of one partition ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    /// Nothing more is there.
    AtEnd,
    /// Its share is used up.
    AtShare,
    /// The next event does not fit into the room that is left.
    Full,
    /// The next event has expired; this is the oldest.
    Gap(i64),
}

/// Reads from all cursors into `sink`, fairly, until the room is used up or nothing is left, and
/// moves them on. The first event always fits. A cursor at a gap stays where it is.
pub(super) fn fill(
    connection: &Connection,
    cursors: &mut [Cursor],
    first: usize,
    mut room: Room,
    sink: &mut impl FnMut(Consumed),
) -> rusqlite::Result<Vec<Gap>> {
    // One snapshot for all partitions.
    let snapshot = connection.unchecked_transaction()?;
    let count = cursors.len();
    let mut open: Vec<_> = (0..count).map(|index| (first + index) % count).collect();
    let (mut gaps, mut empty) = (Vec::new(), true);
    while !open.is_empty() && room.events > 0 {
        let mut still_open = Vec::with_capacity(open.len());
        for (done, index) in open.iter().copied().enumerate() {
            let waiting = open.len() - done;
            let share =
                Room { events: room.events.div_ceil(waiting), bytes: room.bytes.div_ceil(waiting) };
            let scan = Scan { share, room: &mut room, empty: &mut empty };
            match scan.run(&snapshot, &mut cursors[index], sink)? {
                Ended::AtEnd => {}
                Ended::AtShare => still_open.push(index),
                Ended::Full => return Ok(gaps),
                Ended::Gap(oldest) => gaps.push(Gap { cursor: index, oldest }),
            }
        }
        open = still_open;
    }
    Ok(gaps)
}

struct Scan<'a> {
    share: Room,
    room: &'a mut Room,
    /// Whether nothing was read so far: then the next event fits however large it is.
    empty: &'a mut bool,
}

impl Scan<'_> {
    fn run(
        self,
        connection: &Connection,
        cursor: &mut Cursor,
        sink: &mut impl FnMut(Consumed),
    ) -> rusqlite::Result<Ended> {
        let mut statement = connection.prepare_cached(record::SCAN)?;
        let limit = i64::try_from(self.share.events).unwrap_or(i64::MAX);
        let at_row = cursor.partition.id;
        let mut rows = statement.query(params![at_row, cursor.next, limit])?;
        let (mut events, mut bytes) = (0, 0);
        while let Some(row) = rows.next()? {
            let at = &cursor.partition.at;
            let event = record::read(row, &at.topic, at.partition)?;
            if event.offset != cursor.next && cursor.next < range(connection, at_row)?.start {
                return Ok(Ended::Gap(event.offset));
            }
            let size = event.event.weight();
            if size > self.room.bytes && !*self.empty {
                return Ok(Ended::Full);
            }
            if events > 0 && bytes + size > self.share.bytes {
                return Ok(Ended::AtShare);
            }
            (events, bytes, *self.empty) = (events + 1, bytes + size, false);
            self.room.events -= 1;
            self.room.bytes = self.room.bytes.saturating_sub(size);
            cursor.next = event.offset + 1;
            sink(event);
        }
        Ok(if events < self.share.events { Ended::AtEnd } else { Ended::AtShare })
    }
}

/// The offsets that a partition holds.
pub(super) fn range(connection: &Connection, partition: i64) -> rusqlite::Result<Range> {
    connection
        .prepare_cached("SELECT first_offset, next_offset FROM partitions WHERE id = ?1")?
        .query_row([partition], |row| Ok(Range { start: row.get(0)?, end: row.get(1)? }))
}

/// The bytes that a partition holds, as retention counts.
pub(super) fn bytes(connection: &Connection, partition: i64) -> rusqlite::Result<i64> {
    connection
        .prepare_cached("SELECT bytes FROM partitions WHERE id = ?1")?
        .query_row([partition], |row| row.get(0))
}

/// The first offset whose event has this timestamp or a later one, or the end.
pub(super) fn offset_at(
    connection: &Connection,
    partition: i64,
    timestamp: i64,
) -> rusqlite::Result<i64> {
    let found: Option<i64> = connection
        .prepare_cached(
            "SELECT offset FROM records WHERE partition = ?1 AND timestamp >= ?2 \
             ORDER BY offset LIMIT 1",
        )?
        .query_row([partition, timestamp], |row| row.get(0))
        .optional()?;
    found.map_or_else(|| range(connection, partition).map(|range| range.end), Ok)
}

/// The offset that a group committed.
pub(super) fn committed(
    connection: &Connection,
    group: &str,
    partition: i64,
) -> rusqlite::Result<Option<i64>> {
    connection
        .prepare_cached(
            "SELECT next_offset FROM group_offsets WHERE group_name = ?1 AND partition = ?2",
        )?
        .query_row(params![group, partition], |row| row.get(0))
        .optional()
}
