//! Signatures of components: who made what may run here.
//!
//! A signature is one of ed25519 over the digest of a component, in a message of its own kind
//! that nothing else signs. Keys lie in files as `openssl` writes and reads them. This module
//! says whether a signature is good; it knows neither where components come from nor what
//! happens to those without one.

mod key;
mod key_ring;
mod pem;

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::Context as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub use key::{KeyId, PrivateKey, PublicKey};
pub use key_ring::{KeyRing, Untrusted};

use crate::digest::Digest;

/// The annotation that carries the signature of a component in a registry.
pub const ANNOTATION: &str = "lockstep.signature";

/// Begins what is signed, so that a signature made for something else is none of a component.
const DOMAIN: &str = "lockstep component signature v1\n";
/// The one algorithm there is.
const ALGORITHM: &str = "ed25519";
/// Bytes of a signature of ed25519.
const LENGTH: usize = 64;
/// The longest signature file that is read: the text is 112 characters long.
const MAX_FILE: u64 = 4096;

/// A signature of a component, with the id of the key that made it.
///
/// Displayed as `ed25519:<id of the key>:<base64>`, which fits in a header, an annotation or a
/// file of one line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    key: KeyId,
    bytes: [u8; LENGTH],
}

/// A text is no signature.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no signature: expected \"ed25519:\", the 16 hexadecimal digits of the id of a key, \
     \":\" and 64 bytes in base64, as `lockstep sign` prints it"
)]
pub struct SignatureError(String);

/// A good signature was expected, and this one is none of this component by this key.
#[derive(Debug, thiserror::Error)]
#[error(
    "the signature by key {key} is none of component {digest}: the component or the signature \
     was changed after signing, or they belong to different components"
)]
pub struct Forged {
    /// The key that it is said to be made with.
    pub key: KeyId,
    /// The component.
    pub digest: Digest,
}

impl Signature {
    /// The id of the key that it is said to be made with.
    pub fn key(&self) -> KeyId {
        self.key
    }

    /// Reads the file that `lockstep sign` writes.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = pem::read_text(file, MAX_FILE)
            .with_context(|| format!("failed to read the signature {file:?}"))?;
        text.trim().parse().with_context(|| format!("{file:?} holds no signature"))
    }

    /// Where the signature of a component file lies: beside it, `weather.wasm.sig`.
    pub fn file_of(component: &Path) -> PathBuf {
        let mut name = OsString::from(component);
        name.push(".sig");
        name.into()
    }

    fn new(key: KeyId, bytes: [u8; LENGTH]) -> Self {
        Self { key, bytes }
    }
}

/// What is signed for a component of this digest.
fn message(digest: &Digest) -> Vec<u8> {
    format!("{DOMAIN}{digest}").into_bytes()
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{ALGORITHM}:{}:{}", self.key, STANDARD.encode(self.bytes))
    }
}

impl FromStr for Signature {
    type Err = SignatureError;

    fn from_str(text: &str) -> Result<Self, SignatureError> {
        let parse = || {
            let rest = text.strip_prefix(ALGORITHM)?.strip_prefix(':')?;
            let (key, bytes) = rest.split_once(':')?;
            let bytes = STANDARD.decode(bytes).ok()?.try_into().ok()?;
            Some(Self { key: key.parse().ok()?, bytes })
        };
        parse().ok_or_else(|| SignatureError(text.chars().take(2 * LENGTH).collect()))
    }
}

#[cfg(test)]
mod tests;
