//! The files that keys lie in: PKCS #8 and SubjectPublicKeyInfo, in PEM, as `openssl` has them.

use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use anyhow::{Context as _, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{PrivatePkcs8KeyDer, SubjectPublicKeyInfoDer};

/// Bytes of a public key, and of the seed that is a private one.
pub(super) const LENGTH: usize = 32;

/// What comes before the seed in the PKCS #8 (version 1) of an ed25519 key (RFC 8410): the whole
/// structure has a fixed length, so that all before the seed is fixed too.
const PRIVATE_PREFIX: [u8; 16] =
    [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// What comes before the key in the SubjectPublicKeyInfo of an ed25519 key (RFC 8410).
const PUBLIC_PREFIX: [u8; 12] = [0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 3, 0x21, 0];

const PRIVATE_LABEL: &str = "PRIVATE KEY";
const PUBLIC_LABEL: &str = "PUBLIC KEY";
/// Begins a section and names what is in it.
const BEGIN: &str = "-----BEGIN ";
/// How keys are made, for messages.
const HOW: &str = "`lockstep key generate release.key` makes a pair";

/// The PKCS #8 of a private key in this text.
pub(super) fn private_der(text: &str) -> anyhow::Result<PrivatePkcs8KeyDer<'static>> {
    match PrivatePkcs8KeyDer::from_pem_slice(text.as_bytes()) {
        Ok(der) => Ok(der),
        Err(rustls_pki_types::pem::Error::NoItemsFound) => bail!(match label(text) {
            Some("ENCRYPTED PRIVATE KEY") =>
                "the private key is encrypted; decrypt it first: `openssl pkey -in FILE -out \
                 FILE.plain`"
                    .to_owned(),
            Some("OPENSSH PRIVATE KEY") =>
                format!("a key of OpenSSH is not in PKCS #8, the form needed here; {HOW}"),
            Some(PUBLIC_LABEL) =>
                "it is the public key; what signs is the private one, usually the same name \
                 without .pub"
                    .to_owned(),
            Some(other) =>
                format!("it holds a {other:?}, and a {PRIVATE_LABEL:?} is needed; {HOW}"),
            None => format!("it holds no private key in PEM; {HOW}"),
        }),
        Err(error) => bail!("its PEM is broken: {error}"),
    }
}

/// The one public key of ed25519 in this text.
pub(super) fn public_key(text: &str) -> anyhow::Result<[u8; LENGTH]> {
    let sections: Vec<SubjectPublicKeyInfoDer<'_>> =
        SubjectPublicKeyInfoDer::pem_slice_iter(text.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|error| anyhow::anyhow!("its PEM is broken: {error}"))?;
    let [section] = &*sections else {
        ensure!(sections.is_empty(), "it holds {} keys; give each a file", sections.len());
        bail!(match label(text) {
            Some(label) if label.ends_with(PRIVATE_LABEL) =>
                "it is a private key; name the public one, usually the same name with .pub, and \
                 keep the private one where signatures are made"
                    .to_owned(),
            Some(other) => format!("it holds a {other:?}, and a {PUBLIC_LABEL:?} is needed; {HOW}"),
            None => format!("it holds no public key in PEM; {HOW}"),
        });
    };
    let key = section.strip_prefix(&PUBLIC_PREFIX).and_then(|key| key.try_into().ok());
    key.with_context(|| format!("it is a public key of another kind than ed25519; {HOW}"))
}

/// The DER of a public key, which ids are made of.
pub(super) fn public_der(key: &[u8; LENGTH]) -> Vec<u8> {
    [&PUBLIC_PREFIX, &key[..]].concat()
}

/// A public key in PEM.
pub(super) fn public_text(key: &[u8; LENGTH]) -> String {
    armour(PUBLIC_LABEL, &public_der(key))
}

/// The private key that has this seed, in PEM.
pub(super) fn private_text(seed: &[u8; LENGTH]) -> String {
    armour(PRIVATE_LABEL, &[&PRIVATE_PREFIX, &seed[..]].concat())
}

/// Both structures fit in one line of PEM, which takes 48 bytes.
fn armour(label: &str, der: &[u8]) -> String {
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", STANDARD.encode(der))
}

/// What the first section of a PEM text is said to hold.
pub(super) fn label(text: &str) -> Option<&str> {
    let (_, rest) = text.split_once(BEGIN)?;
    rest.split_once("-----").map(|(label, _)| label)
}

/// Reads a small file of text.
pub(super) fn read_text(file: &Path, limit: u64) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    File::open(file)?.take(limit + 1).read_to_end(&mut bytes)?;
    ensure!(bytes.len() as u64 <= limit, "it is longer than {limit} bytes");
    String::from_utf8(bytes).map_err(|_| anyhow::anyhow!("it is not text"))
}
