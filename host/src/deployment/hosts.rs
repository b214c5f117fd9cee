//! What the hosts of a fleet say of themselves, in the topic `hosts`: who is there, what each one
//! runs, and why something does not.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use tracing::warn;
use utoipa::ToSchema;

use super::assignment::Assignment;
use super::control::ControlTopics;
use super::ownership::{self, Owner};
use super::record;
use crate::event::{Event, TopicPartition, now_ms};
use crate::log::{Log, ReadFrom, Reader};

/// How often a host says how it is.
pub const INTERVAL: Duration = Duration::from_secs(1);
/// A host that has said nothing for so long is not there.
pub const SILENCE: Duration = Duration::from_secs(10);

/// What a host says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostReport {
    /// Its id within the fleet.
    pub host: String,
    /// The release of Lockstep that it runs.
    pub version: String,
    /// When it started, in milliseconds since the Unix epoch.
    pub started_at: i64,
    /// When it said this, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Its handlers, by name.
    pub handlers: Vec<HandlerReport>,
}

/// A handler on a host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HandlerReport {
    /// Its name.
    pub name: String,
    /// How it is.
    pub state: HandlerState,
    /// The revision that all its workers run; 0 when none does.
    pub revision: u64,
    /// The revision that the registry wants; 0 for a handler of the host's own configuration.
    pub wanted: u64,
    /// When the record of the registry was written that this host has seen and acted on last, in
    /// milliseconds since the Unix epoch.
    #[serde(default)]
    pub seen: i64,
    /// Its workers on this host.
    pub workers: u32,
    /// Events that became outputs or dead letters since its workers began.
    pub events: u64,
    /// How many of them became dead letters.
    pub dead_letters: u64,
    /// What went wrong last, with the handler or with what was deployed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// The partitions that its workers have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub assignments: Vec<Assignment>,
}

/// How a handler on a host is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum HandlerState {
    /// Its workers start, or take another revision up.
    Starting,
    /// They run.
    Running,
    /// They are stopped until the handler is resumed.
    Paused,
    /// The wanted revision cannot run here; what ran before goes on.
    Failed,
}

/// Those who have spoken lately.
pub struct Hosts {
    reader: Box<dyn Reader>,
    /// By id: what each has said lately, one report at least, since it has started.
    hosts: BTreeMap<String, VecDeque<HostReport>>,
}

impl Hosts {
    /// Listens from a little before now on.
    pub fn listen(log: &dyn Log, topics: &ControlTopics) -> anyhow::Result<Self> {
        let since = now_ms().saturating_sub(silence());
        let reader = log
            .reader(&topics.hosts, ReadFrom::Timestamp(since))
            .with_context(|| format!("failed to read topic {:?}", &*topics.hosts))?;
        Ok(Self { reader, hosts: BTreeMap::new() })
    }

    /// Waits up to `max_wait` for news.
    pub fn hear(&mut self, max_wait: Duration) -> anyhow::Result<()> {
        let events = self.reader.read(1_000, max_wait)?;
        for event in &events {
            let key = String::from_utf8_lossy(event.event.key.as_deref().unwrap_or_default());
            match record::value::<HostReport>(event, &key) {
                Ok(Some(report)) => self.note(key.into_owned(), report),
                Ok(None) => drop(self.hosts.remove(&*key)),
                Err(error) => warn!("{error}"),
            }
        }
        Ok(())
    }

    fn note(&mut self, id: String, report: HostReport) {
        let since = report.at.saturating_sub(silence());
        let reports = self.hosts.entry(id).or_default();
        // One that has started anew counts from 0.
        reports.retain(|one| one.started_at == report.started_at && one.at > since);
        reports.push_back(report);
    }

    /// The events per second of a handler on a host, over its last reports.
    pub fn rate(&self, host: &str, handler: &str) -> f64 {
        let Some(reports) = self.hosts.get(host) else { return 0.0 };
        let count = |report: &HostReport| (report.at, report.handler(handler).map(|h| h.events));
        match (reports.front().map(count), reports.back().map(count)) {
            (Some((first, Some(before))), Some((last, Some(now)))) => {
                ownership::per_second((first, before), (last, now))
            }
            _ => 0.0,
        }
    }

    /// Whether a host has said that it goes, or was never heard.
    pub fn has_left(&self, id: &str) -> bool {
        !self.hosts.contains_key(id)
    }

    /// Who has which partition of a handler.
    pub fn owners(&self, handler: &str) -> BTreeMap<TopicPartition, Owner> {
        let since = now_ms().saturating_sub(silence());
        let live = |reports: &&VecDeque<HostReport>| {
            reports.back().is_some_and(|report| report.at > since)
        };
        ownership::owners(self.hosts.values().filter(live), handler)
    }

    /// Hears everything that was said until now.
    pub fn catch_up(&mut self) -> anyhow::Result<()> {
        while !self.reader.at_end() {
            self.hear(Duration::from_millis(100))?;
        }
        Ok(())
    }

    /// The hosts that are there, by id.
    pub fn live(&self) -> impl Iterator<Item = &HostReport> {
        let since = now_ms().saturating_sub(silence());
        let last = self.hosts.values().filter_map(VecDeque::back);
        last.filter(move |report| report.at > since)
    }
}

impl HandlerReport {
    /// Whether the host has it in its own configuration, and not from the registry.
    pub fn is_own(&self) -> bool {
        self.wanted == 0
    }
}

impl HostReport {
    /// The handler of this name.
    pub fn handler(&self, name: &str) -> Option<&HandlerReport> {
        self.handlers.iter().find(|handler| handler.name == name)
    }

    /// The event that says this.
    pub fn event(&self, topics: &ControlTopics) -> anyhow::Result<Event> {
        Ok(Event { value: Some(record::encode(self)?), ..farewell(&self.host, topics) })
    }
}

/// [`SILENCE`] in milliseconds.
fn silence() -> i64 {
    i64::try_from(SILENCE.as_millis()).unwrap_or(i64::MAX)
}

/// The event by which a host says that it goes.
pub fn farewell(host: &str, topics: &ControlTopics) -> Event {
    Event {
        topic: Arc::clone(&topics.hosts),
        key: Some(host.as_bytes().to_vec()),
        value: None,
        headers: Vec::new(),
        timestamp_ms: Some(now_ms()),
    }
}
