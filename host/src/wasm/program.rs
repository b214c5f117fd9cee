//! A handler's component, compiled and linked: what instances are made from.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context, anyhow};
use wasmtime::component::InstancePre;
use wasmtime::{Engine, Store};
use wasmtime_wasi_config::WasiConfigVariables;

use super::bindings::{event_handler, fallible_event_handler};
use super::engine::Engines;
use super::instance::{Guest, Instance};
use super::kept_lines::KeptLines;
use super::log_lines::LogLines;
use super::output::Output;
use super::state::State;
use super::ticker::{self, Ticker};
use super::{Inspection, World, component, fault, host, imports, native_stack};
use crate::handler::{Handler, Limits};

/// How long instantiating may take: a guest's initialisation runs in it.
const INSTANTIATION: Duration = Duration::from_secs(10);
/// Component handles that an instance may hold at once.
const MAX_HANDLES: usize = 10_000;

/// A handler's component, ready to be instantiated. Cheap to clone.
#[derive(Clone)]
pub struct Program {
    parts: Arc<Parts>,
}

/// What all instances of a program share.
pub(super) struct Parts {
    pub(super) handler: Arc<Handler>,
    /// The ticks that one call may take.
    pub(super) call_ticks: u64,
    inspection: Inspection,
    world: World,
    pre: InstancePre<State>,
    exports: Exports,
    ticker: Arc<Ticker>,
    log: Arc<LogLines>,
    config: Arc<WasiConfigVariables>,
    hostcall_fuel: usize,
}

/// Where in the component the `handle` function is.
enum Exports {
    Infallible(event_handler::GuestIndices),
    Fallible(fallible_event_handler::GuestIndices),
}

/// A store with an instance in it.
pub(super) struct Live {
    pub(super) store: Store<State>,
    pub(super) guest: Guest,
    pub(super) output: Output,
}

impl Program {
    /// Compiles, checks, links, and instantiates once for trial.
    pub(super) fn load(
        engines: &Engines,
        handler: &Arc<Handler>,
        bytes: &[u8],
    ) -> anyhow::Result<Self> {
        let engine = engines.for_handler(handler)?;
        let (cache, instances) = (engines.code_cache(), handler.limits.instances);
        let component = component::compile(&engine, cache, bytes, instances)?;
        let inspection = Inspection::of(&component);
        let world = inspection.world()?;
        inspection.check_imports()?;
        let pre = link(&engine, &component)?;
        let exports = Exports::find(world, &pre)?;
        let parts = Parts {
            handler: Arc::clone(handler),
            call_ticks: ticker::ticks(handler.limits.time),
            inspection,
            world,
            pre,
            exports,
            ticker: Arc::clone(engines.ticker()),
            log: LogLines::new(handler).reminded_by(engines.reminder()),
            config: Arc::new(handler.config.iter().map(|(k, v)| (k.clone(), v.clone())).collect()),
            hostcall_fuel: hostcall_fuel(&handler.limits),
        };
        parts.try_out()?;
        Ok(Self { parts: Arc::new(parts) })
    }

    /// The handler that it serves.
    pub fn handler(&self) -> &Arc<Handler> {
        &self.parts.handler
    }

    /// The world that the component implements.
    pub fn world(&self) -> World {
        self.parts.world
    }

    /// What the component imports and exports.
    pub fn inspection(&self) -> &Inspection {
        &self.parts.inspection
    }

    /// Makes an instance for one worker. Its thread must have [`native_stack`] bytes of stack.
    pub fn instantiate(&self) -> anyhow::Result<Instance> {
        self.instance(Arc::clone(&self.parts.log))
    }

    /// The same, with the lines that its guests write in `kept` instead of in the host's log.
    pub fn instantiate_keeping(&self, kept: &KeptLines) -> anyhow::Result<Instance> {
        self.instance(Arc::new(LogLines::keeping(&self.parts.handler, kept)))
    }

    fn instance(&self, log: Arc<LogLines>) -> anyhow::Result<Instance> {
        let live = self.parts.start(&log)?;
        Ok(Instance::new(Arc::clone(&self.parts), log, live))
    }
}

impl Live {
    /// The bytes of all its linear memories.
    pub(super) fn memory(&self) -> usize {
        self.store.data().limiter.memory()
    }
}

impl Parts {
    /// Whether calls end because the process stops.
    pub(super) fn interrupted(&self) -> bool {
        self.ticker.interrupted()
    }

    /// A fresh store with a fresh instance, whose guests write to `log`.
    pub(super) fn start(&self, log: &Arc<LogLines>) -> anyhow::Result<Live> {
        let limits = &self.handler.limits;
        let output = Output::new(Arc::clone(log));
        let state = State::new(limits, Arc::clone(&self.ticker), &output, Arc::clone(&self.config));
        let mut store = Store::new(self.pre.engine(), state);
        store.limiter(|state| &mut state.limiter);
        store.set_hostcall_fuel(self.hostcall_fuel);
        store.set_max_component_handles(MAX_HANDLES);
        let ticks = ticker::ticks(INSTANTIATION);
        store.set_epoch_deadline(ticks);
        store.data_mut().clock.start(ticks);
        let guest = self.exports.instantiate(&mut store, &self.pre);
        let said = output.end_call();
        let guest = guest.map_err(|error| {
            let took = store.data().clock.elapsed();
            let call = fault::Call { limits, said: &said, took };
            let reason = fault::startup(&error, &call, INSTANTIATION);
            anyhow!(
                "failed to instantiate the component of handler {:?}: {reason}",
                self.handler.name
            )
        })?;
        Ok(Live { store, guest, output })
    }

    /// Makes one instance and drops it, so that a component that cannot start is refused before
    /// events depend on it. On a thread of its own, because the caller's may be too shallow.
    fn try_out(&self) -> anyhow::Result<()> {
        thread::scope(|scope| {
            thread::Builder::new()
                .name("wasm-trial".to_owned())
                .stack_size(native_stack(&self.handler))
                .spawn_scoped(scope, || self.start(&self.log).map(drop))
                .context("failed to start a thread to try the component out")?
                .join()
                .unwrap_or_else(|_| {
                    Err(anyhow!("the host panicked while trying the component out"))
                })
        })
    }
}

impl Exports {
    fn find(world: World, pre: &InstancePre<State>) -> anyhow::Result<Self> {
        let found = match world {
            World::Handler => event_handler::GuestIndices::new(pre).map(Self::Infallible),
            World::FallibleHandler => {
                fallible_event_handler::GuestIndices::new(pre).map(Self::Fallible)
            }
        };
        found
            .map_err(fault::host_error)
            .context("the component does not export what lockstep:handler@0.1.0 requires")
    }

    fn instantiate(
        &self,
        store: &mut Store<State>,
        pre: &InstancePre<State>,
    ) -> wasmtime::Result<Guest> {
        let instance = pre.instantiate(&mut *store)?;
        let guest = match self {
            Self::Infallible(indices) => indices.load(store, &instance).map(Guest::Infallible),
            Self::Fallible(indices) => indices.load(store, &instance).map(Guest::Fallible),
        };
        guest.map_err(|error| {
            error.context(
                "its handle function does not have the types of lockstep:handler@0.1.0; build it \
                 against that contract, unchanged",
            )
        })
    }
}

fn link(
    engine: &Engine,
    component: &wasmtime::component::Component,
) -> anyhow::Result<InstancePre<State>> {
    host::linker(engine)
        .and_then(|linker| linker.instantiate_pre(component))
        .map_err(fault::host_error)
        .with_context(imports::misfit)
}

/// Bounds what one call makes the host allocate for what the guest hands over: the outputs with
/// their records, or what a WASI function takes. Wide, because the exact limits are checked on
/// the outputs themselves.
fn hostcall_fuel(limits: &Limits) -> usize {
    /// More than the host's memory for one output without its bytes.
    const OUTPUT: usize = 256;
    /// What any handler may hand over, for the sake of WASI.
    const FLOOR: usize = 1 << 20;
    let records = limits.output_events.saturating_add(1).saturating_mul(OUTPUT);
    limits.output_bytes.saturating_mul(2).saturating_add(records).saturating_add(FLOOR)
}
