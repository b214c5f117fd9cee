//! SIGTERM and Ctrl-C: the first asks to stop, the second ends the process at once.

use std::thread;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};

use crate::stop::Stop;

/// Exit code of a process that was told twice: 128 and the number of SIGINT, as shells count.
pub const EXIT_AT_ONCE: u8 = 130;

/// Lets the first signal request this stop.
pub fn stop_on_signal(stop: &Stop) -> anyhow::Result<()> {
    let stop = stop.clone();
    watch(move || {
        tracing::info!("stopping; a second signal ends the process at once");
        stop.request();
    })
}

/// Starts to listen. From here on the signals no longer end the process by themselves; the first
/// one calls `stop`.
pub fn watch(stop: impl FnOnce() + Send + 'static) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("failed to start listening for signals")?;
    let (mut interrupt, mut terminate) = {
        let _context = runtime.enter();
        let listen = |kind| signal(kind).context("failed to listen for signals");
        (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?)
    };
    let mut next = async move || {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    };
    let listen = move || {
        runtime.block_on(async move {
            next().await;
            stop();
            next().await;
            tracing::warn!("ended by a second signal; the log aborts what was open");
            std::process::exit(i32::from(EXIT_AT_ONCE));
        });
    };
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(listen)
        .context("failed to start the thread that listens for signals")?;
    Ok(())
}
