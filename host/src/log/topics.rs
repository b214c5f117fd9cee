//! Declared topics and real ones: creates what is missing, reports what differs, and never
//! changes what is there.

use anyhow::Context;

use super::{Admin, TopicDescription};
use crate::topic::TopicSpec;

/// How a declared topic was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TopicState {
    /// It was missing and is there now.
    Created,
    /// It is as declared, or has more partitions.
    Unchanged,
    /// It is otherwise and was left as it is. Each difference in words, such as
    /// `has 1 partition, 3 declared`.
    Differs(Vec<String>),
}

/// Makes sure that a topic exists which somebody has declared, and compares it.
pub fn ensure(admin: &dyn Admin, spec: &TopicSpec) -> anyhow::Result<TopicState> {
    let found = match look_up(admin, &spec.name)? {
        Some(found) => found,
        None if create(admin, spec)? => return Ok(TopicState::Created),
        // Somebody else was faster.
        None => look_up(admin, &spec.name)?.with_context(|| {
            format!("topic {:?} was created and deleted by others at the same time", spec.name)
        })?,
    };
    let differences = differences(spec, &found);
    Ok(match differences.is_empty() {
        true => TopicState::Unchanged,
        false => TopicState::Differs(differences),
    })
}

/// Makes sure that a topic exists which nobody has declared, such as a dead-letter topic that a
/// handler has by default. `true` when it was missing and is there now. One that exists is as its
/// owner wants it: nothing is compared, for there is no declaration to differ from.
pub fn ensure_exists(admin: &dyn Admin, spec: &TopicSpec) -> anyhow::Result<bool> {
    // The list is much quicker than a description.
    let topics = admin.topics().context("failed to list the topics")?;
    let exists = topics.iter().any(|topic| topic.name == *spec.name);
    Ok(!exists && create(admin, spec)?)
}

fn look_up(admin: &dyn Admin, name: &str) -> anyhow::Result<Option<TopicDescription>> {
    admin.topic(name).with_context(|| format!("failed to look up topic {name:?}"))
}

/// `false` when it exists by now.
fn create(admin: &dyn Admin, spec: &TopicSpec) -> anyhow::Result<bool> {
    admin.create_topic(spec).with_context(|| format!("failed to create topic {:?}", spec.name))
}

fn differences(spec: &TopicSpec, found: &TopicDescription) -> Vec<String> {
    let mut differences = Vec::new();
    let partitions = found.partitions.len();
    if partitions < spec.partitions as usize {
        let noun = if partitions == 1 { "partition" } else { "partitions" };
        differences.push(format!("has {partitions} {noun}, {} declared", spec.partitions));
    }
    if let Some(factor) = spec.replication_factor
        && factor != found.replication_factor
    {
        let actual = found.replication_factor;
        differences.push(format!("has replication factor {actual}, {factor} declared"));
    }
    // No settings at all: this principal may not see them.
    let declared = spec.settings.iter().filter(|_| !found.settings.is_empty());
    for (name, declared) in declared {
        match found.settings.get(name) {
            Some(actual) if same_setting(actual, declared) => {}
            Some(actual) => {
                differences.push(format!("has {name} {actual:?}, {declared:?} declared"));
            }
            None => differences.push(format!("has no {name}, {declared:?} declared")),
        }
    }
    differences
}

/// The order of a list (`cleanup.policy`) means nothing.
fn same_setting(a: &str, b: &str) -> bool {
    let items = |text: &str| {
        let mut items: Vec<_> = text.split(',').map(|item| item.trim().to_owned()).collect();
        items.sort_unstable();
        items
    };
    items(a) == items(b)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Mutex;

    use super::super::{GroupOffset, PartitionRange, ReadFrom, TopicSummary};
    use super::*;
    use crate::event::TopicPartition;

    /// A log with at most one topic. `raced` appears when somebody tries to create it.
    #[derive(Default)]
    struct OneTopic {
        topic: Mutex<Option<TopicDescription>>,
        raced: Option<TopicDescription>,
        created: Mutex<Vec<TopicSpec>>,
    }

    impl Admin for OneTopic {
        fn topics(&self) -> anyhow::Result<Vec<TopicSummary>> {
            let topic = self.topic.lock().unwrap();
            let summary = |topic: &TopicDescription| TopicSummary {
                name: topic.name.clone(),
                partitions: topic.partitions.len() as u32,
                replication_factor: topic.replication_factor,
            };
            Ok(topic.iter().map(summary).collect())
        }

        fn topic(&self, _name: &str) -> anyhow::Result<Option<TopicDescription>> {
            Ok(self.topic.lock().unwrap().clone())
        }

        fn create_topic(&self, spec: &TopicSpec) -> anyhow::Result<bool> {
            if let Some(raced) = &self.raced {
                *self.topic.lock().unwrap() = Some(raced.clone());
                return Ok(false);
            }
            self.created.lock().unwrap().push(spec.clone());
            Ok(true)
        }

        fn groups(&self) -> anyhow::Result<Vec<String>> {
            anyhow::bail!("not asked")
        }

        fn group(&self, _name: &str) -> anyhow::Result<Vec<GroupOffset>> {
            anyhow::bail!("not asked")
        }

        fn member_names(&self, _group: &str) -> anyhow::Result<Vec<String>> {
            anyhow::bail!("not asked")
        }

        fn set_offsets(
            &self,
            _group: &str,
            _offsets: &BTreeMap<TopicPartition, i64>,
        ) -> anyhow::Result<()> {
            anyhow::bail!("not asked")
        }

        fn offsets(&self, _topic: &str, _at: ReadFrom) -> anyhow::Result<BTreeMap<i32, i64>> {
            anyhow::bail!("not asked")
        }
    }

    fn found(partitions: i32, settings: &[(&str, &str)]) -> TopicDescription {
        TopicDescription {
            name: "orders".to_owned(),
            replication_factor: 1,
            partitions: (0..partitions)
                .map(|partition| PartitionRange { partition, start: 0, end: 0 })
                .collect(),
            settings: settings.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        }
    }

    fn with(topic: TopicDescription) -> OneTopic {
        OneTopic { topic: Mutex::new(Some(topic)), ..OneTopic::default() }
    }

    #[test]
    fn a_missing_topic_is_created_as_declared() {
        let (log, spec) = (OneTopic::default(), TopicSpec::named("orders"));
        assert_eq!(ensure(&log, &spec).unwrap(), TopicState::Created);
        assert_eq!(*log.created.lock().unwrap(), [spec]);
    }

    #[test]
    fn a_topic_with_more_partitions_or_a_reordered_list_is_no_difference() {
        let mut spec = TopicSpec::named("orders");
        spec.settings.insert("cleanup.policy".to_owned(), "compact, delete".to_owned());
        let log = with(found(9, &[("cleanup.policy", "delete,compact"), ("retention.ms", "1")]));
        assert_eq!(ensure(&log, &spec).unwrap(), TopicState::Unchanged);
    }

    #[test]
    fn every_difference_is_told_and_nothing_is_changed() {
        let mut spec = TopicSpec::named("orders");
        spec.replication_factor = Some(3);
        spec.settings.insert("retention.ms".to_owned(), "1000".to_owned());
        spec.settings.insert("segment.ms".to_owned(), "5".to_owned());
        let log = with(found(1, &[("retention.ms", "2000")]));
        let differences = [
            "has 1 partition, 3 declared",
            "has replication factor 1, 3 declared",
            "has retention.ms \"2000\", \"1000\" declared",
            "has no segment.ms, \"5\" declared",
        ];
        let want = TopicState::Differs(differences.map(str::to_owned).to_vec());
        assert_eq!(ensure(&log, &spec).unwrap(), want);
        assert!(log.created.lock().unwrap().is_empty());
    }

    #[test]
    fn a_topic_that_nobody_declared_is_created_when_missing_and_never_compared() {
        let mut spec = TopicSpec::named("weather.dead-letters");
        spec.settings.insert("max.message.bytes".to_owned(), "16777216".to_owned());
        let missing = OneTopic::default();
        assert!(ensure_exists(&missing, &spec).unwrap());
        assert_eq!(*missing.created.lock().unwrap(), [spec.clone()]);
        let named = |settings: &[(&str, &str)]| TopicDescription {
            name: spec.name.to_string(),
            ..found(1, settings)
        };
        let raced = OneTopic { raced: Some(named(&[])), ..OneTopic::default() };
        for log in [with(named(&[("max.message.bytes", "5")])), raced] {
            assert!(!ensure_exists(&log, &spec).unwrap());
        }
    }

    #[test]
    fn losing_the_race_to_create_a_topic_is_no_error() {
        let log = OneTopic { raced: Some(found(2, &[])), ..OneTopic::default() };
        let state = ensure(&log, &TopicSpec::named("orders")).unwrap();
        let want = TopicState::Differs(vec!["has 2 partitions, 3 declared".to_owned()]);
        assert_eq!(state, want);
    }
}
