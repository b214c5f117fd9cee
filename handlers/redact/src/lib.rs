//! Leaves out what others need not see.
//!
//! This file is the component: it takes events and returns events. What a secret is, is in
//! [`secrets`].

#[rustfmt::skip]
#[allow(warnings, reason = "made by cargo component")]
mod bindings;
mod secrets;

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

struct Redact;

impl Guest for Redact {
    fn handle(event: Event) -> Vec<Event> {
        let value = event.value.as_deref().map(secrets::redacted);
        let mut headers = event.headers;
        headers.retain(|header| !secrets::is_credential(&header.name));
        // No topic: the first one under `to` in handler.toml.
        vec![Event { topic: None, value, headers, ..event }]
    }
}

bindings::export!(Redact with_types_in bindings);
