//! The HTTP client: which certificates it trusts, how long it waits, how much it reads, and what
//! its failures are called.

use std::fs;
use std::io::{ErrorKind, Read as _};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail, ensure};
use rustls_pki_types::CertificateDer;
use rustls_pki_types::pem::PemObject as _;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body, Proxy};

use super::Options;

/// How long it may take to find, reach and greet a server.
const CONNECT: Duration = Duration::from_secs(10);
/// How long one request may take with all its bytes, however steadily they come.
const TOTAL: Duration = Duration::from_secs(900);
/// Names this program to servers.
const USER_AGENT: &str = concat!("lockstep/", env!("CARGO_PKG_VERSION"));

/// A client for one registry and whatever servers it sends us to.
pub(super) fn agent(options: &Options, tls: bool, loopback: bool) -> anyhow::Result<Agent> {
    let certificates = certificates(options.authorities.as_deref(), tls)?;
    let tls_config = TlsConfig::builder()
        .root_certs(RootCerts::from(certificates))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let proxy = if loopback { None } else { Proxy::try_from_env() };
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .https_only(tls)
        .proxy(proxy)
        .tls_config(tls_config)
        .user_agent(USER_AGENT)
        .timeout_global(Some(TOTAL))
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_per_read(Some(options.silence))
        .timeout_per_write(Some(options.silence))
        .build();
    Ok(config.new_agent())
}

/// The authorities that this machine trusts, and those that the caller adds.
fn certificates(more: Option<&Path>, tls: bool) -> anyhow::Result<Vec<Certificate<'static>>> {
    let mut found = Vec::new();
    if let Some(file) = more {
        let pem =
            fs::read(file).with_context(|| format!("failed to read certificates {file:?}"))?;
        let parsed: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
        found = parsed.map_err(|error| anyhow!("the PEM of {file:?} is broken: {error}"))?;
        ensure!(!found.is_empty(), "{file:?} holds no certificate in PEM");
    }
    let native = rustls_native_certs::load_native_certs();
    found.extend(native.certs);
    if tls && found.is_empty() {
        let why = native.errors.first().map(|error| format!(" ({error})")).unwrap_or_default();
        bail!(
            "this machine trusts no certificate authorities{why}; install them (Debian: \
             ca-certificates), or name a file with SSL_CERT_FILE"
        );
    }
    Ok(found.iter().map(|der| Certificate::from_der(der).to_owned()).collect())
}

/// What is behind a request that brought no answer, and what to do about it.
pub(super) fn failure(error: ureq::Error) -> anyhow::Error {
    let hint = match (tls_error(&error), &error) {
        (Some(rustls::Error::InvalidCertificate(_)), _) => {
            "; when its authority is your own, name the file of the authority's certificate"
        }
        (Some(rustls::Error::InvalidMessage(_)), _) => {
            "; does it speak plain http? That has to be asked for"
        }
        (_, ureq::Error::RequireHttpsOnly(_)) => "; it leads on without TLS, which is not followed",
        (_, ureq::Error::Protocol(_)) => "; does it speak https?",
        _ => "",
    };
    match error {
        ureq::Error::Io(error) if error.kind() == ErrorKind::UnexpectedEof => {
            anyhow!("the server closed the connection")
        }
        ureq::Error::Io(error) => anyhow!("{error}{hint}"),
        ureq::Error::Timeout(what) => anyhow!("no answer in time ({what})"),
        error => anyhow!("{error}{hint}"),
    }
}

/// The error of TLS behind a failure: one of the handshake comes as one of the socket.
fn tls_error(error: &ureq::Error) -> Option<&rustls::Error> {
    match error {
        ureq::Error::Rustls(error) => Some(error),
        ureq::Error::Io(error) => error.get_ref()?.downcast_ref(),
        _ => None,
    }
}

/// Reads a body that may have so many bytes, and no more.
pub(super) fn read_at_most(response: Response<Body>, limit: u64) -> anyhow::Result<Vec<u8>> {
    let (bytes, end) = read(response, limit);
    ensure!(bytes.len() as u64 <= limit, "the answer is longer than {limit} bytes");
    end.map(|()| bytes)
}

/// Reads a body that must have so many bytes.
pub(super) fn read_exactly(response: Response<Body>, size: u64) -> anyhow::Result<Vec<u8>> {
    let (bytes, end) = read(response, size);
    let length = bytes.len() as u64;
    ensure!(length <= size, "it is longer than the {size} bytes that its manifest says");
    end.with_context(|| format!("it broke off after {length} of {size} bytes"))?;
    ensure!(length == size, "it ends after {length} of the {size} bytes that its manifest says");
    Ok(bytes)
}

/// What comes, up to one byte more than the limit, and how it ended.
fn read(response: Response<Body>, limit: u64) -> (Vec<u8>, anyhow::Result<()>) {
    let mut bytes = Vec::new();
    let reader = response.into_body().into_with_config().limit(u64::MAX).reader();
    let end = match reader.take(limit + 1).read_to_end(&mut bytes) {
        Ok(_) => Ok(()),
        Err(error) => Err(failure(ureq::Error::from(error))),
    };
    (bytes, end)
}
