//! This file is the component: it takes events and returns events. What it does with them is in
//! [`greeting`].

mod greeting;

use bindings::exports::lockstep::handler::fallible_event_handler::{Event, Failure, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "wit", world: "component", generate_all });
    use super::Component;
    export!(Component);
}

struct Component;

impl Guest for Component {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        let value = match event.value.as_deref() {
            // A tombstone deletes its key: it goes on as it is.
            None => None,
            // Permanent: the event is bad and becomes a dead letter. `Failure::Retryable` would
            // have it tried again.
            Some(json) => Some(greeting::greet(json).map_err(Failure::Permanent)?),
        };
        // No topic: the first one under `to` in handler.toml. The rest stays as it is.
        Ok(vec![Event {
            topic: None,
            value,
            ..event
        }])
    }
}
