//! How handlers are, on each host and in each partition.

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Fleet, Partition};
use crate::deployment::hosts::{HandlerReport, HandlerState, HostReport, Hosts};
use crate::deployment::operation::present;
use crate::deployment::registry::Deployed;
use crate::deployment::rollback::Rollback;

/// How a handler is.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct Status {
    /// Its name.
    pub name: String,
    /// The revision that the registry wants; 0 for a handler of the hosts' own configuration.
    pub revision: u64,
    /// Whether its workers rest until it is resumed.
    pub paused: bool,
    /// The rollback that has made it the active one; `null` when it was deployed.
    pub rolled_back: Option<Rollback>,
    /// How it is on each host that is there.
    pub hosts: Vec<OnHost>,
    /// Who has each partition, and how far its group is there.
    pub partitions: Vec<Partition>,
}

/// How a handler is on a host.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub struct OnHost {
    /// The host's id.
    pub host: String,
    /// What it does there.
    pub state: HandlerState,
    /// The revision that all its workers run; 0 when none does.
    pub revision: u64,
    /// Its workers there.
    pub workers: u32,
    /// Events that became outputs or dead letters since its workers began.
    pub events: u64,
    /// How many of them became dead letters.
    pub dead_letters: u64,
    /// Events per second over the last seconds.
    pub rate: f64,
    /// What went wrong last.
    pub error: Option<String>,
}

impl Fleet {
    /// How a handler is; all that are deployed when none is named.
    pub fn status(&self, name: Option<&str>) -> Result<Vec<Status>, Error> {
        let registry = self.store.registry()?;
        if let Some(name) = name {
            present(&registry, name)?;
        }
        let hosts = self.hosts()?;
        let of = |(name, deployed, _): (&str, &Deployed, _)| self.of(&hosts, name, deployed);
        let asked = |handler: &str| name.is_none_or(|wanted| wanted == handler);
        registry.handlers().filter(|(name, ..)| asked(name)).map(of).collect()
    }

    /// How one handler is, also one that only hosts have in their own configuration: how far it
    /// is in each partition is then not known.
    pub fn handler(&self, name: &str) -> Result<Status, Error> {
        let registry = self.store.registry()?;
        let hosts = self.hosts()?;
        let refusal = match present(&registry, name) {
            Ok((deployed, _)) => return self.of(&hosts, name, deployed),
            Err(refusal) => refusal,
        };
        let is_own = |host: &HostReport| host.handler(name).is_some_and(HandlerReport::is_own);
        if !hosts.live().any(is_own) {
            return Err(refusal.into());
        }
        Ok(Status {
            name: name.to_owned(),
            revision: 0,
            paused: false,
            rolled_back: None,
            hosts: on_hosts(&hosts, name),
            partitions: Vec::new(),
        })
    }

    /// The ids of the hosts that are there, in order.
    pub fn hosts_there(&self) -> Result<Vec<String>, Error> {
        Ok(self.hosts()?.live().map(|host| host.host.clone()).collect())
    }

    /// What the hosts have said until now.
    pub(super) fn hosts(&self) -> Result<Hosts, Error> {
        let mut hosts = Hosts::listen(&**self.store.log(), self.store.topics())?;
        hosts.catch_up()?;
        Ok(hosts)
    }

    fn of(&self, hosts: &Hosts, name: &str, deployed: &Deployed) -> Result<Status, Error> {
        let record = deployed.deployment.as_ref();
        Ok(Status {
            name: name.to_owned(),
            revision: record.map_or(0, |record| record.revision),
            paused: record.is_some_and(|record| record.paused),
            rolled_back: record.and_then(|record| record.rolled_back()).cloned(),
            hosts: on_hosts(hosts, name),
            partitions: self.partitions(hosts, name, deployed)?,
        })
    }
}

impl Status {
    /// Only what concerns this host.
    #[must_use]
    pub fn on(mut self, host: &str) -> Self {
        self.hosts.retain(|one| one.host == host);
        self.partitions.retain(|partition| partition.host.as_deref() == Some(host));
        self
    }
}

/// How a handler is on each host that is there and has it.
fn on_hosts(hosts: &Hosts, name: &str) -> Vec<OnHost> {
    let on_host = |host: &HostReport| {
        let handler = host.handler(name)?;
        Some(OnHost {
            host: host.host.clone(),
            state: handler.state,
            revision: handler.revision,
            workers: handler.workers,
            events: handler.events,
            dead_letters: handler.dead_letters,
            rate: hosts.rate(&host.host, name),
            error: handler.error.clone(),
        })
    };
    hosts.live().filter_map(on_host).collect()
}
