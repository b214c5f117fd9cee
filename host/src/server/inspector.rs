//! What this host could not run is refused before it is deployed through it.

use std::sync::Arc;

use anyhow::bail;

use crate::admin::Inspector;
use crate::config::{self, HostConfig};
use crate::digest::Digest;
use crate::fleet::{Error, Fleet, Parcel};
use crate::handler::Handler;
use crate::wasm::Runtime;

/// Checks what is to be deployed as this host does before it runs it.
pub(super) struct HostInspector {
    pub(super) config: HostConfig,
    /// The handlers of the host's own configuration.
    pub(super) own: Vec<Handler>,
    pub(super) sandbox: Arc<Runtime>,
    pub(super) fleet: Fleet,
}

impl Inspector for HostInspector {
    fn inspect(&self, parcel: &Parcel) -> Result<(), Error> {
        let handler = parcel.handler().map_err(|error| Error::Invalid(error.into()))?;
        let others = self.fleet.others(&handler.name)?;
        self.check(parcel, handler, others).map_err(Error::Invalid)
    }
}

impl HostInspector {
    fn check(&self, parcel: &Parcel, handler: Handler, others: Vec<Handler>) -> anyhow::Result<()> {
        check_own(&self.config, &self.own, &handler.name)?;
        if let Some(trusted) = &self.config.trusted_keys {
            trusted.check(&Digest::of(parcel.component()), parcel.signature())?;
        }
        let all: Vec<_> = self.own.iter().cloned().chain(others).chain([handler]).collect();
        config::cross_check(&self.config, &all)?;
        parcel.check(&self.sandbox).map(drop)
    }
}

/// Refuses to run what is deployed under a name that the host's own configuration has.
pub(super) fn check_own(config: &HostConfig, own: &[Handler], name: &str) -> anyhow::Result<()> {
    if own.iter().any(|own| own.name == name) {
        bail!(
            "handler {name:?} is in the configuration of this host, which goes first; take it out \
             of {:?}, or deploy under another name",
            config.file
        );
    }
    Ok(())
}
