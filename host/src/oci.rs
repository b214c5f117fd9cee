//! Components in OCI registries: pulled by a reference, `oci://ghcr.io/acme/weather:1.2@sha256:…`,
//! and pushed.
//!
//! What is pulled is what the reference says: the digest of the manifest, then the size and the
//! digest of the component in it, are checked, and nothing is read without a bound. This module
//! knows registries, and not what a component is for: whether it is one at all, and one that
//! runs here, others say.

mod challenge;
mod docker_config;
mod http;
mod manifest;
mod push;
mod reference;
mod registry;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};

pub use push::{Artifact, Pushed, push};
pub use reference::{Reference, ReferenceError, SCHEME};

use crate::digest::Digest;
use manifest::{Document, Manifest};
use registry::Registry;

/// The largest component that is pulled, in bytes.
pub const MAX_COMPONENT: u64 = 256 << 20;

/// How registries are spoken to.
#[derive(Clone, Debug)]
pub struct Options {
    /// Whether with TLS.
    pub transport: Transport,
    /// A file with certificates, in PEM, of authorities that are trusted beside those that the
    /// machine trusts.
    pub authorities: Option<PathBuf>,
    /// Where `docker login` keeps passwords; `None` is `config.json` in `$DOCKER_CONFIG` or in
    /// `~/.docker`. Read only when a registry asks.
    pub docker_config: Option<PathBuf>,
    /// The longest time without a byte.
    pub silence: Duration,
}

/// Whether a registry is spoken to with TLS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Transport {
    /// With TLS, but not on this machine itself: `localhost:5000` seldom has it.
    #[default]
    Usual,
    /// With TLS in any case.
    Tls,
    /// Without, because the caller says so: passwords can be read on the way.
    Plain,
}

/// A component that was pulled.
#[derive(Debug)]
pub struct Pulled {
    /// Its bytes.
    pub component: Vec<u8>,
    /// The digest of the component.
    pub digest: Digest,
    /// The digest of what the reference names: the manifest, or the index that leads to it.
    pub manifest_digest: Digest,
    /// The reference with that digest: it will always lead to the same component.
    pub pinned: Reference,
    /// What was pushed with it, such as its signature.
    pub annotations: BTreeMap<String, String>,
    /// What the caller should tell people: that the reference names no digest, and which one it
    /// should name.
    pub warning: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            transport: Transport::default(),
            authorities: None,
            docker_config: None,
            silence: Duration::from_secs(30),
        }
    }
}

impl Transport {
    fn is_tls(self, loopback: bool) -> bool {
        self == Self::Tls || self == Self::Usual && !loopback
    }

    fn is_plain(self) -> bool {
        self == Self::Plain
    }
}

/// Pulls the component that a reference names. Blocks until it is there, or it is certain that it
/// will not come.
pub fn pull(reference: &Reference, options: &Options) -> anyhow::Result<Pulled> {
    let context = || format!("failed to pull \"{reference}\"");
    pull_from(&mut Registry::new(reference, options).with_context(context)?, reference)
        .with_context(context)
}

fn pull_from(registry: &mut Registry<'_>, reference: &Reference) -> anyhow::Result<Pulled> {
    let document = registry.manifest(&reference.version())?;
    let manifest_digest = Digest::of(&document);
    if let Some(wanted) = reference.digest() {
        check_digest("manifest", wanted, manifest_digest)?;
    }
    let manifest = match parse(&document, manifest_digest)? {
        Document::Manifest(manifest) => manifest,
        Document::Index(index) => chosen(registry, &index)?,
    };
    let layer = manifest.component()?;
    let (digest, size) = (layer.digest()?, layer.size());
    ensure!(
        size <= MAX_COMPONENT,
        "the component has {size} bytes, and the largest that is pulled has {MAX_COMPONENT}"
    );
    let component = registry.blob(&digest.to_string(), size)?;
    check_digest("component", digest, Digest::of(&component))?;
    let pinned = reference.pinned(manifest_digest);
    let warning = reference.digest().is_none().then(|| {
        format!(
            "\"{reference}\" is whatever was pushed there last; to get the same component every \
             time, name its digest: {pinned}"
        )
    });
    let annotations = manifest.into_annotations();
    Ok(Pulled { component, digest, manifest_digest, pinned, annotations, warning })
}

/// The one manifest of a component that an index leads to.
fn chosen(registry: &mut Registry<'_>, index: &manifest::Index) -> anyhow::Result<Manifest> {
    let entry = index.component()?;
    let digest = entry.digest()?;
    let document = registry.manifest(&digest.to_string())?;
    check_digest("manifest", digest, Digest::of(&document))?;
    match parse(&document, digest)? {
        Document::Manifest(manifest) => Ok(manifest),
        Document::Index(_) => bail!("it is an index of indexes, which are not followed"),
    }
}

fn parse(document: &[u8], digest: Digest) -> anyhow::Result<Document> {
    Document::parse(document).with_context(|| format!("failed to read manifest {digest}"))
}

fn check_digest(what: &str, wanted: Digest, found: Digest) -> anyhow::Result<()> {
    ensure!(
        wanted == found,
        "the {what} has digest {found} instead of {wanted}: the registry, or somebody on the way, \
         changed it"
    );
    Ok(())
}
