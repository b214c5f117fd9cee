//! Returns one output of 16 MiB: more than the default `output_bytes`, less than the memory.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        vec![Event { topic: None, value: Some(vec![b'x'; 16 << 20]), ..event }]
    }
}
