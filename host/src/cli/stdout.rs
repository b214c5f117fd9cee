//! Results on stdout: buffered, and quiet when the reader has gone (`| head`).

use std::io::{self, BufWriter, ErrorKind, IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::thread;

use anyhow::Context as _;
use clap::ValueEnum;
use serde::Serialize;
use tokio::io::Interest;
use tokio::net::unix::pipe;

use super::exit::CliError;
use crate::stop::Stop;

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

    /// Whether it takes colours: a terminal, and nobody asked for none (<https://no-color.org>).
    pub(super) fn colours() -> bool {
        Self::is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|v| v.is_empty())
    }

    /// Requests a stop once the reader of a pipe has gone: whoever has nothing to write would not
    /// notice.
    pub(super) fn on_closed(stop: &Stop) -> anyhow::Result<()> {
        let stop = stop.clone();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("failed to start watching stdout")?;
        let stdout = io::stdout().as_fd().try_clone_to_owned().context("failed to watch stdout")?;
        let watch = move || {
            runtime.block_on(async {
                // A file cannot be watched, and nobody closes it. Nothing is written through this.
                let Ok(stdout) = pipe::Sender::from_owned_fd_unchecked(stdout) else { return };
                if stdout.ready(Interest::ERROR).await.is_ok() {
                    stop.request();
                }
            });
        };
        thread::Builder::new()
            .name("stdout".to_owned())
            .spawn(watch)
            .context("failed to start the thread that watches stdout")?;
        Ok(())
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
