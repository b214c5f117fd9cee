//! The tools of other languages, which handlers are built with: kept below the user's cache, so
//! that they are fetched and built once.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::paths;

/// The release that `lockstep new --lang rust-component` names.
const CARGO_COMPONENT: &str = "0.21.1";

/// What the build of a handler in another language runs with: caches of our own, and
/// cargo-component, which is built when it is not there yet. That takes minutes.
pub fn environment() -> &'static [(&'static str, OsString)] {
    static ENVIRONMENT: OnceLock<Vec<(&str, OsString)>> = OnceLock::new();
    ENVIRONMENT.get_or_init(|| {
        let cache = paths::user_cache().join("lockstep");
        let bin = cargo_component(&cache.join("tools"));
        let path = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(bin).chain(std::env::split_paths(&path)));
        vec![
            ("PATH", path.expect("the cache's path has no colon")),
            ("npm_config_cache", cache.join("npm").into()),
            ("PIP_CACHE_DIR", cache.join("pip").into()),
        ]
    })
}

/// Installs cargo-component below this folder, and names the folder it is in.
fn cargo_component(root: &Path) -> PathBuf {
    let bin = root.join("bin");
    let version = Command::new(bin.join("cargo-component")).arg("--version").output();
    let installed = version
        .is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(CARGO_COMPONENT));
    if !installed {
        let status = Command::new(env!("CARGO"))
            .args(["install", "--quiet", "--locked", "--force", "--root"])
            .arg(root)
            .arg(format!("cargo-component@{CARGO_COMPONENT}"))
            // It works for milliseconds: what counts is how long it takes to build.
            .env("CARGO_PROFILE_RELEASE_OPT_LEVEL", "0")
            .env("CARGO_PROFILE_RELEASE_LTO", "off")
            .env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16")
            .env("CARGO_TARGET_DIR", paths::target().join("tools"))
            .stdin(Stdio::null())
            .status();
        let status = status.expect("cargo runs, it built this program");
        assert!(status.success(), "failed to install cargo-component {CARGO_COMPONENT}");
    }
    bin
}
