//! Makes every component of the configuration ready before anything starts. Compiling may take
//! minutes, and whoever asks the host to stop does not wait for it.

use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;

use anyhow::Context as _;
use tracing::warn;

use super::GLANCE;
use crate::deployment::trigger;
use crate::handler::Handler;
use crate::revision::Revision;
use crate::stop::Stop;
use crate::wasm::Runtime;

/// The stack of a main thread: compilers recurse.
const STACK: usize = 8 << 20;

/// The revisions of these handlers, or the first that cannot be had; `None` when a stop was
/// requested first. What is being compiled then ends with the process.
pub(super) fn load(
    sandbox: &Arc<Runtime>,
    handlers: Vec<Handler>,
    stop: &Stop,
) -> anyhow::Result<Option<Vec<Arc<Revision>>>> {
    handlers.iter().filter_map(trigger::in_vain).for_each(|note| warn!("{note}"));
    let sandbox = Arc::clone(sandbox);
    let (done, loaded) = channel();
    let load = move || {
        let load = |handler| Revision::load(&sandbox, handler).map(Arc::new);
        let revisions: anyhow::Result<Vec<_>> = handlers.into_iter().map(load).collect();
        // Nobody listens any more when a stop was requested.
        let _ = done.send(revisions);
    };
    let loading = thread::Builder::new().name("load".to_owned()).stack_size(STACK).spawn(load);
    let loading = loading.context("failed to start the thread that loads components")?;
    loop {
        match loaded.recv_timeout(GLANCE) {
            Ok(revisions) => return revisions.map(Some),
            Err(RecvTimeoutError::Timeout) if stop.requested() => return Ok(None),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => match loading.join() {
                Ok(()) => return Ok(None),
                Err(panic) => std::panic::resume_unwind(panic),
            },
        }
    }
}
