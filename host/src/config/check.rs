//! Checks across a host's configuration and all its manifests.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::error::ConfigError;
use super::kafka::KafkaConfig;
use super::scalars::duration_text;
use super::{HostConfig, MANIFEST};
use crate::handler::Handler;
use crate::topic::TopicSpec;

/// Time kept for the commit of a transaction, beside `batch.interval` and one `limits.time`,
/// before Kafka takes the partitions of a worker away.
pub const COMMIT_RESERVE: Duration = Duration::from_secs(30);

/// Checks what no single file shows. `handlers` are those of `config.handlers`, in its order.
pub fn cross_check(config: &HostConfig, handlers: &[Handler]) -> Result<(), ConfigError> {
    let check = Check { config, handlers };
    check.names()?;
    check.groups()?;
    check.topics()?;
    match &config.kafka {
        Some(kafka) => (0..handlers.len()).try_for_each(|index| check.time_budget(index, kafka)),
        None => Ok(()),
    }
}

struct Check<'a> {
    config: &'a HostConfig,
    handlers: &'a [Handler],
}

impl Check<'_> {
    fn file(&self, handler: usize) -> &Path {
        self.config.handlers.get(handler).map_or(Path::new(MANIFEST), |file| file)
    }

    fn names(&self) -> Result<(), ConfigError> {
        let mut seen = BTreeMap::new();
        for (index, handler) in self.handlers.iter().enumerate() {
            if let Some(other) = seen.insert(&handler.name, index) {
                return Err(ConfigError::new(
                    self.file(index),
                    "name",
                    format!("{:?} is the name of {} too", handler.name, self.shown(other)),
                    "give each handler a name of its own",
                ));
            }
        }
        Ok(())
    }

    /// Members of one group share the partitions of a topic: each would see a part of them.
    fn groups(&self) -> Result<(), ConfigError> {
        let mut readers: BTreeMap<(&str, &Arc<str>), usize> = BTreeMap::new();
        for (index, handler) in self.handlers.iter().enumerate() {
            for topic in &handler.from {
                if let Some(other) = readers.insert((&handler.group, topic), index) {
                    let problem = format!(
                        "{} reads topic {topic:?} in group {:?} too, so that each of the two \
                         would miss events",
                        self.shown(other),
                        handler.group
                    );
                    let fix = format!(
                        "give each handler a group of its own, for example \"lockstep-{}\"",
                        handler.name
                    );
                    return Err(ConfigError::new(self.file(index), "group", problem, fix));
                }
            }
        }
        Ok(())
    }

    /// The same topic may be declared in several files, if they agree.
    fn topics(&self) -> Result<(), ConfigError> {
        let of_host = self.config.topics.iter().map(|topic| &topic.spec).enumerate();
        let of_host = of_host.map(|(place, spec)| (&*self.config.file, place, spec));
        let of_handlers = self.handlers.iter().enumerate().flat_map(|(index, handler)| {
            let file = self.file(index);
            handler.topics.iter().enumerate().map(move |(place, spec)| (file, place, spec))
        });
        let mut seen: BTreeMap<&str, (&Path, &TopicSpec)> = BTreeMap::new();
        for (file, place, spec) in of_host.chain(of_handlers) {
            let (first_file, first) = *seen.entry(&spec.name).or_insert((file, spec));
            if let Some((key, difference)) = contradiction(spec, first) {
                let problem =
                    format!("topic {:?} has {difference} in {}", spec.name, first_file.display());
                let fix = "declare it in one of the files, or the same way in both";
                return Err(ConfigError::new(file, format!("topics[{place}].{key}"), problem, fix));
            }
        }
        Ok(())
    }

    /// A worker that works on a batch does not poll; Kafka takes one that does not poll for dead.
    /// A transaction begins when the work is done, so its timeout bounds no handler.
    fn time_budget(&self, index: usize, kafka: &KafkaConfig) -> Result<(), ConfigError> {
        let handler = &self.handlers[index];
        let work = handler.interval + handler.limits.time;
        let poll = kafka.max_poll_interval();
        if work + COMMIT_RESERVE < poll {
            return Ok(());
        }
        let problem = format!(
            "batch.interval ({}), limits.time ({}) and {} for the commit do not fit below \
             max.poll.interval.ms ({})",
            duration_text(handler.interval),
            duration_text(handler.limits.time),
            duration_text(COMMIT_RESERVE),
            duration_text(poll)
        );
        let fix = format!(
            "lower limits.time or batch.interval, or raise \"max.poll.interval.ms\" in \
             [kafka.consumer] of {}, for example to {}",
            self.config.file.display(),
            (work + COMMIT_RESERVE * 2).as_millis()
        );
        Err(ConfigError::new(self.file(index), "limits.time", problem, fix))
    }

    fn shown(&self, handler: usize) -> String {
        self.file(handler).display().to_string()
    }
}

/// The first key in which two declarations of a topic differ, and what the other one says.
fn contradiction(spec: &TopicSpec, other: &TopicSpec) -> Option<(String, String)> {
    if spec.partitions != other.partitions {
        let there = format!("{} partitions here and {}", spec.partitions, other.partitions);
        return Some(("partitions".to_owned(), there));
    }
    if spec.replication_factor != other.replication_factor {
        let said = |factor: Option<u16>| factor.map_or("none".to_owned(), |n| n.to_string());
        let here = said(spec.replication_factor);
        let there = said(other.replication_factor);
        let difference = format!("replication_factor {here} here and {there}");
        return Some(("replication_factor".to_owned(), difference));
    }
    let names = spec.settings.keys().chain(other.settings.keys());
    let mut differing = names.filter(|name| spec.settings.get(*name) != other.settings.get(*name));
    differing.next().map(|name| {
        let said = |spec: &TopicSpec| match spec.settings.get(name) {
            Some(value) => format!("{value:?}"),
            None => "none".to_owned(),
        };
        let difference = format!("{name} {} here and {}", said(spec), said(other));
        (format!("settings.{}", super::decode::quoted_key(name)), difference)
    })
}
