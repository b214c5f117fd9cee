//! Certificates for a test: an authority of its own, made at run time and kept in memory.

use openssl::asn1::Asn1Time;
use openssl::bn::{BigNum, MsbOption};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::pkey::{PKey, Private};
use openssl::rsa::Rsa;
use openssl::x509::extension::{BasicConstraints, KeyUsage, SubjectAlternativeName};
use openssl::x509::{X509, X509Builder, X509Name, X509NameBuilder};

/// Bits of the keys: what managed services hand out.
const KEY_BITS: u32 = 2048;

/// Signs certificates.
pub struct Authority {
    certificate: X509,
    key: PKey<Private>,
}

/// A certificate and its key, in PEM (PKCS #8).
pub struct Identity {
    /// The certificate.
    pub certificate: String,
    /// The private key.
    pub key: String,
}

impl Authority {
    /// A new authority, trusted by nobody yet.
    pub fn new(name: &str) -> Self {
        Self::make(name).expect("a certificate needs nothing from outside")
    }

    /// The authority's own certificate, in PEM.
    pub fn pem(&self) -> String {
        text(self.certificate.to_pem())
    }

    /// A new certificate that is good for a server on this machine and for a client.
    pub fn sign(&self, name: &str) -> Identity {
        self.make_identity(name).expect("a certificate needs nothing from outside")
    }

    fn make(name: &str) -> Result<Self, ErrorStack> {
        let key = new_key()?;
        let subject = common_name(name)?;
        let mut builder = certificate(&subject, &subject, &key)?;
        builder.append_extension(BasicConstraints::new().critical().ca().build()?)?;
        builder.append_extension(KeyUsage::new().critical().key_cert_sign().build()?)?;
        builder.sign(&key, MessageDigest::sha256())?;
        Ok(Self { certificate: builder.build(), key })
    }

    fn make_identity(&self, name: &str) -> Result<Identity, ErrorStack> {
        let key = new_key()?;
        let subject = common_name(name)?;
        let mut builder = certificate(&subject, self.certificate.subject_name(), &key)?;
        let here = SubjectAlternativeName::new()
            .ip("127.0.0.1")
            .dns("localhost")
            .build(&builder.x509v3_context(Some(&self.certificate), None))?;
        builder.append_extension(here)?;
        builder.sign(&self.key, MessageDigest::sha256())?;
        let certificate = text(builder.build().to_pem());
        Ok(Identity { certificate, key: text(key.private_key_to_pem_pkcs8()) })
    }
}

fn new_key() -> Result<PKey<Private>, ErrorStack> {
    PKey::from_rsa(Rsa::generate(KEY_BITS)?)
}

fn common_name(name: &str) -> Result<X509Name, ErrorStack> {
    let mut builder = X509NameBuilder::new()?;
    builder.append_entry_by_text("CN", name)?;
    Ok(builder.build())
}

fn certificate(
    subject: &openssl::x509::X509NameRef,
    issuer: &openssl::x509::X509NameRef,
    key: &PKey<Private>,
) -> Result<X509Builder, ErrorStack> {
    let mut builder = X509::builder()?;
    builder.set_version(2)?; // counted from zero: X.509 v3
    let mut serial = BigNum::new()?;
    serial.rand(127, MsbOption::MAYBE_ZERO, false)?;
    builder.set_serial_number(serial.to_asn1_integer()?.as_ref())?;
    builder.set_subject_name(subject)?;
    builder.set_issuer_name(issuer)?;
    builder.set_pubkey(key)?;
    builder.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    builder.set_not_after(Asn1Time::days_from_now(2)?.as_ref())?;
    Ok(builder)
}

fn text(pem: Result<Vec<u8>, ErrorStack>) -> String {
    let pem = pem.expect("what was made can be written");
    String::from_utf8(pem).expect("PEM is ASCII")
}
