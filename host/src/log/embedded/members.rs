//! Who is in which group, for those who ask from other processes: a host writes down its
//! sessions, and its lock tells whether that is still true.

use std::path::Path;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::groups::Groups;
use super::lock;

const WRITE: &str = "INSERT INTO members (group_name, handler, slot) VALUES (?1, ?2, ?3)";
const READ: &str = "SELECT handler, slot FROM members WHERE group_name = ?1 ORDER BY handler, slot";

/// Replaces what is written down by what is true now, within the caller's transaction. All of
/// it, because it is little: what could not be written once is written the next time.
pub(super) fn publish(connection: &Connection, groups: &Groups) -> rusqlite::Result<()> {
    connection.prepare_cached("DELETE FROM members")?.execute([])?;
    let mut statement = connection.prepare_cached(WRITE)?;
    for (group, handler, slot) in groups.sessions() {
        statement.execute(params![group, handler, slot])?;
    }
    Ok(())
}

/// The members of a group, each in words; none when the host that wrote them down is gone.
pub(super) fn names(
    connection: &Connection,
    dir: &Path,
    group: &str,
) -> anyhow::Result<Vec<String>> {
    let members = read(connection, group)
        .with_context(|| format!("failed to read the members of group {group:?}"))?;
    if members.is_empty() {
        return Ok(Vec::new());
    }
    let Some(host) = lock::holder_of(dir)? else { return Ok(Vec::new()) };
    let name = |(handler, slot)| format!("worker {slot} of handler {handler:?} on {host}");
    Ok(members.into_iter().map(name).collect())
}

fn read(connection: &Connection, group: &str) -> rusqlite::Result<Vec<(String, u32)>> {
    let mut statement = connection.prepare_cached(READ)?;
    statement.query_map([group], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}
