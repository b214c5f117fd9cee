//! Something wrong with what a person wrote: where, what, and how to put it right.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::config::ConfigError;

/// One thing that keeps a host from starting.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub(super) struct Problem {
    /// The file to look at.
    file: String,
    /// The key in it, when it is about one.
    key: Option<String>,
    /// What is wrong.
    problem: String,
    /// What to do about it, when that is not plain from the problem.
    fix: Option<String>,
}

impl Problem {
    pub(super) fn new(file: &Path, problem: impl Into<String>, fix: Option<String>) -> Self {
        Self { file: file.display().to_string(), key: None, problem: problem.into(), fix }
    }

    /// Everything that an error tells of a file.
    pub(super) fn all(mut error: ConfigError) -> impl Iterator<Item = Self> {
        let more = std::mem::take(&mut error.more);
        std::iter::once(error).chain(more).map(Self::from)
    }
}

impl From<ConfigError> for Problem {
    /// The first alone, see [`Problem::all`].
    fn from(error: ConfigError) -> Self {
        let some = |text: String| (!text.is_empty()).then_some(text);
        Self {
            file: error.file.display().to_string(),
            key: some(error.key),
            problem: error.problem,
            fix: some(error.fix),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.file)?;
        if let Some(key) = &self.key {
            write!(f, "{key}: ")?;
        }
        f.write_str(&self.problem)?;
        self.fix.iter().try_for_each(|fix| write!(f, "; {fix}"))
    }
}
