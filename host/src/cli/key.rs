//! `lockstep key`: the keys that components are signed with.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::exit::ExitCode;
use super::stdout::{OutputFormat, Stdout};
use crate::signature::{PrivateKey, PublicKey};

/// Make and show the keys that components are signed with.
///
/// A pair of keys is a private one, which signs and is kept where releases are made, and a public
/// one, which hosts are given to check signatures. Both are ed25519 in PEM, as openssl has them.
#[derive(Debug, Subcommand)]
#[command(after_help = "\
Examples:
  lockstep key generate release.key
  lockstep key show release.key.pub")]
pub(super) enum KeyCommand {
    Generate(GenerateArgs),
    Show(ShowArgs),
}

/// Make a pair of keys.
///
/// Writes the private key to FILE, which only you may read, and the public one to FILE.pub.
/// Nothing is overwritten. Hosts that name the public key in their configuration, `[signatures]`
/// with `trusted = ["FILE.pub"]`, activate only what was signed with the private one.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep key generate release.key
  lockstep sign target/wasm32-wasip2/release/weather.wasm --key release.key")]
pub(super) struct GenerateArgs {
    /// File of the private key; the public one gets the same name with .pub
    file: PathBuf,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

/// Show the id and the public key of a key file.
///
/// The file may hold either half of a pair; the private half is never shown. Signatures name the
/// id of the key that made them.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep key show release.key
  lockstep key show release.key.pub --output json")]
pub(super) struct ShowArgs {
    /// File of a private or a public key
    file: PathBuf,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

pub(super) fn run(command: &KeyCommand) -> anyhow::Result<ExitCode> {
    match command {
        KeyCommand::Generate(args) => generate(args),
        KeyCommand::Show(args) => show(args),
    }?;
    Ok(ExitCode::Success)
}

/// Part of the CLI's interface: fields are only ever added.
#[derive(Serialize)]
struct JsonKey<'a> {
    id: String,
    public_key: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    private_file: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    public_file: Option<&'a str>,
}

fn generate(args: &GenerateArgs) -> anyhow::Result<()> {
    let key = PrivateKey::create(&args.file)?.public();
    let (private, public) = (args.file.display(), PublicKey::file_of(&args.file));
    let public = public.display();
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Text => out.line(&format!(
            "made key {}\n  {private}\n      signs; keep it where releases are made, and to \
             yourself\n  {public}\n      checks; give it to hosts: [signatures] trusted = \
             [\"{public}\"]",
            key.id()
        ))?,
        OutputFormat::Json => out.json(&JsonKey {
            id: key.id().to_string(),
            public_key: key.to_pem(),
            private_file: Some(&private.to_string()),
            public_file: Some(&public.to_string()),
        })?,
    }
    out.flush()
}

fn show(args: &ShowArgs) -> anyhow::Result<()> {
    let key = PublicKey::read_either(&args.file)?;
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Text => out.text(&format!("key {}\n{}", key.id(), key.to_pem()))?,
        OutputFormat::Json => out.json(&JsonKey {
            id: key.id().to_string(),
            public_key: key.to_pem(),
            private_file: None,
            public_file: None,
        })?,
    }
    out.flush()
}
