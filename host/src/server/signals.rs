//! SIGTERM and Ctrl-C: the first asks to stop, the second ends the process at once.

use anyhow::Context as _;
use tokio::runtime::Runtime;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{info, warn};

use crate::stop::Stop;

/// Exit code of a process that was told twice: 128 + SIGINT, as shells count.
const EXIT_AT_ONCE: i32 = 130;

/// Watches for signals from now on.
pub(super) fn watch(runtime: &Runtime, stop: Stop) -> anyhow::Result<()> {
    let _context = runtime.enter();
    let listen = |kind| signal(kind).context("failed to listen for signals");
    let mut terminate = listen(SignalKind::terminate())?;
    let mut interrupt = listen(SignalKind::interrupt())?;
    runtime.spawn(async move {
        either(&mut terminate, &mut interrupt).await;
        info!("stopping; a second signal ends the process at once");
        stop.request();
        either(&mut terminate, &mut interrupt).await;
        warn!("ended by a second signal; the log aborts what was open");
        std::process::exit(EXIT_AT_ONCE);
    });
    Ok(())
}

async fn either(first: &mut Signal, second: &mut Signal) {
    tokio::select! {
        _ = first.recv() => {}
        _ = second.recv() => {}
    }
}
