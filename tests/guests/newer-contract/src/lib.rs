//! Returns each event unchanged, built against version 0.1.9 of the contract: a host accepts every
//! 0.1 version.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        vec![Event { topic: None, ..event }]
    }
}
