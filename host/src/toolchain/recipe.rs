//! How a handler is built when its manifest does not say: by what lies in its folder.

use std::fs;
use std::path::Path;

use super::{BuildError, node, python};
use crate::handler::Handler;

/// The command that builds a handler: its manifest's, or the usual one for its folder. `None`
/// when there is nothing to build from, but a component.
pub(super) fn command(handler: &Handler, folder: &Path) -> Result<Option<String>, BuildError> {
    if let Some(command) = &handler.build_command {
        return Ok(Some(command.clone()));
    }
    let has = |file: &str| folder.join(file).is_file();
    if has("Cargo.toml") {
        let command = if is_for_cargo_component(&folder.join("Cargo.toml")) {
            "cargo component build --release"
        } else {
            "cargo build --release --target wasm32-wasip2"
        };
        return Ok(Some(command.to_owned()));
    }
    if node::has_build_script(folder) {
        return Ok(Some("npm run build --silent".to_owned()));
    }
    if ["Makefile", "makefile", "GNUmakefile"].into_iter().any(has) {
        return Ok(Some("make".to_owned()));
    }
    if python::requires(folder, "componentize-py")
        && let Some(command) = componentize_py(handler, folder)
    {
        return Ok(Some(command));
    }
    if handler.component.is_file() {
        return Ok(None);
    }
    Err(BuildError::Unclear(format!(
        "nothing in {folder:?} says how to build handler {:?}: expected a Cargo.toml, a \
         package.json with a script \"build\", a Makefile, or Python (requirements.txt with \
         componentize-py, and src/app.py); or say it in its handler.toml with command = \"…\" under \
         [build]",
        handler.name
    )))
}

fn is_for_cargo_component(manifest: &Path) -> bool {
    let text = fs::read_to_string(manifest).unwrap_or_default();
    let table = text.parse::<toml::Table>().unwrap_or_default();
    let metadata = table.get("package").and_then(|package| package.get("metadata"));
    metadata.is_some_and(|metadata| metadata.get("component").is_some())
}

/// The layout that `lockstep new --lang python` makes, or the same without `src`.
fn componentize_py(handler: &Handler, folder: &Path) -> Option<String> {
    let path = ["src", "."].into_iter().find(|path| folder.join(path).join("app.py").is_file())?;
    // Where the folder is the current one, the component's path does not begin with it.
    let component = handler.component.strip_prefix(folder).unwrap_or(&handler.component);
    let component = component.to_str()?;
    Some(format!(
        ".venv/bin/componentize-py --quiet --wit-path wit componentize --python-path {path} \
         --output '{component}' app"
    ))
}
