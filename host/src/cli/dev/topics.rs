//! The topics of handlers that run without a host's configuration.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::config::HostTopic;
use crate::handler::Handler;
use crate::topic::TopicSpec;

/// Every topic that the handlers name, as the first manifest that describes it says, or with
/// defaults. The source topics take events over HTTP.
pub(super) fn of(handlers: &[Handler]) -> Vec<HostTopic> {
    let mut topics: BTreeMap<Arc<str>, HostTopic> = BTreeMap::new();
    for spec in handlers.iter().flat_map(|handler| &handler.topics) {
        let topic = || HostTopic { spec: spec.clone(), ingest: false };
        topics.entry(Arc::clone(&spec.name)).or_insert_with(topic);
    }
    let mut add = |name: &Arc<str>, ingest: bool| {
        let topic = || HostTopic { spec: TopicSpec::named(name), ingest: false };
        topics.entry(Arc::clone(name)).or_insert_with(topic).ingest |= ingest;
    };
    for handler in handlers {
        handler.from.iter().for_each(|name| add(name, true));
        handler.to.iter().for_each(|name| add(name, false));
        add(&handler.dead_letter_topic, false);
    }
    topics.into_values().collect()
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;
    use std::time::Duration;

    use super::*;
    use crate::handler::{Instances, Limits, OnFailure, Provenance};
    use crate::log::{BatchBounds, Start};
    use crate::retry::RetryPolicy;

    fn handler(name: &str, from: &[&str], to: &[&str], topics: Vec<TopicSpec>) -> Handler {
        let names = |names: &[&str]| names.iter().map(|&name| name.into()).collect();
        Handler {
            name: name.to_owned(),
            revision: 1,
            component: PathBuf::new(),
            from: names(from),
            to: names(to),
            group: String::new(),
            dead_letter_topic: format!("{name}.dead-letters").into(),
            start: Start::Earliest,
            workers: 1,
            instances: Instances::Reused,
            on_failure: OnFailure::DeadLetter,
            rollback_after: None,
            provenance: Provenance::Source,
            retry: RetryPolicy {
                attempts: 1,
                initial: Duration::ZERO,
                max: Duration::ZERO,
                multiplier: 1.0,
                jitter: 0.0,
            },
            limits: Limits {
                memory: 0,
                time: Duration::ZERO,
                stack: 0,
                table_elements: 0,
                instances: 0,
                output_events: 0,
                output_bytes: 0,
                log_lines_per_second: 0,
                log_line_bytes: 0,
            },
            batch: BatchBounds { events: 1, bytes: 1 },
            interval: Duration::ZERO,
            aliases: BTreeMap::new(),
            config: BTreeMap::new(),
            topics,
            build_command: None,
            test_skip: Vec::new(),
            build_watch: Vec::new(),
        }
    }

    #[test]
    fn every_topic_is_made_once_and_the_sources_take_events() {
        let wide = TopicSpec { partitions: 12, ..TopicSpec::named("b") };
        let handlers =
            [handler("one", &["a"], &["b"], vec![]), handler("two", &["b"], &["c"], vec![wide])];
        let topics = of(&handlers);
        let seen: Vec<_> =
            topics.iter().map(|t| (&*t.spec.name, t.spec.partitions, t.ingest)).collect();
        assert_eq!(
            seen,
            [
                ("a", 3, true),
                ("b", 12, true),
                ("c", 3, false),
                ("one.dead-letters", 3, false),
                ("two.dead-letters", 3, false),
            ]
        );
    }
}
