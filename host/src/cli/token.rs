//! `lockstep token`: the tokens that a host takes, in the file that its configuration names.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::{CliError, ExitCode};
use super::stdout::{OutputFormat, Stdout};
use super::table::table;
use crate::auth::{self, Entry, NewToken, Revoked, Scope, TokenFile, TokenId};
use crate::config::{ConfigError, HostConfig};

/// Make, list and revoke the tokens that a host asks for.
///
/// A token permits what its scopes say. The file holds hashes only, so a token is shown once,
/// when it is made. Hosts notice a change of the file within a second or two; they need no
/// restart.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  lockstep token create --scope ingest:orders --note shop --config lockstep.toml
  lockstep token list --config lockstep.toml
  lockstep token revoke k7p2m9qx --config lockstep.toml")]
pub(super) enum TokenCommand {
    Create(CreateArgs),
    List(ListArgs),
    Revoke(RevokeArgs),
}

/// Make a token and print it, once.
///
/// The token alone goes to stdout. The file is made, for its owner only, when there is none.
/// Scopes: `ingest:<topic>` posts events to a topic, `ingest:*` to every topic that is open to
/// ingest; `handlers:read` sees how the handlers are, `handlers:write` also changes what runs;
/// `admin` is everything.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep token create --scope ingest:orders --note shop --config lockstep.toml
  lockstep token create --scope handlers:write --expires 30d --config lockstep.toml
  lockstep token create --scope ingest:orders --scope ingest:returns --file tokens.toml")]
pub(super) struct CreateArgs {
    /// What it permits; may be repeated
    #[arg(long = "scope", value_name = "SCOPE", required = true)]
    scopes: Vec<Scope>,

    /// For how long it is good, such as 12h or 30d [default: until it is revoked]
    #[arg(long, value_name = "DURATION", value_parser = lifetime)]
    expires: Option<Duration>,

    /// What to remember about it, on one line
    #[arg(long, value_name = "TEXT", value_parser = note)]
    note: Option<String>,

    #[command(flatten)]
    file: FileSelection,
}

/// List the tokens, without their secrets.
///
/// The secrets are not known: the file holds hashes only.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep token list --config lockstep.toml
  lockstep token list --file tokens.toml --output json")]
pub(super) struct ListArgs {
    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,

    #[command(flatten)]
    file: FileSelection,
}

/// Revoke a token for good.
///
/// Requests with it are refused as soon as the hosts have noticed, within a second or two.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep token revoke k7p2m9qx --config lockstep.toml")]
pub(super) struct RevokeArgs {
    /// Id of the token: the part between the two `_` of it
    #[arg(value_name = "ID")]
    id: TokenId,

    #[command(flatten)]
    file: FileSelection,
}

/// Which file of tokens.
#[derive(Args, Debug)]
#[group(required = true, multiple = false)]
struct FileSelection {
    /// The configuration of the host, which names the file by `tokens` under `[auth]`
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,

    /// The file of tokens itself
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
}

pub(super) fn run(command: &TokenCommand) -> anyhow::Result<ExitCode> {
    match command {
        TokenCommand::Create(args) => create(args),
        TokenCommand::List(args) => list(args),
        TokenCommand::Revoke(args) => revoke(args),
    }?;
    Ok(ExitCode::Success)
}

fn create(args: &CreateArgs) -> anyhow::Result<()> {
    let file = args.file.file()?;
    let until = |lifetime: Duration| {
        let end = SystemTime::now().checked_add(lifetime);
        end.context("the time at which the token would expire is too far away")
    };
    let mut scopes = args.scopes.clone();
    scopes.sort();
    scopes.dedup();
    let expires = args.expires.map(until).transpose()?;
    let (token, entry) = file.create(NewToken { scopes, expires, note: args.note.clone() })?;
    let mut out = Stdout::new();
    out.line(token.expose())?;
    out.flush()?;
    let until = entry.expires.map_or("until it is revoked".to_owned(), |expires| {
        format!("until {}", auth::time_text(expires))
    });
    let said = format!(
        "token {} in {}: {}, {until}; it is not shown again",
        entry.id,
        file.path().display(),
        scopes_text(&entry)
    );
    // Without stderr there is nobody to tell.
    drop(writeln!(std::io::stderr(), "{said}"));
    Ok(())
}

fn list(args: &ListArgs) -> anyhow::Result<()> {
    let entries = args.file.existing()?.entries()?;
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Json => out.json(&entries.iter().map(JsonEntry::from).collect::<Vec<_>>())?,
        OutputFormat::Text => out.line(&list_text(&entries, SystemTime::now()))?,
    }
    out.flush()
}

fn revoke(args: &RevokeArgs) -> anyhow::Result<()> {
    let file = args.file.existing()?;
    let entry = match file.revoke(&args.id)? {
        Revoked::Gone(entry) => entry,
        Revoked::Unknown(ids) => {
            let ids: Vec<_> = ids.iter().map(TokenId::as_str).collect();
            let there_is = if ids.is_empty() { "none".to_owned() } else { ids.join(", ") };
            let path = file.path().display();
            let message = format!("no token {:?} in {path}; there is {there_is}", args.id.as_str());
            return Err(CliError::NotFound(message).into());
        }
    };
    let mut out = Stdout::new();
    out.line(&format!("revoked token {} ({})", entry.id, scopes_text(&entry)))?;
    out.flush()
}

impl FileSelection {
    /// The file, which need not exist.
    fn file(&self) -> anyhow::Result<TokenFile> {
        if let Some(file) = &self.file {
            return Ok(TokenFile::at(file));
        }
        // Clap sees to it that there is one of the two.
        let config = HostConfig::load(self.config.as_deref().unwrap_or("lockstep.toml".as_ref()))?;
        match config.auth.tokens {
            Some(tokens) => Ok(TokenFile::at(tokens)),
            None => Err(ConfigError::new(
                &config.file,
                "auth.tokens",
                "is missing: the host asks for no tokens",
                "write for example tokens = \"tokens.toml\" under [auth], or use --file",
            )
            .into()),
        }
    }

    fn existing(&self) -> anyhow::Result<TokenFile> {
        let file = self.file()?;
        if file.path().exists() {
            return Ok(file);
        }
        let message = format!(
            "there is no file {:?}; `lockstep token create` makes it",
            file.path().display().to_string()
        );
        Err(CliError::NotFound(message).into())
    }
}

fn lifetime(text: &str) -> Result<Duration, String> {
    match humantime::parse_duration(text) {
        Ok(lifetime) if !lifetime.is_zero() => Ok(lifetime),
        _ => Err("expected a duration such as 12h or 30d".to_owned()),
    }
}

fn note(text: &str) -> Result<String, String> {
    auth::check_note(text).map(|()| text.to_owned())
}

fn scopes_text(entry: &Entry) -> String {
    entry.scopes.iter().map(Scope::to_string).collect::<Vec<_>>().join(" ")
}

fn list_text(entries: &[Entry], now: SystemTime) -> String {
    let row = |entry: &Entry| {
        let expires = entry.expires.map_or("never".to_owned(), |expires| {
            let expired = if entry.is_expired(now) { " (expired)" } else { "" };
            format!("{}{expired}", auth::time_text(expires))
        });
        let created = auth::time_text(entry.created);
        let note = entry.note.clone().unwrap_or_default();
        vec![entry.id.to_string(), scopes_text(entry), created, expires, note]
    };
    table(&["ID", "SCOPES", "CREATED", "EXPIRES", "NOTE"], &[], entries.iter().map(row))
}

#[derive(Debug, Serialize)]
struct JsonEntry {
    id: String,
    scopes: Vec<String>,
    created: String,
    expires: Option<String>,
    note: Option<String>,
}

impl From<&Entry> for JsonEntry {
    fn from(entry: &Entry) -> Self {
        Self {
            id: entry.id.to_string(),
            scopes: entry.scopes.iter().map(Scope::to_string).collect(),
            created: auth::time_text(entry.created),
            expires: entry.expires.map(auth::time_text),
            note: entry.note.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::*;

    fn entry(expires: u64) -> Entry {
        let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
        Entry {
            id: "k7p2m9qx".parse().unwrap(),
            hash: crate::digest::Digest::of(b"x"),
            scopes: vec!["ingest:a".parse().unwrap(), Scope::HandlersRead],
            created: at(0),
            expires: Some(at(expires)),
            note: Some("shop".to_owned()),
        }
    }

    #[test]
    fn a_list_shows_what_a_token_permits_and_whether_it_is_still_good() {
        let now = UNIX_EPOCH + Duration::from_secs(60);
        let text = list_text(&[entry(60), entry(61)], now);
        let rows: Vec<_> = text.lines().skip(1).collect();
        assert_eq!(
            rows,
            [
                "k7p2m9qx  ingest:a handlers:read  1970-01-01T00:00:00Z  \
                 1970-01-01T00:01:00Z (expired)  shop",
                "k7p2m9qx  ingest:a handlers:read  1970-01-01T00:00:00Z  \
                 1970-01-01T00:01:01Z            shop",
            ]
        );
    }

    #[test]
    fn a_list_in_json_has_the_same_content_and_no_hash() {
        let json = serde_json::to_string(&JsonEntry::from(&entry(1))).unwrap();
        assert_eq!(
            json,
            r#"{"id":"k7p2m9qx","scopes":["ingest:a","handlers:read"],"#.to_owned()
                + r#""created":"1970-01-01T00:00:00Z","expires":"1970-01-01T00:00:01Z","note":"shop"}"#
        );
    }

    #[test]
    fn a_lifetime_is_a_duration_and_not_zero() {
        assert_eq!(lifetime("30d"), Ok(Duration::from_secs(30 * 24 * 3600)));
        for text in ["", "soon", "0s", "-1d", "30"] {
            assert!(lifetime(text).is_err(), "{text}");
        }
    }
}
