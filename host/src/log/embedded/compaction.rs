//! Compaction: of the events with one key in one partition the newest stays. Only a host does.
//!
//! As in Kafka, offsets stay as they are, so a compacted partition has holes; events without a
//! key are never touched, and neither is the newest event of a partition, so that its end stays
//! readable; a tombstone goes once it is older than `delete.retention.ms`. A pass learns the keys
//! of the part that is new since the last one and then goes through the partition from its start;
//! one tick looks at a bounded number of events, and the next one goes on from there.

use std::collections::HashMap;

use rusqlite::{Connection, OptionalExtension, params};

use super::catalog;
use super::settings::Compaction;
use super::signal::Stop;
use super::store::Shared;
use super::{read, record};

/// Events looked at in one tick, about.
const TICK_EVENTS: i64 = 100_000;

/// Events looked at before what was found is removed, in one transaction.
const CHUNK_EVENTS: i64 = 1_000;

/// Bytes removed in one transaction, about: a large event has many pages to free.
const CHUNK_BYTES: i64 = 16 * 1024 * 1024;

/// Bytes of keys that one pass remembers, about.
const KEY_BYTES: usize = 32 * 1024 * 1024;

/// A partition with no more events is compacted as soon as there is anything new; a larger one
/// when half of it is new, so that each event is looked at a bounded number of times.
const SMALL_EVENTS: i64 = 10_000;

const READ_STATE: &str =
    "SELECT clean_to, clean_events, tombstone FROM compactions WHERE partition = ?1";

/// The thread's memory: the pass that the last tick did not finish.
#[derive(Debug, Default)]
pub(super) struct Compactor {
    under_way: Option<Pass>,
    /// The partition that was looked at last: the others have their turn first.
    last: i64,
}

/// How far a partition is compacted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct State {
    /// Before this offset no two events have the same key.
    pub(super) clean_to: i64,
    /// How many events that part has.
    pub(super) clean_events: i64,
    /// The timestamp of the oldest tombstone in it that may go one day.
    pub(super) tombstone: Option<i64>,
}

impl Compactor {
    /// The tick of the thread: an error is told and the next tick tries again.
    pub(super) fn tick(&mut self, shared: &Shared, stop: &Stop) {
        if let Err(error) = self.sweep(shared, &|| stop.requested()) {
            self.under_way = None;
            tracing::warn!(dir = %shared.dir.display(), error = format!("{error:#}"),
                "failed to compact topics");
        }
    }

    /// Compacts what needs it, within the bounds of a tick or until the owner is gone.
    pub(super) fn sweep(&mut self, shared: &Shared, stop: &dyn Fn() -> bool) -> anyhow::Result<()> {
        let mut tick = Tick { shared, connection: shared.open_reader()?, left: TICK_EVENTS, stop };
        for (partition, rule) in self.in_turn(compacted(&tick.connection)?) {
            let oldest_ms = (shared.clock)().saturating_sub(rule.tombstones_ms);
            while !tick.is_over() {
                self.last = partition;
                let pass = match self.under_way.take().filter(|pass| pass.partition == partition) {
                    None => Pass::begin(&tick.connection, partition, oldest_ms)?,
                    pass => pass,
                };
                let Some(mut pass) = pass else { break };
                if tick.advance(&mut pass)? {
                    shared.store.lock().note_compacted(partition, pass.after)?;
                    tracing::debug!(partition, state = ?pass.after, "partition compacted");
                } else {
                    self.under_way = Some(pass);
                }
            }
        }
        Ok(())
    }

    /// The pass that is under way first, then those that wait longest.
    fn in_turn(&self, mut partitions: Vec<(i64, Compaction)>) -> Vec<(i64, Compaction)> {
        let current = self.under_way.as_ref().map(|pass| pass.partition);
        partitions.sort_by_key(|(partition, _)| {
            (Some(*partition) != current, *partition <= self.last, *partition)
        });
        partitions
    }
}

/// One tick and what it may still do.
struct Tick<'a> {
    shared: &'a Shared,
    connection: Connection,
    /// Events that may still be looked at.
    left: i64,
    stop: &'a dyn Fn() -> bool,
}

impl Tick<'_> {
    fn is_over(&self) -> bool {
        self.left <= 0 || (self.stop)()
    }

    /// Goes on with a pass as far as the tick allows. Whether it has ended.
    fn advance(&mut self, pass: &mut Pass) -> anyhow::Result<bool> {
        self.left -= std::mem::take(&mut pass.learnt);
        loop {
            let found = pass.look(&self.connection)?;
            // A look costs something even if nothing is there.
            self.left -= found.seen.max(1);
            if !found.offsets.is_empty() {
                let mut store = self.shared.store.lock();
                store.remove(pass.partition, &found.offsets, found.bytes)?;
            }
            if found.is_last || self.is_over() {
                return Ok(found.is_last);
            }
        }
    }
}

/// The partitions of all compacted topics.
fn compacted(connection: &Connection) -> rusqlite::Result<Vec<(i64, Compaction)>> {
    let mut partitions = Vec::new();
    for name in catalog::names(connection)? {
        if let Some(topic) = catalog::load(connection, &name)?
            && let Some(rule) = topic.settings.compaction
        {
            partitions.extend(topic.partitions.iter().map(|partition| (*partition, rule)));
        }
    }
    Ok(partitions)
}

/// One way through a partition, from its start to where the keys are known.
#[derive(Debug)]
struct Pass {
    /// Its row.
    partition: i64,
    /// A tombstone that goes is older than this.
    oldest_ms: i64,
    /// The newest offset of each key in the part that was not clean.
    newest: HashMap<Vec<u8>, i64>,
    /// Events that had to be read to know that, until they are counted.
    learnt: i64,
    /// The newest event of the partition, which stays.
    last: i64,
    /// The next offset to look at.
    next: i64,
    /// What will hold at the end; so far only its `clean_to` is true.
    after: State,
}

/// What one look found.
#[derive(Debug, Default)]
struct Found {
    /// The events to remove.
    offsets: Vec<i64>,
    /// The bytes they have.
    bytes: i64,
    /// Events looked at.
    seen: i64,
    /// Nothing is left to look at.
    is_last: bool,
}

impl Pass {
    /// Begins, if the partition needs it: enough is new, or a tombstone may go.
    fn begin(
        connection: &Connection,
        partition: i64,
        oldest_ms: i64,
    ) -> rusqlite::Result<Option<Self>> {
        let state = state(connection, partition)?;
        let range = read::range(connection, partition)?;
        let clean_to = state.clean_to.max(range.start);
        let new = range.end - clean_to;
        let is_dirty =
            new > 0 && (new >= state.clean_events || state.clean_events + new <= SMALL_EVENTS);
        let expires = state.tombstone.is_some_and(|timestamp| timestamp < oldest_ms);
        if !is_dirty && !expires {
            return Ok(None);
        }
        let mut pass = Self {
            partition,
            oldest_ms,
            newest: HashMap::new(),
            learnt: 0,
            last: range.end - 1,
            next: range.start,
            after: State { clean_to, ..State::default() },
        };
        if is_dirty {
            pass.learn(connection)?;
        }
        Ok(Some(pass))
    }

    /// Reads the keys from where the partition is clean, as many as may be remembered.
    fn learn(&mut self, connection: &Connection) -> rusqlite::Result<()> {
        let mut statement = connection.prepare_cached(record::KEYS)?;
        let (from, to) = (self.after.clean_to, self.last + 1);
        let mut rows = statement.query(params![self.partition, from, to, TICK_EVENTS])?;
        let mut bytes = 0;
        while bytes < KEY_BYTES {
            let Some(row) = rows.next()? else {
                if self.learnt < TICK_EVENTS {
                    self.after.clean_to = to;
                }
                break;
            };
            let offset: i64 = row.get(0)?;
            if let Some(key) = row.get_ref(2)?.as_blob_or_null()? {
                bytes += key.len() + size_of::<(Vec<u8>, i64)>();
                self.newest.insert(key.to_vec(), offset);
            }
            self.learnt += 1;
            self.after.clean_to = offset + 1;
        }
        Ok(())
    }

    /// Looks at the next events.
    fn look(&mut self, connection: &Connection) -> rusqlite::Result<Found> {
        let mut statement = connection.prepare_cached(record::KEYS)?;
        let to = self.after.clean_to;
        let mut rows = statement.query(params![self.partition, self.next, to, CHUNK_EVENTS])?;
        let mut found = Found::default();
        while found.bytes < CHUNK_BYTES {
            let Some(row) = rows.next()? else {
                found.is_last = found.seen < CHUNK_EVENTS;
                break;
            };
            let (offset, timestamp): (i64, i64) = (row.get(0)?, row.get(1)?);
            let key = row.get_ref(2)?.as_blob_or_null()?;
            let is_tombstone = key.is_some() && row.get(3)?;
            let replaced = key.and_then(|key| self.newest.get(key)).is_some_and(|n| offset < *n);
            let may_expire = is_tombstone && offset < self.last;
            if replaced || may_expire && timestamp < self.oldest_ms {
                found.offsets.push(offset);
                found.bytes += row.get::<_, i64>(4)?;
            } else {
                self.after.clean_events += 1;
                if may_expire {
                    let oldest = self.after.tombstone.map_or(timestamp, |t| t.min(timestamp));
                    self.after.tombstone = Some(oldest);
                }
            }
            found.seen += 1;
            self.next = offset + 1;
        }
        Ok(found)
    }
}

fn state(connection: &Connection, partition: i64) -> rusqlite::Result<State> {
    let state = connection.prepare_cached(READ_STATE)?.query_row([partition], |row| {
        Ok(State { clean_to: row.get(0)?, clean_events: row.get(1)?, tombstone: row.get(2)? })
    });
    Ok(state.optional()?.unwrap_or_default())
}
