//! Panics three functions deep, and keeps the names of its functions: what a backtrace looks like.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let celsius = read_celsius(event.value.as_deref().unwrap_or_default());
        vec![Event { topic: None, value: Some(celsius.to_string().into_bytes()), ..event }]
    }
}

#[inline(never)]
fn read_celsius(value: &[u8]) -> i64 {
    let text = String::from_utf8_lossy(value);
    let Some((degrees, unit)) = text.split_once(' ') else { return 0 };
    degrees.parse::<i64>().unwrap_or_default() + offset_of(unit)
}

#[inline(never)]
fn offset_of(unit: &str) -> i64 {
    match unit {
        "C" => 0,
        "K" => -273,
        other => panic!("no such unit: {other:?}"),
    }
}
