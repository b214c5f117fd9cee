//! The configuration of a host, `lockstep.toml`: parsed and checked before anything starts.
//!
//! A file becomes either a [`HostConfig`] that can be relied upon, or a [`ConfigError`] that
//! names the file, the key, the problem and the fix. Secrets are read here and shown nowhere.
//! A leaf: it knows neither the log, nor the sandbox, nor HTTP.

mod check;
pub(crate) mod checked;
pub(crate) mod decode;
mod error;
mod expand;
mod fault;
mod host_toml;
mod kafka;
#[cfg(test)]
mod kafka_tests;
mod kafka_toml;
mod mend;
pub(crate) mod names;
mod node;
mod owned;
pub(crate) mod scalars;
mod secret;
mod security;
mod signatures;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
pub(crate) mod topics;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use check::{COMMIT_RESERVE, cross_check};
pub use error::ConfigError;
pub use kafka::{KafkaConfig, Properties, Role};

use crate::signature::KeyRing;
use crate::topic::TopicSpec;

/// The fleet of whoever has only one.
pub const DEFAULT_CLUSTER_ID: &str = "lockstep";

/// The manifest's name within a handler's folder.
pub const MANIFEST: &str = "handler.toml";

/// How a host runs. `Default` is what an empty file says: the embedded log, no handlers.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Where it was read from; empty when it was made from defaults.
    pub file: PathBuf,
    /// The fleet; part of transactional ids.
    pub cluster_id: String,
    /// This host within the fleet: stable across restarts, because it is part of transactional
    /// ids.
    pub host_id: String,
    /// Holds the embedded log and caches.
    pub data_dir: PathBuf,
    /// How long a stop may take before the rest is given up.
    pub shutdown_deadline: Duration,
    /// Whether it runs what is deployed to its fleet, beside its own handlers.
    pub deployments: bool,
    /// Whether it ships what is said about its handlers to its fleet. A host that runs nothing
    /// that is deployed does not.
    pub handler_logs: bool,
    /// The listeners.
    pub http: HttpConfig,
    /// Who may use them.
    pub auth: AuthConfig,
    /// How to reach Kafka; `None` is the embedded log.
    pub kafka: Option<KafkaConfig>,
    /// Topics to create when they are missing, and which of them take events over HTTP.
    pub topics: Vec<HostTopic>,
    /// The manifest files of the handlers.
    pub handlers: Vec<PathBuf>,
    /// The keys one of which must have signed a component that is deployed; without them anything
    /// may run.
    pub trusted_keys: Option<KeyRing>,
}

/// A topic that the host declares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostTopic {
    /// As it should be.
    pub spec: TopicSpec,
    /// Whether events may be posted to it.
    pub ingest: bool,
}

/// The HTTP listeners and their bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpConfig {
    /// Where events are taken.
    pub ingest: SocketAddr,
    /// Where the state of the host is told.
    pub admin: SocketAddr,
    /// The largest body of a request, in bytes.
    pub max_body: usize,
    /// How long a client may take to send a request, header and body.
    pub read_timeout: Duration,
    /// Events accepted but not yet confirmed by the log; more are refused for the moment.
    pub queue: usize,
    /// TLS where events are taken; `None` is plain HTTP.
    pub ingest_tls: Option<TlsConfig>,
    /// TLS where the state of the host is told.
    pub admin_tls: Option<TlsConfig>,
}

/// The certificates of a listener. The files are read when the host starts, and when they change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsConfig {
    /// The table that says so: `http.tls`, or the listener's own.
    pub table: &'static str,
    /// The certificate and its chain, in PEM.
    pub cert: PathBuf,
    /// The private key of the certificate, in PEM.
    pub key: PathBuf,
    /// The authorities one of which must have signed the certificate of every client; without
    /// them clients need none.
    pub client_ca: Option<PathBuf>,
}

/// Who may use the listeners.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuthConfig {
    /// The file of the tokens that are taken; every request needs one when it is named.
    pub tokens: Option<PathBuf>,
    /// Whether a listener that other machines reach may do without tokens and client
    /// certificates.
    pub anonymous: bool,
}

impl HostConfig {
    /// Reads and checks a `lockstep.toml`. Does not read the manifests that it names.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        host_toml::load(file, &expand::process_env)
    }

    /// Checks the text of a `lockstep.toml` as if it stood in this file: errors name it, and
    /// relative paths begin in its folder.
    pub fn parse(file: &Path, text: &str) -> Result<Self, ConfigError> {
        host_toml::parse(file, text, &expand::process_env)
    }
}

impl Default for HostConfig {
    fn default() -> Self {
        host_toml::defaults()
    }
}

impl Default for HttpConfig {
    fn default() -> Self {
        HostConfig::default().http
    }
}
