//! What a person wants audited: a handler's folder, or a component alone.

use std::fs;
use std::path::Path;

use anyhow::Context as _;
use toml::Table;

use crate::audit::subject::Subject;
use crate::cli::{building, folders};
use crate::deployment;
use crate::event::Event;
use crate::runner;

/// The manifest of a component that has none.
const BARE: &str =
    "name = \"audited\"\ncomponent = \"component.wasm\"\nfrom = [\"in\"]\nto = [\"out\"]\n";

/// A component with its manifest, and events that make sense to it.
pub(super) struct Target {
    pub(super) subject: Subject,
    /// Those of its test cases; none when it has none.
    pub(super) samples: Vec<Event>,
}

/// Reads what is named, and builds it unless that is not wanted.
pub(super) fn read(named: &Path, build: bool) -> anyhow::Result<Target> {
    if named.extension().is_some_and(|extension| extension == "wasm") {
        return bare(named);
    }
    let found = folders::load(&[named.to_owned()], "audit")?;
    let found = found.into_iter().next().context("there is one folder")?;
    if build {
        building::build_one(&found)?;
    }
    let component = deployment::read_component(&found.handler)?;
    let text = fs::read_to_string(&found.manifest)
        .with_context(|| format!("failed to read the manifest {:?}", found.manifest))?;
    let table = text.parse().with_context(|| format!("{:?} is not TOML", found.manifest))?;
    let samples = runner::samples(&found.handler, &found.folder)?;
    let subject = Subject::new(&found.manifest, table, &found.handler.component, component)?;
    Ok(Target { subject, samples })
}

/// A component alone gets the manifest that says the least.
fn bare(file: &Path) -> anyhow::Result<Target> {
    let component = fs::read(file).with_context(|| {
        format!("failed to read the component {file:?}; build it first, or name a handler's folder")
    })?;
    let table: Table = BARE.parse().context("the manifest of a component alone is wrong")?;
    Ok(Target { subject: Subject::new(file, table, file, component)?, samples: Vec::new() })
}
