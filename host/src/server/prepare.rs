//! Makes the topics that configuration and handlers declare, before any worker needs them.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::readiness::HostReadiness;
use crate::handler::Handler;
use crate::log::Log;
use crate::log::topics::{TopicState, ensure, ensure_exists};
use crate::retry::RetryPolicy;
use crate::stop::Stop;
use crate::topic::TopicSpec;

/// Pauses between attempts while the log is down or a topic is missing.
const PAUSES: RetryPolicy = RetryPolicy {
    attempts: u32::MAX,
    initial: Duration::from_millis(200),
    max: Duration::from_secs(5),
    multiplier: 2.0,
    jitter: 0.2,
};

/// A dead letter is larger than its event by the headers that say what happened; a dead-letter
/// topic that Lockstep makes takes them up to this size, in bytes.
const DEAD_LETTER_MAX_BYTES: &str = "16777216";

/// The topics that a host needs.
pub(super) struct Wanted {
    /// Created when missing, compared when not.
    declared: Vec<TopicSpec>,
    /// Dead-letter topics that nobody declared: created when missing.
    implied: Vec<TopicSpec>,
    /// Must exist, and which handler says so.
    used: BTreeMap<Arc<str>, String>,
}

impl Wanted {
    /// What these handlers need, beside what the host itself declares.
    pub(super) fn new<'a>(
        by_host: impl Iterator<Item = &'a TopicSpec>,
        handlers: &'a [Arc<Handler>],
    ) -> Self {
        let mut declared: Vec<TopicSpec> = Vec::new();
        let mut names = HashSet::new();
        for spec in by_host.chain(handlers.iter().flat_map(|handler| &handler.topics)) {
            if names.insert(Arc::clone(&spec.name)) {
                declared.push(spec.clone());
            }
        }
        let mut implied = Vec::new();
        for handler in handlers {
            let name = &handler.dead_letter_topic;
            if names.insert(Arc::clone(name)) {
                let mut spec = TopicSpec::named(name);
                spec.settings
                    .insert("max.message.bytes".to_owned(), DEAD_LETTER_MAX_BYTES.to_owned());
                implied.push(spec);
            }
        }
        let used = handlers
            .iter()
            .flat_map(|h| {
                h.from.iter().chain(&h.to).map(|topic| (Arc::clone(topic), h.name.clone()))
            })
            .filter(|(topic, _)| !names.contains(topic))
            .collect();
        Self { declared, implied, used }
    }

    /// Does without those that were looked after before.
    pub(super) fn leave_out(&mut self, known: impl Fn(&TopicSpec) -> bool) {
        self.declared.retain(|spec| !known(spec));
        self.implied.retain(|spec| !known(spec));
    }

    /// The topics that are made when they are missing.
    pub(super) fn specs(self) -> impl Iterator<Item = TopicSpec> {
        self.declared.into_iter().chain(self.implied)
    }

    fn is_empty(&self) -> bool {
        self.declared.is_empty() && self.implied.is_empty() && self.used.is_empty()
    }
}

/// Tries until every topic is there; `false` when a stop was requested first.
pub(super) fn topics(
    log: &dyn Log,
    wanted: &Wanted,
    readiness: &HostReadiness,
    stop: &Stop,
) -> bool {
    let mut failed = 0;
    let mut told = Vec::new();
    loop {
        let problems = attempt(log, wanted);
        if problems.is_empty() {
            readiness.prepared();
            return true;
        }
        if problems != told {
            for problem in &problems {
                warn!("waiting: {problem}");
            }
            told.clone_from(&problems);
        }
        readiness.waiting_for(problems);
        failed += 1;
        if stop.sleep(PAUSES.backoff(failed, fastrand::f64())) {
            return false;
        }
    }
}

/// One attempt; what stands in the way, in words.
pub(super) fn attempt(log: &dyn Log, wanted: &Wanted) -> Vec<String> {
    if wanted.is_empty() {
        return Vec::new();
    }
    let admin = log.admin();
    let existing: BTreeSet<String> = match admin.topics() {
        Ok(topics) => topics.into_iter().map(|topic| topic.name).collect(),
        Err(error) => return vec![format!("{error:#}")],
    };
    let mut problems = Vec::new();
    for spec in &wanted.declared {
        match ensure(admin, spec) {
            Ok(TopicState::Created) => {
                info!(topic = %spec.name, partitions = spec.partitions, "topic created");
            }
            Ok(TopicState::Unchanged) => {}
            Ok(TopicState::Differs(differences)) => warn!(
                topic = %spec.name,
                "topic differs from its declaration and is left as it is: {}",
                differences.join("; ")
            ),
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    for spec in wanted.implied.iter().filter(|spec| !existing.contains(&*spec.name)) {
        match ensure_exists(admin, spec) {
            Ok(true) => info!(topic = %spec.name, partitions = spec.partitions, "topic created"),
            Ok(false) => {}
            Err(error) => problems.push(format!("{error:#}")),
        }
    }
    for (topic, handler) in &wanted.used {
        if !existing.contains(&**topic) {
            problems.push(format!(
                "topic {topic:?} of handler {handler:?} does not exist; declare it under \
                 [[topics]] or make it with `lockstep topic create {topic}`"
            ));
        }
    }
    problems
}
