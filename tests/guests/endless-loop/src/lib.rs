//! Never returns: burns the processor and calls nothing of the host.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(_event: Event) -> Vec<Event> {
        loop {
            core::hint::black_box(());
        }
    }
}
