//! How a handler runs on one host, where that is not as on the others. Pure.

use serde::{Deserialize, Serialize};

use super::operation::Operation;
use super::record::DeploymentRecord;

/// What is otherwise on one host. The default is as everywhere.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostRecord {
    /// Whether its workers are stopped there until it is resumed.
    #[serde(default)]
    pub paused: bool,
    /// Workers there, instead of those on each host.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workers: Option<u32>,
    /// How often it was restarted there alone.
    #[serde(default)]
    pub restarts: u64,
}

/// What can be done to a handler on all hosts, or on one of them alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HostOperation {
    /// Stops the workers.
    Pause,
    /// Starts them again.
    Resume,
    /// Stops and starts them.
    Restart,
    /// Another number of workers; `None` is as everywhere, or the manifest's.
    Scale(Option<u32>),
}

impl HostOperation {
    /// A word for it, as it stands in the records.
    pub fn word(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Restart => "restart",
            Self::Scale(_) => "scale",
        }
    }

    /// This, on one host; on all when none is named.
    pub fn on(self, host: Option<String>) -> Operation {
        match (host, self) {
            (Some(host), what) => Operation::OnHost { host, what },
            (None, Self::Pause) => Operation::Pause,
            (None, Self::Resume) => Operation::Resume,
            (None, Self::Restart) => Operation::Restart,
            (None, Self::Scale(workers)) => Operation::Scale(workers),
        }
    }

    /// How the handler is on the host when there is nothing to do.
    pub(super) fn state(self, now: &DeploymentRecord, host: &str) -> String {
        match self {
            Self::Pause => format!("is paused on host {host:?} already"),
            Self::Resume if now.paused => {
                format!("is paused on all hosts, not on {host:?} alone; resume it everywhere")
            }
            Self::Scale(Some(workers)) => format!("has {workers} workers on host {host:?} already"),
            Self::Scale(None) => {
                format!("has as many workers on host {host:?} as elsewhere already")
            }
            Self::Resume | Self::Restart => format!("is not paused on host {host:?}"),
        }
    }
}

impl DeploymentRecord {
    /// How the handler runs on this host.
    #[must_use]
    pub fn on(&self, host: &str) -> Self {
        let mut here = Self { hosts: Default::default(), ..self.clone() };
        if let Some(one) = self.hosts.get(host) {
            here.paused |= one.paused;
            here.workers = one.workers.or(here.workers);
            here.restarts += one.restarts;
        }
        here
    }

    /// Does this on one host.
    pub(super) fn change_on(&mut self, host: &str, what: HostOperation) {
        let mut one = self.hosts.remove(host).unwrap_or_default();
        match what {
            HostOperation::Pause => one.paused = true,
            HostOperation::Resume => one.paused = false,
            HostOperation::Restart => one.restarts += 1,
            HostOperation::Scale(workers) => one.workers = workers,
        }
        self.hosts.insert(host.to_owned(), one);
        self.forget_usual_hosts();
    }

    /// Does this on each host that is otherwise. What was counted stays, for less of it would be a
    /// restart as well.
    pub(super) fn change_all(&mut self, what: impl Fn(&mut HostRecord)) {
        self.hosts.values_mut().for_each(what);
        self.forget_usual_hosts();
    }

    fn forget_usual_hosts(&mut self) {
        self.hosts.retain(|_, one| *one != HostRecord::default());
    }
}
