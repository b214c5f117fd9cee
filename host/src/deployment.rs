//! Handlers as they are deployed: a manifest and the component that it names.

pub mod manifest;
#[cfg(test)]
mod tests;

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
