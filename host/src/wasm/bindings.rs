//! The Rust side of `wit/handler.wit`, generated.
//!
//! Both interfaces are bound in one world, so that they share their types; which of the two a
//! component exports is decided elsewhere. Parameters borrow (`EventParam<'a>`), results own.

mod generated {
    #![allow(missing_docs, unreachable_pub, reason = "generated code")]

    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package lockstep:host;

            world contract {
                export lockstep:handler/event-handler@0.1.0;
                export lockstep:handler/fallible-event-handler@0.1.0;
            }
        ",
        ownership: Borrowing { duplicate_if_necessary: true },
    });
}

pub(super) use generated::exports::lockstep::handler::{event_handler, fallible_event_handler};
pub(super) use generated::lockstep::handler::types;
