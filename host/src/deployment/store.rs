//! The registry in the log: reads it, and changes it in one transaction at a time.
//!
//! All changes go through one exclusive writer: whoever opens it shuts out whoever had it before.
//! A change is planned on what was read after that, so two that are made at once cannot both be:
//! the second one is planned again, on top of the first, and may then be refused.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use tracing::{debug, warn};

use super::control::ControlTopics;
use super::operation::{Operation, Operator, Plan, Refusal, unused_since_before};
use super::record::{self, ComponentRecord, Key, encode};
use super::registry::Registry;
use crate::digest::Digest;
use crate::event::{Consumed, Event, now_ms};
use crate::log::{Log, ReadFrom, Reader, WriteError, topics};

/// Bytes of a component in one event: well below what brokers take by default.
const CHUNK: usize = 512 << 10;
/// Events read at once.
const STRIDE: usize = 1_000;
/// How long a read may wait for more.
const WAIT: Duration = Duration::from_millis(100);
/// How long a component may take to become visible after the record that names it: a transaction is
/// seen in each topic once its marker was written there (KIP-98), and the topics are two.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often a change is planned again because others changed something at the same time.
const ATTEMPTS: usize = 5;
/// The longest pause before that.
const PAUSE: Duration = Duration::from_millis(500);
/// The writer of the registry.
const WRITER: &str = "registry";

/// The registry of one fleet. Cloning shares the log.
#[derive(Clone)]
pub struct Store {
    log: Arc<dyn Log>,
    topics: ControlTopics,
}

/// Why a change was not made.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The registry as it is does not allow it.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// The log does not.
    #[error(transparent)]
    Log(#[from] anyhow::Error),
}

impl Store {
    /// The registry of the fleet with this cluster id, in this log. Touches nothing yet.
    pub fn new(log: Arc<dyn Log>, cluster_id: &str) -> Self {
        Self { log, topics: ControlTopics::of(cluster_id) }
    }

    /// The log that it lives in.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// The topics that it lives in.
    pub fn topics(&self) -> &ControlTopics {
        &self.topics
    }

    /// Makes the control topics that are missing.
    pub fn prepare(&self) -> anyhow::Result<()> {
        for spec in self.topics.specs() {
            topics::ensure_exists(self.log.admin(), &spec)?;
        }
        Ok(())
    }

    /// Makes the topic of the handlers' logs when it is missing.
    pub fn prepare_logs(&self) -> anyhow::Result<()> {
        topics::ensure_exists(self.log.admin(), &self.topics.logs_spec()).map(drop)
    }

    /// Whether there is a registry: a fleet to which nothing was ever deployed may have none.
    pub fn exists(&self) -> anyhow::Result<bool> {
        Ok(self.log.admin().topic(&self.topics.deployments)?.is_some())
    }

    /// Reads the records from their beginning on, as they are written.
    pub fn records(&self) -> anyhow::Result<Box<dyn Reader>> {
        self.log.reader(&self.topics.deployments, ReadFrom::Earliest)
    }

    /// The registry as it is now. Records that cannot be used are told and left out.
    pub fn registry(&self) -> anyhow::Result<Registry> {
        let read = || -> anyhow::Result<Registry> {
            let mut registry = Registry::default();
            let mut reader = self.records()?;
            while !reader.at_end() {
                apply(&mut registry, &reader.read(STRIDE, WAIT)?);
            }
            Ok(registry)
        };
        read().with_context(|| format!("failed to read topic {:?}", &*self.topics.deployments))
    }

    /// The bytes of a component. Waits a moment for what was just deployed.
    pub fn component(&self, digest: &Digest, registry: &Registry) -> anyhow::Result<Vec<u8>> {
        let record = registry.component(digest);
        let record = record.with_context(|| format!("the registry has no component {digest}"))?;
        let read = || {
            let begun = Instant::now();
            let mut chunks = BTreeMap::new();
            let start = ReadFrom::Offset(record.begins);
            let mut reader = self.log.reader(&self.topics.components, start)?;
            while chunks.len() < record.chunks as usize {
                if reader.at_end() && begun.elapsed() > PATIENCE {
                    bail!("only {} of {} chunks are there", chunks.len(), record.chunks);
                }
                let events = reader.read(STRIDE, WAIT)?;
                chunks.extend(events.into_iter().filter_map(|event| chunk(digest, event)));
            }
            let bytes: Vec<u8> = chunks.into_values().flatten().collect();
            ensure!(Digest::of(&bytes) == *digest, "its chunks are damaged");
            Ok(bytes)
        };
        read().with_context(|| {
            format!("failed to read component {digest} from topic {:?}", &*self.topics.components)
        })
    }

    /// Does something to a handler, in one transaction. A component that is deployed is written
    /// with it, unless the registry has it.
    pub fn perform(
        &self,
        name: &str,
        operation: &Operation,
        who: &Operator,
        component: Option<&[u8]>,
    ) -> Result<Plan, StoreError> {
        self.change(|registry| {
            if let Some(plan) = operation.is_done(registry, name, who) {
                return Ok((Vec::new(), plan));
            }
            let plan = operation.plan(registry, name, who)?;
            let mut events = Vec::new();
            if let Some(bytes) = component {
                events = self.component_events(registry, bytes)?;
            }
            events.extend(self.events(plan.records.clone()));
            Ok((events, plan))
        })
    }

    /// Removes the components that no revision has referred to for so long. The number of them.
    pub fn sweep(&self, grace: Duration) -> Result<usize, StoreError> {
        let then = now_ms().saturating_sub(i64::try_from(grace.as_millis()).unwrap_or(i64::MAX));
        if unused_since_before(&self.registry()?, then).is_empty() {
            return Ok(0);
        }
        self.change(|registry| {
            let unused = unused_since_before(registry, then);
            let mut events = Vec::new();
            for (digest, component) in &unused {
                let chunks = (0..component.chunks).map(|number| self.chunk_event(digest, number));
                events.extend(chunks);
                events.extend(self.events(vec![(Key::Component(*digest), None)]));
            }
            Ok((events, unused.len()))
        })
    }

    /// Writes what `plan` makes of the registry, and plans again when others were faster.
    fn change<T>(
        &self,
        plan: impl Fn(&Registry) -> Result<(Vec<Event>, T), StoreError>,
    ) -> Result<T, StoreError> {
        let mut last = None;
        for _ in 0..ATTEMPTS {
            let mut writer = self.log.writer(WRITER)?;
            let (events, planned) = plan(&self.registry()?)?;
            if events.is_empty() {
                return Ok(planned);
            }
            match writer.write(events) {
                Ok(()) => return Ok(planned),
                Err(WriteError::Fenced) => debug!("others changed the registry meanwhile"),
                // It may have been written: the next writer sees it then.
                Err(WriteError::Failed(error)) => {
                    warn!("failed to write to the registry, trying again: {error:#}");
                    last = Some(error);
                }
            }
            // Two that open at the same pace would shut each other out for ever.
            thread::sleep(PAUSE.mul_f64(fastrand::f64()));
        }
        let problem = last.unwrap_or_else(|| {
            anyhow::anyhow!("others changed the registry {ATTEMPTS} times meanwhile; try again")
        });
        Err(problem.context("failed to write to the registry").into())
    }

    fn events(&self, records: Vec<(Key, Option<Vec<u8>>)>) -> impl Iterator<Item = Event> {
        let topic = Arc::clone(&self.topics.deployments);
        records.into_iter().map(move |(key, value)| event(&topic, &key.to_string(), value))
    }

    /// The chunks of a component and the record that says where they are; nothing when the
    /// registry has it.
    fn component_events(&self, registry: &Registry, bytes: &[u8]) -> anyhow::Result<Vec<Event>> {
        let digest = Digest::of(bytes);
        if registry.component(&digest).is_some() {
            return Ok(Vec::new());
        }
        let begins = self.end_of_components()?;
        let mut events: Vec<_> = (0..)
            .zip(bytes.chunks(CHUNK))
            .map(|(number, chunk)| Event {
                value: Some(chunk.to_vec()),
                ..self.chunk_event(&digest, number)
            })
            .collect();
        let chunks = u32::try_from(events.len()).context("the component has too many chunks")?;
        let record =
            ComponentRecord { bytes: bytes.len() as u64, chunks, begins, unused_since: None };
        events.extend(self.events(vec![(Key::Component(digest), Some(encode(&record)?))]));
        Ok(events)
    }

    fn end_of_components(&self) -> anyhow::Result<i64> {
        let name = &self.topics.components;
        let topic = self.log.admin().topic(name)?;
        let topic = topic.with_context(|| format!("topic {name:?} does not exist"))?;
        let first = topic.partitions.first();
        Ok(first.with_context(|| format!("topic {name:?} has no partition"))?.end)
    }

    fn chunk_event(&self, digest: &Digest, number: u32) -> Event {
        event(&self.topics.components, &format!("{digest}/{number}"), None)
    }
}

/// Takes records into account; those that cannot be used are told.
pub fn apply(registry: &mut Registry, events: &[Consumed]) {
    for event in events {
        match record::decode(event) {
            Ok(record) => registry.apply(record),
            Err(error) => warn!("{error}"),
        }
    }
}

fn event(topic: &Arc<str>, key: &str, value: Option<Vec<u8>>) -> Event {
    Event {
        topic: Arc::clone(topic),
        key: Some(key.as_bytes().to_vec()),
        value,
        headers: Vec::new(),
        timestamp_ms: Some(now_ms()),
    }
}

/// The number and the bytes of a chunk of this component.
fn chunk(digest: &Digest, event: Consumed) -> Option<(u32, Vec<u8>)> {
    let key = String::from_utf8(event.event.key?).ok()?;
    let (of, number) = key.rsplit_once('/')?;
    let number = number.parse().ok()?;
    (of == digest.to_string()).then_some((number, event.event.value?))
}
