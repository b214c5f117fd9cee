//! How to reach Kafka: librdkafka's properties, expanded, checked, and silent about secrets.
//!
//! Which properties exist is librdkafka's to know; here stand only those that Lockstep owns.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::error::ConfigError;
use super::expand::process_env;
use super::kafka_toml::{self, Given, Source};
use super::owned;
use super::secret::{self, Value};

/// The one property that must be given.
const BROKERS: &str = "bootstrap.servers";
/// The longest time between two polls; librdkafka's default.
const MAX_POLL_INTERVAL: (&str, Duration) = ("max.poll.interval.ms", Duration::from_secs(300));
/// The longest transaction, which is the longest commit. Without it Lockstep chooses.
const TRANSACTION_TIMEOUT: &str = "transaction.timeout.ms";

/// Where errors about the command line are.
const COMMAND_LINE: &str = "command line";

/// How to reach a Kafka cluster.
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// The file that it was read from; `None` for the command line.
    file: Option<PathBuf>,
    /// For every client.
    pub common: Properties,
    /// For consumers, over the common ones.
    pub consumer: Properties,
    /// For producers, over the common ones.
    pub producer: Properties,
}

/// Whose properties are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Those of consumers, and the common ones.
    Consumer,
    /// Those of producers, and the common ones.
    Producer,
}

/// Properties of librdkafka. `Debug` shows no secrets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Properties(BTreeMap<String, Value>);

impl Properties {
    /// Names and values, secrets in clear: for the client library only.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.expose()))
    }

    /// One value, in clear.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(Value::expose)
    }

    /// The names alone.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl KafkaConfig {
    /// The brokers to begin with: `host:port`, separated by commas.
    pub fn brokers(&self) -> &str {
        self.common.get(BROKERS).unwrap_or_default()
    }

    /// `text` with every secret replaced by `***`: for messages that librdkafka wrote.
    pub fn redact(&self, text: &str) -> String {
        let all = [&self.common, &self.consumer, &self.producer];
        let values = all.into_iter().flat_map(|properties| properties.0.values());
        secret::redact(text, values.flat_map(Value::hidden_parts))
    }

    /// An error about a property that the client library does not take, at the place where it
    /// was written. Without a name it is about all of them.
    pub fn refuse(&self, role: Role, name: Option<&str>, problem: &str, fix: &str) -> ConfigError {
        let Some(file) = &self.file else {
            let key = name.map(|name| format!("-X {name}")).unwrap_or_default();
            return ConfigError::new(Path::new(COMMAND_LINE), key, problem, fix);
        };
        let (own, section) = match role {
            Role::Consumer => (&self.consumer, "kafka.consumer"),
            Role::Producer => (&self.producer, "kafka.producer"),
        };
        let section = match name {
            Some(name) if own.get(name).is_some() => section,
            _ => "kafka",
        };
        let key = name.map_or_else(|| section.to_owned(), |name| kafka_toml::key(section, name));
        ConfigError::new(file, key, problem, fix)
    }

    /// From `--brokers` and `-X property=value`. `${NAME}` works in the values too, which keeps
    /// secrets out of the list of processes.
    pub fn from_command_line(
        brokers: &str,
        properties: &[(String, String)],
    ) -> Result<Self, ConfigError> {
        let file = Path::new(COMMAND_LINE);
        let source = Source { file, env: &process_env };
        let mut common = BTreeMap::new();
        for (name, text) in properties {
            if name == BROKERS {
                let problem = "is what --brokers is for";
                return Err(ConfigError::new(file, format!("-X {name}"), problem, "remove it"));
            }
            let value = source.resolve(&format!("-X {name}"), name, Given::Text(text.clone()))?;
            refuse_owned(file, &format!("-X {name}"), name, &value)?;
            common.insert(name.clone(), value);
        }
        let brokers = Value::new(BROKERS, brokers.to_owned(), false);
        check_brokers(file, "--brokers", Some(&brokers))?;
        common.insert(BROKERS.to_owned(), brokers);
        let none = Properties::default;
        let common = Properties(common);
        let this = Self { file: None, common, consumer: none(), producer: none() };
        check_millis(file, &this, |_, name| format!("-X {name}"))?;
        Ok(this)
    }

    /// From `[kafka]` of a file.
    pub(crate) fn resolve(
        source: &Source<'_>,
        toml: kafka_toml::KafkaToml,
    ) -> Result<Self, ConfigError> {
        let section = |prefix: &str, given: BTreeMap<String, Given>| {
            let mut values = BTreeMap::new();
            for (name, given) in given {
                let key = kafka_toml::key(prefix, &name);
                let value = source.resolve(&key, &name, given)?;
                refuse_owned(source.file, &key, &name, &value)?;
                if name == BROKERS && prefix != "kafka" {
                    let fix = format!("move it to [kafka]; {prefix} shares its brokers");
                    return Err(ConfigError::new(source.file, key, "is in the wrong table", fix));
                }
                values.insert(name, value);
            }
            Ok(Properties(values))
        };
        let this = Self {
            file: Some(source.file.to_owned()),
            common: section("kafka", toml.common)?,
            consumer: section("kafka.consumer", toml.consumer)?,
            producer: section("kafka.producer", toml.producer)?,
        };
        let key = kafka_toml::key("kafka", BROKERS);
        check_brokers(source.file, &key, this.common.0.get(BROKERS))?;
        check_millis(source.file, &this, kafka_toml::key)?;
        Ok(this)
    }

    /// The longest time between two polls of a consumer before it loses its partitions.
    pub(crate) fn max_poll_interval(&self) -> Duration {
        let (name, default) = MAX_POLL_INTERVAL;
        millis(&self.consumer, name).or_else(|| millis(&self.common, name)).unwrap_or(default)
    }
}

fn millis(properties: &Properties, name: &str) -> Option<Duration> {
    properties.get(name)?.parse().ok().map(Duration::from_millis)
}

fn refuse_owned(file: &Path, key: &str, name: &str, value: &Value) -> Result<(), ConfigError> {
    match owned::refusal(name, value.expose()) {
        Some(owned) => {
            let problem = format!("{name} is set by Lockstep: {}", owned.reason);
            Err(ConfigError::new(file, key, problem, owned.instead))
        }
        None => Ok(()),
    }
}

fn check_brokers(file: &Path, key: &str, brokers: Option<&Value>) -> Result<(), ConfigError> {
    let example = format!("write for example \"{BROKERS}\" = \"broker-1:9092,broker-2:9092\"");
    let wrong = |problem: String| Err(ConfigError::new(file, key, problem, example.clone()));
    match brokers {
        None => wrong("is missing".to_owned()),
        Some(value) if value.expose().split(',').any(|broker| broker.trim().is_empty()) => {
            wrong(format!("{} is not a list of brokers", value.shown()))
        }
        Some(_) => Ok(()),
    }
}

/// Kafka counts these in milliseconds, where the rest of the configuration takes `5m`.
fn check_millis(
    file: &Path,
    config: &KafkaConfig,
    key: impl Fn(&str, &str) -> String,
) -> Result<(), ConfigError> {
    let sections = [
        ("kafka", &config.common),
        ("kafka.consumer", &config.consumer),
        ("kafka.producer", &config.producer),
    ];
    for (prefix, properties) in sections {
        for name in [MAX_POLL_INTERVAL.0, TRANSACTION_TIMEOUT] {
            let value = properties.0.get(name);
            if let Some(value) = value.filter(|value| value.expose().parse::<u64>().is_err()) {
                let problem = format!("{} is not a number of milliseconds", value.shown());
                let fix = "use for example 300000";
                return Err(ConfigError::new(file, key(prefix, name), problem, fix));
            }
        }
    }
    Ok(())
}
