//! Where things are: the workspace, its target directory, the user's cache.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// The folder `tests` of the workspace.
pub fn tests() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The folder of the workspace.
pub fn workspace() -> &'static Path {
    tests().parent().unwrap_or_else(|| tests())
}

/// Cargo's target directory of the workspace, wherever it was moved to.
pub fn target() -> &'static Path {
    static TARGET: OnceLock<PathBuf> = OnceLock::new();
    TARGET.get_or_init(|| {
        let output = Command::new(env!("CARGO"))
            .args(["metadata", "--no-deps", "--format-version", "1"])
            .current_dir(workspace())
            .output()
            .expect("cargo runs, it built this program");
        let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|error| panic!("failed to read cargo metadata: {error}"));
        PathBuf::from(metadata["target_directory"].as_str().expect("cargo names its target"))
    })
}

/// `$XDG_CACHE_HOME`, or `~/.cache`.
pub fn user_cache() -> PathBuf {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .expect("HOME or XDG_CACHE_HOME must be set")
}
