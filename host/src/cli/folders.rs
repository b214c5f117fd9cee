//! Handler folders, those that hold a `handler.toml`: found, or named by a person, and loaded.

use std::fs;
use std::path::{Path, PathBuf};

use super::exit::CliError;
use crate::config::MANIFEST;
use crate::deployment;
use crate::handler::Handler;

/// How far below the start is looked.
const DEPTH: usize = 3;

/// A handler and the folder it is built in.
pub(super) struct Found {
    /// Its manifest.
    pub(super) manifest: PathBuf,
    /// The folder of the manifest.
    pub(super) folder: PathBuf,
    /// What the manifest says.
    pub(super) handler: Handler,
}

/// The handlers in the folders that a person named, or, when none was named, in the current one
/// and below. `command` is the one that asks, for the error that says how to go on.
pub(super) fn load(given: &[PathBuf], command: &str) -> anyhow::Result<Vec<Found>> {
    let folders = match given {
        [] => find(Path::new(".")).into_iter().map(without_dot).collect(),
        given => given.to_vec(),
    };
    if folders.is_empty() {
        return Err(CliError::Usage(no_handlers(command)).into());
    }
    folders.iter().map(|path| load_one(path)).collect()
}

/// The component file that a person named, by itself or by the folder of its handler.
pub(super) fn component(named: &Path, command: &str) -> anyhow::Result<PathBuf> {
    if !named.is_dir() {
        return Ok(named.to_owned());
    }
    let found = load(&[named.to_owned()], command)?;
    let component = found.into_iter().next().map(|found| found.handler.component);
    component.ok_or_else(|| CliError::Usage(no_handlers(command)).into())
}

fn no_handlers(command: &str) -> String {
    format!(
        "\
found no handler folder here or up to three levels below

A handler folder holds the code of a handler and a handler.toml that says at least:

  name = \"weather\"
  component = \"target/wasm32-wasip2/release/weather.wasm\"
  from = [\"source-topic\"]
  to = [\"destination-topic\"]

Make one with `lockstep new weather`, or name a folder that lies elsewhere, `lockstep {command} \
path/to/folder`."
    )
}

/// `weather` reads better than `./weather`; the current folder stays what it is.
fn without_dot(path: PathBuf) -> PathBuf {
    match path.strip_prefix(".") {
        Ok(rest) if rest != Path::new("") => rest.to_owned(),
        _ => path,
    }
}

fn load_one(path: &Path) -> anyhow::Result<Found> {
    let manifest = if path.is_dir() { path.join(MANIFEST) } else { path.to_owned() };
    if !manifest.is_file() {
        return Err(CliError::Usage(format!(
            "there is no handler at {path:?}: expected a folder that holds a {MANIFEST}"
        ))
        .into());
    }
    let handler = deployment::load(&manifest)?;
    let folder = match manifest.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    Ok(Found { manifest, folder, handler })
}

/// The handler folders in `root` and below, sorted; `root` itself may be one. Hidden folders,
/// what builds and package managers leave behind, and links to folders are not entered, and
/// neither are the handler folders themselves. A folder that cannot be read holds none.
fn find(root: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    visit(root, DEPTH, &mut found);
    found.sort();
    found
}

fn visit(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) {
    if folder.join(MANIFEST).is_file() {
        found.push(folder.to_owned());
        return;
    }
    let Some(depth) = depth.checked_sub(1) else { return };
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let skipped = name.to_string_lossy().starts_with('.')
            || ["target", "node_modules"].iter().any(|skipped| name == *skipped);
        if !skipped && entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            visit(&entry.path(), depth, found);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, removed at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn with(name: &str, manifests_in: &[&str]) -> std::io::Result<Self> {
            let root = std::env::temp_dir().join(format!("lockstep-{name}-{}", std::process::id()));
            fs::create_dir_all(&root)?;
            for folder in manifests_in {
                fs::create_dir_all(root.join(folder))?;
                fs::write(root.join(folder).join(MANIFEST), "")?;
            }
            Ok(Self(root))
        }

        fn found(&self) -> Vec<String> {
            let relative = |path: PathBuf| path.strip_prefix(&self.0).map(Path::to_owned);
            find(&self.0).into_iter().filter_map(|p| relative(p).ok()).map(text).collect()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            drop(fs::remove_dir_all(&self.0));
        }
    }

    fn text(path: PathBuf) -> String {
        path.to_string_lossy().into_owned()
    }

    #[test]
    fn folders_are_found_three_deep_and_no_deeper() -> std::io::Result<()> {
        let scratch = Scratch::with("deep", &["b", "a/b", "x/y/z", "1/2/3/4"])?;
        assert_eq!(scratch.found(), ["a/b", "b", "x/y/z"]);
        Ok(())
    }

    #[test]
    fn builds_packages_hidden_folders_and_handlers_are_not_entered() -> std::io::Result<()> {
        let folders = ["target/a", "node_modules/a", ".git/a", "a", "a/inner"];
        let scratch = Scratch::with("skipped", &folders)?;
        assert_eq!(scratch.found(), ["a"]);
        Ok(())
    }

    #[test]
    fn the_start_itself_may_be_the_handler() -> std::io::Result<()> {
        let scratch = Scratch::with("itself", &["."])?;
        assert_eq!(scratch.found(), [""]);
        Ok(())
    }
}
