//! Returns far more than it holds: 1,000 outputs whose values are all the same 4 MiB of memory,
//! so that a host which copies before it counts takes 4 GiB. With the value `headers` it is
//! 1,000 outputs that share one list of 1,000 headers that share one value of 4 KiB.

use std::alloc::{GlobalAlloc, Layout, System};

use bindings::exports::lockstep::handler::event_handler::{Event, Guest};
use bindings::lockstep::handler::types::Header;

mod bindings {
    wit_bindgen::generate!({ path: "../../../wit", world: "handler" });
    use super::Handler;
    export!(Handler);
}

struct Handler;

const OUTPUTS: usize = 1_000;

impl Guest for Handler {
    fn handle(event: Event) -> Vec<Event> {
        let plain = Event { topic: None, value: None, headers: vec![], ..event.clone() };
        if event.value.as_deref() == Some(b"headers") {
            let value = vec![b'x'; 4 << 10].leak();
            let mut header = || Header { name: "x".into(), value: share(value) };
            let headers = (0..1_000).map(|_| header()).collect::<Vec<_>>().leak();
            (0..OUTPUTS).map(|_| Event { headers: share(headers), ..plain.clone() }).collect()
        } else {
            let value = vec![b'x'; 4 << 20].leak();
            (0..OUTPUTS).map(|_| Event { value: Some(share(value)), ..plain.clone() }).collect()
        }
    }
}

/// One more owner of the same memory.
fn share<T>(memory: &mut [T]) -> Vec<T> {
    // SAFETY: against the rules of `Vec`, on purpose: this guest is hostile. Nothing writes to
    // the memory while it is shared and the allocator below never frees it, so that the only
    // victim can be a host that trusts the lengths it reads.
    unsafe { Vec::from_raw_parts(memory.as_mut_ptr(), memory.len(), memory.len()) }
}

/// Gives memory and never takes any back.
struct Leaky;

// SAFETY: `System` allocates; to free nothing is allowed.
unsafe impl GlobalAlloc for Leaky {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: the caller's promise is passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, _memory: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Leaky = Leaky;
