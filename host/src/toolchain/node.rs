//! What a handler needs of npm: the packages that its `package.json` names.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use super::{BuildError, Step};

/// How to get what is missing.
pub(super) const INSTALL: &str =
    "install Node.js 20 or newer, which brings npm, from https://nodejs.org";

const MANIFEST: &str = "package.json";
const LOCK: &str = "package-lock.json";
/// Written by npm when it has installed everything.
const INSTALLED: &str = "node_modules/.package-lock.json";

/// The part of a `package.json` that matters here.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Package {
    dependencies: serde_json::Map<String, serde_json::Value>,
    dev_dependencies: serde_json::Map<String, serde_json::Value>,
    scripts: serde_json::Map<String, serde_json::Value>,
}

impl Package {
    /// What cannot be read is npm's to complain about.
    fn read(folder: &Path) -> Self {
        let text = fs::read_to_string(folder.join(MANIFEST)).unwrap_or_default();
        serde_json::from_str(&text).unwrap_or_default()
    }
}

/// Whether the folder's `package.json` has a script of the name `build`.
pub(super) fn has_build_script(folder: &Path) -> bool {
    Package::read(folder).scripts.contains_key("build")
}

/// Installs the packages into `node_modules` when they are missing or older than the files that
/// name them.
pub(super) fn prepare(step: &Step<'_>) -> Result<(), BuildError> {
    let package = Package::read(step.folder);
    let needs_packages = !package.dependencies.is_empty() || !package.dev_dependencies.is_empty();
    if !needs_packages || is_installed(step.folder) {
        return Ok(());
    }
    if which::which("npm").is_err() {
        return Err(BuildError::Tool(format!(
            "npm was not found, which installs what {MANIFEST} names; {INSTALL}"
        )));
    }
    (step.say)("installing npm packages into node_modules");
    let command = if step.has(LOCK) { "npm ci" } else { "npm install" };
    // What builds is a development dependency, also where NODE_ENV says production.
    step.run(&format!("{command} --include=dev --no-fund --no-audit --loglevel=error"))?;
    touch(&step.folder.join(INSTALLED));
    Ok(())
}

fn is_installed(folder: &Path) -> bool {
    let modified = |file: &str| fs::metadata(folder.join(file)).and_then(|m| m.modified()).ok();
    let installed = modified(INSTALLED);
    installed.is_some() && [MANIFEST, LOCK].into_iter().all(|file| modified(file) <= installed)
}

/// npm leaves the file as it is when there was nothing to do.
fn touch(file: &Path) {
    let now = fs::File::options().append(true).open(file);
    drop(now.and_then(|file| file.set_modified(SystemTime::now())));
}
