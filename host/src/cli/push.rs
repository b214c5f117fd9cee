//! `lockstep push`: a component to an OCI registry.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use serde::Serialize;

use super::exit::ExitCode;
use super::folders;
use super::progress::Progress;
use super::registry_options::RegistryOptions;
use super::sandbox;
use super::stdout::{OutputFormat, Stdout};
use crate::oci::{self, Artifact, Pushed, Reference};
use crate::signature::{self, Signature};

/// Push a component to an OCI registry.
///
/// The component must be one that a host can run. Its signature goes with it when it lies beside
/// it, as `lockstep sign` leaves it. Passwords are those of `docker login`. What is printed is the
/// reference with the digest of what was pushed, which always leads to this very component.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep push handlers/weather oci://ghcr.io/acme/weather:1.2
  lockstep push weather.wasm oci://localhost:5000/weather
  lockstep push weather.wasm oci://registry.example.com/weather:1 --ca-file ca.pem")]
pub(super) struct PushArgs {
    /// Component, or folder of a handler that is built
    component: PathBuf,

    /// Where to: oci://host[:port]/repository[:tag]
    reference: Reference,

    #[command(flatten)]
    registry: RegistryOptions,

    /// Form of the result
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

/// Part of the CLI's interface: fields are only ever added.
#[derive(Serialize)]
struct JsonPushed {
    reference: String,
    digest: String,
    manifest_digest: String,
    signature: Option<String>,
}

pub(super) fn push(args: &PushArgs) -> anyhow::Result<ExitCode> {
    let file = folders::component(&args.component, "push")?;
    let component = fs::read(&file).with_context(|| format!("failed to read {file:?}"))?;
    let inspection = sandbox::of_author()?.inspect(&component);
    let inspection = inspection.with_context(|| format!("{file:?} is not what a host runs"))?;
    inspection.world().with_context(|| format!("{file:?} is no handler"))?;
    inspection.check_imports().with_context(|| format!("{file:?} cannot run"))?;
    let signature = signature_beside(&file)?;
    let annotations: BTreeMap<_, _> = signature
        .iter()
        .map(|signature| (signature::ANNOTATION.to_owned(), signature.to_string()))
        .collect();
    let artifact = Artifact {
        component: &component,
        imports: &inspection.imports,
        exports: &inspection.exports,
        annotations: &annotations,
    };
    let progress = Progress::start(format!("pushing {}", args.reference));
    let pushed = oci::push(&args.reference, &artifact, &args.registry.options())?;
    drop(progress);
    print(args.output, &pushed, signature)
}

/// The signature that lies beside a component. Only who has the public key can tell whether it is
/// one of an older build: hosts do.
fn signature_beside(component: &Path) -> anyhow::Result<Option<Signature>> {
    let file = Signature::file_of(component);
    if file.exists() { Signature::read(&file).map(Some) } else { Ok(None) }
}

fn print(
    output: OutputFormat,
    pushed: &Pushed,
    signature: Option<Signature>,
) -> anyhow::Result<ExitCode> {
    let mut out = Stdout::new();
    match output {
        OutputFormat::Text => out.line(&pushed.pinned.to_string())?,
        OutputFormat::Json => out.json(&JsonPushed {
            reference: pushed.pinned.to_string(),
            digest: pushed.digest.to_string(),
            manifest_digest: pushed.manifest_digest.to_string(),
            signature: signature.map(|signature| signature.to_string()),
        })?,
    }
    out.flush()?;
    Ok(ExitCode::Success)
}
