//! Where groups go on, set by hand: only while nobody is in the group. Members write themselves
//! down before they read their offsets, in the database's order of transactions, so none goes on
//! from an offset that was replaced.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use rusqlite::{Connection, OptionalExtension, params};

use super::members;
use super::store::Shared;
use crate::event::TopicPartition;
use crate::log::has_members;

const FIND: &str = "SELECT partitions.id, first_offset, next_offset FROM partitions \
    JOIN topics ON topics.id = partitions.topic WHERE topics.name = ?1 AND number = ?2";

/// Sets the offsets of a group, clamped to what the partitions hold.
pub(super) fn set(
    shared: &Shared,
    group: &str,
    offsets: &BTreeMap<TopicPartition, i64>,
) -> anyhow::Result<()> {
    let context = || format!("failed to set the offsets of group {group:?}");
    let mut store = shared.store.lock();
    let write = store.begin((shared.clock)()).with_context(context)?;
    let names = members::names(write.connection(), &shared.dir, group)?;
    ensure!(names.is_empty(), has_members(group, &names));
    for (at, offset) in offsets {
        let found = find(write.connection(), at).with_context(context)?;
        let (id, start, end) = found.with_context(|| {
            format!("partition {at} does not exist; the offsets of group {group:?} are unchanged")
        })?;
        write.set_offset(group, id, (*offset).clamp(start, end)).with_context(context)?;
    }
    write.commit().with_context(context)
}

/// Row, start and end of a partition.
fn find(connection: &Connection, at: &TopicPartition) -> rusqlite::Result<Option<(i64, i64, i64)>> {
    let mut statement = connection.prepare_cached(FIND)?;
    let place = params![&*at.topic, at.partition];
    statement.query_row(place, |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).optional()
}
