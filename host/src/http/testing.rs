//! For tests: a server on a loopback port, and clients that speak to it over real connections.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderMap, Request, Response, StatusCode};
use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::{Body, Frame, Incoming};
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ServeLimits, serve};

/// Longer than anything here takes; a test that reaches it has failed.
pub(crate) const DEADLINE: Duration = Duration::from_secs(20);

/// A server under test; stopped when dropped.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn start(router: Router, limits: ServeLimits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(serve(listener, None, router, limits, stopped));
        Self { address, stop, task }
    }

    pub(crate) async fn serving(router: Router) -> Self {
        Self::start(router, ServeLimits::default()).await
    }

    /// Asks the server to stop.
    pub(crate) fn stop(&self) {
        self.stop.send_replace(true);
    }

    /// Waits until the server has stopped.
    pub(crate) async fn ended(self) {
        timeout(DEADLINE, self.task).await.expect("the server ends").unwrap();
    }

    pub(crate) async fn http1(&self) -> Client {
        let (sender, connection) = http1::handshake(self.connect().await).await.unwrap();
        tokio::spawn(connection);
        Client::Http1(sender)
    }

    pub(crate) async fn http2(&self) -> Client {
        let io = self.connect().await;
        let (sender, connection) = http2::handshake(TokioExecutor::new(), io).await.unwrap();
        tokio::spawn(connection);
        Client::Http2(sender)
    }

    async fn connect(&self) -> TokioIo<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        TokioIo::new(stream)
    }

    /// Sends these bytes over a connection of its own.
    pub(crate) async fn raw(&self, bytes: &[u8]) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        stream.write_all(bytes).await.unwrap();
        stream
    }
}

/// What a client sends as a body.
type Sent = BoxBody<Bytes, Infallible>;

/// A body that stays away.
struct NeverBody;

impl Body for NeverBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Pending
    }
}

/// One connection.
pub(crate) enum Client {
    Http1(http1::SendRequest<Sent>),
    Http2(http2::SendRequest<Sent>),
}

impl Client {
    /// Sends a request and reads its answer to the end.
    pub(crate) async fn send(&mut self, request: Request<Full<Bytes>>) -> Answer {
        let mut request = request.map(BodyExt::boxed);
        let response = async {
            match self {
                Self::Http1(sender) => {
                    sender.ready().await.unwrap();
                    request.headers_mut().insert("host", "localhost".parse().unwrap());
                    sender.send_request(request).await.unwrap()
                }
                Self::Http2(sender) => {
                    *request.uri_mut() =
                        format!("http://localhost{}", request.uri()).parse().unwrap();
                    sender.send_request(request).await.unwrap()
                }
            }
        };
        Answer::read(timeout(DEADLINE, response).await.expect("an answer")).await
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path).body(Full::default()).unwrap()).await
    }

    pub(crate) async fn post(&mut self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.send(Request::post(path).body(Full::new(body.into())).unwrap()).await
    }

    /// Announces a body over HTTP/2 that never comes.
    pub(crate) async fn post_slowly(&mut self, path: &str) -> Answer {
        let body = NeverBody.boxed();
        let uri = format!("http://localhost{path}");
        let Self::Http2(sender) = self else { panic!("this takes an HTTP/2 connection") };
        let response = sender.send_request(Request::post(uri).body(body).unwrap());
        let response = timeout(DEADLINE, response).await.expect("an answer").unwrap();
        Answer::read(response).await
    }

    /// Whether the server has not closed the connection.
    pub(crate) fn is_open(&self) -> bool {
        match self {
            Self::Http1(sender) => !sender.is_closed(),
            Self::Http2(sender) => !sender.is_closed(),
        }
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    async fn read(response: Response<Incoming>) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        Self { status: parts.status, headers: parts.headers, body }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// Checks that this is a problem of that kind, and returns its detail.
    pub(crate) fn problem(&self, status: u16, slug: &str) -> String {
        assert_eq!(self.status.as_u16(), status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let body = self.json();
        assert_eq!(body["type"], format!("urn:lockstep:problem:{slug}"));
        assert_eq!(body["status"], status);
        assert!(body["title"].as_str().is_some_and(|title| !title.is_empty()), "{body}");
        body["detail"].as_str().expect("a detail").to_owned()
    }
}

/// Everything that comes until the server closes.
pub(crate) async fn rest_of(mut stream: TcpStream) -> String {
    let mut text = Vec::new();
    // A reset counts as an end: what came before it is what the client has.
    let _ = timeout(DEADLINE, stream.read_to_end(&mut text)).await.expect("the server closes");
    String::from_utf8(text).unwrap()
}
