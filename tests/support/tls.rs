//! Requests over TLS, by a client that trusts one authority and may show a certificate.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::Request;
use hyper::client::conn::{http1, http2};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::certificates::{Authority, Identity};
use crate::http::Answer;

/// Longer than any request takes.
const DEADLINE: Duration = Duration::from_secs(60);

/// The protocols, as ALPN names them.
pub const HTTP_1: &str = "http/1.1";
/// The same.
pub const HTTP_2: &str = "h2";

/// A client; every request is a connection of its own.
pub struct TlsClient {
    config: ClientConfig,
}

impl TlsClient {
    /// Trusts this authority, and shows this certificate when it is asked for one.
    pub fn new(trusted: &Authority, identity: Option<&Identity>) -> Self {
        let mut roots = RootCertStore::empty();
        roots.add(certificate(&trusted.pem())).expect("the authority's certificate is sound");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("the provider knows the versions")
            .with_root_certificates(roots);
        let config = match identity {
            None => builder.with_no_client_auth(),
            Some(identity) => {
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes()).expect("a key");
                let chain = vec![certificate(&identity.certificate)];
                builder.with_client_auth_cert(chain, key).expect("they belong together")
            }
        };
        Self { config }
    }

    /// Sends a request by the first of these protocols that the host takes. The URL may say
    /// `http`. Gives the protocol that was taken, and the answer; or what became of the
    /// connection.
    pub fn send(
        &self,
        protocols: &[&str],
        method: &str,
        url: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> anyhow::Result<(String, Answer)> {
        let (_, rest) = url.split_once("://").context("no scheme")?;
        let address = rest.split('/').next().unwrap_or_default().to_owned();
        let mut request = Request::builder().method(method).uri(format!("https://{rest}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::copy_from_slice(body)))?;
        let mut config = self.config.clone();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let exchange = exchange(&address, config, request);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async { tokio::time::timeout(DEADLINE, exchange).await })?
    }

    /// `GET` by any protocol.
    pub fn get(&self, url: &str, headers: &[(&str, &str)]) -> anyhow::Result<Answer> {
        self.send(&[HTTP_2, HTTP_1], "GET", url, headers, b"").map(|(_, answer)| answer)
    }
}

fn certificate(pem: &str) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pem.as_bytes()).expect("a certificate in PEM")
}

async fn exchange(
    address: &str,
    config: ClientConfig,
    mut request: Request<Full<Bytes>>,
) -> anyhow::Result<(String, Answer)> {
    let tcp = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost")?;
    let stream = TlsConnector::from(Arc::new(config)).connect(name, tcp).await?;
    let protocol = stream.get_ref().1.alpn_protocol().unwrap_or_default();
    let protocol = String::from_utf8_lossy(protocol).into_owned();
    let io = TokioIo::new(stream);
    let response = if protocol == HTTP_2 {
        let (mut sender, connection) = http2::handshake(TokioExecutor::new(), io).await?;
        tokio::spawn(connection);
        sender.send_request(request).await?
    } else {
        let (mut sender, connection) = http1::handshake(io).await?;
        tokio::spawn(connection);
        request.headers_mut().insert("host", address.parse()?);
        *request.uri_mut() = request.uri().path_and_query().context("no path")?.as_str().parse()?;
        sender.send_request(request).await?
    };
    let (parts, body) = response.into_parts();
    let body = String::from_utf8(body.collect().await?.to_bytes().to_vec())?;
    Ok((protocol, Answer::new(parts.status.as_u16(), &parts.headers, body)))
}
