//! Topics and groups as commands see them.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::Context;
use rusqlite::{Connection, params};

use super::store::Shared;
use super::{catalog, members, positions, reader};
use crate::event::TopicPartition;
use crate::log::{Admin, GroupOffset, PartitionRange, ReadFrom, TopicDescription, TopicSummary};
use crate::topic::TopicSpec;

/// One machine, one copy.
const REPLICATION_FACTOR: u16 = 1;

const TOPICS: &str = "SELECT topics.name, count(*) FROM topics \
    JOIN partitions ON partitions.topic = topics.id GROUP BY topics.id ORDER BY topics.name";

const RANGES: &str = "SELECT number, first_offset, partitions.next_offset FROM partitions \
    JOIN topics ON topics.id = partitions.topic WHERE topics.name = ?1 ORDER BY number";

const GROUPS: &str = "SELECT DISTINCT group_name FROM group_offsets ORDER BY group_name";

const GROUP: &str = "SELECT topics.name, number, group_offsets.next_offset, first_offset, \
    partitions.next_offset, partitions.id FROM group_offsets \
    JOIN partitions ON partitions.id = group_offsets.partition \
    JOIN topics ON topics.id = partitions.topic \
    WHERE group_name = ?1 ORDER BY topics.name, number";

const COUNT: &str = "SELECT count(*) FROM records WHERE partition = ?1 AND offset >= ?2";

/// Distances up to this are counted event by event, since compaction leaves holes.
const COUNTED_LAG: i64 = 1_000;

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

    fn member_names(&self, group: &str) -> anyhow::Result<Vec<String>> {
        members::names(&self.reads.lock(), &self.dir, group)
    }

    fn set_offsets(
        &self,
        group: &str,
        offsets: &BTreeMap<TopicPartition, i64>,
    ) -> anyhow::Result<()> {
        positions::set(self, group, offsets)
    }

    fn offsets(&self, topic: &str, at: ReadFrom) -> anyhow::Result<BTreeMap<i32, i64>> {
        let connection = self.reads.lock();
        let context = || format!("failed to look up offsets of topic {topic:?}");
        let found = catalog::load(&connection, topic).with_context(context)?;
        let found = found.with_context(|| format!("topic {topic:?} does not exist"))?;
        let offset = |partition: catalog::Partition| {
            let first = reader::first(&connection, partition.id, at)?;
            Ok((partition.at.partition, first))
        };
        found.partitions().map(offset).collect::<rusqlite::Result<_>>().with_context(context)
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
        // What retention has deleted is not to be processed any more.
        let distance = (end - committed.max(start)).max(0);
        let lag = match distance {
            1..=COUNTED_LAG => connection
                .prepare_cached(COUNT)?
                .query_row(params![row.get::<_, i64>(5)?, committed], |row| row.get(0))?,
            distance => distance,
        };
        Ok(GroupOffset {
            at: TopicPartition { topic, partition: row.get(1)? },
            committed,
            end,
            lag,
        })
    })?;
    offsets.collect()
}
