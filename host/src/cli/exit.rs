//! How a command ends: exit codes, the errors that choose them, and the one place that prints
//! an error.

use std::io::Write as _;

use crate::config::ConfigError;
use crate::log::AppendError;
use crate::signals::EXIT_AT_ONCE;

/// What the exit code of the process says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum ExitCode {
    /// Done, or stopped as asked.
    Success = 0,
    /// It failed while running.
    Failure = 1,
    /// The command line or a configuration file is wrong; nothing was started. Also clap's code.
    Usage = 2,
    /// The topic, group or token that was named does not exist.
    NotFound = 3,
    /// The log cannot be reached, or is not there.
    Unreachable = 4,
    /// A second Ctrl-C or SIGTERM ended it at once.
    Interrupted = EXIT_AT_ONCE,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code as u8)
    }
}

/// The errors of the command line that have an exit code of their own.
#[derive(Debug, thiserror::Error)]
pub(super) enum CliError {
    /// The arguments are well-formed but make no sense here.
    #[error("{0}")]
    Usage(String),
    /// What was named does not exist: a topic, a group, a token.
    #[error("{0}")]
    NotFound(String),
    /// The log does not answer, or is not there.
    #[error("{0}")]
    Unreachable(String),
    /// The reader of stdout is gone (`| head`): nobody is left to tell.
    #[error("stdout is closed")]
    StdoutClosed,
}

/// The exit code for an error: the first one in its chain that has a code decides.
fn code_of(error: &anyhow::Error) -> ExitCode {
    error.chain().find_map(own_code).unwrap_or(ExitCode::Failure)
}

fn own_code(error: &(dyn std::error::Error + 'static)) -> Option<ExitCode> {
    if error.is::<ConfigError>() {
        return Some(ExitCode::Usage);
    }
    if let Some(error) = error.downcast_ref::<CliError>() {
        return Some(match error {
            CliError::Usage(_) => ExitCode::Usage,
            CliError::NotFound(_) => ExitCode::NotFound,
            CliError::Unreachable(_) => ExitCode::Unreachable,
            CliError::StdoutClosed => ExitCode::Success,
        });
    }
    match error.downcast_ref::<AppendError>()? {
        AppendError::UnknownTopic(_) => Some(ExitCode::NotFound),
        AppendError::Unavailable(_) => Some(ExitCode::Unreachable),
        _ => None,
    }
}

/// Prints the error with all its causes, once, and gives its exit code.
pub(super) fn report(error: &anyhow::Error) -> ExitCode {
    let code = code_of(error);
    if code != ExitCode::Success {
        // Without stderr there is nobody to tell; the exit code still says it.
        drop(writeln!(std::io::stderr(), "error: {error:#}"));
    }
    code
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn the_code_is_found_behind_any_context() {
        let cases = [
            (anyhow::anyhow!("no"), ExitCode::Failure),
            (CliError::Usage(String::new()).into(), ExitCode::Usage),
            (CliError::NotFound(String::new()).into(), ExitCode::NotFound),
            (CliError::StdoutClosed.into(), ExitCode::Success),
            (AppendError::Unavailable(String::new()).into(), ExitCode::Unreachable),
            (AppendError::UnknownTopic(String::new()).into(), ExitCode::NotFound),
            (AppendError::QueueFull.into(), ExitCode::Failure),
        ];
        for (error, code) in cases {
            assert_eq!(code_of(&error), code, "{error:?}");
            let wrapped = Err::<(), _>(error).context("outer").context("outermost");
            assert_eq!(wrapped.map_err(|e| code_of(&e)), Err(code));
        }
    }
}
