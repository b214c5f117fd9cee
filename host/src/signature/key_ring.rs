//! The keys that are trusted: several, so that one can follow another without a gap.

use std::fmt;

use super::{Forged, KeyId, PublicKey, Signature};
use crate::digest::Digest;

/// Public keys, each with the place that it came from. A component is trusted when any of them
/// signed it.
#[derive(Clone, Debug)]
pub struct KeyRing(Vec<Trusted>);

/// A key, and where it was read from.
#[derive(Clone, Debug)]
struct Trusted {
    key: PublicKey,
    origin: String,
}

/// Why a component may not run here.
#[derive(Debug, thiserror::Error)]
pub enum Untrusted {
    /// It has no signature.
    #[error(
        "component {digest} is not signed, and only what is signed by {trusted} may run here; \
         sign it with `lockstep sign <component.wasm> --key <private key>`"
    )]
    Unsigned {
        /// The component.
        digest: Digest,
        /// The keys that could have signed it, as text.
        trusted: String,
    },
    /// It is signed by somebody who is not trusted.
    #[error(
        "component {digest} is signed by key {signer}, which is not trusted here; trusted is what \
         is signed by {trusted}"
    )]
    Unknown {
        /// The component.
        digest: Digest,
        /// The key that signed it.
        signer: KeyId,
        /// The keys that could have signed it, as text.
        trusted: String,
    },
    /// It is said to be signed by a trusted key, which is not true.
    #[error(transparent)]
    Forged(#[from] Forged),
}

impl KeyRing {
    /// Trusts this key, which came from `origin`.
    pub fn of(key: PublicKey, origin: impl Into<String>) -> Self {
        Self(vec![Trusted { key, origin: origin.into() }])
    }

    /// Trusts one more key. When it is there already, gives the place that it came from, and
    /// changes nothing.
    pub fn add(&mut self, key: PublicKey, origin: impl Into<String>) -> Result<(), String> {
        match self.find(key.id()) {
            Some(known) => Err(known.origin.clone()),
            None => {
                self.0.push(Trusted { key, origin: origin.into() });
                Ok(())
            }
        }
    }

    /// The ids of the keys, in the order in which they were added.
    pub fn ids(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|trusted| trusted.key.id())
    }

    /// Checks that one of the keys signed the component of this digest.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> Result<(), Untrusted> {
        let signer = signature.key();
        match self.find(signer) {
            Some(trusted) => Ok(trusted.key.verify(digest, signature)?),
            None => Err(Untrusted::Unknown { digest: *digest, signer, trusted: self.to_string() }),
        }
    }

    /// As [`KeyRing::verify`], for a component that may have no signature: then it is refused.
    pub fn check(&self, digest: &Digest, signature: Option<&Signature>) -> Result<(), Untrusted> {
        match signature {
            Some(signature) => self.verify(digest, signature),
            None => Err(Untrusted::Unsigned { digest: *digest, trusted: self.to_string() }),
        }
    }

    fn find(&self, id: KeyId) -> Option<&Trusted> {
        self.0.iter().find(|trusted| trusted.key.id() == id)
    }
}

/// `key 0123456789abcdef ("release.pub") or key …`.
impl fmt::Display for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, Trusted { key, origin }) in self.0.iter().enumerate() {
            let or = if index == 0 { "" } else { " or " };
            write!(f, "{or}key {} ({origin:?})", key.id())?;
        }
        Ok(())
    }
}
