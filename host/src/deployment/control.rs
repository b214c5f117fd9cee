//! The control topics of a fleet: what they are called, and how they are made.

use std::sync::Arc;

use crate::config::DEFAULT_CLUSTER_ID;
use crate::topic::{RESERVED_PREFIX, TopicSpec};

/// The names of the control topics. Each has one partition, so that its records have one order,
/// and is compacted: what is read from its beginning is the present state.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ControlTopics {
    /// Chunks of components, by digest.
    pub components: Arc<str>,
    /// Revisions, and which of them is active.
    pub deployments: Arc<str>,
    /// What each host says of itself.
    pub hosts: Arc<str>,
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
        }
    }

    /// How they are made when they are missing.
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
    }
}
