//! Requests that nobody would write, from a seed: they never make the host fail.

use axum::http::{HeaderName, HeaderValue, Method, Request};
use bytes::Bytes;
use fastrand::Rng;
use http_body_util::Full;

use super::{MAX_BODY, PATH, ingest};

const SEED: u64 = 0x10c5_7e40;
const REQUESTS: usize = 2_000;

const PIECES: [&str; 16] = [
    "v1",
    "topics",
    "orders",
    "events",
    "%00",
    "%ff%fe",
    "..",
    ".",
    "%2e%2e",
    "%2F",
    "key",
    "{topic}",
    "",
    "%f0%9f%a6%80",
    "livez",
    "a;b",
];

fn uri(rng: &mut Rng) -> String {
    let mut uri = match rng.bool() {
        true => PATH.to_owned(),
        false => (0..rng.usize(1..6))
            .map(|_| format!("/{}", rng.choice(PIECES).unwrap_or_default()))
            .collect(),
    };
    if rng.bool() {
        let unreserved = b"key=&+%09azAF-._~!$'()*,;:@/?";
        uri.push('?');
        uri.extend(
            (0..rng.usize(..24)).filter_map(|_| rng.choice(unreserved).copied().map(char::from)),
        );
    }
    uri
}

fn header(rng: &mut Rng) -> (HeaderName, HeaderValue) {
    let names = [
        "lockstep-key",
        "lockstep-header-",
        "lockstep-header-a",
        "lockstep-header-lockstep-source",
        "lockstep-",
        "content-type",
        "content-encoding",
        "accept",
        "expect",
        "x-forwarded-for",
        "traceparent",
        "cookie",
    ];
    let name = HeaderName::from_static(rng.choice(names).unwrap_or("accept"));
    let bytes: Vec<u8> = (0..rng.usize(..40)).map(|_| rng.u8(..)).collect();
    (name, HeaderValue::from_bytes(&bytes).unwrap_or(HeaderValue::from_static("identity")))
}

fn request(rng: &mut Rng) -> Option<Request<Full<Bytes>>> {
    let methods = [Method::GET, Method::PUT, Method::HEAD, Method::PATCH, Method::OPTIONS];
    let method = if rng.u8(..4) > 0 { Method::POST } else { rng.choice(methods)? };
    let length = rng.usize(..MAX_BODY + 200);
    let body: Vec<u8> = (0..length).map(|_| rng.u8(..)).collect();
    let mut request = Request::builder().method(method).uri(uri(rng));
    for _ in 0..rng.usize(..6) {
        let (name, value) = header(rng);
        request = request.header(name, value);
    }
    request.body(Full::new(body.into())).ok()
}

#[tokio::test]
async fn no_request_makes_the_host_fail() {
    let mut rng = Rng::with_seed(SEED);
    let (log, server) = ingest(10).await;
    let mut clients = [server.http1().await, server.http2().await];
    let (mut written, mut sent) = (0, 0);
    while sent < REQUESTS {
        let Some(request) = request(&mut rng) else { continue };
        let client = &mut clients[sent % 2];
        if !client.is_open() {
            *client = server.http1().await;
        }
        let described = format!("{request:?}");
        let head = request.method() == Method::HEAD;
        let answer = client.send(request).await;
        assert!(!answer.status.is_server_error(), "{answer:?} to {described}");
        if answer.status.is_client_error() && !head {
            assert_eq!(answer.header("content-type"), "application/problem+json", "{described}");
        }
        written += usize::from(answer.status == 200);
        sent += 1;
    }
    assert_eq!(log.events().len(), written);
    assert!(written > REQUESTS / 50, "the seed reaches the log: {written}");
}
