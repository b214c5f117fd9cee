//! Accepts orders: checks them, adds currency and tax, keys them by customer.
//!
//! This file is the component: it reads the settings and tells what can be tried again from
//! what cannot. What an order is, is in [`order`]; what can be set, in [`settings`].

mod order;
mod settings;

use bindings::exports::lockstep::handler::fallible_event_handler::{Event, Failure, Guest};
use bindings::wasi::config::store;
use settings::Settings;

mod bindings {
    wit_bindgen::generate!({
        path: ["../../wit", "../wit/wasi-config"],
        inline: "
            package lockstep-examples:orders;

            world orders {
                import wasi:config/store@0.2.0-rc.1;
                include lockstep:handler/fallible-handler@0.1.0;
            }
        ",
        world: "lockstep-examples:orders/orders",
        generate_all,
    });
    use super::Orders;
    export!(Orders);
}

struct Orders;

impl Guest for Orders {
    fn handle(event: Event) -> Result<Vec<Event>, Failure> {
        // The order is not to blame for bad settings: it waits for a revision with good ones.
        let settings = Settings::read(setting).map_err(Failure::Retryable)?;

        let value = event
            .value
            .as_deref()
            .ok_or_else(|| Failure::Permanent("an order is expected, not a tombstone".into()))?;
        let accepted = order::accept(value, &settings).map_err(Failure::Permanent)?;

        // A call to another service would stand here, and could fail for a while.
        if settings.is_unavailable(&accepted.customer) {
            let customer = &accepted.customer;
            return Err(Failure::Retryable(format!("no answer about customer {customer:?}")));
        }

        let key = Some(accepted.customer.into_bytes());
        Ok(vec![Event { topic: None, key, value: Some(accepted.json), ..event }])
    }
}

/// The value of a key of the manifest's `config` section.
fn setting(key: &str) -> Result<Option<String>, String> {
    store::get(key).map_err(|error| format!("failed to read setting {key:?}: {error}"))
}
