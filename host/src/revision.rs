//! A revision that can run: a checked manifest and its component, compiled, linked and tried out.
//!
//! Immutable. Whoever holds one knows that its component starts; a component that does not never
//! becomes one. Which revision is active is for the supervisor to say.

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::Context as _;
use tracing::info;

use crate::deployment;
use crate::deployment::fence::Fences;
use crate::deployment::trigger::Trigger;
use crate::digest::Digest;
use crate::handler::Handler;
use crate::wasm::{Program, Runtime};

/// What workers run.
pub struct Revision {
    /// The manifest; its `revision` is the number.
    pub handler: Arc<Handler>,
    /// The digest of the component.
    pub digest: Digest,
    /// The component, made for this manifest.
    pub program: Arc<Program>,
    /// What is written down about the partitions that it takes over, when it is deployed.
    pub fences: Option<Arc<Fences>>,
    /// By which its workers have it rolled back, when it is deployed and its manifest says so.
    pub trigger: Option<Arc<Trigger>>,
}

impl Revision {
    /// Reads the component that the manifest names and makes it ready. Takes up to seconds, on
    /// the caller's thread; the error names the handler, its component and what is wrong.
    pub fn load(sandbox: &Runtime, handler: Handler) -> anyhow::Result<Self> {
        let component = deployment::read_component(&handler)?;
        Self::of(sandbox, handler, &component)
    }

    /// Makes a component ready that was read before.
    pub fn of(sandbox: &Runtime, handler: Handler, component: &[u8]) -> anyhow::Result<Self> {
        let handler = Arc::new(handler);
        let begun = Instant::now();
        let program = sandbox.load(&handler, component).with_context(|| {
            format!("handler {:?}: {}", handler.name, shown(&handler.component))
        })?;
        info!(
            handler = %handler.name, world = program.world().as_str(), bytes = component.len(),
            took = ?begun.elapsed(), "component loaded"
        );
        Ok(Self {
            handler,
            program: Arc::new(program),
            fences: None,
            trigger: None,
            digest: Digest::of(component),
        })
    }
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}
