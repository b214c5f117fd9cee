//! Who may use the listeners, and how they are secured: read and checked before anything starts.
//!
//! A listener that other machines reach asks for tokens or for client certificates, or the
//! configuration says by name that it does not.

use std::net::SocketAddr;
use std::path::Path;

use tracing::warn;

use crate::auth::{Gate, Tokens};
use crate::config::{AuthConfig, ConfigError, HostConfig, HttpConfig, TlsConfig};
use crate::private_file::warn_when_shared;
use crate::reload::{Reload, Source};
use crate::tls::{self, Tls};

/// What secures the listeners of a host.
pub(super) struct Access {
    /// Before the routes of both.
    pub(super) gate: Gate,
    pub(super) ingest_tls: Option<Tls>,
    pub(super) admin_tls: Option<Tls>,
}

/// A listener as the configuration has it.
struct Door<'a> {
    /// Its key in `[http]`.
    name: &'static str,
    address: SocketAddr,
    tls: Option<&'a TlsConfig>,
}

/// Refuses a configuration whose listeners could not be secured as it says, with everything that
/// is wrong. Starts nothing.
pub fn check_access(config: &HostConfig) -> Result<(), ConfigError> {
    let exposed = doors(config).into_iter().filter_map(|door| exposed(&door, config).err());
    let tokens = config.auth.tokens.iter().filter_map(|path| tokens(&config.file, path).err());
    let mut tables: Vec<_> = doors(config).into_iter().filter_map(|door| door.tls).collect();
    tables.dedup();
    let tls = tables.into_iter().filter_map(|tls| tls::load(&config.file, tls).err());
    let problems: Vec<_> = exposed.chain(tokens).chain(tls).collect();
    if problems.is_empty() { Ok(()) } else { Err(ConfigError::together(problems)) }
}

impl Access {
    /// Reads what the configuration names, and says what has to be looked at for changes.
    pub(super) fn of(config: &HostConfig) -> anyhow::Result<(Self, Vec<Box<dyn Reload>>)> {
        let mut sources: Vec<Box<dyn Reload>> = Vec::new();
        for door in doors(config) {
            exposed(&door, config)?;
            warn_of(&door, &config.auth);
        }
        let gate = match &config.auth.tokens {
            None => Gate::open(),
            Some(path) => {
                let (file, read_from) = (config.file.clone(), path.clone());
                let read = move || {
                    let read = tokens(&file, &read_from)?;
                    warn_when_shared(&read_from, "the file of tokens");
                    Ok(read)
                };
                let source = Source::open("tokens", vec![path.clone()], read)?;
                let gate = Gate::with_tokens(source.value());
                sources.push(Box::new(source));
                gate
            }
        };
        let mut open = |tls: &Option<TlsConfig>| -> anyhow::Result<Option<Tls>> {
            let Some(tls) = tls else { return Ok(None) };
            let (tls, source) = Tls::open(&config.file, tls)?;
            sources.push(Box::new(source));
            Ok(Some(tls))
        };
        let HttpConfig { ingest_tls, admin_tls, .. } = &config.http;
        let is_shared = ingest_tls == admin_tls;
        let ingest_tls = open(ingest_tls)?;
        let admin_tls = if is_shared { ingest_tls.clone() } else { open(admin_tls)? };
        Ok((Self { gate, ingest_tls, admin_tls }, sources))
    }
}

fn doors(config: &HostConfig) -> [Door<'_>; 2] {
    let HttpConfig { ingest, admin, ingest_tls, admin_tls, .. } = &config.http;
    [
        Door { name: "ingest", address: *ingest, tls: ingest_tls.as_ref() },
        Door { name: "admin", address: *admin, tls: admin_tls.as_ref() },
    ]
}

impl Door<'_> {
    fn is_reached_by_others(&self) -> bool {
        !self.address.ip().to_canonical().is_loopback()
    }

    fn asks_for_certificates(&self) -> bool {
        self.tls.is_some_and(|tls| tls.client_ca.is_some())
    }
}

/// Refuses a listener that lets in everybody on the network without being told to.
fn exposed(door: &Door<'_>, config: &HostConfig) -> Result<(), ConfigError> {
    let Door { name, address, .. } = door;
    let AuthConfig { tokens, anonymous } = &config.auth;
    let is_told = tokens.is_some() || *anonymous || door.asks_for_certificates();
    if is_told || !door.is_reached_by_others() {
        return Ok(());
    }
    let problem = format!(
        "the {name} listener at {address} can be reached from other machines, and nothing says \
         who may use it"
    );
    let fix = format!(
        "name a file of tokens by `tokens` under [auth], or the authorities of client \
         certificates by `client_ca` under [http.{name}_tls]; or let everybody in by \
         `anonymous = true` under [auth]"
    );
    Err(ConfigError::new(&config.file, format!("http.{name}"), problem, fix))
}

/// Says what an operator should know of a listener that is allowed.
fn warn_of(door: &Door<'_>, auth: &AuthConfig) {
    let Door { name, address, tls } = door;
    if !door.is_reached_by_others() {
        return;
    }
    if auth.tokens.is_none() && !door.asks_for_certificates() {
        warn!(%address, "everybody who reaches the {name} listener may use it");
    } else if tls.is_none() {
        warn!(
            %address,
            "tokens come to the {name} listener unencrypted; set [http.{name}_tls], unless \
             something in front of it encrypts"
        );
    }
}

/// Reads the tokens at this path, which the configuration in `file` names.
fn tokens(file: &Path, path: &Path) -> Result<Tokens, ConfigError> {
    if path.exists() {
        return Tokens::load(path);
    }
    let problem = format!("there is no file {:?}", path.display().to_string());
    let fix = format!(
        "make it with a first token: `lockstep token create --scope admin --config {}`",
        file.display()
    );
    Err(ConfigError::new(file, "auth.tokens", problem, fix))
}
