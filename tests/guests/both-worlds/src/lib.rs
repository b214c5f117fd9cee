//! Exports both interfaces of the contract, so that it is not clear which one is meant.

use bindings::exports::lockstep::handler::{event_handler, fallible_event_handler};
use fallible_event_handler::{Event, Failure};

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        inline: "
            package lockstep-tests:both-worlds;

            world both-worlds {
                include lockstep:handler/handler@0.1.0;
                include lockstep:handler/fallible-handler@0.1.0;
            }
        ",
        world: "lockstep-tests:both-worlds/both-worlds",
        generate_all,
    });
    use super::Handler;
    export!(Handler);
}

struct Handler;

impl event_handler::Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        vec![event]
    }
}

impl fallible_event_handler::Guest for Handler {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        Ok(vec![event])
    }
}
