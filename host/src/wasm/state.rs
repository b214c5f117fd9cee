//! What a store holds: one instance's WASI context with nothing granted, its limits, its clock.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_config::{WasiConfig, WasiConfigVariables};

use super::limiter::Limiter;
use super::output::Output;
use super::ticker::{self, Ticker};
use crate::handler::Limits;

/// WASI resources (streams, pollables) that an instance may hold at once.
const MAX_RESOURCES: usize = 1_000;
/// The most random bytes that one call of `wasi:random` may ask for: the host allocates them.
const MAX_RANDOM_BYTES: u64 = 1 << 20;

/// The data of one store.
pub(super) struct State {
    wasi: WasiCtx,
    resources: ResourceTable,
    config: Arc<WasiConfigVariables>,
    pub(super) limiter: Limiter,
    pub(super) clock: Clock,
}

/// When the present call has to end.
pub(super) struct Clock {
    ticker: Arc<Ticker>,
    started: u64,
    deadline: u64,
}

impl State {
    /// A state whose guest writes to `output` and reads `config`, and can do nothing else.
    pub(super) fn new(
        limits: &Limits,
        ticker: Arc<Ticker>,
        output: &Output,
        config: Arc<WasiConfigVariables>,
    ) -> Self {
        let mut resources = ResourceTable::new();
        resources.set_max_capacity(MAX_RESOURCES);
        let wasi = WasiCtx::builder()
            .allow_tcp(false)
            .allow_udp(false)
            .allow_ip_name_lookup(false)
            .max_random_size(MAX_RANDOM_BYTES)
            .stdout(output.stdout())
            .stderr(output.stderr())
            .build();
        Self {
            wasi,
            resources,
            config,
            limiter: Limiter::new(limits),
            clock: Clock { ticker, started: 0, deadline: 0 },
        }
    }

    /// The table of WASI resources.
    pub(super) fn resources(&mut self) -> &mut ResourceTable {
        &mut self.resources
    }

    /// What `wasi:config/store` answers.
    pub(super) fn config(&mut self) -> WasiConfig<'_> {
        WasiConfig::new(&self.config)
    }
}

impl Clock {
    /// Starts a call that may take this many ticks.
    pub(super) fn start(&mut self, ticks: u64) {
        self.started = self.ticker.now();
        self.deadline = self.started.saturating_add(ticks);
    }

    /// How long the call has run, to the tick.
    pub(super) fn elapsed(&self) -> Duration {
        ticker::span(self.ticker.now().saturating_sub(self.started))
    }

    /// The ticker, for those that wait.
    pub(super) fn ticker(&self) -> Arc<Ticker> {
        Arc::clone(&self.ticker)
    }

    /// How long the call may still wait.
    pub(super) fn remaining(&self) -> Duration {
        ticker::span(self.deadline.saturating_sub(self.ticker.now()))
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.resources }
    }
}
