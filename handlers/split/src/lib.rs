//! Splits an order: one event for each line, and one summary.
//!
//! This file is the component: it routes what [`order`] found to two topics.

mod order;

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../wit", world: "handler" });
    use super::Split;
    export!(Split);
}

struct Split;

impl Guest for Split {
    /// In this world a trap is the only failure, and a panic is the way to it: an event that
    /// is no order becomes a dead letter, and the message a line in the host's log.
    fn handle(event: Event) -> Vec<Event> {
        let value = event.value.as_deref().unwrap_or_default();
        let order = match order::split(value) {
            Ok(order) => order,
            Err(error) => panic!("cannot split the order: {error}"),
        };

        let lines = order.lines.into_iter().map(|part| output("order-lines", part, &event));
        let summary = output("order-summaries", order.summary, &event);
        lines.chain([summary]).collect()
    }
}

/// Headers are kept. An output without a timestamp takes the one of the input.
fn output(topic: &str, part: order::Part, input: &Event) -> Event {
    Event {
        topic: Some(topic.into()),
        key: Some(part.key.into_bytes()),
        value: Some(part.json),
        headers: input.headers.clone(),
        timestamp_ms: None,
        source: None,
    }
}
