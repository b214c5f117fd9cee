//! Components to registries, as the Wasm OCI artifact guidance and `wkg oci push` have them.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde::Serialize;
use ureq::Body;
use ureq::http::header::{CONTENT_TYPE, LOCATION};
use ureq::http::{Response, StatusCode, Uri};

use super::manifest::{ACCEPTED, WASM_LAYERS};
use super::registry::{Registry, with};
use super::{MAX_COMPONENT, Options, Reference};
use crate::digest::Digest;

/// The type of the configuration of a Wasm artifact.
const CONFIG: &str = "application/vnd.wasm.config.v0+json";
/// When a component was made is not known, and the same one should get the same digest.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// A component that is to be pushed, and what is told of it.
#[derive(Clone, Copy, Debug)]
pub struct Artifact<'a> {
    /// The bytes.
    pub component: &'a [u8],
    /// The names of what it imports.
    pub imports: &'a [String],
    /// The names of what it exports.
    pub exports: &'a [String],
    /// What else is to be kept with it, such as its signature.
    pub annotations: &'a BTreeMap<String, String>,
}

/// A component that was pushed.
#[derive(Debug)]
pub struct Pushed {
    /// The digest of the component.
    pub digest: Digest,
    /// The digest of the manifest. The same artifact always has the same.
    pub manifest_digest: Digest,
    /// The reference with that digest.
    pub pinned: Reference,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    created: &'a str,
    architecture: &'a str,
    os: &'a str,
    layer_digests: [String; 1],
    component: Component<'a>,
}

#[derive(Serialize)]
struct Component<'a> {
    exports: &'a [String],
    imports: &'a [String],
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Manifest<'a> {
    schema_version: u32,
    media_type: &'a str,
    config: Descriptor<'a>,
    layers: [Descriptor<'a>; 1],
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor<'a> {
    media_type: &'a str,
    digest: String,
    size: usize,
}

/// Pushes a component under the tag of a reference. Blocks until the registry has it.
pub fn push(
    reference: &Reference,
    artifact: &Artifact<'_>,
    options: &Options,
) -> anyhow::Result<Pushed> {
    let context = || format!("failed to push \"{reference}\"");
    Registry::new(reference, options)
        .and_then(|mut registry| push_to(&mut registry, reference, artifact))
        .with_context(context)
}

fn push_to(
    registry: &mut Registry<'_>,
    reference: &Reference,
    artifact: &Artifact<'_>,
) -> anyhow::Result<Pushed> {
    let Some(tag) = reference.tag().filter(|_| reference.digest().is_none()) else {
        bail!("what is pushed gets its digest by that; name a tag alone");
    };
    let length = artifact.component.len();
    ensure!(
        length as u64 <= MAX_COMPONENT,
        "the component has {length} bytes, and the largest that can be pulled has {MAX_COMPONENT}"
    );
    let digest = Digest::of(artifact.component);
    let config = serde_json::to_vec(&Config {
        created: CREATED,
        architecture: "wasm",
        os: "wasip2",
        layer_digests: [digest.to_string()],
        component: Component { exports: artifact.exports, imports: artifact.imports },
    })?;
    let manifest = serde_json::to_vec(&Manifest {
        schema_version: 2,
        media_type: ACCEPTED[0],
        config: descriptor(CONFIG, &config),
        layers: [descriptor(WASM_LAYERS[0], artifact.component)],
        annotations: artifact.annotations,
    })?;
    upload(registry, &config)?;
    upload(registry, artifact.component)?;
    let url = registry.url(&format!("manifests/{tag}"));
    let answer = registry.exchange(&|agent, authorization| {
        let request = agent.put(&url).header(CONTENT_TYPE, ACCEPTED[0]);
        with(request, authorization).send(&manifest)
    })?;
    let what = format!("a manifest for {:?} at {tag:?}", reference.repository());
    expect(registry, answer, StatusCode::CREATED, &what)?;
    let manifest_digest = Digest::of(&manifest);
    Ok(Pushed { digest, manifest_digest, pinned: reference.pinned(manifest_digest) })
}

fn descriptor<'a>(media_type: &'a str, content: &[u8]) -> Descriptor<'a> {
    Descriptor { media_type, digest: Digest::of(content).to_string(), size: content.len() }
}

/// Uploads content that the registry has not got yet.
fn upload(registry: &mut Registry<'_>, content: &[u8]) -> anyhow::Result<()> {
    let digest = Digest::of(content).to_string();
    let what = format!("blob {digest}");
    let url = registry.url(&format!("blobs/{digest}"));
    let there =
        registry.exchange(&|agent, authorization| with(agent.head(&url), authorization).call())?;
    if there.status() == StatusCode::OK {
        return Ok(());
    }
    let url = registry.url("blobs/uploads/");
    let begun = registry
        .exchange(&|agent, authorization| with(agent.post(&url), authorization).send_empty())?;
    let begun = expect(registry, begun, StatusCode::ACCEPTED, &what)?;
    let (url, own) = location(registry, &begun)?;
    let done = registry.exchange(&|agent, authorization| {
        let request = agent.put(&url).query("digest", &digest);
        let request = request.header(CONTENT_TYPE, "application/octet-stream");
        with(request, authorization.filter(|_| own)).send(content)
    })?;
    expect(registry, done, StatusCode::CREATED, &what).map(drop)
}

/// Where an upload goes on, and whether that is at the registry itself, which alone is told who
/// asks.
fn location(registry: &Registry<'_>, begun: &Response<Body>) -> anyhow::Result<(String, bool)> {
    let location = begun.headers().get(LOCATION).and_then(|location| location.to_str().ok());
    let location = location.context("the registry says not where to upload to")?;
    if location.starts_with('/') {
        return Ok((format!("{}{location}", registry.origin()), true));
    }
    let wrong = || format!("the registry says to upload to {location:?}, which is no URL");
    let uri: Uri = location.parse().with_context(wrong)?;
    let authority = uri.authority().with_context(wrong)?.as_str();
    Ok((location.to_owned(), registry.origin().ends_with(&format!("://{authority}"))))
}

fn expect(
    registry: &Registry<'_>,
    answer: Response<Body>,
    status: StatusCode,
    what: &str,
) -> anyhow::Result<Response<Body>> {
    if answer.status() == status { Ok(answer) } else { Err(registry.refusal(answer, what)) }
}
