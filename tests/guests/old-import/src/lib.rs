//! Imports `acme:legacy/ledger@0.0.1`, which no host provides, and calls it in each call.

use bindings::acme::legacy::ledger;
use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({
        path: ["../../../wit", "wit"],
        world: "acme:legacy/old-handler",
        generate_all,
    });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let number = ledger::enter(event.value.as_deref().unwrap_or_default());
        vec![Event { topic: None, value: Some(number.to_string().into_bytes()), ..event }]
    }
}
