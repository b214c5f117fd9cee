//! Topics and groups as commands see them.

use std::sync::Arc;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::catalog;
use super::store::Shared;
use crate::event::TopicPartition;
use crate::log::{Admin, GroupOffset, PartitionRange, TopicDescription, TopicSummary};
use crate::topic::TopicSpec;

/// One machine, one copy.
const REPLICATION_FACTOR: u16 = 1;

const TOPICS: &str = "SELECT topics.name, count(*) FROM topics \
    JOIN partitions ON partitions.topic = topics.id GROUP BY topics.id ORDER BY topics.name";

const RANGES: &str = "SELECT number, first_offset, partitions.next_offset FROM partitions \
    JOIN topics ON topics.id = partitions.topic WHERE topics.name = ?1 ORDER BY number";

const GROUPS: &str = "SELECT DISTINCT group_name FROM group_offsets ORDER BY group_name";

const GROUP: &str = "SELECT topics.name, number, group_offsets.next_offset, first_offset, \
    partitions.next_offset FROM group_offsets \
    JOIN partitions ON partitions.id = group_offsets.partition \
    JOIN topics ON topics.id = partitions.topic \
    WHERE group_name = ?1 ORDER BY topics.name, number";

impl Admin for Shared {
    fn topics(&self) -> anyhow::Result<Vec<TopicSummary>> {
        let connection = self.reads.lock();
        list_topics(&connection).context("failed to list the topics")
    }

    fn topic(&self, name: &str) -> anyhow::Result<Option<TopicDescription>> {
        let connection = self.reads.lock();
        describe_topic(&connection, name)
            .with_context(|| format!("failed to describe topic {name:?}"))
    }

    fn create_topic(&self, spec: &TopicSpec) -> anyhow::Result<bool> {
        let created = self.store.lock().create_topic(spec)?;
        if created {
            self.signal.notify();
        }
        Ok(created)
    }

    fn groups(&self) -> anyhow::Result<Vec<String>> {
        let connection = self.reads.lock();
        list_groups(&connection).context("failed to list the groups")
    }

    fn group(&self, name: &str) -> anyhow::Result<Vec<GroupOffset>> {
        let connection = self.reads.lock();
        describe_group(&connection, name)
            .with_context(|| format!("failed to describe group {name:?}"))
    }
}

fn list_topics(connection: &Connection) -> rusqlite::Result<Vec<TopicSummary>> {
    let mut statement = connection.prepare_cached(TOPICS)?;
    let topics = statement.query_map([], |row| {
        Ok(TopicSummary {
            name: row.get(0)?,
            partitions: row.get(1)?,
            replication_factor: REPLICATION_FACTOR,
        })
    })?;
    topics.collect()
}

fn describe_topic(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<TopicDescription>> {
    let Some(settings) = catalog::settings_of(connection, name)? else { return Ok(None) };
    let mut statement = connection.prepare_cached(RANGES)?;
    let ranges = statement.query_map([name], |row| {
        Ok(PartitionRange { partition: row.get(0)?, start: row.get(1)?, end: row.get(2)? })
    })?;
    Ok(Some(TopicDescription {
        name: name.to_owned(),
        replication_factor: REPLICATION_FACTOR,
        partitions: ranges.collect::<Result<_, _>>()?,
        settings,
    }))
}

fn list_groups(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    connection.prepare_cached(GROUPS)?.query_map([], |row| row.get(0))?.collect()
}

fn describe_group(connection: &Connection, name: &str) -> rusqlite::Result<Vec<GroupOffset>> {
    let mut statement = connection.prepare_cached(GROUP)?;
    let offsets = statement.query_map(params![name], |row| {
        let topic: Arc<str> = row.get::<_, String>(0)?.into();
        let (committed, start, end): (i64, i64, i64) = (row.get(2)?, row.get(3)?, row.get(4)?);
        Ok(GroupOffset {
            at: TopicPartition { topic, partition: row.get(1)? },
            committed,
            end,
            // What retention has deleted is not to be processed any more.
            lag: (end - committed.max(start)).max(0),
        })
    })?;
    offsets.collect()
}
