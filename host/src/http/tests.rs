//! Serving, over real connections: what every route can rely on.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::response::Response;
use axum::routing::{get, post};
use http_body_util::Full;
use hyper::body::Frame;
use serde_json::json;
use tokio::io::AsyncWriteExt;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::testing::{DEADLINE, Server, rest_of};
use super::{Lasting, ServeLimits};
use crate::admin::{self, AdminState, HandlerStatuses};
use crate::auth::Gate;
use crate::event::Position;
use crate::health::Readiness;
use crate::status::{HandlerStatus, PartitionState, PartitionStatus, WorkerState, WorkerStatus};

const SHORT: Duration = Duration::from_millis(200);

fn limits() -> ServeLimits {
    ServeLimits { read_timeout: SHORT, ..ServeLimits::default() }
}

/// `/held` adds to `entered` when it is called, and answers once it can take from `release`.
fn held() -> (Router, Arc<Semaphore>, Arc<Semaphore>) {
    let (entered, release) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (tell, wait) = (entered.clone(), release.clone());
    let route = get(move || async move {
        tell.add_permits(1);
        wait.acquire().await.unwrap().forget();
        "done"
    });
    (Router::new().route("/held", route), entered, release)
}

async fn take(from: &Semaphore, count: u32) {
    timeout(DEADLINE, from.acquire_many(count)).await.expect("requests arrive").unwrap().forget();
}

fn small() -> Router {
    Router::new().route("/", get(async || "ok"))
}

struct Reasons(&'static [&'static str]);

impl Readiness for Reasons {
    fn unready(&self) -> Vec<String> {
        self.0.iter().map(ToString::to_string).collect()
    }
}

struct OneHandler;

impl HandlerStatuses for OneHandler {
    fn handlers(&self) -> Vec<HandlerStatus> {
        let stopped = Position { topic: "orders".into(), partition: 3, offset: 1042 };
        let worker = WorkerStatus {
            slot: 0,
            revision: 6,
            state: WorkerState::BackingOff,
            events: 12,
            dead_letters: 1,
            last_error: Some("the broker is gone".to_owned()),
            stopped_at: vec![stopped],
            partitions: vec![PartitionStatus {
                topic: "orders".into(),
                partition: 3,
                state: PartitionState::Halted { offset: 1042 },
                events: 5,
                last_error: None,
            }],
        };
        vec![HandlerStatus { name: "weather".to_owned(), revision: 7, workers: vec![worker] }]
    }
}

#[tokio::test]
async fn a_connection_serves_one_request_after_the_other() {
    let server = Server::serving(small()).await;
    for mut client in [server.http1().await, server.http2().await] {
        for _ in 0..5 {
            assert_eq!(client.get("/").await.body, "ok");
            assert!(client.is_open());
        }
    }
}

#[tokio::test]
async fn requests_share_an_http2_connection_at_the_same_time() {
    let (router, entered, release) = held();
    let server = Server::serving(router.merge(small())).await;
    let mut client = server.http2().await;
    let super::testing::Client::Http2(sender) = &client else { unreachable!() };
    let mut first = super::testing::Client::Http2(sender.clone());
    let first = tokio::spawn(async move { first.get("/held").await });
    take(&entered, 1).await;
    assert_eq!(client.get("/").await.body, "ok");
    release.add_permits(1);
    assert_eq!(first.await.unwrap().body, "done");
}

#[tokio::test]
async fn what_no_route_answers_is_a_problem() {
    let router = small().route("/panic", get(async || -> &'static str { panic!("oh no") }));
    let server = Server::serving(router).await;
    let mut client = server.http1().await;
    assert!(client.get("/none").await.problem(404, "not-found").contains("/none"));
    let answer = client.post("/", "").await;
    answer.problem(405, "method-not-allowed");
    assert_eq!(answer.header("allow"), "GET,HEAD");
    assert!(!client.get("/panic").await.problem(500, "internal").contains("oh no"));
    assert_eq!(client.get("/").await.body, "ok", "the connection survives a panic");
    let head = Request::head("/").body(Full::default()).unwrap();
    let answer = client.send(head).await;
    assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
}

#[tokio::test]
async fn a_body_that_does_not_arrive_in_time_is_answered_with_408() {
    let log = Arc::new(crate::ingest::testing::CorkedLog::new());
    let topics = crate::ingest::OpenTopics::new(["t".into()]);
    let state = crate::ingest::IngestState { log, topics, max_body: 1024, queue: 1 };
    let router = Gate::open().guard(crate::ingest::router(state));
    let server = Server::start(router, limits()).await;
    let head = b"POST /v1/topics/t/events HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nabc";
    let answer = rest_of(server.raw(head).await).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
    assert!(answer.contains("urn:lockstep:problem:timeout"), "{answer}");
}

#[tokio::test]
async fn connections_that_begin_no_request_are_closed() {
    let server = Server::start(small(), limits()).await;
    for start in ["", "P", "PRI * HTTP/2.0", "GET / HTTP/1.1\r\nhost:"] {
        assert_eq!(rest_of(server.raw(start.as_bytes()).await).await, "", "after {start:?}");
    }
}

#[tokio::test]
async fn a_head_that_trickles_is_cut_off_and_others_are_served() {
    let server = Server::start(small(), limits()).await;
    let mut slow = server.raw(b"GET / HTTP/1.1\r\n").await;
    let mut tick = tokio::time::interval(SHORT / 10);
    let trickle = async {
        while slow.write_all(b"a: b\r\n").await.is_ok() {
            tick.tick().await;
        }
    };
    timeout(DEADLINE, trickle).await.expect("the slow one is cut off");
    assert_eq!(server.http1().await.get("/").await.body, "ok");
}

#[tokio::test]
async fn an_idle_connection_outlives_the_read_timeout_and_is_closed_when_idle_too_long() {
    let limits = ServeLimits { idle_timeout: SHORT * 5, ..limits() };
    let server = Server::start(small(), limits).await;
    for http2 in [false, true] {
        let mut client = if http2 { server.http2().await } else { server.http1().await };
        assert_eq!(client.get("/").await.body, "ok");
        let answered = tokio::time::Instant::now();
        let mut tick = tokio::time::interval(SHORT / 10);
        while client.is_open() {
            assert!(answered.elapsed() < DEADLINE, "the connection stays");
            tick.tick().await;
        }
        assert!(answered.elapsed() >= SHORT * 4, "closed after {:?}", answered.elapsed());
    }
}

#[tokio::test]
async fn a_request_in_flight_is_not_bound_by_the_timeouts_of_connections() {
    let (router, entered, release) = held();
    let limits = ServeLimits { idle_timeout: SHORT, ..limits() };
    let server = Server::start(router, limits).await;
    let mut client = server.http1().await;
    let request = tokio::spawn(async move { client.get("/held").await });
    take(&entered, 1).await;
    // An idle connection that began later is closed first.
    assert_eq!(rest_of(server.raw(b"").await).await, "");
    assert_eq!(rest_of(server.raw(b"").await).await, "");
    release.add_permits(1);
    assert_eq!(request.await.unwrap().body, "done");
}

/// A body that ends with what it is given.
struct Later(Option<tokio::sync::oneshot::Receiver<Bytes>>);

impl hyper::body::Body for Later {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let Some(waited) = &mut self.0 else { return Poll::Ready(None) };
        let bytes = ready!(Pin::new(waited).poll(cx)).expect("somebody gives it");
        self.0 = None;
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

#[tokio::test]
async fn an_answer_that_lasts_is_not_idle_before_its_end() {
    let (give, given) = tokio::sync::oneshot::channel();
    let body = Arc::new(std::sync::Mutex::new(Some(given)));
    let route = get(async move || {
        let mut response = Response::new(Body::new(Later(body.lock().unwrap().take())));
        response.extensions_mut().insert(Lasting);
        response
    });
    let limits = ServeLimits { idle_timeout: SHORT, ..limits() };
    let server = Server::start(Router::new().route("/", route), limits).await;
    let mut client = server.http1().await;
    let request = tokio::spawn(async move { client.get("/").await });
    // Idle connections that began later are closed first, and that takes longer than any grace.
    for _ in 0..4 {
        assert_eq!(rest_of(server.raw(b"").await).await, "");
    }
    give.send(Bytes::from_static(b"done")).expect("the body is wanted");
    assert_eq!(request.await.unwrap().body, "done");
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_their_turn() {
    let limits = ServeLimits { connections: 1, ..ServeLimits::default() };
    let server = Server::start(small(), limits).await;
    let mut first = server.http1().await;
    assert_eq!(first.get("/").await.body, "ok");
    let mut second = server.http1().await;
    let waiting = tokio::spawn(async move { second.get("/").await });
    assert_eq!(first.get("/").await.body, "ok");
    assert!(!waiting.is_finished());
    drop(first);
    assert_eq!(waiting.await.unwrap().body, "ok");
}

#[tokio::test]
async fn an_answer_that_comes_before_the_body_reaches_a_client_that_still_sends() {
    let server = Server::serving(Router::new().route("/", post(async || "early"))).await;
    let head = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 8000000\r\n\r\n";
    let mut stream = server.raw(head).await;
    stream.write_all(&vec![0; 8_000_000]).await.expect("the server reads on");
    let answer = rest_of(stream).await;
    assert!(answer.ends_with("early"), "{answer}");
}

#[tokio::test]
async fn a_stop_finishes_requests_in_flight_and_refuses_new_connections() {
    let (router, entered, release) = held();
    let server = Server::serving(router.merge(small())).await;
    let (mut one, mut two) = (server.http1().await, server.http2().await);
    let (mut idle, address) = (server.http1().await, server.address);
    idle.get("/").await;
    let one = tokio::spawn(async move { one.get("/held").await });
    let two = tokio::spawn(async move { two.get("/held").await });
    take(&entered, 2).await;
    server.stop();
    let closed = async { while tokio::net::TcpStream::connect(address).await.is_ok() {} };
    timeout(DEADLINE, closed).await.expect("the listener is closed");
    release.add_permits(2);
    let both = async { (one.await.unwrap(), two.await.unwrap()) };
    let (one, two) = timeout(DEADLINE, both).await.expect("both are answered");
    assert_eq!((one.body, two.body), ("done".into(), "done".into()));
    server.ended().await;
}

#[tokio::test]
async fn a_stop_drops_requests_that_do_not_finish_in_time() {
    let (router, entered, _release) = held();
    let limits = ServeLimits { drain: SHORT, ..ServeLimits::default() };
    let server = Server::start(router, limits).await;
    let stream = server.raw(b"GET /held HTTP/1.1\r\nhost: x\r\n\r\n").await;
    take(&entered, 1).await;
    server.stop();
    server.ended().await;
    assert_eq!(rest_of(stream).await, "");
}

#[tokio::test]
async fn health_tells_liveness_from_readiness() {
    let ready = Server::serving(crate::health::router(Arc::new(Reasons(&[])))).await;
    let mut client = ready.http1().await;
    assert_eq!(client.get("/livez").await.json(), json!({ "status": "live" }));
    assert_eq!(client.get("/readyz").await.json(), json!({ "status": "ready" }));

    let reasons = &["handler \"a\" is starting", "the log does not answer"];
    let unready = Server::serving(crate::health::router(Arc::new(Reasons(reasons)))).await;
    let mut client = unready.http1().await;
    assert_eq!(client.get("/livez").await.status, 200);
    let answer = client.get("/readyz").await;
    assert!(answer.problem(503, "not-ready").contains("the log does not answer"));
    assert_eq!(answer.json()["reasons"], json!(reasons));
}

#[tokio::test]
async fn admin_lists_handlers_and_their_workers() {
    let state = AdminState {
        host_id: "host-1".to_owned(),
        cluster_id: "shop".to_owned(),
        statuses: Arc::new(OneHandler),
        fleet: None,
    };
    let server = Server::serving(Gate::open().guard(admin::routes(state).guarded)).await;
    let mut client = server.http1().await;
    let worker = json!({
        "slot": 0,
        "revision": 6,
        "events": 12,
        "dead_letters": 1,
        "state": "backing-off",
        "last_error": "the broker is gone",
        "stopped_at": ["orders/3/1042"],
        "partitions": [{
            "topic": "orders",
            "partition": 3,
            "state": "halted",
            "offset": 1042,
            "events": 5,
            "last_error": null,
        }],
    });
    let expected = json!([{ "name": "weather", "revision": 7, "workers": [worker] }]);
    let answer = client.get("/v1/host").await.json();
    assert_eq!((&answer["host"], &answer["handlers"]), (&json!("host-1"), &expected));
    client.get("/v1/handlers").await.problem(501, "deployments-off");
}
