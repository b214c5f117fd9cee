//! What a registry says an artifact is made of, and which part of it is the component.
//!
//! Pure: texts in, a descriptor or the reason out.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};
use serde::Deserialize;

use crate::digest::Digest;

/// What is asked for: artifacts of one manifest, and indexes of several.
pub(super) const ACCEPTED: [&str; 4] = [
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
];

/// The layers that are a component. The first one is that of the Wasm OCI artifact guidance,
/// which `wkg oci push` writes; the others are what Spin and older tools write.
pub(super) const WASM_LAYERS: [&str; 3] = [
    "application/wasm",
    "application/vnd.wasm.content.layer.v1+wasm",
    "application/vnd.module.wasm.content.layer.v1+wasm",
];
/// How the layers of container images begin.
const IMAGE_LAYERS: [&str; 2] =
    ["application/vnd.oci.image.layer.", "application/vnd.docker.image.rootfs."];
/// How the types of the configurations of Wasm artifacts begin.
const WASM_CONFIG: &str = "application/vnd.wasm.config.";
/// The architecture of Wasm in an index.
const WASM_ARCHITECTURE: &str = "wasm";

/// The types of the configurations of other things that lie in registries.
const OTHERS: [(&str, &str); 3] = [
    ("application/vnd.cncf.helm.", "a Helm chart"),
    ("application/vnd.dev.cosign.", "a signature of cosign"),
    ("application/vnd.cncf.flux.", "a Flux artifact"),
];

/// A document that stands behind a tag or a digest.
#[derive(Debug)]
pub(super) enum Document {
    /// One artifact.
    Manifest(Manifest),
    /// A choice of artifacts.
    Index(Index),
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Vec<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

#[derive(Debug, Deserialize)]
pub(super) struct Index {
    manifests: Vec<Descriptor>,
}

/// A blob or a manifest, by what it must be.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    media_type: String,
    digest: String,
    size: u64,
    artifact_type: Option<String>,
    platform: Option<Platform>,
}

#[derive(Debug, Deserialize)]
struct Platform {
    #[serde(default)]
    architecture: String,
    #[serde(default)]
    os: String,
}

/// What a document is told apart by.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Shape {
    schema_version: Option<u64>,
    manifests: Option<serde::de::IgnoredAny>,
    layers: Option<serde::de::IgnoredAny>,
}

impl Document {
    /// Reads a document. One that could be read as two kinds is refused.
    pub(super) fn parse(bytes: &[u8]) -> anyhow::Result<Self> {
        let shape: Shape = serde_json::from_slice(bytes).context("it is not JSON of a manifest")?;
        ensure!(
            shape.schema_version == Some(2),
            "it is written in a form that is no longer used (schemaVersion is not 2)"
        );
        match (shape.manifests, shape.layers) {
            (Some(_), None) => Ok(Self::Index(serde_json::from_slice(bytes)?)),
            (None, Some(_)) => Ok(Self::Manifest(serde_json::from_slice(bytes)?)),
            (Some(_), Some(_)) => bail!("it has both layers and manifests, and can be but one"),
            (None, None) => bail!("it has neither layers nor manifests"),
        }
    }
}

impl Descriptor {
    /// The digest that the content must have.
    pub(super) fn digest(&self) -> anyhow::Result<Digest> {
        Ok(self.digest.parse()?)
    }

    /// The length that the content must have.
    pub(super) fn size(&self) -> u64 {
        self.size
    }

    fn is_component(&self) -> bool {
        WASM_LAYERS.contains(&&*self.media_type)
    }

    /// Whether it says that it leads to a component.
    fn is_of_wasm(&self) -> bool {
        let by_platform =
            self.platform.as_ref().is_some_and(|p| p.architecture == WASM_ARCHITECTURE);
        let by_type = self.artifact_type.as_ref().is_some_and(|t| t.starts_with(WASM_CONFIG));
        by_platform || by_type
    }

    /// As messages show it in a list of others.
    fn shown(&self) -> String {
        match (&self.platform, &self.artifact_type) {
            (Some(Platform { architecture, os }), _) => format!("{os}/{architecture}"),
            (None, Some(artifact_type)) => artifact_type.clone(),
            (None, None) => self.media_type.clone(),
        }
    }
}

impl Manifest {
    /// The one layer that is the component.
    pub(super) fn component(&self) -> anyhow::Result<&Descriptor> {
        let mut components = self.layers.iter().filter(|layer| layer.is_component());
        match (components.next(), components.count()) {
            (Some(component), 0) => Ok(component),
            (None, _) => bail!(
                "it is {}, not a Wasm component, which has a layer of type {:?}; push one with \
                 `wkg oci push` or `oras push REFERENCE FILE:application/wasm`",
                self.what_it_is(),
                WASM_LAYERS[0]
            ),
            (Some(_), more) => bail!(
                "it holds {} components, and a handler is one; push each as an artifact of its \
                 own",
                more + 1
            ),
        }
    }

    /// What is kept with it.
    pub(super) fn into_annotations(self) -> BTreeMap<String, String> {
        self.annotations.unwrap_or_default()
    }

    /// What it seems to be, in words.
    fn what_it_is(&self) -> String {
        let config = self.config.as_ref().map(|config| &*config.media_type).unwrap_or_default();
        let artifact_type = self.artifact_type.as_deref().unwrap_or(config);
        let image_layer = |layer: &Descriptor| {
            IMAGE_LAYERS.iter().any(|image| layer.media_type.starts_with(image))
        };
        let known = OTHERS.iter().find(|(begin, _)| artifact_type.starts_with(begin));
        match known {
            Some((_, what)) => (*what).to_owned(),
            None if self.layers.iter().any(image_layer) => "a container image".to_owned(),
            None if self.layers.is_empty() => format!("an artifact of {artifact_type:?}, empty"),
            None => {
                let types: Vec<_> =
                    self.layers.iter().map(|l| format!("{:?}", l.media_type)).collect();
                format!("an artifact of {artifact_type:?} with layers of {}", listed(types))
            }
        }
    }
}

impl Index {
    /// The one manifest that is of a component.
    pub(super) fn component(&self) -> anyhow::Result<&Descriptor> {
        let of_wasm: Vec<_> = self.manifests.iter().filter(|entry| entry.is_of_wasm()).collect();
        match (&*of_wasm, &*self.manifests) {
            ([one], _) => Ok(one),
            // With nothing to choose from there is nothing to tell apart either.
            ([], [one]) if one.platform.is_none() => Ok(one),
            ([], all) => {
                let shown = all.iter().map(Descriptor::shown).collect();
                bail!("it is an index without a Wasm component; it holds {}", listed(shown))
            }
            (several, _) => {
                let shown = several.iter().map(|entry| entry.digest.clone()).collect();
                bail!(
                    "it is an index of several Wasm components; name one of them by its digest: {}",
                    listed(shown)
                )
            }
        }
    }
}

/// The first few, and how many there are besides.
fn listed(mut texts: Vec<String>) -> String {
    const SHOWN: usize = 8;
    texts.dedup();
    if texts.is_empty() {
        return "nothing".to_owned();
    }
    let more = texts.len().saturating_sub(SHOWN);
    texts.truncate(SHOWN);
    let rest = if more == 0 { String::new() } else { format!(" and {more} more") };
    texts.join(", ") + &rest
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const DIGEST: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";

    fn descriptor(media_type: &str) -> Value {
        json!({ "mediaType": media_type, "digest": DIGEST, "size": 3 })
    }

    fn manifest(config: &str, layers: &[&str]) -> Value {
        let layers: Vec<_> = layers.iter().map(|layer| descriptor(layer)).collect();
        json!({ "schemaVersion": 2, "config": descriptor(config), "layers": layers })
    }

    fn entry(os: &str, architecture: &str) -> Value {
        let mut entry = descriptor(ACCEPTED[0]);
        entry["platform"] = json!({ "os": os, "architecture": architecture });
        entry
    }

    fn index(entries: &[Value]) -> Value {
        json!({ "schemaVersion": 2, "manifests": entries })
    }

    /// The digest and the size of what is chosen, or the reason why nothing is.
    fn chosen(document: &Value) -> Result<(String, u64), String> {
        let chosen = || match Document::parse(document.to_string().as_bytes())? {
            Document::Manifest(manifest) => {
                manifest.component().map(|c| (c.digest.clone(), c.size))
            }
            Document::Index(index) => index.component().map(|c| (c.digest.clone(), c.size)),
        };
        chosen().map_err(|error: anyhow::Error| format!("{error:#}"))
    }

    #[test]
    fn a_component_is_found_in_what_the_usual_tools_push() {
        for (config, layers) in [
            ("application/vnd.wasm.config.v0+json", &["application/wasm"][..]),
            ("application/vnd.oci.empty.v1+json", &["application/wasm"]),
            ("application/vnd.unknown.config.v1+json", &["application/wasm"]),
            (
                "application/vnd.fermyon.spin.application.v1+config",
                &["application/vnd.wasm.content.layer.v1+wasm", "text/css"],
            ),
        ] {
            assert_eq!(chosen(&manifest(config, layers)), Ok((DIGEST.to_owned(), 3)), "{config}");
        }
    }

    #[test]
    fn what_is_no_component_is_said() {
        let image = "application/vnd.oci.image.config.v1+json";
        let helm = "application/vnd.cncf.helm.config.v1+json";
        for (document, parts) in [
            (manifest(image, &[IMAGE_LAYER; 3]), ["a container image", "application/wasm"]),
            (manifest(helm, &["application/x"]), ["a Helm chart", "wkg oci push"]),
            (manifest("application/x", &["text/a"; 9]), ["\"application/x\"", "of \"text/a\","]),
            (manifest("application/x", &[]), ["\"application/x\"", "empty"]),
            (manifest("application/x", &["application/wasm"; 2]), ["2 components", "each"]),
        ] {
            let error = chosen(&document).unwrap_err();
            assert!(parts.iter().all(|part| error.contains(part)), "{parts:?}: {error}");
        }
    }

    #[test]
    fn an_index_leads_to_its_one_component() {
        let mut typed = descriptor(ACCEPTED[0]);
        typed["artifactType"] = "application/vnd.wasm.config.v0+json".into();
        for entries in [
            &[descriptor(ACCEPTED[0])][..],
            &[entry("linux", "amd64"), entry("wasip2", "wasm")],
            &[entry("unknown", "unknown"), typed],
        ] {
            assert!(chosen(&index(entries)).is_ok(), "{entries:?}");
        }
    }

    #[test]
    fn an_index_without_one_component_is_refused_with_what_it_holds() {
        let linux = [entry("linux", "amd64"), entry("linux", "arm64")];
        let wasm = [entry("wasip1", "wasm"), entry("wasip2", "wasm")];
        for (entries, part) in [
            (&linux[..], "linux/amd64, linux/arm64"),
            (&linux[..1], "linux/amd64"),
            (&[], "holds nothing"),
            (&wasm, "several Wasm components"),
        ] {
            let error = chosen(&index(entries)).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }

    #[test]
    fn what_could_be_two_kinds_or_none_is_refused() {
        let mut both = manifest("application/x", &["application/wasm"]);
        both["manifests"] = json!([descriptor(ACCEPTED[0])]);
        let old = json!({ "schemaVersion": 1, "fsLayers": [] });
        for (document, part) in [
            (both, "both layers and manifests"),
            (json!({ "schemaVersion": 2 }), "neither"),
            (old, "no longer used"),
            (json!("x"), "not JSON of a manifest"),
        ] {
            let error = chosen(&document).unwrap_err();
            assert!(error.contains(part), "{error}");
        }
    }
}
