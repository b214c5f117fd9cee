//! The fleet that a command works on, and in whose name it does.

use clap::Args;

use super::selection::{IfMissing, LogSelection};
use crate::config::DEFAULT_CLUSTER_ID;
use crate::deployment::operation::Refusal;
use crate::deployment::store::Store;
use crate::fleet::{Error, Fleet};
use crate::stop::Stop;

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
    /// The fleet; the topics of its registry are made when they are missing.
    pub(super) fn open(&self) -> anyhow::Result<Fleet> {
        let cluster_id = match &self.cluster_id {
            Some(id) => id.clone(),
            None => self.log.cluster_id()?.unwrap_or_else(|| DEFAULT_CLUSTER_ID.to_owned()),
        };
        // Whoever changes the registry of a fleet shuts out others that do, and nobody else.
        let log = self.log.open_in(&cluster_id, IfMissing::Fail)?;
        let store = Store::new(log, &cluster_id);
        store.prepare()?;
        Ok(Fleet::new(store, operator(), Stop::default()))
    }
}

/// Whoever runs this command.
fn operator() -> String {
    let id = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(id).ok().flatten();
    let user = user.map_or_else(|| id.to_string(), |user| user.name);
    let host = gethostname::gethostname().to_string_lossy().into_owned();
    format!("{user}@{host}")
}

/// What was not done, with the exit code that says why.
pub(super) fn refused(error: Error) -> anyhow::Error {
    match error {
        Error::Refused(refusal @ Refusal::NotThere { .. }) => {
            CliError::NotFound(refusal.to_string()).into()
        }
        Error::Refused(refusal) => refusal.into(),
        Error::Invalid(error) | Error::Log(error) => error,
        error => error.into(),
    }
}
