//! Ingest over real connections, in front of a log that can be corked or made to fail.

mod garbage;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{HeaderValue, Request};
use http_body_util::Full;
use serde_json::json;

use super::testing::CorkedLog;
use super::{IngestState, OpenTopics, router, router_with};
use crate::auth::{Gate, NewToken, TokenFile, Tokens};
use crate::event::Header;
use crate::http::ServeLimits;
use crate::http::testing::{Answer, Client, DEADLINE, Server, rest_of};
use crate::log::AppendError;
use crate::reload::Reloaded;

const PATH: &str = "/v1/topics/orders/events";
const MAX_BODY: usize = 1024;

fn corked(queue: usize) -> (Arc<CorkedLog>, IngestState) {
    let log = Arc::new(CorkedLog::new());
    let topics = OpenTopics::new(["orders", "ghost"].map(Into::into));
    (log.clone(), IngestState { log, topics, max_body: MAX_BODY, queue })
}

/// Behind a gate that lets everybody in.
fn open(router: Router) -> Router {
    Gate::open().guard(router)
}

async fn ingest(queue: usize) -> (Arc<CorkedLog>, Server) {
    let (log, state) = corked(queue);
    (log, Server::serving(open(router(state))).await)
}

fn event() -> axum::http::request::Builder {
    Request::post(PATH)
}

async fn send(client: &mut Client, request: axum::http::request::Builder) -> Answer {
    client.send(request.body(Full::new("v".into())).unwrap()).await
}

fn header(name: &str, value: &[u8]) -> Header {
    Header { name: name.to_owned(), value: Some(value.to_vec()) }
}

#[tokio::test]
async fn value_and_key_arrive_byte_for_byte_over_both_protocols() {
    let (log, server) = ingest(10).await;
    let every_byte: Vec<u8> = (0..=255).collect();
    let escaped: String = every_byte.iter().map(|byte| format!("%{byte:02x}")).collect();
    for mut client in [server.http1().await, server.http2().await] {
        let answer = client.post(&format!("{PATH}?key={escaped}"), every_byte.clone()).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let offset = log.events().len() - 1;
        assert_eq!(answer.json(), json!({ "topic": "orders", "partition": 2, "offset": offset }));
    }
    assert_eq!(log.events().len(), 2);
    for event in log.events() {
        assert_eq!(&*event.topic, "orders");
        assert_eq!(event.key.as_ref(), Some(&every_byte));
        assert_eq!(event.value.as_ref(), Some(&every_byte));
        assert_eq!(event.headers, []);
        assert_eq!(event.timestamp_ms, None, "the log stamps it");
    }
}

#[tokio::test]
async fn an_empty_body_is_an_empty_value_and_no_key_is_no_key() {
    let (log, server) = ingest(10).await;
    let mut client = server.http1().await;
    client.post(PATH, "").await;
    client.post(&format!("{PATH}?key="), "").await;
    client.post(&format!("{PATH}?key=a+b%2Bc&"), "").await;
    let keys: Vec<_> = log.events().into_iter().map(|event| event.key).collect();
    assert_eq!(keys, [None, Some(vec![]), Some(b"a b+c".to_vec())]);
    assert!(log.events().iter().all(|event| event.value == Some(vec![])));
}

#[tokio::test]
async fn a_key_in_the_header_may_hold_bytes_that_are_not_text() {
    let (log, server) = ingest(10).await;
    let key = HeaderValue::from_bytes(b"k\xff\x80").unwrap();
    let answer = send(&mut server.http2().await, event().header("lockstep-key", key)).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(log.events()[0].key.as_deref(), Some(&b"k\xff\x80"[..]));
}

#[tokio::test]
async fn headers_keep_their_order_and_duplicates() {
    let (log, server) = ingest(10).await;
    let request = b"POST /v1/topics/orders/events HTTP/1.1\r\nhost: x\r\nLockstep-Header-B: 1\r\n\
        content-type: text/plain\r\nlockstep-header-a: \xc3\xa9\xff\r\nlockstep-header-b: 2\r\n\
        accept: */*\r\nlockstep-header-c:\r\nconnection: close\r\ncontent-length: 2\r\n\r\nhi";
    let answer = rest_of(server.raw(request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    let expected = [
        header("b", b"1"),
        header("b", b"2"),
        header("content-type", b"text/plain"),
        header("a", b"\xc3\xa9\xff"),
        header("c", b""),
    ];
    assert_eq!(log.events()[0].headers, expected);
    assert_eq!(log.events()[0].value.as_deref(), Some(&b"hi"[..]));
}

#[tokio::test]
async fn a_chunked_body_arrives_whole() {
    let (log, server) = ingest(10).await;
    let request = b"POST /v1/topics/orders/events HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\
        transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n";
    let answer = rest_of(server.raw(request).await).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert_eq!(log.events()[0].value.as_deref(), Some(&b"abcde"[..]));
}

#[tokio::test]
async fn what_is_wrong_with_a_request_is_named_and_nothing_is_written() {
    let (log, server) = ingest(10).await;
    let mut client = server.http1().await;
    let at = |suffix: &str| Request::post(format!("{PATH}{suffix}"));
    let cases = [
        (Request::post("/v1/topics/other/events"), 404, "unknown-topic", "ingest = true"),
        (Request::post("/v1/topics/a%2Fb/events"), 404, "unknown-topic", "a/b"),
        (Request::post("/v1/topics/%ff/events"), 400, "bad-request", "UTF-8"),
        (at("?partition=1"), 400, "bad-request", "\"partition\""),
        (at("?key=a&key=b"), 400, "bad-request", "twice"),
        (at("?key=%zz"), 400, "bad-request", "hexadecimal"),
        (at("?key=%"), 400, "bad-request", "hexadecimal"),
        (at("?key=a").header("lockstep-key", "b"), 400, "bad-request", "once"),
        (
            event().header("lockstep-key", "a").header("lockstep-key", "b"),
            400,
            "bad-header",
            "more than once",
        ),
        (event().header("lockstep-header-", "a"), 400, "bad-header", "append its name"),
        (event().header("lockstep-haeder-a", "a"), 400, "bad-header", "lockstep-haeder-a"),
        (event().header("content-encoding", "gzip"), 415, "unsupported-encoding", "gzip"),
        (Request::post("/v1/topics/orders"), 404, "not-found", "/v1/topics/orders"),
        (Request::delete(PATH), 405, "method-not-allowed", "DELETE"),
    ];
    for (request, status, slug, part) in cases {
        let answer = send(&mut client, request).await;
        let detail = answer.problem(status, slug);
        assert!(detail.contains(part), "{part:?} in {detail:?}");
        if status == 405 {
            assert_eq!(answer.header("allow"), "POST");
        }
        if !client.is_open() {
            client = server.http1().await;
        }
    }
    assert_eq!(log.events(), []);
    let answer = send(&mut client, event().header("content-encoding", "Identity")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
}

#[tokio::test]
async fn options_tells_what_is_allowed() {
    let (_log, server) = ingest(10).await;
    let request = Request::options(PATH).body(Full::default()).unwrap();
    let answer = server.http1().await.send(request).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, "POST"));
}

#[tokio::test]
async fn a_body_over_the_limit_is_refused_and_the_limit_named() {
    let (log, server) = ingest(10).await;
    for mut client in [server.http1().await, server.http2().await] {
        let full = client.post(PATH, vec![0; MAX_BODY]).await;
        assert_eq!(full.status, 200, "{full:?}");
        let answer = client.post(PATH, vec![0; MAX_BODY + 1]).await;
        assert!(answer.problem(413, "too-large").contains("1024 bytes"));
        assert_eq!(answer.json()["limit"], MAX_BODY);
    }
    assert_eq!(log.events().len(), 2);
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_the_body_is_read() {
    let (_log, server) = ingest(10).await;
    for expect in ["", "expect: 100-continue\r\n"] {
        let head = format!(
            "POST {PATH} HTTP/1.1\r\nhost: x\r\n{expect}content-length: 99999999999999999\r\n\r\n"
        );
        let answer = rest_of(server.raw(head.as_bytes()).await).await;
        assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    }
}

#[tokio::test]
async fn chunks_over_the_limit_are_refused_though_no_length_was_announced() {
    let (log, server) = ingest(10).await;
    let mut request =
        format!("POST {PATH} HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n");
    for _ in 0..9 {
        request.push_str(&format!("80\r\n{}\r\n", "x".repeat(128)));
    }
    let answer = rest_of(server.raw(request.as_bytes()).await).await;
    assert!(answer.starts_with("HTTP/1.1 413 "), "{answer}");
    assert_eq!(log.events(), []);
}

#[tokio::test]
async fn the_answer_waits_for_the_log() {
    let (log, server) = ingest(10).await;
    log.cork();
    let mut client = server.http1().await;
    let request = tokio::spawn(async move { client.post(PATH, "v").await });
    log.appended(1).await;
    assert!(!request.is_finished());
    log.uncork();
    assert_eq!(request.await.unwrap().status, 200);
}

#[tokio::test]
async fn the_queue_is_bounded_and_clients_that_left_keep_their_place() {
    let (log, server) = ingest(2).await;
    log.cork();
    for count in 1..=2 {
        let mut client = server.http1().await;
        let request = tokio::spawn(async move { client.post(PATH, "v").await });
        log.appended(count).await;
        request.abort();
    }
    let mut client = server.http2().await;
    let answer = client.post(PATH, "v").await;
    answer.problem(503, "queue-full");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(log.events().len(), 2);

    log.uncork();
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while client.post(PATH, "v").await.status != 200 {
        assert!(tokio::time::Instant::now() < deadline, "the queue never empties");
    }
}

#[tokio::test]
async fn each_failure_of_the_log_has_its_problem() {
    let reason = || "because".to_owned();
    let cases = [
        (AppendError::UnknownTopic("ghost".to_owned()), 404, "unknown-topic", "", "topic create"),
        (AppendError::TooLarge(reason()), 413, "too-large", "", "because"),
        (AppendError::QueueFull, 503, "queue-full", "1", "not written"),
        (AppendError::Unavailable(reason()), 503, "log-unreachable", "5", "may have been written"),
        (AppendError::Refused(reason()), 422, "refused", "", "because"),
    ];
    for (error, status, slug, retry_after, part) in cases {
        for at_once in [true, false] {
            let (log, server) = ingest(10).await;
            match at_once {
                true => log.fail_appends(error.clone()),
                false => log.fail_receipts(error.clone()),
            }
            let answer = server.http1().await.post("/v1/topics/ghost/events", "v").await;
            let detail = answer.problem(status, slug);
            assert!(detail.contains(part), "{part:?} in {detail:?}");
            assert_eq!(answer.header("retry-after"), retry_after);
        }
    }
}

#[tokio::test]
async fn a_log_that_does_not_answer_leaves_the_outcome_unknown() {
    let (log, state) = corked(1);
    log.cork();
    let server = Server::serving(open(router_with(state, Duration::from_millis(20), 0))).await;
    let mut client = server.http1().await;
    let answer = client.post(PATH, "v").await;
    let detail = answer.problem(503, "log-unreachable");
    assert!(detail.contains("20ms") && detail.contains("may have been written"), "{detail}");
    assert_eq!(answer.header("retry-after"), "5");
    client.post(PATH, "v").await.problem(503, "queue-full");
}

#[tokio::test]
async fn the_bytes_that_wait_are_bounded() {
    let (log, state) = corked(10);
    log.cork();
    let server = Server::serving(open(router_with(state, DEADLINE, 0))).await;
    let mut first = server.http1().await;
    let first = tokio::spawn(async move { first.post(PATH, vec![0; MAX_BODY - 1]).await });
    log.appended(1).await;
    let mut client = server.http2().await;
    assert!(client.post(PATH, "ab").await.problem(503, "queue-full").contains("not written"));
    log.uncork();
    assert_eq!(first.await.unwrap().status, 200);
    assert_eq!(client.post(PATH, vec![0; MAX_BODY]).await.status, 200);
}

#[tokio::test]
async fn a_slow_body_over_http2_times_out_and_leaves_the_connection_alone() {
    let (log, state) = corked(10);
    let limits = ServeLimits { read_timeout: Duration::from_millis(200), ..Default::default() };
    let server = Server::start(open(router(state)), limits).await;
    let mut client = server.http2().await;
    client.post_slowly(PATH).await.problem(408, "timeout");
    assert_eq!(client.post(PATH, "v").await.status, 200);
    assert_eq!(log.events().len(), 1);
}

#[tokio::test]
async fn a_token_opens_the_topics_of_its_scopes_and_tells_nothing_of_others() {
    let (log, state) = corked(10);
    let folder = tempfile::tempdir().unwrap();
    let file = TokenFile::at(folder.path().join("tokens.toml"));
    let [orders, all, reader] = ["ingest:orders", "ingest:*", "handlers:write"].map(|scope| {
        let scopes = vec![scope.parse().unwrap()];
        let (token, _) = file.create(NewToken { scopes, expires: None, note: None }).unwrap();
        format!("Bearer {}", token.expose())
    });
    let gate = Gate::with_tokens(Reloaded::new(Tokens::load(file.path()).unwrap()));
    let server = Server::serving(gate.guard(router(state))).await;
    let mut client = server.http1().await;
    let mut post = async |topic: &str, token: Option<&str>| {
        let mut request = Request::post(format!("/v1/topics/{topic}/events"));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        send(&mut client, request).await
    };
    post("orders", None).await.problem(401, "unauthorized");
    post("no-such", None).await.problem(401, "unauthorized");
    for (topic, token) in [("ghost", &orders), ("no-such", &orders), ("orders", &reader)] {
        let answer = post(topic, Some(token)).await;
        let detail = answer.problem(403, "forbidden");
        assert!(detail.contains(&format!("\"ingest:{topic}\"")), "{detail}");
        assert_eq!(answer.json()["scope"], format!("ingest:{topic}"));
    }
    assert_eq!(log.events(), [], "nothing of all that was taken");
    assert_eq!(post("orders", Some(&orders)).await.status, 200);
    assert_eq!(post("ghost", Some(&all)).await.status, 200);
    post("no-such", Some(&all)).await.problem(404, "unknown-topic");
    assert!(log.events().iter().all(|event| event.headers.is_empty()), "the token is not stored");
}
