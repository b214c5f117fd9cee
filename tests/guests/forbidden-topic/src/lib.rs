//! Returns three outputs: two to the default route and, between them, one to the topic
//! `forbidden`, which no manifest names under `to`.

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let forbidden = Event { topic: Some("forbidden".into()), ..event.clone() };
        let event = Event { topic: None, ..event };
        vec![event.clone(), forbidden, event]
    }
}
