//! Kafka's topic settings: which are in force here, which are kept but have no effect, and which
//! are refused. Pure.

use std::collections::BTreeMap;
use std::str::FromStr;

use anyhow::{Context, bail, ensure};

const RETENTION_MS: &str = "retention.ms";
const RETENTION_BYTES: &str = "retention.bytes";
const MAX_MESSAGE_BYTES: &str = "max.message.bytes";
const CLEANUP_POLICY: &str = "cleanup.policy";
const DELETE_RETENTION_MS: &str = "delete.retention.ms";

/// Kafka's defaults of the settings in force.
const DEFAULTS: [(&str, &str); 5] = [
    (CLEANUP_POLICY, "delete"),
    (DELETE_RETENTION_MS, "86400000"),
    (MAX_MESSAGE_BYTES, "1048588"),
    (RETENTION_BYTES, "-1"),
    (RETENTION_MS, "604800000"),
];

/// An event is one row, and a row has less than 1 GB.
const LARGEST_EVENT: usize = 512 * 1024 * 1024;

/// Settings of Kafka that describe its files, its replicas or when it compacts: nothing to do
/// here.
const WITHOUT_EFFECT: [&str; 31] = [
    "compression.gzip.level",
    "compression.lz4.level",
    "compression.type",
    "compression.zstd.level",
    "file.delete.delay.ms",
    "flush.messages",
    "flush.ms",
    "follower.replication.throttled.replicas",
    "index.interval.bytes",
    "leader.replication.throttled.replicas",
    "local.retention.bytes",
    "local.retention.ms",
    "max.compaction.lag.ms",
    "message.downconversion.enable",
    "message.format.version",
    "message.timestamp.after.max.ms",
    "message.timestamp.before.max.ms",
    "message.timestamp.difference.max.ms",
    "message.timestamp.type",
    "min.cleanable.dirty.ratio",
    "min.compaction.lag.ms",
    "min.insync.replicas",
    "preallocate",
    "remote.log.copy.disable",
    "remote.log.delete.on.disable",
    "remote.storage.enable",
    "segment.bytes",
    "segment.index.bytes",
    "segment.jitter.ms",
    "segment.ms",
    "unclean.leader.election.enable",
];

/// What the settings of a topic mean here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// Events older than this are deleted; `None` keeps them.
    pub(super) retention_ms: Option<i64>,
    /// The oldest events of a partition are deleted while this much is left; `None` keeps them.
    pub(super) retention_bytes: Option<i64>,
    /// Events that a later one with the same key replaces are removed; `None` keeps them.
    pub(super) compaction: Option<Compaction>,
    /// The largest event taken, as [`Event::size`](crate::event::Event::size) counts.
    pub(super) max_message_bytes: usize,
}

/// How a compacted topic is compacted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Compaction {
    /// Tombstones older than this are removed too.
    pub(super) tombstones_ms: i64,
}

impl Settings {
    /// Reads the settings of a topic. The error names the key and the fix.
    pub(super) fn parse(given: &BTreeMap<String, String>) -> anyhow::Result<Self> {
        if let Some(unknown) = given.keys().find(|key| !is_known(key)) {
            bail!(
                "{unknown:?} is not a topic setting of Kafka; use {RETENTION_MS}, \
                 {RETENTION_BYTES}, {MAX_MESSAGE_BYTES}, {CLEANUP_POLICY} or {DELETE_RETENTION_MS}"
            );
        }
        let value = |key: &str| given.get(key).map_or_else(|| default(key), String::as_str);
        let (deletes, compacts) = policies(value(CLEANUP_POLICY))?;
        let retention_ms = limit(RETENTION_MS, value(RETENTION_MS))?.filter(|_| deletes);
        let retention_bytes = limit(RETENTION_BYTES, value(RETENTION_BYTES))?.filter(|_| deletes);
        let tombstones_ms = number(DELETE_RETENTION_MS, value(DELETE_RETENTION_MS))?;
        ensure!(
            tombstones_ms >= 0,
            "{DELETE_RETENTION_MS} is {tombstones_ms}; it must be 0 or more"
        );
        let compaction = compacts.then_some(Compaction { tombstones_ms });
        let max: i32 = number(MAX_MESSAGE_BYTES, value(MAX_MESSAGE_BYTES))?;
        let max = usize::try_from(max)
            .with_context(|| format!("{MAX_MESSAGE_BYTES} is {max}; it must be 0 or more"))?;
        let max_message_bytes = max.min(LARGEST_EVENT);
        Ok(Self { retention_ms, retention_bytes, compaction, max_message_bytes })
    }
}

/// The settings of a topic with the defaults of those that it does not give.
pub(super) fn with_defaults(given: &BTreeMap<String, String>) -> BTreeMap<String, String> {
    let defaults = DEFAULTS.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned()));
    defaults.chain(given.clone()).collect()
}

/// Those of the settings that are kept but change nothing here.
pub(super) fn without_effect(given: &BTreeMap<String, String>) -> Vec<String> {
    let kept = given.iter().filter(|(key, _)| WITHOUT_EFFECT.contains(&key.as_str()));
    kept.map(|(key, value)| format!("{key}={value}")).collect()
}

fn is_known(key: &str) -> bool {
    DEFAULTS.iter().any(|(known, _)| *known == key) || WITHOUT_EFFECT.contains(&key)
}

fn default(key: &str) -> &'static str {
    DEFAULTS.iter().find(|(known, _)| *known == key).map_or("", |(_, value)| value)
}

/// Whether the policy deletes, and whether it compacts.
fn policies(policy: &str) -> anyhow::Result<(bool, bool)> {
    let policies: Vec<_> = policy.split(',').map(str::trim).collect();
    ensure!(
        policies.iter().all(|policy| ["delete", "compact"].contains(policy)),
        "{CLEANUP_POLICY} is {policy:?}; it must be \"delete\", \"compact\" or both with a comma"
    );
    Ok((policies.contains(&"delete"), policies.contains(&"compact")))
}

/// A limit of Kafka: -1 is none.
fn limit(key: &str, value: &str) -> anyhow::Result<Option<i64>> {
    let limit: i64 = number(key, value)?;
    ensure!(limit >= -1, "{key} is {limit}; it must be 0 or more, or -1 for no limit");
    Ok((limit >= 0).then_some(limit))
}

fn number<T: FromStr>(key: &str, value: &str) -> anyhow::Result<T> {
    let number = value.trim().parse().ok();
    number.with_context(|| format!("{key} is {value:?}; it must be a whole number in range"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(settings: &[(&str, &str)]) -> BTreeMap<String, String> {
        settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    fn refusal(key: &str, value: &str) -> String {
        match Settings::parse(&given(&[(key, value)])) {
            Ok(settings) => panic!("{key}={value} gave {settings:?}"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn the_defaults_are_those_of_kafka() {
        let week = 7 * 24 * 60 * 60 * 1_000;
        let expected = Settings {
            retention_ms: Some(week),
            retention_bytes: None,
            compaction: None,
            max_message_bytes: 1_048_588,
        };
        assert_eq!(Settings::parse(&BTreeMap::new()).ok(), Some(expected));
    }

    #[test]
    fn unknown_names_and_bad_values_are_refused_by_key_and_with_a_fix() {
        assert!(refusal("retention.msec", "1").contains("use retention.ms"));
        assert!(refusal("retention.ms", "1 day").contains("retention.ms is \"1 day\""));
        assert!(refusal("retention.bytes", "-2").contains("-1 for no limit"));
        assert!(refusal("max.message.bytes", "-1").contains("must be 0 or more"));
        assert!(refusal("cleanup.policy", "remove").contains("\"delete\""));
        assert!(refusal("delete.retention.ms", "-1").contains("must be 0 or more"));
    }

    #[test]
    fn the_policy_says_what_is_removed() {
        let parsed = |policy: &str| {
            let settings = given(&[("cleanup.policy", policy), ("retention.ms", "5")]);
            Settings::parse(&settings).ok().map(|s| (s.retention_ms, s.compaction))
        };
        let day = Compaction { tombstones_ms: 24 * 60 * 60 * 1_000 };
        assert_eq!(parsed("delete"), Some((Some(5), None)));
        assert_eq!(parsed("compact"), Some((None, Some(day))));
        assert_eq!(parsed("compact, delete"), Some((Some(5), Some(day))));
        let settings = given(&[
            ("cleanup.policy", "compact"),
            ("delete.retention.ms", "7"),
            ("min.compaction.lag.ms", "5"),
        ]);
        let compaction = Settings::parse(&settings).ok().and_then(|settings| settings.compaction);
        assert_eq!(compaction, Some(Compaction { tombstones_ms: 7 }));
        assert_eq!(without_effect(&settings), ["min.compaction.lag.ms=5"]);
    }
}
