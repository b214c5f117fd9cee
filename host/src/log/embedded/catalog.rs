//! Topics and their partitions: created once, never changed, so what was read stays true.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use anyhow::{Context, ensure};
use rusqlite::{Connection, OptionalExtension, Transaction, TransactionBehavior, params};

use super::partitioner::RoundRobin;
use super::settings::{self, Settings};
use crate::event::TopicPartition;
use crate::topic::{self, TopicSpec};

/// More partitions than this are a mistake.
const MAX_PARTITIONS: u32 = 10_000;

/// A partition, by its names and by its row.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Partition {
    /// Topic and number.
    pub(super) at: TopicPartition,
    /// Row in `partitions`.
    pub(super) id: i64,
}

/// A topic as the writer needs it.
#[derive(Debug)]
pub(super) struct Topic {
    /// Shared by everything that names the topic.
    pub(super) name: Arc<str>,
    /// Rows of the partitions, by number.
    pub(super) partitions: Vec<i64>,
    /// What is in force.
    pub(super) settings: Settings,
    /// Where the next event without a key goes.
    pub(super) unkeyed: RoundRobin,
}

impl Topic {
    /// All partitions, in order.
    pub(super) fn partitions(&self) -> impl Iterator<Item = Partition> {
        (0_i32..).zip(&self.partitions).map(|(number, id)| Partition {
            at: TopicPartition { topic: Arc::clone(&self.name), partition: number },
            id: *id,
        })
    }
}

/// The topics seen so far.
#[derive(Debug, Default)]
pub(super) struct Catalog(HashMap<Arc<str>, Topic>);

impl Catalog {
    /// The topic, read when it is not known yet; `None` when it does not exist.
    pub(super) fn topic(
        &mut self,
        connection: &Connection,
        name: &str,
    ) -> rusqlite::Result<Option<&mut Topic>> {
        if !self.0.contains_key(name)
            && let Some(topic) = load(connection, name)?
        {
            self.0.insert(Arc::clone(&topic.name), topic);
        }
        Ok(self.0.get_mut(name))
    }

    /// The topic, when it was read before.
    pub(super) fn known(&self, name: &str) -> Option<&Topic> {
        self.0.get(name)
    }
}

/// Reads one topic.
pub(super) fn load(connection: &Connection, name: &str) -> rusqlite::Result<Option<Topic>> {
    let topic = connection
        .prepare_cached("SELECT id, settings FROM topics WHERE name = ?1")?
        .query_row([name], |row| Ok((row.get::<_, i64>(0)?, row.get::<_, String>(1)?)))
        .optional()?;
    let Some((id, given)) = topic else { return Ok(None) };
    let mut statement =
        connection.prepare_cached("SELECT id FROM partitions WHERE topic = ?1 ORDER BY number")?;
    let partitions = statement.query_map([id], |row| row.get(0))?.collect::<Result<_, _>>()?;
    let settings = Settings::parse(&decode(&given)).map_err(|error| unreadable(1, error))?;
    let name = name.into();
    Ok(Some(Topic { name, partitions, settings, unkeyed: RoundRobin::new() }))
}

/// The names of all topics, in order.
pub(super) fn names(connection: &Connection) -> rusqlite::Result<Vec<String>> {
    let mut statement = connection.prepare_cached("SELECT name FROM topics ORDER BY name")?;
    statement.query_map([], |row| row.get(0))?.collect()
}

/// The settings of a topic, defaults included; `None` when it does not exist.
pub(super) fn settings_of(
    connection: &Connection,
    name: &str,
) -> rusqlite::Result<Option<BTreeMap<String, String>>> {
    let given: Option<String> = connection
        .prepare_cached("SELECT settings FROM topics WHERE name = ?1")?
        .query_row([name], |row| row.get(0))
        .optional()?;
    Ok(given.map(|given| settings::with_defaults(&decode(&given))))
}

/// Creates a topic; `false` when it exists.
pub(super) fn create(connection: &mut Connection, spec: &TopicSpec) -> anyhow::Result<bool> {
    check(spec).with_context(|| format!("failed to create topic {:?}", spec.name))?;
    let created = insert(connection, spec)
        .with_context(|| format!("failed to create topic {:?}", spec.name))?;
    let idle = settings::without_effect(&spec.settings);
    // Lockstep's own are the same on every log; nobody chose them.
    if created && !idle.is_empty() && !spec.name.starts_with(topic::RESERVED_PREFIX) {
        tracing::warn!(topic = %spec.name, settings = ?idle,
            "the embedded log keeps these topic settings, but they have no effect");
    }
    Ok(created)
}

fn check(spec: &TopicSpec) -> anyhow::Result<()> {
    topic::check_name(&spec.name).map_err(anyhow::Error::msg)?;
    ensure!(
        (1..=MAX_PARTITIONS).contains(&spec.partitions),
        "a topic has 1 to {MAX_PARTITIONS} partitions, not {}",
        spec.partitions
    );
    Settings::parse(&spec.settings).map(drop)
}

fn insert(connection: &mut Connection, spec: &TopicSpec) -> anyhow::Result<bool> {
    let transaction = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if exists(&transaction, &spec.name)? {
        return Ok(false);
    }
    let settings = serde_json::to_string(&spec.settings)?;
    transaction.execute(
        "INSERT INTO topics (name, settings) VALUES (?1, ?2)",
        params![&*spec.name, settings],
    )?;
    let id = transaction.last_insert_rowid();
    {
        let mut statement =
            transaction.prepare_cached("INSERT INTO partitions (topic, number) VALUES (?1, ?2)")?;
        for number in 0..spec.partitions {
            statement.execute(params![id, number])?;
        }
    }
    transaction.commit()?;
    Ok(true)
}

fn exists(transaction: &Transaction<'_>, name: &str) -> rusqlite::Result<bool> {
    transaction.prepare_cached("SELECT 1 FROM topics WHERE name = ?1")?.exists([name])
}

/// Settings are written by [`insert`] alone; anything else counts as none given.
fn decode(given: &str) -> BTreeMap<String, String> {
    serde_json::from_str(given).unwrap_or_default()
}

fn unreadable(column: usize, error: anyhow::Error) -> rusqlite::Error {
    let kind = rusqlite::types::Type::Text;
    rusqlite::Error::FromSqlConversionFailure(column, kind, error.into())
}
