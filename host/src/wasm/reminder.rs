//! Tells of dropped lines of output when their second is over, even when the guest never writes
//! another one. One thread, which ends with its last owner.

use std::sync::Weak;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;
use std::time::Instant;

use anyhow::Context;

use super::log_lines::LogLines;

/// Lines were dropped in this log, and from then on it may be said how many.
type Due = (Instant, Weak<LogLines>);

/// Reminds logs of what they dropped. Cheap to clone.
#[derive(Clone)]
pub(super) struct Reminder {
    due: Sender<Due>,
}

impl Reminder {
    /// Starts the thread.
    pub(super) fn start() -> anyhow::Result<Self> {
        let (due, dues) = channel();
        thread::Builder::new()
            .name("wasm-log".to_owned())
            .spawn(move || run(&dues))
            .context("failed to start the thread that tells of dropped lines")?;
        Ok(Self { due })
    }

    /// Has the log tell at this time.
    pub(super) fn remind(&self, when: Instant, log: Weak<LogLines>) {
        // The thread takes everything until its last owner is gone.
        let _ = self.due.send((when, log));
    }
}

/// All wait equally long, so the first to come is the first to be due.
fn run(dues: &Receiver<Due>) {
    for (when, log) in dues {
        thread::sleep(when.saturating_duration_since(Instant::now()));
        if let Some(log) = log.upgrade() {
            log.tell_dropped(Instant::now());
        }
    }
}
