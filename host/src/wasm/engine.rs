//! Engines: how components are compiled and where their memory comes from.
//!
//! The WebAssembly stack is a setting of the engine, so handlers with equal `limits.stack` share
//! one. A handler with an instance per event gets its own, with a pool sized for its workers;
//! the pool goes with the handler.

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::Context;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

use super::Kept;
use super::code_cache::CodeCache;
use super::function_cache::FunctionCache;
use super::reminder::Reminder;
use super::ticker::Ticker;
use crate::handler::{Handler, Instances};

/// Frames kept of a trap's backtrace. A Rust panic alone takes about ten.
const BACKTRACE_FRAMES: NonZeroUsize = NonZeroUsize::new(48).unwrap();
/// Instances of a pool beyond one a worker: the trial at loading, and one that is being dropped.
const SPARE_INSTANCES: u32 = 2;
/// Linear memories of one component in a pool; each reserves 4 GiB of addresses, no memory.
const POOLED_MEMORIES: u32 = 8;
/// Tables of one component in a pool. A Python component uses 14 core instances.
const POOLED_TABLES: u32 = 32;
/// The longest a pooled linear memory may grow; `limits.memory` is enforced below it.
const POOLED_MEMORY_BYTES: usize = 4 << 30;
/// Memory that a free slot of a pool keeps, so that its next use takes no page faults. Only the
/// pages that were written are cleared.
const KEPT_BYTES: usize = 256 << 10;
/// The same where the kernel does not tell which pages were written, and all are cleared.
const KEPT_BYTES_WITHOUT_SCAN: usize = 64 << 10;
/// The most metadata that one instance in a pool may need. CPython needs about 1 MiB.
const POOLED_METADATA_BYTES: usize = 16 << 20;

/// The engines in use, and the ticker that drives them.
pub(super) struct Engines {
    ticker: Arc<Ticker>,
    reminder: Reminder,
    /// The engines without a pool, by the size of their stack.
    shared: Mutex<BTreeMap<usize, Engine>>,
    code_cache: Option<CodeCache>,
    function_cache: Option<Arc<FunctionCache>>,
}

impl Engines {
    /// No engines yet, but the ticker runs.
    pub(super) fn new(kept: Kept) -> anyhow::Result<Self> {
        Ok(Self {
            ticker: Arc::new(Ticker::start()?),
            reminder: Reminder::start()?,
            shared: Mutex::default(),
            code_cache: kept.components,
            function_cache: kept.functions.then(Arc::default),
        })
    }

    /// Where compiled components are kept.
    pub(super) fn code_cache(&self) -> Option<&CodeCache> {
        self.code_cache.as_ref()
    }

    /// What makes logs tell of dropped lines.
    pub(super) fn reminder(&self) -> Reminder {
        self.reminder.clone()
    }

    /// What drives the engines.
    pub(super) fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }

    /// The engine that fits `handler`.
    pub(super) fn for_handler(&self, handler: &Handler) -> anyhow::Result<Engine> {
        match handler.instances {
            Instances::Reused => self.shared(handler.limits.stack),
            Instances::PerEvent => self.pooled(handler),
        }
    }

    /// The engine without a pool for this size of stack.
    pub(super) fn shared(&self, stack: usize) -> anyhow::Result<Engine> {
        let mut engines = self.shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(engine) = engines.get(&stack) {
            return Ok(engine.clone());
        }
        let engine = self.start(config(stack))?;
        engines.insert(stack, engine.clone());
        Ok(engine)
    }

    fn pooled(&self, handler: &Handler) -> anyhow::Result<Engine> {
        let mut pool = pool(handler);
        if swap_is_off() {
            let mut scanning = pool.clone();
            scanning
                .pagemap_scan(Enabled::Auto)
                .linear_memory_keep_resident(KEPT_BYTES)
                .table_keep_resident(KEPT_BYTES);
            // The kernel may announce PAGEMAP_SCAN and still refuse it.
            if let Ok(engine) = self.start(config_with(handler, scanning)) {
                return Ok(engine);
            }
        }
        pool.pagemap_scan(Enabled::No)
            .linear_memory_keep_resident(KEPT_BYTES_WITHOUT_SCAN)
            .table_keep_resident(KEPT_BYTES_WITHOUT_SCAN);
        self.start(config_with(handler, pool))
    }

    fn start(&self, mut config: Config) -> anyhow::Result<Engine> {
        let engine = self
            .function_cache
            .clone()
            .map_or(Ok(()), |cache| config.enable_incremental_compilation(cache).map(drop))
            .and_then(|()| Engine::new(&config))
            .map_err(super::fault::host_error)
            .context("failed to start a WebAssembly engine")?;
        self.ticker.drive(&engine);
        Ok(engine)
    }
}

/// Synchronous, interruptible, without bounds checks: memories keep their 4 GiB reservation and
/// are limited as they grow.
fn config(stack: usize) -> Config {
    let mut config = Config::new();
    config
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(stack)
        // Never used, but it may not be smaller.
        .async_stack_size(stack)
        // Shared memories would grow unlimited.
        .shared_memory(false)
        .wasm_backtrace_max_frames(Some(BACKTRACE_FRAMES))
        .wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

fn config_with(handler: &Handler, pool: PoolingAllocationConfig) -> Config {
    let mut config = config(handler.limits.stack);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool));
    config
}

fn pool(handler: &Handler) -> PoolingAllocationConfig {
    let limits = &handler.limits;
    let components = handler.workers.saturating_add(SPARE_INSTANCES);
    let instances = u32::try_from(limits.instances).unwrap_or(u32::MAX);
    let mut pool = PoolingAllocationConfig::new();
    pool.total_component_instances(components)
        .max_component_instance_size(POOLED_METADATA_BYTES)
        .max_core_instance_size(POOLED_METADATA_BYTES)
        .max_core_instances_per_component(instances)
        .total_core_instances(components.saturating_mul(instances))
        .max_memories_per_component(POOLED_MEMORIES)
        .max_memories_per_module(POOLED_MEMORIES)
        .total_memories(components.saturating_mul(POOLED_MEMORIES))
        .max_memory_size(POOLED_MEMORY_BYTES)
        .max_tables_per_component(POOLED_TABLES)
        .max_tables_per_module(POOLED_TABLES)
        .total_tables(components.saturating_mul(POOLED_TABLES))
        .table_elements(limits.table_elements)
        .total_stacks(1);
    pool
}

/// Whether no page can have been swapped out. Wasmtime 48 clears what PAGEMAP_SCAN reports as
/// written and present, so a swapped page would reach the slot's next instance as it was
/// (wasmtime pull request 14357).
fn swap_is_off() -> bool {
    // One line of headings, one for each area.
    std::fs::read_to_string("/proc/swaps").is_ok_and(|swaps| swaps.lines().count() <= 1)
}
