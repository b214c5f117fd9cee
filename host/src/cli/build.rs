//! `lockstep build`: builds handlers, checks what came out, and says what it is.

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context as _;
use bytesize::ByteSize;
use clap::Args;
use serde::Serialize;

use super::building;
use super::exit::ExitCode;
use super::folders::{self, Found};
use super::progress::Progress;
use super::sandbox;
use super::stdout::{OutputFormat, Stdout};
use crate::digest::Digest;
use crate::handler::Handler;
use crate::wasm::{Inspection, Runtime};

/// Build handlers and check the components.
///
/// Runs the build command of each handler: `command` under [build] in its handler.toml, or the
/// usual one for what lies in its folder (Cargo.toml, package.json, Makefile, requirements.txt).
/// npm packages, a virtual environment of Python and the target of Rust are installed when they are
/// missing. What came out must be a component that a host can run; its size, digest and imports
/// are shown. Without FOLDER, the current folder and three levels below it are searched.
#[derive(Args, Debug)]
#[command(after_help = "\
Examples:
  lockstep build
  lockstep build handlers/weather
  lockstep build --output json | jq '.[].digest'")]
pub(super) struct BuildArgs {
    /// Handler folders [default: those found here]
    #[arg(value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    /// Form of the report
    #[arg(long, value_enum, value_name = "FORMAT", default_value_t)]
    output: OutputFormat,
}

/// A handler that was built, and that a host can run.
#[derive(Debug, Serialize)]
struct Built {
    name: String,
    component: String,
    bytes: u64,
    digest: String,
    world: String,
    imports: Vec<String>,
    /// What will fail although it is imported, because nothing grants it.
    warnings: Vec<String>,
}

pub(super) fn build(args: &BuildArgs) -> anyhow::Result<ExitCode> {
    let found = folders::load(&args.folders, "build")?;
    let runtime = sandbox::of_author()?;
    let mut all = Vec::with_capacity(found.len());
    let mut out = Stdout::new();
    for found in &found {
        building::build_one(found)?;
        let built = look_into(&runtime, found)?;
        if args.output == OutputFormat::Text {
            out.text(&text(&built))?;
            out.flush()?;
        }
        all.push(built);
    }
    if args.output == OutputFormat::Json {
        out.json(&all)?;
        out.flush()?;
    }
    Ok(ExitCode::Success)
}

fn look_into(runtime: &Runtime, Found { handler, .. }: &Found) -> anyhow::Result<Built> {
    let path = &handler.component;
    let bytes = fs::read(path)
        .with_context(|| format!("failed to read the component {:?}", path.display()))?;
    let _progress = Progress::start(format!("checking {}", handler.name));
    let program = runtime
        .load(&Arc::new(handler.clone()), &bytes)
        .with_context(|| format!("handler {:?} was built, but cannot run", handler.name))?;
    let inspection = program.inspection();
    Ok(Built {
        name: handler.name.clone(),
        component: path.display().to_string(),
        bytes: bytes.len() as u64,
        digest: Digest::of(&bytes).to_string(),
        world: program.world().to_string(),
        warnings: warnings(handler, inspection),
        imports: inspection.imports.clone(),
    })
}

/// What the component imports and the manifest does not grant. It can be loaded all the same:
/// most compilers import more than the code uses.
fn warnings(handler: &Handler, inspection: &Inspection) -> Vec<String> {
    let imports = |package: &str| inspection.imports.iter().any(|name| name.starts_with(package));
    let mut warnings = Vec::new();
    for (package, what) in [("wasi:filesystem/", "file"), ("wasi:sockets/", "socket")] {
        if imports(package) {
            warnings.push(format!(
                "it imports {}: no {what} is granted to a handler, so opening one fails",
                package.trim_end_matches('/')
            ));
        }
    }
    if imports("wasi:config/") && handler.config.is_empty() {
        warnings.push(
            "it imports wasi:config, but there is no [config] in handler.toml: every key is absent"
                .to_owned(),
        );
    }
    warnings
}

fn text(built: &Built) -> String {
    let mut text = format!("handler {}\n", built.name);
    let mut line = |name: &str, value: &str| text += &format!("  {name:<9}  {value}\n");
    line("component", &built.component);
    line("size", &ByteSize(built.bytes).to_string());
    line("digest", &built.digest);
    line("world", &built.world);
    let names = std::iter::once("imports").chain(std::iter::repeat(""));
    built.imports.iter().zip(names).for_each(|(import, name)| line(name, import));
    built.warnings.iter().for_each(|warning| line("warning", warning));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_built_is_shown_line_by_line() {
        let built = Built {
            name: "weather".to_owned(),
            component: "weather.wasm".to_owned(),
            bytes: 2048,
            digest: "sha256:00".to_owned(),
            world: "handler".to_owned(),
            imports: vec!["a".to_owned(), "b".to_owned()],
            warnings: vec!["it may fail".to_owned()],
        };
        assert_eq!(
            text(&built),
            "handler weather\n  component  weather.wasm\n  size       2.0 KiB\n  \
             digest     sha256:00\n  world      handler\n  imports    a\n             b\n  \
             warning    it may fail\n"
        );
    }
}
