//! What is wrong with a configuration: always the file, the key, the problem and the fix.
//!
//! The texts never hold a secret: whoever makes an error about a value that may be one leaves
//! the value out.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing wrong with a configuration, and what else was found in the same file.
///
/// Displayed as `lockstep.toml: http.ingest: "x" is not a socket address; use for example
/// "127.0.0.1:8080"`, each on a line of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The file as it was named, or `command line`. Empty when no file is to blame.
    pub file: PathBuf,
    /// The full path of the key, such as `topics[1].partitions` or `kafka."ssl.ca.pem"`; for
    /// broken syntax the line and column. Empty when the file as a whole is wrong.
    pub key: String,
    /// What is wrong.
    pub problem: String,
    /// What to do about it.
    pub fix: String,
    /// What else is wrong with the same file.
    pub more: Vec<ConfigError>,
}

impl ConfigError {
    /// An error about `key` of `file`.
    pub fn new(
        file: &Path,
        key: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        let (key, problem, fix) = (key.into(), problem.into(), fix.into());
        Self { file: file.to_owned(), key, problem, fix, more: Vec::new() }
    }

    /// The first of these, with the others behind it. Of none at all it says so.
    pub(crate) fn together(problems: Vec<Self>) -> Self {
        let mut problems = problems.into_iter();
        match problems.next() {
            Some(first) => Self { more: problems.collect(), ..first },
            None => Self::new(Path::new(""), "", "no problem", "nothing"),
        }
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.file.as_os_str().is_empty() {
            write!(f, "{}: ", self.file.display())?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", self.key)?;
        }
        write!(f, "{}; {}", self.problem, self.fix)?;
        self.more.iter().try_for_each(|error| write!(f, "\n{error}"))
    }
}

impl std::error::Error for ConfigError {}
