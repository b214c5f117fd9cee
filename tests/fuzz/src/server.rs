//! The ingest listener of a host, over streams in memory.

use std::sync::Arc;

use axum::Router;
use lockstep::auth::Gate;
use lockstep::event::Event;
use lockstep::http::{ServeLimits, serve_connection};
use lockstep::ingest::{IngestState, OpenTopics, router};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::watch;
use tokio::task::yield_now;

use crate::log::Memory;

/// The topic that is open.
pub const TOPIC: &str = "orders";
/// The largest value of an event.
pub const MAX_BODY: usize = 1024;
/// Takes a whole input and all its answers.
const BUFFER: usize = 16 << 20;
/// How often others get a turn before the client goes: more often than an answer needs.
const TURNS: usize = 64;

/// A server that remembers what it took.
pub struct Server {
    runtime: Runtime,
    router: Router,
    log: Arc<Memory>,
}

/// What came of one connection.
pub struct Exchange {
    /// The events that the log has.
    pub events: Vec<Event>,
    /// All that was answered.
    pub answer: Vec<u8>,
}

impl Server {
    /// One that listens to nobody yet.
    pub fn new() -> Self {
        let log = Arc::new(Memory::default());
        let topics = OpenTopics::new([TOPIC.into()]);
        let state = IngestState { log: log.clone(), topics, max_body: MAX_BODY, queue: 16 };
        let runtime = Builder::new_current_thread().enable_time().build();
        Self {
            runtime: runtime.expect("a runtime starts"),
            router: Gate::open().guard(router(state)),
            log,
        }
    }

    /// What comes of a client that sends these bytes, waits for answers, and goes.
    pub fn exchange(&self, request: &[u8]) -> Exchange {
        let answer = self.runtime.block_on(async {
            let (mut client, host) = duplex(BUFFER);
            let (_running, shutdown) = watch::channel(false);
            let limits = ServeLimits::default();
            let serving = serve_connection(host, self.router.clone(), limits, shutdown);
            let serving = tokio::spawn(serving);
            client.write_all(request).await.expect("there is room");
            for _ in 0..TURNS {
                yield_now().await;
            }
            // The server may have closed the connection before.
            drop(client.shutdown().await);
            serving.await.expect("the server does not panic");
            let mut answer = Vec::new();
            client.read_to_end(&mut answer).await.expect("memory can be read");
            answer
        });
        Exchange { events: self.log.take(), answer }
    }
}

impl Default for Server {
    fn default() -> Self {
        Self::new()
    }
}
