//! `[signatures]`: the keys one of which must have signed what runs here.

use std::path::Path;

use serde::Deserialize;

use super::checked::Checked;
use super::error::ConfigError;
use super::names::FilePath;
use crate::signature::{KeyRing, PublicKey};

const KEY: &str = "signatures.trusted";

/// `[signatures]` as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignaturesToml {
    trusted: Vec<Checked<FilePath>>,
}

/// Reads the keys that a file names, relative to it.
pub(super) fn key_ring(file: &Path, toml: SignaturesToml) -> Result<KeyRing, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let mut ring: Option<KeyRing> = None;
    for (index, named) in toml.trusted.into_iter().enumerate() {
        let wrong = |problem: String, fix: &str| {
            Err(ConfigError::new(file, format!("{KEY}[{index}]"), problem, fix))
        };
        let shown = named.0.display().to_string();
        let key = match PublicKey::read(&folder.join(named.0)) {
            Ok(key) => key,
            Err(error) => {
                return wrong(
                    format!("{error:#}"),
                    "name the file of a public key, relative to this file, for example \
                     \"release.key.pub\" of `lockstep key generate release.key`",
                );
            }
        };
        let id = key.id();
        match &mut ring {
            None => ring = Some(KeyRing::of(key, shown)),
            Some(ring) => {
                if let Err(other) = ring.add(key, &shown) {
                    let problem = format!("{shown:?} is the same key {id} as {other:?}");
                    return wrong(problem, "list every key once");
                }
            }
        }
    }
    ring.ok_or_else(|| {
        let problem = "names no key, so that no component could run";
        let fix = "name the files of public keys, or remove [signatures] to run what is not signed";
        ConfigError::new(file, KEY, problem, fix)
    })
}
