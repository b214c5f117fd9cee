//! `lockstep sign`: the signature of a component, beside it in a file.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::exit::{CliError, ExitCode};
use super::folders;
use super::stdout::{OutputFormat, Stdout};
use crate::digest::Digest;
use crate::signature::{PrivateKey, Signature};

/// Sign a component.
///
/// Writes the signature to a file beside the component, with the same name and .sig, and prints
/// it: one line of text, `ed25519:<id of the key>:<base64>`. It is made over the digest of the
/// component, so that it is good wherever the same component lies. A component that is built again
/// may differ and has to be signed again.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep sign target/wasm32-wasip2/release/weather.wasm --key release.key
  lockstep sign handlers/weather --key release.key
  lockstep sign weather.wasm --key release.key --print")]
pub(super) struct SignArgs {
    /// Component, or folder of a handler that is built
    component: PathBuf,

    /// File of the private key
    #[arg(long, value_name = "FILE", env = "LOCKSTEP_KEY")]
    key: PathBuf,

    /// Only print the signature, and write no file
    #[arg(long)]
    print: bool,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

/// Part of the CLI's interface: fields are only ever added.
#[derive(Serialize)]
struct JsonSignature {
    signature: String,
    key: String,
    digest: String,
    component: PathBuf,
    file: Option<PathBuf>,
}

pub(super) fn sign(args: &SignArgs) -> anyhow::Result<ExitCode> {
    let key = PrivateKey::read(&args.key)?;
    let component = folders::component(&args.component, "sign")?;
    let bytes = fs::read(&component).with_context(|| format!("failed to read {component:?}"))?;
    check(&component, &bytes)?;
    let digest = Digest::of(&bytes);
    let signature = key.sign(&digest);
    let file = (!args.print).then(|| Signature::file_of(&component));
    if let Some(file) = &file {
        fs::write(file, format!("{signature}\n"))
            .with_context(|| format!("failed to write the signature {file:?}"))?;
    }
    let mut out = Stdout::new();
    match args.output {
        OutputFormat::Text => out.line(&signature.to_string())?,
        OutputFormat::Json => out.json(&JsonSignature {
            signature: signature.to_string(),
            key: signature.key().to_string(),
            digest: digest.to_string(),
            component,
            file,
        })?,
    }
    out.flush()?;
    Ok(ExitCode::Success)
}

/// Whatever a signature says, it should not be said of something else by mistake.
fn check(file: &Path, bytes: &[u8]) -> anyhow::Result<()> {
    if bytes.starts_with(b"\0asm") {
        return Ok(());
    }
    Err(CliError::Usage(format!(
        "{file:?} is not WebAssembly: name the component that is deployed, a .wasm file"
    ))
    .into())
}
