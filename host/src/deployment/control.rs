//! The control topics of a fleet: what they are called, and how they are made.

use std::sync::Arc;

use crate::config::DEFAULT_CLUSTER_ID;
use crate::topic::{RESERVED_PREFIX, TopicSpec};

/// The names of the control topics. Each has one partition, so that its records have one order.
/// All but the last are compacted: what is read from their beginning is the present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlTopics {
    /// Chunks of components, by digest.
    pub components: Arc<str>,
    /// Revisions, and which of them is active.
    pub deployments: Arc<str>,
    /// What each host says of itself.
    pub hosts: Arc<str>,
    /// What is said about handlers, by them and by the hosts. Not compacted: it goes by itself.
    pub logs: Arc<str>,
}

impl ControlTopics {
    /// Those of the fleet with this cluster id. The fleet of whoever has only one has the plain
    /// names.
    pub fn of(cluster_id: &str) -> Self {
        let prefix = match cluster_id {
            DEFAULT_CLUSTER_ID => RESERVED_PREFIX.to_owned(),
            other => format!("{RESERVED_PREFIX}{other}."),
        };
        let named = |name: &str| format!("{prefix}{name}").into();
        Self {
            components: named("components"),
            deployments: named("deployments"),
            hosts: named("hosts"),
            logs: named("logs"),
        }
    }

    /// How those that the registry needs are made when they are missing.
    pub fn specs(&self) -> [TopicSpec; 3] {
        let kept = &[("cleanup.policy", "compact")][..];
        // What a host said an hour ago is of no use, and it says something every second.
        let passing = &[
            ("cleanup.policy", "compact,delete"),
            ("retention.ms", "3600000"),
            ("segment.ms", "600000"),
        ][..];
        [(&self.components, kept), (&self.deployments, kept), (&self.hosts, passing)]
            .map(|(name, settings)| spec(name, settings))
    }

    /// How the topic of the logs is made when it is missing: it keeps the last day, and no more
    /// than 64 MiB of it. A broker deletes whole segments only, so they are small.
    pub fn logs_spec(&self) -> TopicSpec {
        let settings = [
            ("cleanup.policy", "delete"),
            ("retention.ms", "86400000"),
            ("retention.bytes", "67108864"),
            ("segment.ms", "3600000"),
            ("segment.bytes", "8388608"),
        ];
        spec(&self.logs, &settings)
    }
}

fn spec(name: &Arc<str>, settings: &[(&str, &str)]) -> TopicSpec {
    let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), (*value).to_owned());
    TopicSpec {
        name: Arc::clone(name),
        partitions: 1,
        replication_factor: None,
        settings: settings.iter().map(owned).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fleets_on_one_log_do_not_meet() {
        let (own, other) = (ControlTopics::of(DEFAULT_CLUSTER_ID), ControlTopics::of("blue"));
        assert_eq!(&*own.deployments, "_lockstep.deployments");
        assert_eq!(&*other.deployments, "_lockstep.blue.deployments");
        assert_eq!((&*own.logs, &*other.logs), ("_lockstep.logs", "_lockstep.blue.logs"));
    }
}
