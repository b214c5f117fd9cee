//! One test's world: a log (or its corner of the shared broker), manifests, a configuration.
//!
//! Names are unique to the scenario, so that tests share a broker without meeting each other.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lockstep::event::{Consumed, Event};
use toml::{Table, Value};

use crate::broker::Broker;
use crate::embedded::Embedded;
use crate::host::Host;
use crate::kafka::Kafka;
use crate::log::{LogAccess, LogKind};
use crate::wait::{DEADLINE, eventually_ok};
use crate::{build, guardian};

/// A world for one test.
pub struct Scenario {
    /// Which log it is on.
    pub kind: LogKind,
    id: String,
    directory: tempfile::TempDir,
    broker: Option<String>,
    log: OnceLock<Box<dyn LogAccess>>,
    config: Table,
}

/// A handler's manifest in the making.
pub struct Manifest {
    component: PathBuf,
    label: String,
    table: Table,
}

/// A handler that a scenario's hosts run.
#[derive(Clone)]
pub struct Deployed {
    /// Its name.
    pub name: String,
    /// Its consumer group.
    pub group: String,
    /// Where its dead letters go.
    pub dead_letters: String,
    /// Its source topics.
    pub from: Vec<String>,
}

impl Manifest {
    /// A handler served by a guest of `tests/guests`.
    pub fn guest(name: &str) -> Self {
        Self::component(name, &build::guest(name))
    }

    /// A handler served by an example of `handlers`.
    pub fn example(name: &str) -> Self {
        Self::component(name, &build::example(name))
    }

    /// A handler served by any component; the label goes into its name.
    pub fn component(label: &str, file: &Path) -> Self {
        Self { component: file.to_owned(), label: label.to_owned(), table: Table::new() }
    }

    /// Its source topics.
    pub fn from(self, topics: &[&String]) -> Self {
        self.set("from", names(topics))
    }

    /// Where it may write to.
    pub fn to(self, topics: &[&String]) -> Self {
        self.set("to", names(topics))
    }

    /// With these lines of a manifest.
    #[track_caller]
    pub fn with(mut self, toml: &str) -> Self {
        merge(&mut self.table, parse(toml));
        self
    }

    fn set(mut self, key: &str, value: Value) -> Self {
        self.table.insert(key.to_owned(), value);
        self
    }
}

impl Scenario {
    /// A world on this log; on Kafka it is a corner of the broker that the run shares.
    pub fn new(kind: LogKind, test: &str) -> Self {
        let broker = (kind == LogKind::Kafka).then(|| Broker::shared().address());
        Self::with_log(kind, test, broker)
    }

    /// A world on the broker at this address.
    pub fn at_broker(address: &str, test: &str) -> Self {
        Self::with_log(LogKind::Kafka, test, Some(address.to_owned()))
    }

    fn with_log(kind: LogKind, test: &str, broker: Option<String>) -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let short: String = test.replace('_', "-").chars().take(30).collect();
        let id = format!("{}-{number}", short.trim_end_matches('-'));
        let directory = tempfile::Builder::new()
            .prefix("lockstep-test-")
            .tempdir()
            .expect("a temporary directory can be made");
        guardian::remove_at_end(directory.path());
        let mut config = parse(&format!(
            "cluster_id = {id:?}\ndata_dir = \"data\"\nhandlers = []\n\
             http = {{ ingest = \"127.0.0.1:0\", admin = \"127.0.0.1:0\" }}"
        ));
        if let Some(address) = &broker {
            // Short sessions: a killed host's partitions are soon free.
            let kafka = format!(
                "[kafka]\n\"bootstrap.servers\" = {address:?}\n\
                 [kafka.consumer]\n\"session.timeout.ms\" = 3000\n\
                 \"heartbeat.interval.ms\" = 500\n"
            );
            merge(&mut config, parse(&kafka));
        }
        Self { kind, id, directory, broker, log: OnceLock::new(), config }
    }

    /// The name of the fleet.
    pub fn cluster_id(&self) -> &str {
        &self.id
    }

    /// The directory of the scenario.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The data directory of its hosts, where the embedded log is.
    pub fn data_dir(&self) -> PathBuf {
        self.directory().join("data")
    }

    /// The broker's address, on Kafka.
    pub fn broker(&self) -> Option<&str> {
        self.broker.as_deref()
    }

    /// The arguments that select this log on the command line.
    pub fn log_args(&self) -> [String; 2] {
        match &self.broker {
            Some(address) => ["--brokers".to_owned(), address.clone()],
            None => ["--data-dir".to_owned(), self.data_dir().display().to_string()],
        }
    }

    /// A name that only this scenario uses.
    pub fn name(&self, short: &str) -> String {
        format!("{}-{short}", self.id)
    }

    /// The log.
    pub fn log(&self) -> &dyn LogAccess {
        &**self.log.get_or_init(|| match &self.broker {
            Some(address) => Box::new(Kafka::at(address)),
            None => Box::new(Embedded::at(&self.data_dir())),
        })
    }

    /// Creates a topic and gives its full name.
    pub fn topic(&self, short: &str, partitions: u32) -> String {
        self.topic_with(short, partitions, &[])
    }

    /// Creates a topic with settings and gives its full name.
    pub fn topic_with(&self, short: &str, partitions: u32, settings: &[(&str, &str)]) -> String {
        let name = self.name(short);
        self.log().create_topic(&name, partitions, settings);
        name
    }

    /// Adds a handler to the configuration; a second one of a label replaces the first.
    pub fn deploy(&mut self, manifest: Manifest) -> Deployed {
        let handler = self.folder(manifest);
        let path = Value::from(format!("handlers/{}", handler.name));
        if let Some(Value::Array(handlers)) = self.config.get_mut("handlers")
            && !handlers.contains(&path)
        {
            handlers.push(path);
        }
        handler
    }

    /// Makes the folder `handlers/<name>` of a handler, which hosts do not run by themselves.
    pub fn folder(&self, manifest: Manifest) -> Deployed {
        let Manifest { component, label, mut table } = manifest;
        let name = table.get("name").and_then(Value::as_str);
        let name = name.map_or_else(|| self.name(&label), str::to_owned);
        let dead_letters = table.get("dead_letter_topic").and_then(Value::as_str);
        let dead_letters = dead_letters.map_or(format!("{name}.dead-letters"), str::to_owned);
        let group = table.get("group").and_then(Value::as_str);
        let group = group.map_or(format!("lockstep-{name}"), str::to_owned);
        let from = table.get("from").and_then(Value::as_array).into_iter().flatten();
        let from = from.filter_map(Value::as_str).map(str::to_owned).collect();
        table.insert("name".to_owned(), name.clone().into());
        table.entry("component").or_insert(component.display().to_string().into());
        let folder = self.directory().join("handlers").join(&name);
        fs::create_dir_all(&folder).expect("the scenario's directory can be written");
        write(&folder.join("handler.toml"), &table);
        Deployed { name, group, dead_letters, from }
    }

    /// With these lines of a configuration.
    #[track_caller]
    pub fn configure(&mut self, toml: &str) {
        merge(&mut self.config, parse(toml));
    }

    /// Opens topics to ingest.
    pub fn open_to_ingest(&mut self, topics: &[&String]) {
        for topic in topics {
            self.configure(&format!("[[topics]]\nname = {topic:?}\npartitions = 1\ningest = true"));
        }
    }

    /// Writes the configuration of a host and gives its file.
    pub fn config(&self, host: &str) -> PathBuf {
        let mut config = self.config.clone();
        config.insert("host_id".to_owned(), host.into());
        let file = self.directory().join(format!("{host}.toml"));
        write(&file, &config);
        file
    }

    /// Starts a host and waits until it is ready.
    #[track_caller]
    pub fn start(&self) -> Host {
        self.start_as("host-1")
    }

    /// Starts a host of this name and waits until it is ready.
    #[track_caller]
    pub fn start_as(&self, host: &str) -> Host {
        // On Kafka the data directory holds nothing that hosts share.
        Host::start(&self.config(host))
    }

    /// Writes the events in this order and waits until the log has them.
    #[track_caller]
    pub fn produce(&self, events: impl IntoIterator<Item = Event>) {
        self.produce_to(None, events);
    }

    /// Writes the events to one partition, in this order.
    #[track_caller]
    pub fn produce_to(
        &self,
        partition: impl Into<Option<i32>>,
        events: impl IntoIterator<Item = Event>,
    ) {
        let partition = partition.into();
        let events: Vec<_> = events.into_iter().map(|event| (event, partition)).collect();
        let result = self.log().try_produce(&events);
        result.unwrap_or_else(|error| panic!("failed to produce: {error}"));
    }

    /// Everything in a topic that is committed now.
    #[track_caller]
    pub fn read(&self, topic: &str) -> Vec<Consumed> {
        let mut tail = self.log().tail(topic);
        let mut events = Vec::new();
        let begun = std::time::Instant::now();
        loop {
            events.extend(tail.read(Duration::from_millis(100)));
            if tail.at_end() {
                return events;
            }
            assert!(begun.elapsed() < DEADLINE, "the end of topic {topic:?} is not in reach");
        }
    }

    /// Waits until a topic has at least so many events, and gives all there are.
    #[track_caller]
    pub fn wait_for(&self, topic: &str, count: usize) -> Vec<Consumed> {
        let mut tail = self.log().tail(topic);
        let mut events = Vec::new();
        eventually_ok(&format!("{count} events in topic {topic:?}"), || {
            events.extend(tail.read(Duration::from_millis(100)));
            if events.len() >= count { Ok(()) } else { Err(format!("{} so far", events.len())) }
        });
        events
    }

    /// Waits until the handler is through with everything in its source topics.
    #[track_caller]
    pub fn settle(&self, handler: &Deployed) {
        for topic in &handler.from {
            let mut last = BTreeMap::new();
            for event in self.read(topic) {
                let highest = last.entry(event.partition).or_insert(event.offset);
                *highest = event.offset.max(*highest);
            }
            eventually_ok(&format!("{} is through with {topic:?}", handler.name), || {
                let committed = self.log().committed(&handler.group, topic);
                let done = |(p, offset): (&i32, &i64)| committed.get(p).is_some_and(|c| c > offset);
                if last.iter().all(done) {
                    Ok(())
                } else {
                    Err(format!("last offsets {last:?}, committed {committed:?}"))
                }
            });
        }
    }
}

fn names(topics: &[&String]) -> Value {
    Value::Array(topics.iter().map(|topic| Value::from(topic.as_str())).collect())
}

#[track_caller]
fn parse(toml: &str) -> Table {
    toml::from_str(toml).unwrap_or_else(|error| panic!("not TOML: {error}\n{toml}"))
}

fn write(file: &Path, table: &Table) {
    let text = toml::to_string(table).expect("a table can be written as TOML");
    fs::write(file, text).unwrap_or_else(|error| panic!("failed to write {file:?}: {error}"));
}

/// Tables are merged, arrays joined, everything else replaced.
fn merge(into: &mut Table, from: Table) {
    for (key, value) in from {
        match (into.get_mut(&key), value) {
            (Some(Value::Table(old)), Value::Table(new)) => merge(old, new),
            (Some(Value::Array(old)), Value::Array(new)) if key == "topics" => old.extend(new),
            (_, value) => drop(into.insert(key, value)),
        }
    }
}
