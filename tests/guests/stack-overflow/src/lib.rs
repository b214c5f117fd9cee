//! Recurses without end. No frame uses linear memory, so that it is the stack of the sandbox
//! that runs out, not the one that the guest keeps in its memory.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

/// Never true, but the compiler cannot know.
static ENOUGH: AtomicBool = AtomicBool::new(false);

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let depth = descend(0);
        vec![Event { topic: None, timestamp_ms: Some(i64::from(depth)), ..event }]
    }
}

/// The result is used after the call, so that the recursion cannot become a loop.
#[inline(never)]
fn descend(depth: u32) -> u32 {
    if ENOUGH.load(Relaxed) { depth } else { descend(depth + 1).rotate_left(1) ^ depth }
}
