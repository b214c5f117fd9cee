//! The sandbox of a command, and where it keeps what it compiles.

use std::path::Path;
use std::sync::Arc;

use etcetera::BaseStrategy as _;

use crate::wasm::{CodeCache, Kept, Runtime};

/// Holds compiled components, in the data directory of a host or in the user's cache.
const COMPONENTS: &str = "components";

/// The sandbox of a host with this data directory.
pub(super) fn of_host(data_dir: &Path) -> anyhow::Result<Arc<Runtime>> {
    Runtime::new(Kept { components: open(&data_dir.join(COMPONENTS)), functions: false })
}

/// The sandbox of whoever writes a handler: what one command has compiled, the next one need not.
pub(super) fn of_author() -> anyhow::Result<Arc<Runtime>> {
    Runtime::new(Kept { components: users(), functions: false })
}

/// The same, where a handler is edited all the time.
pub(super) fn of_author_who_edits() -> anyhow::Result<Arc<Runtime>> {
    Runtime::new(Kept { components: users(), functions: true })
}

fn users() -> Option<CodeCache> {
    let folders = etcetera::choose_base_strategy().ok()?;
    open(&folders.cache_dir().join("lockstep").join(COMPONENTS))
}

/// Without it, everything works and takes longer.
fn open(folder: &Path) -> Option<CodeCache> {
    CodeCache::open(folder)
        .inspect_err(|error| tracing::warn!("compiled components are not kept: {error:#}"))
        .ok()
}
