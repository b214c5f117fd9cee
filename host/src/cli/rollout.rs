//! Watches a change arrive on the hosts of a fleet.

use std::time::{Duration, Instant};

use anyhow::bail;

use super::progress::Progress;
use crate::deployment::hosts::{HandlerReport, HandlerState, Hosts, INTERVAL};
use crate::deployment::record::DeploymentRecord;
use crate::deployment::store::Store;

/// How long one look at the hosts waits for news.
const STEP: Duration = Duration::from_millis(100);
/// Hosts that are there have said so by then.
const ROLL_CALL: Duration = INTERVAL.saturating_mul(3);

/// What came of a change.
pub(super) enum Outcome {
    /// It has arrived on these hosts: all that are there.
    Arrived(Vec<String>),
    /// Hosts cannot do it, for these reasons.
    Refused(Vec<String>),
    /// It has not arrived on these hosts yet.
    Late(Vec<String>),
}

/// How far one host is.
enum There {
    Arrived,
    Refused(String),
    NotYet,
}

/// Waits until all hosts that are there are as the record says, or one of them cannot. Without a
/// record the handler is to be gone.
pub(super) fn wait(
    store: &Store,
    name: &str,
    wanted: Option<&DeploymentRecord>,
    timeout: Duration,
) -> anyhow::Result<Outcome> {
    let mut hosts = Hosts::listen(&**store.log(), store.topics())?;
    let progress = Progress::start(format!("waiting for the hosts of {name}"));
    let begun = Instant::now();
    hosts.catch_up()?;
    loop {
        let (mut arrived, mut refused, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for host in hosts.live() {
            match judge(host.handler(name), wanted) {
                There::Arrived => arrived.push(host.host.clone()),
                There::Refused(reason) => refused.push(format!("  {}: {reason}", host.host)),
                There::NotYet => late.push(host.host.clone()),
            }
        }
        progress.detail(&format!("{} of {} hosts", arrived.len(), arrived.len() + late.len()));
        if !refused.is_empty() {
            return Ok(Outcome::Refused(refused));
        }
        let called = !arrived.is_empty() || begun.elapsed() > ROLL_CALL;
        if late.is_empty() && called {
            return Ok(Outcome::Arrived(arrived));
        }
        if begun.elapsed() > timeout {
            return Ok(Outcome::Late(late));
        }
        hosts.hear(STEP)?;
    }
}

/// The same, where anything but success is an error. The hosts that are there.
pub(super) fn wait_for_all(
    store: &Store,
    name: &str,
    wanted: Option<&DeploymentRecord>,
    timeout: Duration,
) -> anyhow::Result<Vec<String>> {
    match wait(store, name, wanted, timeout)? {
        Outcome::Arrived(hosts) => Ok(hosts),
        Outcome::Refused(reasons) => {
            bail!("handler {name:?} cannot be so on every host:\n{}", reasons.join("\n"))
        }
        Outcome::Late(hosts) => bail!(
            "the change is in the registry, but after {} it has not arrived on {}; \
             `lockstep handler status {name}` says how it goes on",
            humantime::format_duration(timeout),
            hosts.join(", ")
        ),
    }
}

fn judge(handler: Option<&HandlerReport>, wanted: Option<&DeploymentRecord>) -> There {
    let (handler, wanted) = match (handler, wanted) {
        (None, None) => return There::Arrived,
        (Some(handler), Some(wanted)) => (handler, wanted),
        // One of the host's own configuration is none of the registry's.
        (Some(handler), None) if handler.wanted == 0 => return There::Arrived,
        _ => return There::NotYet,
    };
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
