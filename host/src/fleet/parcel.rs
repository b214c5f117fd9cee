//! What is deployed: a component, and the manifest that goes with it.

use std::path::PathBuf;
use std::sync::Arc;

use toml::Table;

use crate::config::ConfigError;
use crate::deployment::manifest;
use crate::handler::Handler;
use crate::revision::Revision;
use crate::signature::Signature;
use crate::wasm::Runtime;

/// What stands for the component's file in a manifest that is deployed: the registry has its
/// bytes.
const COMPONENT: &str = "component.wasm";
/// What hosts have no use for.
const NOT_DEPLOYED: [&str; 2] = ["build", "test"];

/// A component and its manifest, not deployed yet.
pub struct Parcel {
    /// Where the manifest is from, for errors.
    origin: PathBuf,
    manifest: String,
    component: Vec<u8>,
    signature: Option<Signature>,
}

impl Parcel {
    /// A component with this manifest, of which what hosts have no use for is left out. `origin`
    /// names the manifest in errors.
    pub fn new(
        origin: impl Into<PathBuf>,
        mut manifest: Table,
        component: Vec<u8>,
        signature: Option<Signature>,
    ) -> Self {
        for key in NOT_DEPLOYED {
            manifest.remove(key);
        }
        manifest.insert("component".to_owned(), COMPONENT.into());
        Self { origin: origin.into(), manifest: manifest.to_string(), component, signature }
    }

    /// The handler that the manifest describes.
    pub fn handler(&self) -> Result<Handler, ConfigError> {
        let mut handler = manifest::parse(&self.origin, &self.manifest)?;
        handler.component = self.origin.with_file_name(COMPONENT);
        Ok(handler)
    }

    /// Checks that the component runs as the manifest says, on the engine of this program: a host
    /// of the same release then loads it too. Takes up to seconds, on the caller's thread.
    pub fn check(&self, sandbox: &Runtime) -> anyhow::Result<Arc<Handler>> {
        Ok(Revision::of(sandbox, self.handler()?, &self.component)?.handler)
    }

    /// The manifest, as it will stand in the registry.
    pub fn manifest(&self) -> &str {
        &self.manifest
    }

    /// The bytes of the component.
    pub fn component(&self) -> &[u8] {
        &self.component
    }

    /// The signature of the component, when it is signed.
    pub fn signature(&self) -> Option<&Signature> {
        self.signature.as_ref()
    }
}
