//! Where a run takes place: on brokers that others use too, under a prefix of its own, or on an
//! embedded log in a directory of its own. Makes what the run needs, and removes nothing else.

mod settings;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;
use toml::{Table, Value};

use super::hosts::HostConfig;
use super::observer::{LogSight, Sight};
use super::subject::Names;
use crate::config::KafkaConfig;
use crate::deployment::control::ControlTopics;
use crate::deployment::store::Store;
use crate::log::embedded::EmbeddedLog;
use crate::log::kafka::{GroupOffsets, Identity, KafkaLog};
use crate::log::{Log, Reader};
use crate::topic::{RESERVED_PREFIX, TopicSpec};

/// What names of every run begin with.
const PREFIX: &str = "lockstep-audit-";
/// How long a host may take to stop.
const SHUTDOWN_DEADLINE: Duration = Duration::from_secs(10);
/// How long a group may have members that were killed, beyond their session.
const GRACE: Duration = Duration::from_secs(15);

/// A place for one run.
pub struct Site {
    names: Names,
    dir: TempDir,
    log: Arc<dyn Log>,
    /// How Kafka is reached, and the same log again, where it is Kafka.
    kafka: Option<(KafkaConfig, Arc<KafkaLog>)>,
    /// The topics that were made, or were about to be.
    made: Vec<String>,
}

/// What is left of a run that is kept.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Kept {
    /// The log.
    pub log: String,
    /// Its topics.
    pub topics: Vec<String>,
    /// The group.
    pub group: String,
}

impl Site {
    /// Opens these brokers, or else a log in a temporary directory. Makes nothing on the brokers yet.
    pub fn open(kafka: Option<KafkaConfig>) -> anyhow::Result<Self> {
        let prefix = format!("{PREFIX}{:08x}", fastrand::u32(..));
        let dir = tempfile::Builder::new().prefix(&prefix).tempdir();
        let dir = dir.context("failed to make a temporary directory")?;
        let names = Names::new(&prefix, kafka.is_none());
        let Some(config) = kafka else {
            let log = Arc::new(EmbeddedLog::open_client(&data_dir(dir.path()), true)?);
            return Ok(Self { names, dir, log, kafka: None, made: Vec::new() });
        };
        let log = Arc::new(KafkaLog::connect(&config, &identity(&prefix))?);
        let kafka = Some((config, Arc::clone(&log)));
        Ok(Self { names, dir, log, kafka, made: Vec::new() })
    }

    /// The log.
    pub fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    /// What the run calls things.
    pub fn names(&self) -> &Names {
        &self.names
    }

    /// A directory for files of the run.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whether hosts share the partitions; on an embedded log there is one host.
    pub fn is_shared(&self) -> bool {
        self.kafka.is_some()
    }

    /// How long a host may be silent before others take over; `None` where nobody does.
    pub fn session(&self) -> Option<Duration> {
        self.kafka.as_ref().map(|(config, _)| settings::session(config))
    }

    /// How long a transaction may stay open when its host is gone.
    pub fn transaction_timeout(&self) -> Duration {
        let config = self.kafka.as_ref().map(|(config, _)| config);
        config.map_or(Duration::ZERO, settings::transaction_timeout)
    }

    /// The registry of the run's fleet.
    pub fn store(&self) -> Store {
        Store::new(Arc::clone(&self.log), self.names.prefix())
    }

    /// What an observer sees.
    pub fn sight(&self) -> anyhow::Result<Arc<dyn Sight>> {
        let sight = LogSight::new(Arc::clone(&self.log));
        let Some((_, kafka)) = &self.kafka else { return Ok(Arc::new(sight)) };
        let group = self.names.prefix();
        let offsets = kafka.group_offsets(group)?;
        Ok(Arc::new(KafkaSight { sight, offsets, group: group.to_owned() }))
    }

    /// Makes the topics of the run, and the registry. Refuses when anything of that name is there.
    pub fn prepare(&mut self, specs: &[TopicSpec]) -> anyhow::Result<()> {
        let prefix = self.names.prefix();
        let reserved = format!("{RESERVED_PREFIX}{prefix}.");
        let own = |name: &str| name.starts_with(prefix) || name.starts_with(&reserved);
        let topics = self.log.admin().topics().context("failed to list the topics")?;
        if let Some(found) = topics.iter().find(|topic| own(&topic.name)) {
            bail!(
                "topic {:?} exists in {} already: it is of another audit, and nothing was touched; \
                 try again, which takes another name",
                found.name,
                self.log.describe()
            );
        }
        let ControlTopics { components, deployments, hosts, logs: _ } = ControlTopics::of(prefix);
        let control = [components, deployments, hosts].map(|name| name.to_string());
        for spec in specs {
            self.made.push(spec.name.to_string());
            if !self.log.admin().create_topic(spec)? {
                self.made.pop();
                bail!("topic {:?} exists in {} already", &*spec.name, self.log.describe());
            }
        }
        self.made.extend(control);
        self.store().prepare()
    }

    /// The topics that were made.
    pub fn topics(&self) -> &[String] {
        &self.made
    }

    /// Writes the configuration of a host. What is told to Kafka's client is no part of the file, but
    /// of the host's environment: it may be secret.
    pub fn host_config(&self, id: &str) -> anyhow::Result<HostConfig> {
        let mut environment = Vec::new();
        let mut table = Table::new();
        let mut set = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
        set("cluster_id", self.names.prefix().into());
        set("host_id", id.into());
        set("data_dir", data_dir(self.dir.path()).display().to_string().into());
        set("handler_logs", false.into());
        set("shutdown_deadline", humantime::format_duration(SHUTDOWN_DEADLINE).to_string().into());
        let any_port = ["ingest", "admin"].map(|key| (key.to_owned(), "127.0.0.1:0".into()));
        set("http", Table::from_iter(any_port).into());
        if let Some((config, _)) = &self.kafka {
            set("kafka", settings::table(config, &mut environment).into());
        }
        let file = self.dir.path().join(format!("{id}.toml"));
        fs::write(&file, table.to_string()).with_context(|| format!("failed to write {file:?}"))?;
        Ok(HostConfig { file, environment, shutdown_deadline: SHUTDOWN_DEADLINE })
    }

    /// Removes what was made: by exact names, and nothing else. No host runs any more.
    pub fn remove(self) -> anyhow::Result<()> {
        let Self { names, dir, log, kafka, made } = self;
        drop(log);
        if let Some((config, log)) = kafka.filter(|_| !made.is_empty()) {
            let session = settings::session(&config);
            // A client that has written to a topic asks for it now and then, and a broker may then
            // make it again.
            drop(log);
            let made: Vec<_> = made.iter().map(String::as_str).collect();
            let prefix = names.prefix();
            KafkaLog::connect(&config, &identity(prefix))
                .and_then(|log| log.delete(&made, prefix, session + GRACE))
                .with_context(|| {
                    format!("failed to remove what the audit made; its names begin with {prefix:?}")
                })?;
        }
        dir.close().context("failed to remove the directory of the audit")
    }

    /// Leaves the topics, or the directory of the embedded log, where they are.
    pub fn keep(self) -> Kept {
        let group = self.names.prefix().to_owned();
        let log = match &self.kafka {
            Some(_) => self.log.describe(),
            None => {
                drop(self.log);
                let dir = data_dir(&self.dir.keep());
                return Kept { log: dir.display().to_string(), topics: self.made, group };
            }
        };
        Kept { log, topics: self.made, group }
    }
}

/// Where the embedded log is, and where hosts keep what they compile.
fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

/// A client of its own, which is not taken for a host.
fn identity(prefix: &str) -> Identity {
    Identity { cluster_id: prefix.to_owned(), host_id: "audit".to_owned() }
}

/// What the log shows, with a client for the group that is asked again and again.
struct KafkaSight {
    sight: LogSight,
    offsets: GroupOffsets,
    group: String,
}

impl Sight for KafkaSight {
    fn reader(&self, topic: &str) -> anyhow::Result<Box<dyn Reader>> {
        self.sight.reader(topic)
    }

    fn committed(&self, group: &str, topic: &str) -> anyhow::Result<BTreeMap<i32, i64>> {
        if group != self.group {
            return self.sight.committed(group, topic);
        }
        self.offsets.committed(topic)
    }

    fn ends(&self, topic: &str) -> anyhow::Result<Vec<(i32, i64, i64)>> {
        self.sight.ends(topic)
    }
}
