//! Why something was not done.

use std::fmt;

use serde::Serialize;
use utoipa::ToSchema;

use crate::deployment::operation::Refusal;
use crate::deployment::store::StoreError;

/// Why something was not done, or not done on every host.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The registry as it is does not allow it; nothing was changed.
    #[error(transparent)]
    Refused(Refusal),
    /// There is nothing to do it with: a handler that has handled nothing cannot be rewound.
    #[error("{0}")]
    Impossible(String),
    /// What is to be deployed cannot run; nothing was changed.
    #[error(transparent)]
    Invalid(anyhow::Error),
    /// Hosts say that they cannot.
    #[error("{problem}\n{}", lines(.reasons))]
    HostsRefuse {
        /// What they cannot, and what became of it.
        problem: String,
        /// What they say.
        reasons: Vec<HostReason>,
    },
    /// It was done, and another change came right after.
    #[error("{0}")]
    Overtaken(String),
    /// The handler does not come to rest; it stays paused, and its offsets as they were.
    #[error("{0}")]
    Restless(String),
    /// The log does not answer, or not as it should.
    #[error(transparent)]
    Log(anyhow::Error),
}

/// Why a host cannot do something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct HostReason {
    /// The host's id.
    pub host: String,
    /// What it says.
    pub reason: String,
}

impl fmt::Display for HostReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.host, self.reason)
    }
}

impl From<StoreError> for Error {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Refused(refusal) => refusal.into(),
            StoreError::Log(error) => Self::Log(error),
        }
    }
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Encoding(error) => Self::Log(error),
            refusal => Self::Refused(refusal),
        }
    }
}

impl From<anyhow::Error> for Error {
    fn from(error: anyhow::Error) -> Self {
        Self::Log(error)
    }
}

fn lines(reasons: &[HostReason]) -> String {
    reasons.iter().map(|reason| format!("  {reason}")).collect::<Vec<_>>().join("\n")
}
