//! Watches a change arrive on the hosts of a fleet.

use std::time::{Duration, Instant};

use tracing::warn;

use super::{Error, Fleet, HostReason};
use crate::deployment::hosts::{HandlerReport, HandlerState, Hosts, INTERVAL, SILENCE};
use crate::deployment::record::DeploymentRecord;

/// How long one look at the hosts waits for news.
const STEP: Duration = Duration::from_millis(100);
/// Hosts that are there have said so by then.
const ROLL_CALL: Duration = INTERVAL.saturating_mul(3);

/// How long the hosts are waited for.
#[derive(Clone, Copy)]
pub struct Patience<'a> {
    /// For so long.
    pub timeout: Duration,
    /// Is told again and again how many hosts have got there, and how many there are.
    pub told: &'a dyn Fn(usize, usize),
}

impl Patience<'static> {
    /// So long, and nobody looks on.
    pub fn of(timeout: Duration) -> Self {
        Self { timeout, told: &|_, _| {} }
    }
}

/// What came of a change.
pub(super) enum Outcome {
    /// It has arrived on these hosts: all that are there.
    Arrived(Vec<String>),
    /// Hosts cannot do it, for these reasons.
    Refused(Vec<HostReason>),
    /// It has arrived on the first ones, and not on the others yet.
    Late(Vec<String>, Vec<String>),
    /// Hosts follow a later change already.
    Overtaken,
}

/// How far one host is.
enum There {
    Arrived,
    Refused(String),
    NotYet,
    Overtaken,
}

impl Fleet {
    /// Waits until all hosts that are there are as the record says, or one of them cannot. Without
    /// a record the handler is to be gone. A host that goes meanwhile is told and not waited for
    /// any longer: it does what the registry says when it is back.
    pub(super) fn arrival(
        &self,
        name: &str,
        wanted: Option<&DeploymentRecord>,
        patience: &Patience<'_>,
    ) -> Result<Outcome, Error> {
        let mut hosts = Hosts::listen(&**self.store.log(), self.store.topics())?;
        let begun = Instant::now();
        hosts.catch_up()?;
        let mut awaited = Vec::new();
        loop {
            let (mut arrived, mut refused, mut late) = (Vec::new(), Vec::new(), Vec::new());
            for host in hosts.live() {
                let id = host.host.clone();
                let here = wanted.map(|wanted| wanted.on(&id));
                match judge(host.handler(name), here.as_ref()) {
                    There::Arrived => arrived.push(id),
                    There::Refused(reason) => refused.push(HostReason { host: id, reason }),
                    There::NotYet => late.push(id),
                    There::Overtaken => return Ok(Outcome::Overtaken),
                }
            }
            awaited.iter().for_each(|host: &String| tell_if_gone(&hosts, host));
            awaited.clone_from(&late);
            (patience.told)(arrived.len(), arrived.len() + late.len());
            if !refused.is_empty() {
                return Ok(Outcome::Refused(refused));
            }
            let called = !arrived.is_empty() || begun.elapsed() > ROLL_CALL;
            if late.is_empty() && called {
                return Ok(Outcome::Arrived(arrived));
            }
            if begun.elapsed() > patience.timeout || self.stop.requested() {
                return Ok(Outcome::Late(arrived, late));
            }
            hosts.hear(STEP)?;
        }
    }
}

impl Fleet {
    /// What has become of a change that hosts do not follow any more.
    pub(super) fn overtaken(&self, name: &str) -> Error {
        let registry = match self.store.registry() {
            Ok(registry) => registry,
            Err(error) => return error.into(),
        };
        let now = registry.handler(name).and_then(|deployed| deployed.deployment.as_ref());
        let happened = match now.map(|now| (now, now.rolled_back())) {
            Some((_, Some(rollback))) => rollback.to_string(),
            Some((now, None)) => {
                format!("{} made revision {} the active one", now.by, now.revision)
            }
            None => "it was deleted".to_owned(),
        };
        Error::Overtaken(format!(
            "another change of handler {name:?} came right after: {happened}; `lockstep handler \
             history {name}` shows it"
        ))
    }
}

/// Whoever waits for a host hears that it went.
fn tell_if_gone(hosts: &Hosts, id: &str) {
    if hosts.live().any(|host| host.host == id) {
        return;
    }
    let how = match hosts.has_left(id) {
        true => "has stopped".to_owned(),
        false => format!("has said nothing for {}", humantime::format_duration(SILENCE)),
    };
    warn!("host {id:?} {how}, and is not waited for: it follows when it is back");
}

fn judge(handler: Option<&HandlerReport>, wanted: Option<&DeploymentRecord>) -> There {
    let (handler, wanted) = match (handler, wanted) {
        (None, None) => return There::Arrived,
        (Some(handler), Some(wanted)) => (handler, wanted),
        // One of the host's own configuration is none of the registry's.
        (Some(handler), None) if handler.is_own() => return There::Arrived,
        _ => return There::NotYet,
    };
    if handler.wanted != wanted.revision && handler.seen > wanted.at {
        return There::Overtaken;
    }
    if handler.wanted != wanted.revision || handler.seen < wanted.at {
        return There::NotYet;
    }
    match handler.state {
        HandlerState::Failed => {
            There::Refused(handler.error.clone().unwrap_or_else(|| "no reason given".to_owned()))
        }
        HandlerState::Paused if wanted.paused => There::Arrived,
        HandlerState::Running if !wanted.paused => match handler.revision == wanted.revision {
            true => There::Arrived,
            false => There::NotYet,
        },
        _ => There::NotYet,
    }
}
