//! Topics as configurations declare them: plain data and the rule for names.

use std::collections::BTreeMap;
use std::sync::Arc;

/// Topics with this prefix belong to Lockstep itself; handlers may not name them.
pub const RESERVED_PREFIX: &str = "_lockstep.";

/// Partitions of a topic that a configuration names without saying how many.
pub const DEFAULT_PARTITIONS: u32 = 3;

/// A topic as it should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopicSpec {
    /// The name.
    pub name: Arc<str>,
    /// Number of partitions, at least 1.
    pub partitions: u32,
    /// Copies of each partition; `None` takes the broker's default. The embedded log keeps one
    /// whatever this says.
    pub replication_factor: Option<u16>,
    /// Kafka's topic settings, such as `retention.ms`.
    pub settings: BTreeMap<String, String>,
}

impl TopicSpec {
    /// A topic with nothing but defaults.
    pub fn named(name: &str) -> Self {
        Self {
            name: name.into(),
            partitions: DEFAULT_PARTITIONS,
            replication_factor: None,
            settings: BTreeMap::new(),
        }
    }
}

/// Checks a topic name by Kafka's rule (`Topic.validate` of its clients): 1 to 249 of
/// `[a-zA-Z0-9._-]`, not `.` or `..`. The error says what is wrong, without the name.
pub fn check_name(name: &str) -> Result<(), String> {
    if name.is_empty() || name.len() > 249 {
        return Err(format!("a topic name has 1 to 249 characters, not {}", name.len()));
    }
    if name == "." || name == ".." {
        return Err("a topic may not be named \".\" or \"..\"".to_owned());
    }
    match name.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c))) {
        Some(c) => Err(format!(
            "a topic name may not contain {c:?}; use letters, digits, \".\", \"_\" and \"-\""
        )),
        None => Ok(()),
    }
}
