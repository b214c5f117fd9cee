//! Handlers as they are deployed: manifests, and the registry of a fleet, which lives in the log.
//!
//! [`record`] is what stands in the control topics, [`registry`] what it amounts to, [`operation`]
//! what can be done to it, [`store`] reads and writes it, [`hosts`] is what the hosts say of
//! themselves, [`assignment`] which partitions they have, and [`ownership`] who has which. [`logs`]
//! is what is said about handlers. By a [`trigger`] the workers of a host have a revision rolled back
//! that faults.

mod aliases;
pub mod assignment;
pub mod control;
pub mod fence;
pub mod hosts;
pub mod logs;
pub mod manifest;
pub mod one_host;
pub mod operation;
pub mod ownership;
pub mod record;
pub mod registry;
pub mod rollback;
pub mod store;
#[cfg(test)]
mod store_tests;
#[cfg(test)]
mod tests;
pub mod trigger;

pub use manifest::load;

use anyhow::Context;

use crate::handler::Handler;

/// Reads the component of a handler. The error says how to build one that is missing.
pub fn read_component(handler: &Handler) -> anyhow::Result<Vec<u8>> {
    let path = &handler.component;
    std::fs::read(path).with_context(|| {
        format!(
            "failed to read the component {:?} of handler {:?}; build it with `lockstep build` \
             in the handler's folder, or correct `component` in its handler.toml",
            path.display(),
            handler.name,
        )
    })
}
