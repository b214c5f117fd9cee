//! The seam to the sandbox: components in, events through, failures out.
//!
//! A [`Runtime`] loads a component into a [`Program`]; a worker makes an [`Instance`] of it and
//! calls it. A guest gets memory, time, stack and output within its handler's limits, and no
//! capability: no files, network, environment or arguments. Whatever it does costs it at most
//! its own instance. Nothing outside this module names wasmtime; nothing inside knows of logs,
//! partitions or transactions.

mod backtrace;
mod bindings;
mod census;
mod code_cache;
mod component;
mod contract;
mod engine;
mod fault;
mod function_cache;
mod host;
mod imports;
mod inspection;
mod instance;
mod kept_lines;
mod last_words;
mod limiter;
mod log_lines;
mod module;
mod output;
mod program;
mod reminder;
mod state;
#[cfg(test)]
mod tests;
mod ticker;
mod version;

use std::sync::Arc;

use anyhow::Context;

pub use code_cache::CodeCache;
pub use contract::World;
pub use inspection::Inspection;
pub use instance::Instance;
pub use kept_lines::KeptLines;
pub use program::Program;

use crate::handler::Handler;

/// Native stack that the host's own code needs below and above the guest's frames.
const HOST_STACK: usize = 2 << 20;
/// Core instances of a component that is only looked at: what a manifest may allow.
const INSPECTION_INSTANCES: usize = 10_000;
/// WebAssembly stack of the engine that only looks at components.
const INSPECTION_STACK: usize = 512 << 10;

/// What a [`Runtime`] keeps of the code that it compiles; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct Kept {
    /// Components, in a folder that outlives the process.
    pub components: Option<CodeCache>,
    /// Functions, in memory: for whoever compiles a component again and again as it is edited.
    pub functions: bool,
}

/// The sandbox of this process: its engines and the clock that ends calls.
pub struct Runtime {
    engines: engine::Engines,
}

impl Runtime {
    /// Starts the clock; engines follow as handlers need them.
    pub fn new(kept: Kept) -> anyhow::Result<Arc<Self>> {
        Ok(Arc::new(Self { engines: engine::Engines::new(kept)? }))
    }

    /// Compiles, checks and links a component for `handler`, and instantiates it once to see
    /// that it starts. Takes up to seconds; the error says what is wrong and how to mend it.
    pub fn load(&self, handler: &Arc<Handler>, component: &[u8]) -> anyhow::Result<Program> {
        Program::load(&self.engines, handler, component)
            .with_context(|| format!("failed to load component {:?}", handler.component))
    }

    /// Ends the calls of all instances that run now, because the process stops. An interrupted
    /// event is not a failed one: it is handled again after the restart.
    pub fn interrupt(&self) {
        self.engines.ticker().interrupt();
    }

    /// What a component imports and exports, whether or not this host could run it. Takes as
    /// long as compiling it.
    pub fn inspect(&self, component: &[u8]) -> anyhow::Result<Inspection> {
        let engine = self.engines.shared(INSPECTION_STACK)?;
        let cache = self.engines.code_cache();
        let component = component::compile(&engine, cache, component, INSPECTION_INSTANCES)?;
        Ok(Inspection::of(&component))
    }
}

/// The native stack, in bytes, that a thread must have to instantiate or call `handler`. With
/// less, a guest that recurses would overflow the thread's stack before it reaches its own limit,
/// and the process would end.
pub fn native_stack(handler: &Handler) -> usize {
    handler.limits.stack.saturating_add(HOST_STACK)
}
