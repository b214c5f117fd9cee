//! Adds the temperature in Fahrenheit to weather forecasts.
//!
//! This file is the component: it takes events and returns events. What a forecast is, and
//! what makes one bad, is in [`forecast`], which knows nothing of events.

mod forecast;

use bindings::exports::lockstep::handler::fallible_event_handler::{Event, Failure, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "fallible-handler" });
    use super::Weather;
    export!(Weather);
}

struct Weather;

impl Guest for Weather {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        let value = event
            .value
            .as_deref()
            .ok_or_else(|| Failure::Permanent("a forecast is expected, not a tombstone".into()))?;
        let value = forecast::with_fahrenheit(value).map_err(Failure::Permanent)?;
        // No topic: the event goes to the first topic under `to` in handler.toml. The key, the
        // headers and the timestamp stay as they are.
        Ok(vec![Event { topic: None, value: Some(value), ..event }])
    }
}
