//! One connection, from its first byte to its end.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::{Request, Version};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};
use tower::ServiceExt;

use super::ServeLimits;
use super::activity::{Activity, Verdict};
use super::body::DeadlineBody;
use super::lasting;
use super::stream::Stream;
use crate::tls::Tls;

/// Requests that one HTTP/2 connection may have in flight.
const STREAMS: u32 = 256;
/// Bytes of headers in one request; more is answered with 431.
const HEADER_BYTES: u32 = 64 * 1024;
/// How often an HTTP/2 peer is asked whether it is there, and how long it may take to say so.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// The connection's clock is looked at every quarter of the read timeout, but not more often.
const SHORTEST_TICK: Duration = Duration::from_millis(10);

/// What all connections of one listener share.
pub(super) struct Server {
    protocol: auto::Builder<TokioExecutor>,
    router: Router,
    limits: ServeLimits,
    tls: Option<Tls>,
}

impl Server {
    pub(super) fn new(router: Router, limits: ServeLimits, tls: Option<Tls>) -> Self {
        let mut protocol = auto::Builder::new(TokioExecutor::new());
        // Heads and idle connections are timed here, by `Activity`: hyper's own timer would
        // close an idle connection after the time that a head may take.
        protocol
            .http1()
            .timer(TokioTimer::new())
            .header_read_timeout(None)
            .max_buf_size(HEADER_BYTES as usize);
        protocol
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_BYTES)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { protocol, router, limits, tls }
    }

    /// Serves one connection until it ends, is slow or idle for too long, or `stopped` resolves
    /// and its requests in flight are answered. A handshake may take as long as a request.
    pub(super) async fn connection(&self, tcp: TcpStream, stopped: impl Future<Output = ()>) {
        let Some(tls) = &self.tls else { return self.http(tcp, stopped).await };
        tokio::pin!(stopped);
        let shaken = tokio::select! {
            shaken = timeout(self.limits.read_timeout, tls.accept(tcp)) => shaken,
            () = &mut stopped => return,
        };
        match shaken {
            Ok(Ok(stream)) => self.http(stream, stopped).await,
            Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
            Err(_) => tracing::debug!("a TLS handshake took too long"),
        }
    }

    /// Serves one connection that is there and needs no handshake.
    pub(super) async fn http<T>(&self, io: T, stopped: impl Future<Output = ()>)
    where
        T: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let ServeLimits { read_timeout, idle_timeout, .. } = self.limits;
        let activity = Activity::new(read_timeout, idle_timeout);
        let io = TokioIo::new(Stream::new(io, activity.clone()));
        let service = service_fn(|request: Request<Incoming>| {
            let (router, activity) = (self.router.clone(), activity.clone());
            async move {
                let (in_flight, deadline) = activity.begin(request.version() == Version::HTTP_2);
                let request = request
                    .map(|body: Incoming| Body::new(DeadlineBody::new(body, deadline, activity)));
                router.oneshot(request).await.map(|response| lasting::hold(response, in_flight))
            }
        });
        let serving = self.protocol.serve_connection(io, service);
        tokio::pin!(serving, stopped);

        let tick = (read_timeout / 4).max(SHORTEST_TICK);
        let mut check = Instant::now() + tick;
        let mut closing: Option<Instant> = None;
        let mut stopping = false;
        loop {
            tokio::select! {
                ended = &mut serving => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "a connection failed");
                    }
                    return;
                }
                () = &mut stopped, if !stopping => {
                    stopping = true;
                    serving.as_mut().graceful_shutdown();
                }
                () = sleep_until(check) => {
                    let now = Instant::now();
                    check = now + tick;
                    match activity.deadline() {
                        Some((due, _)) if due > now => check = due.min(check),
                        Some((_, Verdict::Slow)) => return,
                        Some((_, Verdict::Idle)) => match closing {
                            Some(since) if now >= since + read_timeout => return,
                            Some(_) => {}
                            None => {
                                closing = Some(now);
                                serving.as_mut().graceful_shutdown();
                            }
                        },
                        None => {}
                    }
                }
            }
        }
    }
}
