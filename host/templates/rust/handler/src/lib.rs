//! This file is the component: it takes events and returns events. What it does with them is in
//! [`greeting`].

mod greeting;

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "component", generate_all });
    use super::Component;
    export!(Component);
}

struct Component;

impl Guest for Component {
    fn handle(event: Event) -> Vec<Event> {
        let value = match event.value.as_deref() {
            // A tombstone deletes its key: it goes on as it is.
            None => None,
            Some(json) => match greeting::greet(json) {
                Some(json) => Some(json),
                // No output: the event is filtered out.
                None => return vec![],
            },
        };
        // No topic: the first one under `to` in handler.toml. The rest stays as it is.
        vec![Event {
            topic: None,
            value,
            ..event
        }]
    }
}
