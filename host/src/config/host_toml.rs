//! `lockstep.toml` as it is written, with the range and default of every key, and the checks
//! that need more than one key or a look at the disk.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::checked::{Checked, Fallback};
use super::decode::{self, Examples};
use super::error::ConfigError;
use super::expand::Env;
use super::kafka::KafkaConfig;
use super::kafka_toml::{KafkaToml, Source};
use super::names::{Address, FilePath, Identifier, identifier_from};
use super::scalars::{Count, Millis, Size, Switch};
use super::security::{AuthToml, TlsToml};
use super::signatures::{self, SignaturesToml};
use super::topics::{self, HostTopicToml};
use super::{AuthConfig, DEFAULT_CLUSTER_ID, HostConfig, HostTopic, HttpConfig, MANIFEST};

/// Next to the configuration.
const DEFAULT_DATA_DIR: &str = "lockstep-data";

const EXAMPLES: Examples = &[
    ("name", "name = \"orders\""),
    ("handlers", "handlers = [\"handlers/weather\"]"),
    ("cert", "cert = \"server.pem\""),
    ("key", "key = \"server.key\""),
    ("topics", "[[topics]] with the line name = \"orders\" below it"),
    ("trusted", "trusted = [\"release.key.pub\"]"),
];

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HostToml {
    cluster_id: Option<Checked<Identifier>>,
    host_id: Option<Checked<Identifier>>,
    data_dir: Option<Checked<FilePath>>,
    shutdown_deadline: Millis<100, 600_000, 10_000>,
    deployments: Switch<true>,
    handler_logs: Switch<true>,
    handlers: Vec<Checked<FilePath>>,
    http: HttpToml,
    auth: AuthToml,
    kafka: Option<KafkaToml>,
    signatures: Option<SignaturesToml>,
    topics: Vec<HostTopicToml>,
}

#[derive(Deserialize, Default)]
#[serde(default, deny_unknown_fields)]
struct HttpToml {
    ingest: Checked<Address<8080>>,
    admin: Checked<Address<8081>>,
    max_body: Size<1, { 1 << 30 }, { 1 << 20 }>,
    read_timeout: Millis<100, 600_000, 10_000>,
    queue: Count<1, 10_000_000, 10_000>,
    /// Of both listeners, where they have none of their own.
    tls: Option<TlsToml>,
    ingest_tls: Option<TlsToml>,
    admin_tls: Option<TlsToml>,
}

/// Reads a file, with this environment.
pub(super) fn load(file: &Path, env: Env<'_>) -> Result<HostConfig, ConfigError> {
    resolve(file, env, decode::read(file, EXAMPLES)?)
}

/// Checks a text as if it stood in this file, with this environment.
pub(super) fn parse(file: &Path, text: &str, env: Env<'_>) -> Result<HostConfig, ConfigError> {
    resolve(file, env, decode::decode(file, text, EXAMPLES)?)
}

fn resolve(file: &Path, env: Env<'_>, toml: HostToml) -> Result<HostConfig, ConfigError> {
    let folder = file.parent().unwrap_or(Path::new(""));
    let handlers = manifests(file, folder, &toml.handlers)?;
    let http = http(file, &toml.http)?;
    let auth = toml.auth.resolve(file)?;
    let ingest: Vec<_> = toml.topics.iter().map(|topic| topic.ingest.0).collect();
    let specs = topics::specs(file, toml.topics.into_iter().map(HostTopicToml::into_common))?;
    let source = Source { file, env };
    let kafka = toml.kafka.map(|kafka| KafkaConfig::resolve(&source, kafka)).transpose()?;
    let trusted_keys = toml.signatures.map(|toml| signatures::key_ring(file, toml)).transpose()?;
    let data_dir = toml.data_dir.map_or_else(|| PathBuf::from(DEFAULT_DATA_DIR), |dir| dir.0);
    let data_dir = folder.join(data_dir);
    if data_dir.exists() && !data_dir.is_dir() {
        let problem = format!("{:?} is not a folder", data_dir.display());
        let fix = format!("name a folder, for example {DEFAULT_DATA_DIR:?}");
        return Err(ConfigError::new(file, "data_dir", problem, fix));
    }
    Ok(HostConfig {
        file: file.to_owned(),
        cluster_id: toml.cluster_id.map_or_else(|| DEFAULT_CLUSTER_ID.to_owned(), |id| id.0),
        host_id: toml.host_id.map_or_else(machine_id, |id| id.0),
        data_dir,
        shutdown_deadline: toml.shutdown_deadline.0,
        deployments: toml.deployments.0,
        handler_logs: toml.handler_logs.0,
        http,
        auth,
        kafka,
        topics: specs
            .into_iter()
            .zip(ingest)
            .map(|(spec, ingest)| HostTopic { spec, ingest })
            .collect(),
        handlers,
        trusted_keys,
    })
}

/// What an empty file says.
pub(super) fn defaults() -> HostConfig {
    let toml = HostToml::default();
    HostConfig {
        file: PathBuf::new(),
        cluster_id: DEFAULT_CLUSTER_ID.to_owned(),
        host_id: machine_id(),
        data_dir: PathBuf::from(DEFAULT_DATA_DIR),
        shutdown_deadline: toml.shutdown_deadline.0,
        deployments: toml.deployments.0,
        handler_logs: toml.handler_logs.0,
        http: http_config(Path::new(""), &toml.http),
        auth: AuthConfig::default(),
        kafka: None,
        topics: Vec::new(),
        handlers: Vec::new(),
        trusted_keys: None,
    }
}

fn machine_id() -> String {
    identifier_from(&gethostname::gethostname().to_string_lossy())
}

fn http_config(folder: &Path, toml: &HttpToml) -> HttpConfig {
    let tls = |table, own: &Option<TlsToml>| match (own, &toml.tls) {
        (Some(own), _) => Some(own.resolve(folder, table)),
        (None, shared) => shared.as_ref().map(|shared| shared.resolve(folder, "http.tls")),
    };
    HttpConfig {
        ingest: toml.ingest.0,
        admin: toml.admin.0,
        max_body: toml.max_body.0,
        read_timeout: toml.read_timeout.0,
        queue: toml.queue.0 as usize,
        ingest_tls: tls("http.ingest_tls", &toml.ingest_tls),
        admin_tls: tls("http.admin_tls", &toml.admin_tls),
    }
}

fn http(file: &Path, toml: &HttpToml) -> Result<HttpConfig, ConfigError> {
    let config = http_config(file.parent().unwrap_or(Path::new("")), toml);
    if collide(config.ingest, config.admin) {
        return Err(ConfigError::new(
            file,
            "http.admin",
            format!("{:?} cannot be listened on beside http.ingest", config.admin.to_string()),
            format!("use another port, for example \"{}\"", Address::<8081>::fallback()),
        ));
    }
    Ok(config)
}

/// Whether two listeners want the same port of the same address. Port 0 is any free one.
fn collide(a: SocketAddr, b: SocketAddr) -> bool {
    let overlap = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() != 0 && a.port() == b.port() && overlap
}

/// The manifest files; a folder stands for the manifest in it.
fn manifests(
    file: &Path,
    folder: &Path,
    handlers: &[Checked<FilePath>],
) -> Result<Vec<PathBuf>, ConfigError> {
    let mut seen = BTreeSet::new();
    let mut manifests = Vec::with_capacity(handlers.len());
    for (index, handler) in handlers.iter().enumerate() {
        let wrong = |problem, fix: &str| {
            Err(ConfigError::new(file, format!("handlers[{index}]"), problem, fix))
        };
        let named = folder.join(&handler.0);
        let manifest = if named.is_dir() { named.join(MANIFEST) } else { named };
        let Ok(canonical) = manifest.canonicalize() else {
            return wrong(
                format!("there is no file {:?}", manifest.display()),
                "name a handler's folder or manifest, relative to this file, for example \
                 \"handlers/weather\"",
            );
        };
        if !seen.insert(canonical) {
            let problem = format!("{:?} is listed twice", handler.0.display());
            return wrong(problem, "list every handler once");
        }
        manifests.push(manifest);
    }
    Ok(manifests)
}
