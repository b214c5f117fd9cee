//! Rollbacks, as the registry remembers them: from which revision to which, by whom and why.
//!
//! Plain data. The last ones of a handler stand in its [`DeploymentRecord`], so that they are
//! still there when another revision is deployed.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::record::DeploymentRecord;

/// One rollback of a handler.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Rollback {
    /// The revision that was active.
    pub from: u64,
    /// The revision that is active since.
    pub to: u64,
    /// When, in milliseconds since the Unix epoch.
    pub at: i64,
    /// Who did it: an operator, or the id of the host that found the revision faulty.
    pub by: String,
    /// What the host found; `None` when somebody asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl DeploymentRecord {
    /// The rollback that has made the active revision the active one; `None` when it was deployed.
    ///
    /// A deployed revision has a number of its own, so that no rollback before it led to it.
    pub fn rolled_back(&self) -> Option<&Rollback> {
        self.rollbacks.last().filter(|last| self.replaced.is_none() && last.to == self.revision)
    }

    /// The last rollback that ended this revision.
    pub fn rollback_of(&self, revision: u64) -> Option<&Rollback> {
        self.rollbacks.iter().rev().find(|rollback| rollback.from == revision)
    }
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { from, to, by, reason, .. } = self;
        write!(f, "revision {from} was rolled back to {to} by {by}")?;
        reason.as_ref().map_or(Ok(()), |reason| write!(f, ": {reason}"))
    }
}
