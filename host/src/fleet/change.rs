//! Changes how a handler runs: writes one record, and waits for the hosts.

use serde::Serialize;
use utoipa::ToSchema;

use super::arrival::Outcome;
use super::{Error, Fleet, Patience};
use crate::deployment::operation::Operation;
use crate::deployment::record::DeploymentRecord;

/// What became of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Changed {
    /// The handler.
    pub name: String,
    /// The revision that is active now; `null` when the handler is deleted.
    pub revision: Option<u64>,
    /// Whether its workers rest until it is resumed.
    pub paused: bool,
    /// How many events are handled again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub events_again: Option<i64>,
    /// The hosts that have done it; empty when they were not waited for.
    pub hosts: Vec<String>,
    /// The hosts that have not done it yet; left out when there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub late: Vec<String>,
}

impl Fleet {
    /// Does something to a handler, and waits for the hosts when that is asked for. For what can
    /// be said in one record: not for deployments.
    pub fn change(
        &self,
        name: &str,
        operation: &Operation,
        patience: Option<&Patience<'_>>,
    ) -> Result<Changed, Error> {
        let Operation::OnHost { host, .. } = operation else {
            let plan = self.perform(name, operation, None)?;
            return self.changed(name, plan.deployment.as_ref(), patience);
        };
        self.check_host(host)?;
        let plan = self.perform(name, operation, None)?;
        let wanted = plan.deployment.as_ref();
        let mut changed = self.changed(name, wanted, patience)?;
        changed.paused = wanted.is_some_and(|wanted| wanted.on(host).paused);
        changed.hosts.retain(|one| one == host);
        changed.late.retain(|one| one == host);
        Ok(changed)
    }

    /// Whether this host is there: whoever misspells its id would wait for nothing.
    fn check_host(&self, host: &str) -> Result<(), Error> {
        let there = self.hosts_there()?;
        match there.iter().any(|one| one == host) {
            true => Ok(()),
            false => Err(Error::Impossible(format!(
                "host {host:?} is not there; {}",
                match there.is_empty() {
                    true => "no host of this fleet is".to_owned(),
                    false => format!("there is {}", there.join(", ")),
                }
            ))),
        }
    }

    /// What has become of a handler, when the hosts have done what the record says.
    pub(super) fn changed(
        &self,
        name: &str,
        wanted: Option<&DeploymentRecord>,
        patience: Option<&Patience<'_>>,
    ) -> Result<Changed, Error> {
        let mut changed = Changed {
            name: name.to_owned(),
            revision: wanted.map(|wanted| wanted.revision),
            paused: wanted.is_some_and(|wanted| wanted.paused),
            events_again: None,
            hosts: Vec::new(),
            late: Vec::new(),
        };
        let Some(patience) = patience else { return Ok(changed) };
        match self.arrival(name, wanted, patience)? {
            Outcome::Arrived(hosts) => changed.hosts = hosts,
            Outcome::Late(hosts, late) => (changed.hosts, changed.late) = (hosts, late),
            Outcome::Overtaken => return Err(self.overtaken(name)),
            Outcome::Refused(reasons) => {
                let problem = format!("handler {name:?} cannot be so on every host:");
                return Err(Error::HostsRefuse { problem, reasons });
            }
        }
        Ok(changed)
    }
}
