//! The registry that a command works on, and in whose name it does.

use clap::Args;

use super::selection::{IfMissing, LogSelection};
use crate::config::DEFAULT_CLUSTER_ID;
use crate::deployment::operation::{Operator, Refusal};
use crate::deployment::store::{Store, StoreError};
use crate::event::now_ms;

use super::exit::CliError;

/// Which fleet. Its registry lies in the log.
#[derive(Args, Clone, Debug)]
pub(super) struct RegistrySelection {
    /// The fleet: the `cluster_id` of its hosts [default: that of --config, or "lockstep"]
    #[arg(long, value_name = "ID", help_heading = "Which log")]
    cluster_id: Option<String>,

    #[command(flatten)]
    log: LogSelection,
}

impl RegistrySelection {
    /// The registry; its topics are made when they are missing.
    pub(super) fn open(&self) -> anyhow::Result<Store> {
        let cluster_id = match &self.cluster_id {
            Some(id) => id.clone(),
            None => self.log.cluster_id()?.unwrap_or_else(|| DEFAULT_CLUSTER_ID.to_owned()),
        };
        // Whoever changes the registry of a fleet shuts out others that do, and nobody else.
        let log = self.log.open_in(&cluster_id, IfMissing::Fail)?;
        let store = Store::new(log, &cluster_id);
        store.prepare()?;
        Ok(store)
    }
}

/// Whoever runs this command, now.
pub(super) fn operator() -> Operator {
    let id = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    let user = user.map_or_else(|| id.to_string(), |user| user.name);
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    Operator { by: format!("{user}@{host}"), now: now_ms() }
}

/// A change that was not made, with the exit code that says why.
pub(super) fn refused(error: StoreError) -> anyhow::Error {
    match error {
        StoreError::Refused(refusal @ Refusal::NotThere { .. }) => {
            CliError::NotFound(refusal.to_string()).into()
        }
        StoreError::Refused(refusal) => refusal.into(),
        StoreError::Log(error) => error,
    }
}
