//! Sleeps in the host for an hour in each call, then returns the event.

use std::{thread, time::Duration};

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        thread::sleep(Duration::from_secs(3600));
        vec![Event { topic: None, ..event }]
    }
}
