//! Tells what the handler was given: the output's value is a JSON object of the input, with
//! `topic`, `source` (its topic), `partition`, `offset`, `timestamp_ms`, `key`, `value` and `headers` (a list of
//! `[name, value]`). Bytes are strings when they are UTF-8, otherwise lists of numbers. The
//! output keeps the key, and has no headers and no timestamp of its own.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};
use serde_json::{Value, json};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let value = describe(&event).to_string().into_bytes();
        vec![Event {
            topic: None,
            key: event.key,
            value: Some(value),
            headers: vec![],
            timestamp_ms: None,
            source: None,
        }]
    }
}

fn describe(event: &Event) -> Value {
    let headers: Vec<Value> =
        event.headers.iter().map(|header| json!([header.name, bytes(&header.value)])).collect();
    json!({
        "topic": event.topic,
        "source": event.source.as_ref().map(|source| &source.topic),
        "partition": event.source.as_ref().map(|source| source.partition),
        "offset": event.source.as_ref().map(|source| source.offset),
        "timestamp_ms": event.timestamp_ms,
        "key": event.key.as_deref().map(bytes),
        "value": event.value.as_deref().map(bytes),
        "headers": headers,
    })
}

fn bytes(bytes: &[u8]) -> Value {
    str::from_utf8(bytes).map_or_else(|_| json!(bytes), |text| json!(text))
}
