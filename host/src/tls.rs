//! TLS for a listener: the certificate it shows, and the one it asks its clients for.
//!
//! TLS 1.2 and 1.3, HTTP/2 and HTTP/1.1 by ALPN. With a `client_ca`, a connection without a
//! certificate from it comes to nothing. Files are read again when they change; connections that
//! are open keep what they began with. Knows nothing of HTTP beyond the two names.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject as _};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::{InconsistentKeys, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::{ConfigError, TlsConfig};
use crate::private_file::warn_when_shared;
use crate::reload::{Reloaded, Source};

/// What clients may ask for, the best first.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// The TLS of one listener. Cloning shares it.
#[derive(Clone, Debug)]
pub struct Tls(Reloaded<ServerConfig>);

impl Tls {
    /// Reads the files that a configuration names, now and, through the source, whenever they
    /// change.
    pub fn open(
        file: &Path,
        config: &TlsConfig,
    ) -> anyhow::Result<(Self, Source<impl Send + Sync + 'static>)> {
        let files = [Some(&config.cert), Some(&config.key), config.client_ca.as_ref()];
        let files = files.into_iter().flatten().cloned().collect();
        let (file, config) = (file.to_owned(), config.clone());
        let read = move || {
            let read = load(&file, &config)?;
            warn_when_shared(&config.key, "a private key");
            Ok(read)
        };
        let source = Source::open("certificates", files, read)?;
        Ok((Self(source.value()), source))
    }

    /// Makes a connection secure. Waits for the client as long as that takes.
    pub async fn accept(&self, tcp: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        TlsAcceptor::from(self.0.get()).accept(tcp).await
    }
}

/// Reads the files that a configuration names, and finds out whether they belong together.
pub fn load(file: &Path, config: &TlsConfig) -> Result<ServerConfig, ConfigError> {
    Files { file, config, provider: Arc::new(ring::default_provider()) }.load()
}

struct Files<'a> {
    /// The configuration.
    file: &'a Path,
    config: &'a TlsConfig,
    provider: Arc<CryptoProvider>,
}

impl Files<'_> {
    fn load(&self) -> Result<ServerConfig, ConfigError> {
        let identity = self.identity()?;
        let clients = self.clients()?;
        let builder = ServerConfig::builder_with_provider(Arc::clone(&self.provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| self.wrong("cert", error, "report this: it is a defect"))?;
        let builder = match clients {
            Some(verifier) => builder.with_client_cert_verifier(verifier),
            None => builder.with_no_client_auth(),
        };
        let mut config = builder.with_cert_resolver(Arc::new(SingleCertAndKey::from(identity)));
        config.alpn_protocols = PROTOCOLS.map(<[u8]>::to_vec).into();
        Ok(config)
    }

    /// The certificate, its chain and its key.
    fn identity(&self) -> Result<CertifiedKey, ConfigError> {
        let TlsConfig { cert, key, .. } = self.config;
        let chain = self.certificates("cert", cert)?;
        let fix = "name a file with an unencrypted private key in PEM, for example \"server.key\"";
        // What is wrong with a key is not told in its own words.
        let der = PrivateKeyDer::from_pem_file(key).map_err(|error| match error {
            pem::Error::Io(error) => self.unreadable("key", key, &error),
            _ => self.wrong("key", format!("{} holds no private key", shown(key)), fix),
        })?;
        let signer = self.provider.key_provider.load_private_key(der).map_err(|_| {
            let problem = format!("{} holds no key of a kind that can be used", shown(key));
            self.wrong(
                "key",
                problem,
                "use an RSA key of 2048 to 8192 bits, P-256, P-384 or Ed25519",
            )
        })?;
        let identity = CertifiedKey::new(chain, signer);
        match identity.keys_match() {
            Ok(()) | Err(rustls::Error::InconsistentKeys(InconsistentKeys::Unknown)) => {
                Ok(identity)
            }
            Err(rustls::Error::InconsistentKeys(_)) => {
                let problem = format!(
                    "{} does not belong to the first certificate in {}",
                    shown(key),
                    shown(cert)
                );
                Err(self.wrong("key", problem, "name the key that the certificate was made for"))
            }
            Err(error) => {
                let problem =
                    format!("{} holds a certificate that is broken: {error}", shown(cert));
                Err(self.wrong("cert", problem, "name a certificate of X.509 version 3 in PEM"))
            }
        }
    }

    /// What checks the certificates of clients, if they need any.
    fn clients(&self) -> Result<Option<Arc<dyn ClientCertVerifier>>, ConfigError> {
        let Some(path) = &self.config.client_ca else { return Ok(None) };
        let wrong = |error: &dyn std::fmt::Display| {
            let problem = format!("{} holds no authority for clients: {error}", shown(path));
            self.wrong("client_ca", problem, "name the certificates of authorities in PEM")
        };
        let mut roots = RootCertStore::empty();
        for certificate in self.certificates("client_ca", path)? {
            roots.add(certificate).map_err(|error| wrong(&error))?;
        }
        let provider = Arc::clone(&self.provider);
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        verifier.build().map(Some).map_err(|error| wrong(&error))
    }

    /// All the certificates in a file; at least one.
    fn certificates(
        &self,
        key: &str,
        path: &Path,
    ) -> Result<Vec<CertificateDer<'static>>, ConfigError> {
        let read = CertificateDer::pem_file_iter(path).and_then(Iterator::collect);
        let fix = "name a file with certificates in PEM, for example \"server.pem\"";
        match read {
            Ok(certificates) if !Vec::is_empty(&certificates) => Ok(certificates),
            Ok(_) => Err(self.wrong(key, format!("{} holds no certificate", shown(path)), fix)),
            Err(pem::Error::Io(error)) => Err(self.unreadable(key, path, &error)),
            Err(error) => Err(self.wrong(key, format!("{} is broken: {error}", shown(path)), fix)),
        }
    }

    fn unreadable(&self, key: &str, path: &Path, error: &io::Error) -> ConfigError {
        let problem = format!("{} cannot be read: {error}", shown(path));
        self.wrong(key, problem, "name a file that the host may read, relative to this one")
    }

    fn wrong(&self, key: &str, problem: impl ToString, fix: &str) -> ConfigError {
        let key = format!("{}.{key}", self.config.table);
        ConfigError::new(self.file, key, problem.to_string(), fix)
    }
}

fn shown(path: &Path) -> String {
    format!("{:?}", path.display().to_string())
}
