//! The bytes of a connection to the ingest listener, as they come from the wire: nothing is
//! answered with 200 that the log does not have, and what it has is had again by asking for it in
//! plain words.

#![no_main]

use std::fmt::Write as _;

use libfuzzer_sys::fuzz_target;
use lockstep::event::Event;
use lockstep_fuzz::memory;
use lockstep_fuzz::server::{Exchange, MAX_BODY, Server, TOPIC};

/// Bytes of headers that a request over HTTP/2 may have, however few came over the wire.
const MOST_HEADERS: usize = 64 << 10;

thread_local! {
    static SERVER: Server = started();
}

/// A server that is known to take an event over either protocol.
fn started() -> Server {
    let server = Server::new();
    let http1 = &include_bytes!("../corpus/ingest/event")[..];
    for request in [http1, include_bytes!("../corpus/ingest/http2")] {
        assert_eq!(server.exchange(request).events.len(), 1, "of {request:?}");
    }
    server
}

fuzz_target!(|data: &[u8]| {
    SERVER.with(|server| {
        let Exchange { events, answer } =
            memory::bounded(data.len() * 64, || server.exchange(data));
        let taken = count(&answer, b" 200 OK\r\n");
        assert!(taken <= events.len(), "{taken} answers for {} events", events.len());
        for event in &events {
            check(event);
        }
        if let Some(event) = events.into_iter().next() {
            let Exchange { events, answer } = server.exchange(&request(&event));
            let answer = String::from_utf8_lossy(&answer);
            assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer} for {event:?}");
            assert_eq!(events, [event]);
        }
    });
});

fn count(text: &[u8], words: &[u8]) -> usize {
    text.windows(words.len()).filter(|window| *window == words).count()
}

fn check(event: &Event) {
    assert_eq!((&*event.topic, event.timestamp_ms), (TOPIC, None));
    assert!(event.value.as_ref().is_some_and(|value| value.len() <= MAX_BODY));
    assert!(event.size() <= MAX_BODY + MOST_HEADERS);
    assert!(event.headers.iter().all(|header| !header.name.is_empty() && header.value.is_some()));
}

/// The request that says what the event is.
fn request(event: &Event) -> Vec<u8> {
    let mut target = format!("/v1/topics/{}/events", event.topic);
    if let Some(key) = &event.key {
        target.push_str("?key=");
        for byte in key {
            write!(target, "%{byte:02X}").expect("strings can be written");
        }
    }
    let mut bytes = format!("POST {target} HTTP/1.1\r\n").into_bytes();
    for header in &event.headers {
        let prefix = if header.name == "content-type" { "" } else { "lockstep-header-" };
        bytes.extend_from_slice(format!("{prefix}{}: ", header.name).as_bytes());
        bytes.extend_from_slice(header.value.as_deref().unwrap_or_default());
        bytes.extend_from_slice(b"\r\n");
    }
    let value = event.value.as_deref().unwrap_or_default();
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", value.len()).as_bytes());
    bytes.extend_from_slice(value);
    bytes
}
