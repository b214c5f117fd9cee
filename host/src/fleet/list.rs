//! What is deployed.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;
use utoipa::ToSchema;

use super::{Error, Fleet, time};
use crate::deployment::hosts::{HandlerReport, Hosts};
use crate::deployment::manifest;
use crate::deployment::record::DeploymentRecord;
use crate::deployment::registry::{Deployed, Registry};
use crate::handler::Handler;

/// A handler that is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The active revision.
    pub revision: u64,
    /// What the registry says: `active` or `paused`.
    pub state: FleetState,
    /// The digest of its component.
    pub component: String,
    /// When the revision was deployed, in UTC.
    pub deployed_at: String,
    /// Who deployed it.
    pub deployed_by: String,
}

/// A handler of the fleet, wherever it comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct FleetHandler {
    /// Its name.
    pub name: String,
    /// Whether it is deployed, and runs.
    pub state: FleetState,
    /// The active revision; left out for one of the hosts' own configuration, as is what follows.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// The digest of its component.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub component: Option<String>,
    /// When the revision was deployed, in UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_at: Option<String>,
    /// Who deployed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deployed_by: Option<String>,
    /// The hosts that are there and have it.
    pub hosts: Vec<String>,
}

/// Where a handler of a fleet comes from, and whether it is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum FleetState {
    /// It is deployed.
    Active,
    /// It is deployed, and rests until it is resumed.
    Paused,
    /// Hosts have it in their own configuration.
    Configured,
}

impl FleetState {
    /// The word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Configured => "configured",
        }
    }
}

impl Fleet {
    /// The handlers of the fleet, by name: those that are deployed, and those that hosts have in
    /// their own configuration.
    pub fn handlers(&self) -> Result<Vec<FleetHandler>, Error> {
        let deployed = self.deployed()?;
        let hosts = self.hosts()?;
        let mut on_hosts = by_handler(&hosts, |_| true);
        let mut handlers: BTreeMap<_, _> = deployed
            .into_iter()
            .map(|listed| {
                let hosts = on_hosts.remove(&listed.name).unwrap_or_default();
                (listed.name.clone(), of_registry(listed, hosts))
            })
            .collect();
        // What was deleted just now may still be there for a moment.
        for (name, hosts) in by_handler(&hosts, HandlerReport::is_own) {
            if handlers.contains_key(&name) {
                continue;
            }
            let handler = FleetHandler {
                name: name.clone(),
                state: FleetState::Configured,
                revision: None,
                component: None,
                deployed_at: None,
                deployed_by: None,
                hosts,
            };
            handlers.insert(name, handler);
        }
        Ok(handlers.into_values().collect())
    }

    /// The active revisions of all handlers but this, as their manifests describe them. One that
    /// only another release understands is left out.
    pub fn others(&self, name: &str) -> Result<Vec<Handler>, Error> {
        let registry = self.store.registry()?;
        let handler = |(name, deployed, _): (&str, &Deployed, &DeploymentRecord)| {
            let (number, active) = deployed.active()?;
            let origin = format!("{name}@{number}");
            manifest::parse(Path::new(&origin), &active.manifest).ok()
        };
        Ok(registry.handlers().filter(|(other, ..)| *other != name).filter_map(handler).collect())
    }

    /// The handlers that are deployed, by name.
    pub fn deployed(&self) -> Result<Vec<Listed>, Error> {
        Ok(listed(&self.store.registry()?))
    }
}

/// The hosts that have each handler of which this holds.
fn by_handler(
    hosts: &Hosts,
    holds: impl Fn(&HandlerReport) -> bool,
) -> BTreeMap<String, Vec<String>> {
    let mut all: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for host in hosts.live() {
        for handler in host.handlers.iter().filter(|handler| holds(handler)) {
            all.entry(handler.name.clone()).or_default().push(host.host.clone());
        }
    }
    all
}

fn of_registry(listed: Listed, hosts: Vec<String>) -> FleetHandler {
    FleetHandler {
        name: listed.name,
        state: listed.state,
        revision: Some(listed.revision),
        component: Some(listed.component),
        deployed_at: Some(listed.deployed_at),
        deployed_by: Some(listed.deployed_by),
        hosts,
    }
}

fn listed(registry: &Registry) -> Vec<Listed> {
    let line = |(name, deployed, record): (&str, &Deployed, &DeploymentRecord)| {
        let (number, active) = deployed.active()?;
        Some(Listed {
            name: name.to_owned(),
            revision: number,
            state: if record.paused { FleetState::Paused } else { FleetState::Active },
            component: active.component.to_string(),
            deployed_at: time(active.deployed_at),
            deployed_by: active.deployed_by.clone(),
        })
    };
    registry.handlers().filter_map(line).collect()
}
