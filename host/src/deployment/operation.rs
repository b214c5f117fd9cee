//! What can be done to a handler in the registry, as the records that do it. Pure: nothing here
//! reads or writes a log.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use super::one_host::HostOperation;
use super::record::{ComponentRecord, DeploymentRecord, Key, RevisionRecord, encode};
use super::registry::{Deployed, Registry};
use super::rollback::Rollback;
use crate::digest::Digest;
use crate::event::Position;

/// Revisions of a handler that are kept beside the active one; older ones go when a new one comes.
const KEPT_REVISIONS: usize = 20;

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Makes a new revision and activates it.
    Deploy {
        /// What it consists of.
        revision: RevisionRecord,
        /// The newest revision when the deployer looked; 0 when there was none. Another one by
        /// now came between.
        base: u64,
    },
    /// Activates an earlier revision, the one before the active one if none is named.
    Rollback(Option<u64>),
    /// The same without anybody who asks for it: a host has found that this revision faults again
    /// and again, and activates the one that it replaced.
    RollbackFaulty {
        /// What faults. Another revision by now came between, and stays.
        revision: u64,
        /// What was found, for people.
        reason: String,
    },
    /// Undoes the deployment of this revision, which some host cannot run: the handler is again as
    /// it was before, or gone when there was none.
    TakeBack {
        /// What was deployed. Another revision by now came between, and stays.
        revision: u64,
        /// How the handler ran before.
        before: Option<DeploymentRecord>,
    },
    /// Stops the workers.
    Pause,
    /// Starts them again.
    Resume,
    /// Stops and starts them.
    Restart,
    /// Another number of workers on each host; `None` is the manifest's.
    Scale(Option<u32>),
    /// Does something on one host alone.
    OnHost {
        /// Its id.
        host: String,
        /// What.
        what: HostOperation,
    },
    /// Ends the handler. What is in the topics and the group's offsets stay.
    Delete,
}

/// Who does it, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Operator {
    /// A name for people, such as `ada@laptop`.
    pub by: String,
    /// Milliseconds since the Unix epoch.
    pub now: i64,
}

/// What is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// Records; without a value: tombstones.
    pub records: Vec<(Key, Option<Vec<u8>>)>,
    /// How the handler runs afterwards; `None` when it does not.
    pub deployment: Option<DeploymentRecord>,
}

/// Why nothing is done.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    /// There is no such handler.
    #[error("there is no handler {name:?} in the registry{}", hint(.alike))]
    NotThere {
        /// The name that was given.
        name: String,
        /// The names there are.
        alike: Vec<String>,
    },
    /// Somebody else was faster.
    #[error(
        "revision {revision} of handler {name:?} came between: {by} deployed it; look at it with \
         `lockstep handler history {name}`, and deploy again if yours is to replace it"
    )]
    CameBetween {
        /// The handler.
        name: String,
        /// The revision that is active now.
        revision: u64,
        /// Who deployed it.
        by: String,
    },
    /// There is no such revision.
    #[error("handler {name:?} has no revision {revision}; it has {}", numbers(.there))]
    NoSuchRevision {
        /// The handler.
        name: String,
        /// The number that was given.
        revision: u64,
        /// The numbers there are.
        there: Vec<u64>,
    },
    /// There is nothing to go back to.
    #[error(
        "handler {name:?} has no revision before {revision}, so there is nothing to go back to"
    )]
    NothingBefore {
        /// The handler.
        name: String,
        /// Its active revision.
        revision: u64,
    },
    /// Nobody deployed it: somebody has gone back to it.
    #[error(
        "revision {revision} of handler {name:?} is active because of a rollback, and hosts roll \
         back only what was deployed"
    )]
    GoneBackTo {
        /// The handler.
        name: String,
        /// Its active revision.
        revision: u64,
    },
    /// It is so already.
    #[error("handler {name:?} {state}: nothing to do")]
    AlreadySo {
        /// The handler.
        name: String,
        /// How it is.
        state: String,
    },
    /// A record could not be written down.
    #[error(transparent)]
    Encoding(#[from] anyhow::Error),
}

impl Operation {
    /// A word for it, as it stands in the records.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Deploy { .. } => "deploy",
            Self::Rollback(_) | Self::RollbackFaulty { .. } => "rollback",
            Self::TakeBack { .. } => "take-back",
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::Scale(_) => "scale",
            Self::OnHost { what, .. } => what.word(),
            Self::Delete => "delete",
        }
    }

    /// What was planned, when it was done already: by an earlier attempt of the same operator whose
    /// end is not known.
    pub fn is_done(&self, registry: &Registry, name: &str, who: &Operator) -> Option<Plan> {
        let record = registry.handler(name)?.deployment.as_ref()?;
        let is_it = record.by == who.by && record.at == who.now && record.action == self.word();
        is_it.then(|| Plan { records: Vec::new(), deployment: Some(record.clone()) })
    }

    /// The records that do this to the handler of this name.
    pub fn plan(&self, registry: &Registry, name: &str, who: &Operator) -> Result<Plan, Refusal> {
        let mut plan = Plan { records: Vec::new(), deployment: None };
        if let Self::Deploy { revision, base } = self {
            plan.deploy(registry, name, who, revision, *base)?;
        } else {
            let (deployed, now) = present(registry, name)?;
            if let Self::TakeBack { revision, .. } | Self::RollbackFaulty { revision, .. } = self
                && now.revision != *revision
            {
                return Err(came_between(deployed, name, now.revision));
            }
            if matches!(self, Self::Delete | Self::TakeBack { before: None, .. }) {
                plan.delete(deployed, name);
            } else {
                let next = self.next(deployed, now, name, who)?;
                plan.activate(name, next)?;
            }
        }
        plan.tidy(registry, who.now)?;
        Ok(plan)
    }

    /// How the handler runs afterwards.
    fn next(
        &self,
        deployed: &Deployed,
        now: &DeploymentRecord,
        name: &str,
        who: &Operator,
    ) -> Result<DeploymentRecord, Refusal> {
        let mut next = DeploymentRecord {
            at: who.now,
            by: who.by.clone(),
            action: self.word().to_owned(),
            ..now.clone()
        };
        match self {
            Self::Rollback(to) => next.go_back(target(deployed, now, name, *to)?, None),
            Self::RollbackFaulty { reason, .. } => {
                next.go_back(replaced(deployed, now, name)?, Some(reason));
            }
            Self::Pause => next.paused = true,
            Self::Resume => {
                next.paused = false;
                next.change_all(|one| one.paused = false);
            }
            Self::Restart => next.restarts += 1,
            Self::Scale(workers) => {
                next.workers = *workers;
                next.change_all(|one| one.workers = None);
            }
            Self::OnHost { host, what } => next.change_on(host, *what),
            Self::TakeBack { before: Some(before), .. } => {
                next.revision = before.revision;
                next.replaced = before.replaced;
                next.paused = before.paused;
                next.workers = before.workers;
                next.hosts.clone_from(&before.hosts);
            }
            // Dealt with by their own plans.
            Self::Deploy { .. } | Self::Delete | Self::TakeBack { before: None, .. } => {}
        }
        let same = (next.revision, next.paused, next.workers, next.restarts, &next.hosts)
            == (now.revision, now.paused, now.workers, now.restarts, &now.hosts);
        if same {
            return Err(Refusal::AlreadySo { name: name.to_owned(), state: self.state(now) });
        }
        Ok(next)
    }

    /// How the handler is when there is nothing to do.
    fn state(&self, now: &DeploymentRecord) -> String {
        match self {
            Self::Pause => "is paused already".to_owned(),
            Self::Resume => "is not paused".to_owned(),
            Self::Scale(Some(workers)) => format!("has {workers} workers on each host already"),
            Self::Scale(None) => "has as many workers as its manifest says already".to_owned(),
            Self::OnHost { host, what } => what.state(now, host),
            _ => format!("runs revision {} already", now.revision),
        }
    }
}

/// A handler that is deployed, or the names of those that are.
pub fn present<'a>(
    registry: &'a Registry,
    name: &str,
) -> Result<(&'a Deployed, &'a DeploymentRecord), Refusal> {
    let found = registry.handler(name);
    found.and_then(|deployed| Some((deployed, deployed.deployment.as_ref()?))).ok_or_else(|| {
        let alike = registry.handlers().map(|(name, ..)| name.to_owned()).collect();
        Refusal::NotThere { name: name.to_owned(), alike }
    })
}

fn came_between(deployed: &Deployed, name: &str, revision: u64) -> Refusal {
    let by = deployed.revisions.get(&revision).map(|r| r.deployed_by.clone());
    Refusal::CameBetween { name: name.to_owned(), revision, by: by.unwrap_or_default() }
}

/// The revision to go back to.
fn target(
    deployed: &Deployed,
    now: &DeploymentRecord,
    name: &str,
    to: Option<u64>,
) -> Result<u64, Refusal> {
    let name = name.to_owned();
    let Some(to) = to else {
        let before = deployed.revisions.range(..now.revision).next_back();
        return before
            .map(|(number, _)| *number)
            .ok_or(Refusal::NothingBefore { name, revision: now.revision });
    };
    if deployed.revisions.contains_key(&to) {
        return Ok(to);
    }
    let there = deployed.revisions.keys().copied().collect();
    Err(Refusal::NoSuchRevision { name, revision: to, there })
}

/// The revision that the active one replaced when it was deployed.
fn replaced(deployed: &Deployed, now: &DeploymentRecord, name: &str) -> Result<u64, Refusal> {
    let (name, revision) = (name.to_owned(), now.revision);
    match now.replaced {
        Some(before) if deployed.revisions.contains_key(&before) => Ok(before),
        _ if now.rolled_back().is_some() => Err(Refusal::GoneBackTo { name, revision }),
        _ => Err(Refusal::NothingBefore { name, revision }),
    }
}

impl DeploymentRecord {
    /// Makes an earlier revision the active one; `at` and `by` are those of whoever does it.
    fn go_back(&mut self, to: u64, reason: Option<&String>) {
        let (from, by) = (self.revision, self.by.clone());
        if self.rollbacks.len() >= KEPT_REVISIONS {
            self.rollbacks.remove(0);
        }
        self.rollbacks.push(Rollback { from, to, at: self.at, by, reason: reason.cloned() });
        self.revision = to;
        self.replaced = None;
    }
}

impl Plan {
    fn deploy(
        &mut self,
        registry: &Registry,
        name: &str,
        who: &Operator,
        revision: &RevisionRecord,
        base: u64,
    ) -> Result<(), Refusal> {
        let nothing = Deployed::default();
        let deployed = registry.handler(name).unwrap_or(&nothing);
        let newest = deployed.newest();
        if newest != base {
            return Err(came_between(deployed, name, newest));
        }
        let number = newest + 1;
        self.put(Key::Revision(name.to_owned(), number), revision)?;
        let active = deployed.deployment.as_ref().map(|now| now.revision);
        let surplus = match active {
            Some(_) => (deployed.revisions.len() + 1).saturating_sub(KEPT_REVISIONS),
            // It was deleted: what is left of it has only kept the count.
            None => deployed.revisions.len(),
        };
        let old = deployed.revisions.keys().filter(|number| Some(**number) != active);
        for number in old.take(surplus) {
            self.records.push((Key::Revision(name.to_owned(), *number), None));
            self.forget_fences(deployed, name, |revision| revision == *number);
        }
        let before = deployed.deployment.as_ref();
        let mut next = DeploymentRecord {
            revision: number,
            replaced: active,
            rollbacks: before.map_or_else(Vec::new, |now| now.rollbacks.clone()),
            // Who deploys wants it to run as the manifest says.
            paused: false,
            workers: None,
            restarts: before.map_or(0, |now| now.restarts),
            hosts: before.map_or_else(BTreeMap::new, |now| now.hosts.clone()),
            at: who.now,
            by: who.by.clone(),
            action: "deploy".to_owned(),
        };
        next.change_all(|one| (one.paused, one.workers) = (false, None));
        self.activate(name, next)
    }

    /// Forgets what these revisions have handled.
    fn forget_fences(&mut self, deployed: &Deployed, name: &str, of: impl Fn(u64) -> bool) {
        for fence in deployed.fences.iter().filter(|fence| of(fence.revision)) {
            let first = Position {
                topic: fence.topic.as_str().into(),
                partition: fence.partition,
                offset: fence.from,
            };
            self.records.push((Key::Fence(name.to_owned(), fence.revision, first), None));
        }
    }

    /// The newest revision stays, so that numbers are never used twice.
    fn delete(&mut self, deployed: &Deployed, name: &str) {
        self.records.push((Key::Deployment(name.to_owned()), None));
        self.forget_fences(deployed, name, |_| true);
        let newest = deployed.newest();
        for number in deployed.revisions.keys().filter(|number| **number != newest) {
            self.records.push((Key::Revision(name.to_owned(), *number), None));
        }
    }

    fn activate(&mut self, name: &str, next: DeploymentRecord) -> Result<(), Refusal> {
        self.put(Key::Deployment(name.to_owned()), &next)?;
        self.deployment = Some(next);
        Ok(())
    }

    /// Marks the components that no revision refers to any more, and those that one refers to
    /// again.
    fn tidy(&mut self, registry: &Registry, now: i64) -> Result<(), Refusal> {
        let mut after = registry.clone();
        for record in self.records.clone() {
            after.apply(super::record::of(record)?);
        }
        for (digest, component) in registry.components() {
            let unused_since = match (after.refers_to(digest), component.unused_since) {
                (true, Some(_)) => None,
                (false, None) => Some(now),
                _ => continue,
            };
            let record = ComponentRecord { unused_since, ..component.clone() };
            self.put(Key::Component(*digest), &record)?;
        }
        Ok(())
    }

    fn put(&mut self, key: Key, value: &impl serde::Serialize) -> Result<(), Refusal> {
        self.records.push((key, Some(encode(value)?)));
        Ok(())
    }
}

/// The components that no revision has referred to since before `then`, in milliseconds since the
/// Unix epoch.
pub fn unused_since_before(registry: &Registry, then: i64) -> Vec<(Digest, ComponentRecord)> {
    let is_old = |record: &ComponentRecord| record.unused_since.is_some_and(|since| since < then);
    registry
        .components()
        .filter(|(digest, record)| is_old(record) && !registry.refers_to(digest))
        .map(|(digest, record)| (*digest, record.clone()))
        .collect()
}

fn hint(names: &[String]) -> String {
    match names {
        [] => "; nothing was deployed yet: `lockstep deploy FOLDER` does it".to_owned(),
        names => format!("; there is {}", names.join(", ")),
    }
}

fn numbers(there: &[u64]) -> String {
    there.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}
