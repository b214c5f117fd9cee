//! Results on stdout: buffered, and quiet when the reader has gone (`| head`).

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;

use super::exit::CliError;

/// Form of a command's result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum OutputFormat {
    /// For people; the form may change between versions
    #[default]
    Text,
    /// For programs; the form is kept
    Json,
}

/// The results of a command. Nothing is certain to be seen before [`Stdout::flush`].
#[derive(Debug)]
pub(super) struct Stdout(BufWriter<io::Stdout>);

impl Stdout {
    pub(super) fn new() -> Self {
        Self(BufWriter::with_capacity(64 * 1024, io::stdout()))
    }

    /// Whether a person looks at it, whose terminal must not be steered by the data.
    pub(super) fn is_terminal() -> bool {
        io::stdout().is_terminal()
    }

    /// Writes text as it is.
    pub(super) fn text(&mut self, text: &str) -> anyhow::Result<()> {
        written(self.0.write_all(text.as_bytes()))
    }

    /// Writes one line.
    pub(super) fn line(&mut self, line: &str) -> anyhow::Result<()> {
        self.text(line)?;
        self.text("\n")
    }

    /// Writes a value as one line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> anyhow::Result<()> {
        let line = serde_json::to_string(value).context("failed to write the result as JSON")?;
        self.line(&line)
    }

    /// Hands everything to the operating system.
    pub(super) fn flush(&mut self) -> anyhow::Result<()> {
        written(self.0.flush())
    }
}

fn written(result: io::Result<()>) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(CliError::StdoutClosed.into()),
        other => other.context("failed to write to stdout"),
    }
}
