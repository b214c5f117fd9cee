//! Serves HTTP/1.1 and HTTP/2 on one listener, over TLS (ALPN) or without (prior knowledge).
//!
//! Promises that no client can exhaust the process: connections are bounded, a request has to
//! arrive in time, an idle connection is closed. A stop ends accepting at once, lets requests
//! in flight finish within a deadline, then drops what is left. Every answer that the routes do
//! not give themselves (unknown path, wrong method, a panic) is a problem. Knows no route.

mod activity;
mod body;
mod connection;
mod lasting;
mod stream;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use std::any::Any;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use axum::response::{IntoResponse, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::trace::TraceLayer;
use tracing::Span;

pub use self::body::SlowBody;
use self::connection::Server;
pub use self::lasting::Lasting;
use crate::panics;
use crate::problem::{self, Kind, Problem};
use crate::tls::Tls;

/// How long to wait after an accept failed, most likely because descriptors ran out.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// The bounds of one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServeLimits {
    /// Connections open at once; more wait to be accepted.
    pub connections: usize,
    /// Within which a request has to arrive whole, counted from its first byte. A new connection
    /// has as long to send that byte.
    pub read_timeout: Duration,
    /// After which a connection without a request is closed.
    pub idle_timeout: Duration,
    /// How long requests in flight may take to finish after a stop.
    pub drain: Duration,
}

impl Default for ServeLimits {
    fn default() -> Self {
        Self {
            connections: 4096,
            read_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            drain: Duration::from_secs(5),
        }
    }
}

/// Serves until `shutdown` turns true or its sender is gone, then drains and returns.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Tls>,
    router: Router,
    limits: ServeLimits,
    shutdown: watch::Receiver<bool>,
) {
    let server = Arc::new(Server::new(dress(router), limits, tls));
    let slots = Arc::new(Semaphore::new(limits.connections.clamp(1, Semaphore::MAX_PERMITS)));
    let mut connections = JoinSet::new();
    let stopped = stopped(shutdown.clone());
    tokio::pin!(stopped);
    let mut failing = false;
    loop {
        while connections.try_join_next().is_some() {}
        let next = async {
            // Never closed; if it were, accepting could not go on.
            let slot = Arc::clone(&slots).acquire_owned().await.map_err(io::Error::other)?;
            listener.accept().await.map(|(stream, _)| (slot, stream))
        };
        let accepted = tokio::select! {
            () = &mut stopped => break,
            accepted = next => accepted,
        };
        match accepted {
            Ok((slot, stream)) => {
                failing = false;
                prepare(&stream);
                let (server, shutdown) = (Arc::clone(&server), shutdown.clone());
                connections.spawn(async move {
                    server.connection(stream, self::stopped(shutdown)).await;
                    drop(slot);
                });
            }
            Err(error) if concerns_one_connection(&error) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, "failed to accept connections");
                }
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    drain(connections, limits.drain).await;
}

/// Serves one connection that somebody else has accepted, without TLS, until it ends or `shutdown`
/// turns true and its requests in flight are answered.
pub async fn serve_connection<T>(
    io: T,
    router: Router,
    limits: ServeLimits,
    shutdown: watch::Receiver<bool>,
) where
    T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    Server::new(dress(router), limits, None).http(io, stopped(shutdown)).await;
}

/// Resolves when it is time to stop.
async fn stopped(mut shutdown: watch::Receiver<bool>) {
    // An error means that the sender is gone: nobody could stop the server any more.
    drop(shutdown.wait_for(|stop| *stop).await);
}

async fn drain(mut connections: JoinSet<()>, deadline: Duration) {
    let all = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(deadline, all).await.is_err() {
        tracing::warn!(connections = connections.len(), "requests did not finish in time");
        connections.shutdown().await;
    }
}

/// Answers are small: they go out at once.
fn prepare(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "failed to set TCP_NODELAY");
    }
}

/// Whether the error says that one client went away before it was accepted.
fn concerns_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// Adds what every listener shares: problems for what no route answers, and a span per request.
fn dress(router: Router) -> Router {
    let trace = TraceLayer::new_for_http()
        .make_span_with(span)
        .on_request(())
        .on_response(|response: &Response, latency: Duration, _: &Span| {
            tracing::debug!(status = response.status().as_u16(), ?latency, "answered");
        })
        .on_failure(());
    router
        .fallback(problem::not_found)
        .method_not_allowed_fallback(problem::method_not_allowed)
        .layer(CatchPanicLayer::custom(panicked))
        .layer(trace)
}

/// Names the path alone: the query holds the key. The token is its id, once it is known.
fn span(request: &Request<Body>) -> Span {
    tracing::debug_span!(
        "http",
        method = %request.method(),
        path = request.uri().path(),
        version = ?request.version(),
        token = tracing::field::Empty,
    )
}

fn panicked(payload: Box<dyn Any + Send>) -> Response {
    tracing::error!(panic = panics::text(&*payload), "a request made the host panic");
    let detail = "the host has a defect; its log says more. The outcome of the request is unknown";
    Problem::new(Kind::Internal, detail).into_response()
}
