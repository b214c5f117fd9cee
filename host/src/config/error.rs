//! What is wrong with a configuration: always the file, the key, the problem and the fix.
//!
//! The texts never hold a secret: whoever makes an error about a value that may be one leaves
//! the value out.

use std::fmt;
use std::path::{Path, PathBuf};

/// One thing wrong with a configuration.
///
/// Displayed as `lockstep.toml: http.ingest: "x" is not a socket address; use for example
/// "127.0.0.1:8080"`.
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
}

impl ConfigError {
    /// An error about `key` of `file`.
    pub fn new(
        file: &Path,
        key: impl Into<String>,
        problem: impl Into<String>,
        fix: impl Into<String>,
    ) -> Self {
        Self { file: file.to_owned(), key: key.into(), problem: problem.into(), fix: fix.into() }
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
        write!(f, "{}; {}", self.problem, self.fix)
    }
}

impl std::error::Error for ConfigError {}
