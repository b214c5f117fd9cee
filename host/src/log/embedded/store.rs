//! The one place that writes: SQLite's writing connection, the topics and the groups behind one
//! lock, so that the owners of partitions cannot change while a commit is under way.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use rusqlite::{Connection, params};

use super::catalog::{self, Catalog, Partition};
use super::compaction::State;
use super::groups::{Groups, Membership, Owned};
use super::lock::HostLock;
use super::read::{self, Cursor};
use super::signal::Signal;
use super::write::Write;
use super::{members, storage};
use crate::log::{Start, Subscription};
use crate::topic::TopicSpec;

/// Tells the time in milliseconds since the epoch: for stamping events and for retention.
pub(super) type Clock = Arc<dyn Fn() -> i64 + Send + Sync>;

const NOTE_COMPACTED: &str = "INSERT OR REPLACE INTO compactions \
    (partition, clean_to, clean_events, tombstone) VALUES (?1, ?2, ?3, ?4)";

/// What the log, its threads, its sessions and its readers share.
pub(super) struct Shared {
    /// Where the log lives.
    pub(super) dir: PathBuf,
    /// The time.
    pub(super) clock: Clock,
    /// Rings after each change of the log.
    pub(super) signal: Signal,
    /// Everything that writes.
    pub(super) store: Mutex<Store>,
    /// For short questions; never held while writing.
    pub(super) reads: Mutex<Connection>,
    /// Held by a host until the last session is gone.
    pub(super) host: Option<HostLock>,
}

impl Shared {
    /// Opens the database in `dir` and creates it when it is missing.
    pub(super) fn open(dir: &Path, host: Option<HostLock>, clock: Clock) -> anyhow::Result<Self> {
        let connection = storage::open_writer(dir, host.is_some())?;
        let mut store =
            Store { connection, catalog: Catalog::default(), groups: Groups::default() };
        if host.is_some() {
            // A host that was killed has left its sessions behind.
            store.publish().with_context(|| format!("failed to write to {:?}", dir.display()))?;
        }
        Ok(Self {
            dir: dir.to_owned(),
            clock,
            signal: Signal::default(),
            store: Mutex::new(store),
            reads: Mutex::new(storage::open_reader(dir)?),
            host,
        })
    }

    /// A connection for a reader of its own.
    pub(super) fn open_reader(&self) -> anyhow::Result<Connection> {
        storage::open_reader(&self.dir)
            .with_context(|| format!("failed to open the log in {:?}", self.dir.display()))
    }
}

/// The writer.
pub(super) struct Store {
    connection: Connection,
    catalog: Catalog,
    /// Consumer groups; only a host has any.
    pub(super) groups: Groups,
}

impl Store {
    /// Begins a write transaction.
    pub(super) fn begin(&mut self, now_ms: i64) -> rusqlite::Result<Write<'_>> {
        Write::begin(&mut self.connection, &mut self.catalog, now_ms)
    }

    /// Creates a topic and hands its partitions to the groups that wait for it.
    pub(super) fn create_topic(&mut self, spec: &TopicSpec) -> anyhow::Result<bool> {
        let created = catalog::create(&mut self.connection, spec)?;
        if created {
            self.assign_all()?;
        }
        Ok(created)
    }

    /// Adds a session to its group.
    pub(super) fn join(&mut self, subscription: &Subscription) -> rusqlite::Result<Membership> {
        // Read first: a member whose topics cannot be read must not exist.
        self.load(subscription.topics.iter())?;
        let membership = self.groups.join(subscription);
        // Before it reads its offsets: see `positions`.
        if let Err(error) = self.publish() {
            self.groups.leave(&subscription.group, membership.id);
            return Err(error);
        }
        self.assign(&subscription.group);
        Ok(membership)
    }

    /// Removes a session from its group; the others take over its partitions.
    pub(super) fn leave(&mut self, group: &str, member: u64) {
        self.groups.leave(group, member);
        self.assign(group);
        if let Err(error) = self.publish() {
            tracing::warn!(group, %error,
                "failed to write down who left the group; others take it for a member until \
                 another one comes or leaves");
        }
    }

    /// Writes down who is in which group.
    fn publish(&mut self) -> rusqlite::Result<()> {
        let write = Write::begin(&mut self.connection, &mut self.catalog, 0)?;
        members::publish(write.connection(), &self.groups)?;
        write.commit()
    }

    /// Looks for topics that groups wait for.
    pub(super) fn assign_all(&mut self) -> rusqlite::Result<()> {
        for group in self.groups.names() {
            let topics = self.groups.topics(&group);
            if topics.iter().any(|topic| self.catalog.known(topic).is_none())
                && self.load(topics.iter())?
            {
                self.assign(&group);
            }
        }
        Ok(())
    }

    /// Where a group goes on in partitions that it was just given. What `start` chooses is
    /// stored for `latest`, so that a restart loses nothing in between.
    pub(super) fn positions(
        &mut self,
        subscription: &Subscription,
        partitions: &[Owned],
    ) -> rusqlite::Result<Vec<Cursor>> {
        let (mut cursors, mut chosen) = (Vec::with_capacity(partitions.len()), Vec::new());
        for Owned { partition, .. } in partitions {
            let (next, is_chosen) = self.position(subscription, partition)?;
            if is_chosen && subscription.start == Start::Latest {
                chosen.push((partition.id, next));
            }
            cursors.push(Cursor { partition: partition.clone(), next });
        }
        if !chosen.is_empty() {
            let write = self.begin(0)?;
            for (partition, next) in chosen {
                write.set_offset(&subscription.group, partition, next)?;
            }
            write.commit()?;
        }
        Ok(cursors)
    }

    /// Moves a group to the end of a partition and returns that.
    pub(super) fn skip_to_end(
        &mut self,
        group: &str,
        partition: &Partition,
    ) -> rusqlite::Result<i64> {
        let write = self.begin(0)?;
        let end = read::range(write.connection(), partition.id)?.end;
        write.set_offset(group, partition.id, end)?;
        write.commit()?;
        Ok(end)
    }

    /// Deletes the oldest events of a partition.
    pub(super) fn delete(
        &mut self,
        partition: i64,
        before: i64,
        bytes: i64,
    ) -> rusqlite::Result<()> {
        let write = self.begin(0)?;
        write.delete(partition, before, bytes)?;
        write.commit()
    }

    /// Removes events of a partition that later ones replace.
    pub(super) fn remove(
        &mut self,
        partition: i64,
        offsets: &[i64],
        bytes: i64,
    ) -> rusqlite::Result<()> {
        let write = self.begin(0)?;
        write.remove(partition, offsets, bytes)?;
        write.commit()
    }

    /// Notes how far a partition is compacted.
    pub(super) fn note_compacted(&mut self, partition: i64, state: State) -> rusqlite::Result<()> {
        let State { clean_to, clean_events, tombstone } = state;
        let write = self.begin(0)?;
        let mut statement = write.connection().prepare_cached(NOTE_COMPACTED)?;
        statement.execute(params![partition, clean_to, clean_events, tombstone])?;
        drop(statement);
        write.commit()
    }

    /// Where the group goes on, and whether `start` had to choose it.
    fn position(
        &self,
        subscription: &Subscription,
        partition: &Partition,
    ) -> rusqlite::Result<(i64, bool)> {
        let group = &subscription.group;
        let range = read::range(&self.connection, partition.id)?;
        let committed = read::committed(&self.connection, group, partition.id)?;
        match committed {
            Some(next) if (range.start..=range.end).contains(&next) => return Ok((next, false)),
            Some(next) => {
                tracing::warn!(group, partition = %partition.at, committed = next,
                    start = range.start, end = range.end, policy = ?subscription.start,
                    "the committed offset is out of range; its events are gone");
            }
            // Nothing in a topic that did not exist when the group came is old.
            None if self.groups.was_awaited(group, &partition.at.topic) => {
                return Ok((range.start, true));
            }
            None => {}
        }
        Ok(match subscription.start {
            Start::Earliest => (range.start, true),
            Start::Latest => (range.end, true),
        })
    }

    /// Reads topics that are not known; whether any was found.
    fn load<'a>(&mut self, names: impl Iterator<Item = &'a Arc<str>>) -> rusqlite::Result<bool> {
        let mut found = false;
        for name in names {
            let known = self.catalog.known(name).is_some();
            found |= self.catalog.topic(&self.connection, name)?.is_some() && !known;
        }
        Ok(found)
    }

    fn assign(&mut self, group: &str) {
        let partitions = |name: &Arc<str>| match self.catalog.known(name) {
            Some(topic) => topic.partitions().collect(),
            None => Vec::new(),
        };
        let topics = self.groups.topics(group);
        let topics: BTreeMap<_, Vec<_>> =
            topics.into_iter().map(|name| (Arc::clone(&name), partitions(&name))).collect();
        self.groups.assign(group, &topics);
    }
}
