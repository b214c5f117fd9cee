//! Declared topics, as both configuration files write them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use serde::Deserialize;

use super::checked::Checked;
use super::decode::quoted_key;
use super::error::ConfigError;
use super::names::{Setting, TopicName};
use super::scalars::{Count, Switch};
use crate::topic::{DEFAULT_PARTITIONS, TopicSpec};

pub(crate) type Name = Checked<TopicName>;
pub(crate) type Partitions = Count<1, 10_000, DEFAULT_PARTITIONS>;
pub(crate) type ReplicationFactor = Count<1, 1_000, 1>;
pub(crate) type Settings = BTreeMap<String, Checked<Setting>>;

/// `[[topics]]` of a manifest.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TopicToml {
    name: Name,
    #[serde(default)]
    partitions: Partitions,
    replication_factor: Option<ReplicationFactor>,
    #[serde(default)]
    settings: Settings,
}

/// `[[topics]]` of a host configuration.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct HostTopicToml {
    name: Name,
    #[serde(default)]
    partitions: Partitions,
    replication_factor: Option<ReplicationFactor>,
    #[serde(default)]
    settings: Settings,
    #[serde(default)]
    pub(crate) ingest: Switch<false>,
}

impl HostTopicToml {
    /// Without what only the host knows.
    pub(crate) fn into_common(self) -> TopicToml {
        let Self { name, partitions, replication_factor, settings, ingest: _ } = self;
        TopicToml { name, partitions, replication_factor, settings }
    }
}

/// The topics of one file; none may be declared twice.
pub(crate) fn specs(
    file: &Path,
    topics: impl IntoIterator<Item = TopicToml>,
) -> Result<Vec<TopicSpec>, ConfigError> {
    let specs: Vec<_> = topics
        .into_iter()
        .enumerate()
        .map(|(index, topic)| spec(file, index, topic))
        .collect::<Result<_, _>>()?;
    let names: Vec<_> = specs.iter().map(|spec| Arc::clone(&spec.name)).collect();
    match repeated(&names) {
        Some((index, name)) => Err(ConfigError::new(
            file,
            format!("topics[{index}].name"),
            format!("topic {name:?} is declared twice"),
            "keep one [[topics]] table for each topic",
        )),
        None => Ok(specs),
    }
}

/// The first name that was there before, and where.
pub(crate) fn repeated(names: &[Arc<str>]) -> Option<(usize, &Arc<str>)> {
    let mut seen = BTreeSet::new();
    names.iter().enumerate().find(|(_, name)| !seen.insert(*name))
}

fn spec(file: &Path, index: usize, topic: TopicToml) -> Result<TopicSpec, ConfigError> {
    let bad_name = |name: &&String| name.is_empty() || name.contains(char::is_whitespace);
    if let Some(name) = topic.settings.keys().find(bad_name) {
        return Err(ConfigError::new(
            file,
            format!("topics[{index}].settings.{}", quoted_key(name)),
            format!("{name:?} is not the name of a setting"),
            "use a topic setting of Kafka, for example \"retention.ms\"",
        ));
    }
    Ok(TopicSpec {
        name: topic.name.0,
        partitions: topic.partitions.0,
        replication_factor: topic.replication_factor.and_then(|n| u16::try_from(n.0).ok()),
        settings: topic.settings.into_iter().map(|(name, value)| (name, value.0)).collect(),
    })
}
