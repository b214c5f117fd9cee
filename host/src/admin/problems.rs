//! What the fleet answers when something was not done, as a problem.

use serde_json::json;

use crate::deployment::operation::Refusal;
use crate::fleet::Error;
use crate::problem::{Kind, Problem};

/// When the log is worth another try, in seconds.
const LOG_RETRY_S: u32 = 5;

/// The problem that tells of it.
pub(super) fn of(error: Error) -> Problem {
    match error {
        Error::Refused(refusal @ Refusal::NotThere { .. }) => {
            Problem::new(Kind::UnknownHandler, refusal.to_string())
        }
        Error::Refused(refusal) => {
            let problem = Problem::new(Kind::Conflict, refusal.to_string());
            match refusal {
                Refusal::CameBetween { revision, .. } => problem.with("revision", revision),
                _ => problem,
            }
        }
        Error::Impossible(_) | Error::Overtaken(_) => {
            Problem::new(Kind::Conflict, error.to_string())
        }
        Error::Restless(_) => Problem::new(Kind::Conflict, error.to_string()).with("paused", true),
        Error::Invalid(error) => Problem::new(Kind::Invalid, format!("{error:#}")),
        Error::HostsRefuse { ref reasons, .. } => {
            let reasons = json!(reasons);
            Problem::new(Kind::HostsRefuse, error.to_string()).with("reasons", reasons)
        }
        Error::Log(error) => log_unreachable(error),
    }
}

/// The log does not answer, or not as it should.
pub(super) fn log_unreachable(error: anyhow::Error) -> Problem {
    Problem::new(Kind::LogUnreachable, format!("{error:#}")).retry_after(LOG_RETRY_S)
}
