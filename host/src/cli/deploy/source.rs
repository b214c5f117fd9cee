//! Finds what is deployed: builds it, reads it or pulls it, and puts in what the arguments say.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use toml::{Table, Value};

use super::DeployArgs;
use crate::cli::building;
use crate::cli::exit::CliError;
use crate::cli::folders;
use crate::cli::progress::Progress;
use crate::config::MANIFEST;
use crate::deployment;
use crate::digest::Digest;
use crate::fleet::Parcel;
use crate::oci;
use crate::signature::{ANNOTATION, PrivateKey, Signature};

/// Stands for the file of a manifest that there is none of.
const COMMAND_LINE: &str = "the command line";
/// What a target turned out to be.
struct Found {
    origin: PathBuf,
    table: Table,
    component: Vec<u8>,
    /// That lies beside it.
    signature: Option<Signature>,
}

/// Builds and reads what the arguments name.
pub(super) fn read(args: &DeployArgs) -> anyhow::Result<Parcel> {
    let target = &args.target;
    let is_component = target.extension().is_some_and(|extension| extension == "wasm");
    let found = match target.to_str().filter(|target| target.starts_with(oci::SCHEME)) {
        Some(reference) => pulled(args, reference)?,
        None if is_component => bare(args)?,
        None => of_folder(args)?,
    };
    let manifest = overridden(found.table, args)?;
    let signature = match (&args.key, found.signature) {
        (Some(key), _) => Some(PrivateKey::read(key)?.sign(&Digest::of(&found.component))),
        (None, signature) => signature,
    };
    Ok(Parcel::new(found.origin, manifest, found.component, signature))
}

/// A component without a manifest: the arguments make one.
fn bare(args: &DeployArgs) -> anyhow::Result<Found> {
    is_described(args)?;
    let read = fs::read(&args.target);
    let component =
        read.with_context(|| format!("failed to read the component {:?}", args.target))?;
    let signature = signature_beside(&args.target)?;
    Ok(Found { origin: PathBuf::from(COMMAND_LINE), table: Table::new(), component, signature })
}

fn signature_beside(component: &Path) -> anyhow::Result<Option<Signature>> {
    let file = Signature::file_of(component);
    file.is_file().then(|| Signature::read(&file)).transpose()
}

/// A component from a registry of containers.
fn pulled(args: &DeployArgs, reference: &str) -> anyhow::Result<Found> {
    is_described(args)?;
    let reference: oci::Reference = reference.parse()?;
    let pulled = {
        let _progress = Progress::start(format!("pulling {reference}"));
        oci::pull(&reference, &args.oci.options())?
    };
    if let Some(warning) = &pulled.warning {
        tracing::warn!("{warning}");
    }
    let signature = pulled.annotations.get(ANNOTATION).map(|text| text.parse()).transpose();
    let signature = signature.with_context(|| format!("{reference} is signed in no known way"))?;
    let origin = PathBuf::from(COMMAND_LINE);
    Ok(Found { origin, table: Table::new(), component: pulled.component, signature })
}

/// Whether the arguments say what a manifest would.
fn is_described(args: &DeployArgs) -> anyhow::Result<()> {
    if args.name.is_none() || args.from.is_empty() {
        return Err(CliError::Usage(format!(
            "{:?} is a component without a manifest: say at least --name NAME and --from TOPIC, or \
             deploy the folder that holds its {MANIFEST}",
            args.target
        ))
        .into());
    }
    Ok(())
}

fn of_folder(args: &DeployArgs) -> anyhow::Result<Found> {
    let found = folders::load(std::slice::from_ref(&args.target), "deploy")?;
    let found = found.into_iter().next().context("there is one folder")?;
    if !args.no_build {
        building::build_one(&found)?;
    }
    let component = deployment::read_component(&found.handler)?;
    let text = fs::read_to_string(&found.manifest)
        .with_context(|| format!("failed to read the manifest {:?}", found.manifest))?;
    let table = text.parse().with_context(|| format!("{:?} is not TOML", found.manifest))?;
    let signature = signature_beside(&found.handler.component)?;
    Ok(Found { origin: found.manifest, table, component, signature })
}

/// The manifest with what the arguments say.
fn overridden(mut table: Table, args: &DeployArgs) -> anyhow::Result<Table> {
    let mut set = |key: &str, value: Value| drop(table.insert(key.to_owned(), value));
    if let Some(name) = &args.name {
        set("name", name.as_str().into());
    }
    for (key, topics) in [("from", &args.from), ("to", &args.to)] {
        if !topics.is_empty() {
            set(key, Value::Array(topics.iter().map(|topic| topic.as_str().into()).collect()));
        }
    }
    for (key, value) in &args.settings {
        inner(&mut table, "config", &args.target)?.insert(key.clone(), value.as_str().into());
    }
    for (key, value) in &args.limits {
        // A count is a number, everything else a text with a unit.
        let value = value.parse::<i64>().map_or_else(|_| value.as_str().into(), Value::from);
        inner(&mut table, "limits", &args.target)?.insert(key.clone(), value);
    }
    Ok(table)
}

/// A table within the manifest.
fn inner<'a>(table: &'a mut Table, key: &str, target: &Path) -> anyhow::Result<&'a mut Table> {
    let value = table.entry(key).or_insert_with(|| Table::new().into());
    value.as_table_mut().with_context(|| format!("{key} in the manifest of {target:?} is no table"))
}
