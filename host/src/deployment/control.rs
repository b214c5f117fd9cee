//! The control topics of a fleet: what they are called, and how they are made.

use std::collections::BTreeMap;
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
        [&self.components, &self.deployments, &self.hosts].map(|name| TopicSpec {
            name: Arc::clone(name),
            partitions: 1,
            replication_factor: None,
            settings: BTreeMap::from([("cleanup.policy".to_owned(), "compact".to_owned())]),
        })
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
