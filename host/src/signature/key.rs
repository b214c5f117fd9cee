//! Keys of ed25519: the private one that signs, the public one that checks, and the short id
//! that tells keys apart.

use std::fmt;
use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context as _, anyhow, bail};
use ring::rand::{SecureRandom as _, SystemRandom};
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};

use super::{Forged, Signature, message, pem};
use crate::digest::Digest;

/// The longest key file that is read: a key alone is shorter than 200 characters.
const MAX_FILE: u64 = 64 * 1024;
/// A private key is for its owner alone.
const PRIVATE_MODE: u32 = 0o600;
/// A public key is for everybody.
const PUBLIC_MODE: u32 = 0o644;

/// Names a key: the first eight bytes of the SHA-256 of its SubjectPublicKeyInfo, in
/// hexadecimal digits. `openssl pkey -pubin -outform DER | sha256sum` begins with it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 8]);

/// A text is not the id of a key.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not the id of a key: expected 16 of the digits 0-9 and a-f")]
pub struct KeyIdError(String);

/// Signs components.
pub struct PrivateKey(Ed25519KeyPair);

/// Checks signatures.
#[derive(Clone, PartialEq, Eq)]
pub struct PublicKey {
    bytes: [u8; pem::LENGTH],
    id: KeyId,
}

impl PrivateKey {
    /// Makes a new pair of keys in two new files, the private one here and the public one in
    /// [`PublicKey::file_of`] it. Nothing that exists is overwritten.
    pub fn create(file: &Path) -> anyhow::Result<Self> {
        let public_file = PublicKey::file_of(file);
        for taken in [file, &public_file] {
            if taken.symlink_metadata().is_ok() {
                bail!(
                    "{taken:?} exists already, and a lost key cannot be made again; name another"
                );
            }
        }
        let mut seed = [0; pem::LENGTH];
        SystemRandom::new()
            .fill(&mut seed)
            .map_err(|_| anyhow!("the operating system gave no random bytes for a key"))?;
        let text = pem::private_text(&seed);
        let key = Self::parse(&text).context("failed to use the key that was just made")?;
        write_new(file, PRIVATE_MODE, &text)?;
        write_new(&public_file, PUBLIC_MODE, &key.public().to_pem())?;
        Ok(key)
    }

    /// Reads a private key, unencrypted PKCS #8 in PEM.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = pem::read_text(file, MAX_FILE);
        text.and_then(|text| Self::parse(&text))
            .with_context(|| format!("failed to read the private key {file:?}"))
    }

    /// Reads a private key from PEM.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let der = pem::private_der(text)?;
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(der.secret_pkcs8_der());
        pair.map(Self).map_err(|why| {
            anyhow!(
                "it is no private key of ed25519 ({why}); `lockstep key generate release.key` \
                 makes one"
            )
        })
    }

    /// The public half.
    pub fn public(&self) -> PublicKey {
        let mut bytes = [0; pem::LENGTH];
        bytes.copy_from_slice(self.0.public_key().as_ref());
        PublicKey::new(bytes)
    }

    /// Signs the component of this digest.
    pub fn sign(&self, digest: &Digest) -> Signature {
        let mut bytes = [0; super::LENGTH];
        bytes.copy_from_slice(self.0.sign(&message(digest)).as_ref());
        Signature::new(self.public().id, bytes)
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PrivateKey({})", self.public().id)
    }
}

impl PublicKey {
    fn new(bytes: [u8; pem::LENGTH]) -> Self {
        let mut id = [0; 8];
        id.copy_from_slice(&Digest::of(&pem::public_der(&bytes)).as_bytes()[..8]);
        Self { bytes, id: KeyId(id) }
    }

    /// Where the public key of a private one lies: beside it, `release.key.pub`.
    pub fn file_of(private: &Path) -> PathBuf {
        let mut name = private.as_os_str().to_owned();
        name.push(".pub");
        name.into()
    }

    /// Reads a public key, SubjectPublicKeyInfo in PEM.
    pub fn read(file: &Path) -> anyhow::Result<Self> {
        let text = pem::read_text(file, MAX_FILE);
        text.and_then(|text| Self::parse(&text))
            .with_context(|| format!("failed to read the public key {file:?}"))
    }

    /// Reads a public key from PEM.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        pem::public_key(text).map(Self::new)
    }

    /// Reads the public key of a file with either half of a pair.
    pub fn read_either(file: &Path) -> anyhow::Result<Self> {
        let parse = |text: String| match pem::label(&text) {
            Some(label) if label.contains("PRIVATE") => {
                PrivateKey::parse(&text).map(|k| k.public())
            }
            _ => Self::parse(&text),
        };
        let key = pem::read_text(file, MAX_FILE).and_then(parse);
        key.with_context(|| format!("failed to read the key {file:?}"))
    }

    /// What tells it from other keys.
    pub fn id(&self) -> KeyId {
        self.id
    }

    /// The key in PEM.
    pub fn to_pem(&self) -> String {
        pem::public_text(&self.bytes)
    }

    /// Checks that the holder of this key signed the component of this digest.
    pub fn verify(&self, digest: &Digest, signature: &Signature) -> Result<(), Forged> {
        let key = UnparsedPublicKey::new(&ED25519, self.bytes);
        let good = key.verify(&message(digest), &signature.bytes).is_ok();
        if good && signature.key == self.id {
            Ok(())
        } else {
            Err(Forged { key: self.id, digest: *digest })
        }
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.id)
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for KeyId {
    type Err = KeyIdError;

    fn from_str(text: &str) -> Result<Self, KeyIdError> {
        let digits = |c: char| c.is_ascii_digit() || ('a'..='f').contains(&c);
        let number = u64::from_str_radix(text, 16).ok();
        let number = number.filter(|_| text.len() == 16 && text.chars().all(digits));
        let number = number.ok_or_else(|| KeyIdError(text.to_owned()))?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Writes a file that is not there yet, and makes sure that it stays.
fn write_new(file: &Path, mode: u32, text: &str) -> anyhow::Result<()> {
    let write = || {
        let mut new = OpenOptions::new().write(true).create_new(true).mode(mode).open(file)?;
        new.write_all(text.as_bytes())?;
        new.sync_all()
    };
    write().with_context(|| format!("failed to write {file:?}"))
}
