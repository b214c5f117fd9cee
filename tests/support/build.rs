//! Builds what the tests run, once: the `lockstep` program, the guests, the example handlers.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use crate::paths;

/// What guests are compiled for.
const GUEST_TARGET: &str = "wasm32-wasip2";

/// The `lockstep` program, in the profile of this test program.
pub fn lockstep() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("lockstep", &[]))
}

/// The same with failpoints: see `host/src/failpoint.rs`.
pub fn lockstep_failpoints() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| program("lockstep-failpoints", &["--features", "lockstep/failpoints"]))
}

fn program(name: &str, features: &[&str]) -> PathBuf {
    let mut cargo = Command::new(env!("CARGO"));
    // Named together, the packages take the dependencies that this program was built with.
    cargo.args(["build", "-p", "lockstep", "-p", "lockstep-tests", "--bin", name]).args(features);
    cargo.arg("--message-format=json-render-diagnostics").current_dir(paths::workspace());
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    forget_this_package(&mut cargo);
    let program = artifacts(cargo).find_map(|artifact| {
        (artifact["target"]["name"] == name)
            .then(|| artifact["executable"].as_str().map(PathBuf::from))?
    });
    program.expect("cargo names the program that it built")
}

/// Cargo tells a test program of its package in variables. A build script that looks at those,
/// as ring's does, would see others than when cargo is run by hand, and all that depends on it
/// would be built again each time.
fn forget_this_package(cargo: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let text = name.to_string_lossy();
        if text.starts_with("CARGO_PKG_") || text.starts_with("CARGO_MANIFEST_") {
            cargo.env_remove(name);
        }
    }
}

/// The component of a guest in `tests/guests`.
pub fn guest(name: &str) -> PathBuf {
    static GUESTS: OnceLock<PathBuf> = OnceLock::new();
    component(GUESTS.get_or_init(|| components(&paths::tests().join("guests"), "guests")), name)
}

/// The component of an example in `handlers`.
pub fn example(name: &str) -> PathBuf {
    static EXAMPLES: OnceLock<PathBuf> = OnceLock::new();
    component(EXAMPLES.get_or_init(|| components(&example_source(""), "examples")), name)
}

/// The folder of an example in `handlers`.
pub fn example_source(name: &str) -> PathBuf {
    paths::workspace().join("handlers").join(name)
}

/// Turns WebAssembly text into the binary that a compiler would have made.
pub fn assemble(text: &Path, binary: &Path) {
    let bytes = wat::parse_file(text).unwrap_or_else(|error| panic!("not WebAssembly: {error}"));
    std::fs::write(binary, bytes).unwrap_or_else(|e| panic!("failed to write {binary:?}: {e}"));
}

fn component(directory: &Path, name: &str) -> PathBuf {
    let file = directory.join(format!("{}.wasm", name.replace('-', "_")));
    assert!(file.is_file(), "no guest named {name:?}: there is no {}", file.display());
    file
}

/// Builds a workspace of components and names the directory they are in.
fn components(workspace: &Path, name: &str) -> PathBuf {
    install_target();
    let target = paths::target().join(name);
    let mut cargo = Command::new(env!("CARGO"));
    cargo
        .args(["build", "--workspace", "--release", "--target", GUEST_TARGET])
        .arg("--target-dir")
        .arg(&target)
        .current_dir(workspace)
        // Flags meant for the host's machine are wrong for WebAssembly.
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_ENCODED_RUSTFLAGS");
    run(&mut cargo);
    target.join(GUEST_TARGET).join("release")
}

fn install_target() {
    let rustc = Command::new("rustc").args(["--print", "sysroot"]).output();
    let installed = rustc.is_ok_and(|output| {
        let sysroot = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        Path::new(&sysroot).join("lib/rustlib").join(GUEST_TARGET).is_dir()
    });
    if !installed {
        run(Command::new("rustup").args(["target", "add", GUEST_TARGET]));
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .unwrap_or_else(|error| panic!("failed to run {command:?}: {error}"));
    assert!(output.status.success(), "{command:?} failed: {}", output.status);
    output.stdout
}

fn artifacts(mut cargo: Command) -> impl Iterator<Item = serde_json::Value> {
    let messages = String::from_utf8_lossy(&run(&mut cargo)).into_owned();
    let lines: Vec<_> = messages.lines().map(str::to_owned).collect();
    lines.into_iter().filter_map(|line| serde_json::from_str(&line).ok())
}
