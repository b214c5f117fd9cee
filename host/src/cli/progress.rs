//! Something moving while a person waits. On anything but a terminal: nothing.

use std::borrow::Cow;
use std::io::{self, IsTerminal as _};

use indicatif::{ProgressBar, ProgressStyle};

use super::terminal;

/// A spinner on stderr, gone when dropped.
#[derive(Debug)]
pub(super) struct Progress(Option<ProgressBar>);

impl Progress {
    /// Starts to turn beside `what`, for example `building weather`.
    pub(super) fn start(what: impl Into<Cow<'static, str>>) -> Self {
        if !io::stderr().is_terminal() {
            return Self(None);
        }
        let style = ProgressStyle::with_template("{spinner} {prefix} {elapsed}  {wide_msg}");
        let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
        Self(Some(terminal::spinner(style).with_prefix(what)))
    }

    /// Shows what is being done right now.
    pub(super) fn detail(&self, line: &str) {
        if let Some(bar) = &self.0 {
            bar.set_message(line.trim().to_owned());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
