//! What is deployed.

use serde::Serialize;

use super::{Error, Fleet, time};
use crate::deployment::record::DeploymentRecord;
use crate::deployment::registry::{Deployed, Registry};

/// A handler that is deployed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// The active revision.
    pub revision: u64,
    /// What the registry says: `active` or `paused`.
    pub state: &'static str,
    /// The digest of its component.
    pub component: String,
    /// When the revision was deployed, in UTC.
    pub deployed_at: String,
    /// Who deployed it.
    pub deployed_by: String,
}

impl Fleet {
    /// The handlers that are deployed, by name.
    pub fn deployed(&self) -> Result<Vec<Listed>, Error> {
        Ok(listed(&self.store.registry()?))
    }
}

fn listed(registry: &Registry) -> Vec<Listed> {
    let line = |(name, deployed, record): (&str, &Deployed, &DeploymentRecord)| {
        let (number, active) = deployed.active()?;
        Some(Listed {
            name: name.to_owned(),
            revision: number,
            state: if record.paused { "paused" } else { "active" },
            component: active.component.to_string(),
            deployed_at: time(active.deployed_at),
            deployed_by: active.deployed_by.clone(),
        })
    };
    registry.handlers().filter_map(line).collect()
}
