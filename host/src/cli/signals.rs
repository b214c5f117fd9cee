//! Stopping a command that runs until it is told to: the first Ctrl-C or SIGTERM asks, the
//! second one ends the process at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use super::exit::ExitCode;

/// Whether the command was asked to stop.
#[derive(Clone, Debug)]
pub(super) struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Starts to listen. From here on the signals no longer end the process by themselves.
    pub(super) fn on_signals() -> anyhow::Result<Self> {
        let stop = Self(Arc::default());
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_io()
            .build()
            .context("failed to start listening for signals")?;
        let (mut interrupt, mut terminate) = {
            let _context = runtime.enter();
            let listen = |kind| signal(kind).context("failed to listen for signals");
            (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?)
        };
        let asked = Arc::clone(&stop.0);
        let listen = move || {
            runtime.block_on(async move {
                loop {
                    tokio::select! {
                        _ = interrupt.recv() => {}
                        _ = terminate.recv() => {}
                    }
                    if asked.swap(true, Ordering::Relaxed) {
                        std::process::exit(i32::from(ExitCode::Interrupted as u8));
                    }
                }
            });
        };
        thread::Builder::new()
            .name("signals".to_owned())
            .spawn(listen)
            .context("failed to start the thread that listens for signals")?;
        Ok(stop)
    }

    pub(super) fn requested(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
