//! What the host provides to guests: WASI 0.2 without any capability, and `wasi:config/store`.
//!
//! Epochs end guests, not host functions. The one interface whose functions wait, `wasi:io/poll`,
//! is therefore replaced by one that waits no longer than the call may take.

use std::sync::Arc;
use std::time::Duration;

use wasmtime::component::{HasData, Linker, Resource, ResourceTable};
use wasmtime::{Engine, Result};
use wasmtime_wasi::p2::bindings::sync::io::poll as sync_poll;
use wasmtime_wasi::runtime::in_tokio;
use wasmtime_wasi_io::bindings::wasi::io::poll as async_poll;
use wasmtime_wasi_io::poll::DynPollable;

use super::limiter::LimitExceeded;
use super::state::State;
use super::ticker::Ticker;

/// The interfaces that [`linker`] defines, without the part of the version that does not matter
/// for compatibility.
pub(super) const PROVIDED: &[&str] = &[
    "wasi:cli/environment@0.2",
    "wasi:cli/exit@0.2",
    "wasi:cli/stderr@0.2",
    "wasi:cli/stdin@0.2",
    "wasi:cli/stdout@0.2",
    "wasi:cli/terminal-input@0.2",
    "wasi:cli/terminal-output@0.2",
    "wasi:cli/terminal-stderr@0.2",
    "wasi:cli/terminal-stdin@0.2",
    "wasi:cli/terminal-stdout@0.2",
    "wasi:clocks/monotonic-clock@0.2",
    "wasi:clocks/wall-clock@0.2",
    "wasi:config/store@0.2.0-rc.1",
    "wasi:filesystem/preopens@0.2",
    "wasi:filesystem/types@0.2",
    "wasi:io/error@0.2",
    "wasi:io/poll@0.2",
    "wasi:io/streams@0.2",
    "wasi:random/insecure-seed@0.2",
    "wasi:random/insecure@0.2",
    "wasi:random/random@0.2",
    "wasi:sockets/instance-network@0.2",
    "wasi:sockets/ip-name-lookup@0.2",
    "wasi:sockets/network@0.2",
    "wasi:sockets/tcp-create-socket@0.2",
    "wasi:sockets/tcp@0.2",
    "wasi:sockets/udp-create-socket@0.2",
    "wasi:sockets/udp@0.2",
];

/// Everything the host provides, for components of `engine`.
pub(super) fn linker(engine: &Engine) -> Result<Linker<State>> {
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_sync(&mut linker)?;
    wasmtime_wasi_config::add_to_linker(&mut linker, State::config)?;
    linker.allow_shadowing(true);
    sync_poll::add_to_linker::<State, HasPoll>(&mut linker, |state| {
        let (remaining, ticker) = (state.clock.remaining(), state.clock.ticker());
        Poll { resources: state.resources(), remaining, ticker }
    })?;
    linker.allow_shadowing(false);
    Ok(linker)
}

/// `wasi:io/poll` with an end.
struct Poll<'a> {
    resources: &'a mut ResourceTable,
    remaining: Duration,
    ticker: Arc<Ticker>,
}

struct HasPoll;

impl HasData for HasPoll {
    type Data<'a> = Poll<'a>;
}

/// How often something that waits looks whether the process stops.
const GLANCE: Duration = Duration::from_millis(50);

/// Runs a future that waits, at most for this long. Something that is ready wins even when no
/// time remains.
fn wait<T>(
    mut remaining: Duration,
    ticker: &Ticker,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    in_tokio(async {
        tokio::pin!(future);
        loop {
            let step = remaining.min(GLANCE);
            if let Ok(result) = tokio::time::timeout(step, &mut future).await {
                return result;
            }
            remaining -= step;
            if remaining.is_zero() || ticker.interrupted() {
                return Err(LimitExceeded::Deadline.into());
            }
        }
    })
}

impl sync_poll::Host for Poll<'_> {
    fn poll(&mut self, pollables: Vec<Resource<DynPollable>>) -> Result<Vec<u32>> {
        wait(self.remaining, &self.ticker, async_poll::Host::poll(self.resources, pollables))
    }
}

impl sync_poll::HostPollable for Poll<'_> {
    fn ready(&mut self, pollable: Resource<DynPollable>) -> Result<bool> {
        in_tokio(async_poll::HostPollable::ready(self.resources, pollable))
    }

    fn block(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        wait(
            self.remaining,
            &self.ticker,
            async_poll::HostPollable::block(self.resources, pollable),
        )
    }

    fn drop(&mut self, pollable: Resource<DynPollable>) -> Result<()> {
        async_poll::HostPollable::drop(self.resources, pollable)
    }
}
