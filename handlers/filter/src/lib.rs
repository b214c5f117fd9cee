//! Drops log records below a minimum level.
//!
//! This file is the component: it reads the minimum and keeps or drops the event. How levels
//! compare is in [`level`].

mod level;

use std::sync::LazyLock;

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};
use bindings::wasi::config::store;
use level::Level;

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit", "../wit/wasi-config"],
        inline: "
            package lockstep-examples:filter;

            world filter {
                import wasi:config/store@0.2.0-rc.1;
                include lockstep:handler/handler@0.1.0;
            }
        ",
        world: "lockstep-examples:filter/filter",
        generate_all,
    });
    use super::Filter;
    export!(Filter);
}

/// Read once for each instance: a changed setting is a new revision, which has new instances.
static MINIMUM: LazyLock<Level> = LazyLock::new(minimum);

struct Filter;

impl Guest for Filter {
    fn handle(event: Event) -> Vec<Event> {
        if level::passes(event.value.as_deref(), *MINIMUM) {
            // No topic: the event goes to the first topic under `to` in handler.toml.
            vec![Event { topic: None, ..event }]
        } else {
            vec![]
        }
    }
}

/// Panics without a usable minimum: nothing may pass or be lost by accident, and in this world
/// a trap is the only failure.
fn minimum() -> Level {
    match store::get("minimum") {
        Ok(Some(name)) => {
            name.parse().unwrap_or_else(|error| panic!("setting \"minimum\": {error}"))
        }
        Ok(None) => panic!("setting \"minimum\" is missing"),
        Err(error) => panic!("failed to read setting \"minimum\": {error}"),
    }
}
