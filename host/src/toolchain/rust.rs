//! What cargo needs to build components.

use std::path::Path;

use super::{BuildError, Step, query, tool_of};

/// The release of cargo-component that the templates were made with.
const CARGO_COMPONENT: &str = "0.21.1";
/// What cargo-component builds for, before it makes a component of it.
const MODULE_TARGET: &str = "wasm32-wasip1";

/// Sees to it that cargo can do what the command asks of it.
pub(super) fn prepare(command: &str, step: &Step<'_>) -> Result<(), BuildError> {
    if tool_of(command) != "cargo" {
        return Ok(());
    }
    if which::which("cargo").is_err() {
        return Err(BuildError::Tool(
            "cargo was not found, which builds handlers written in Rust; install Rust from \
             https://rustup.rs, or run with --no-build when the component is there already"
                .to_owned(),
        ));
    }
    if command.split_whitespace().nth(1) == Some("component") {
        ensure_cargo_component(step)?;
        return ensure_target(target(command).unwrap_or(MODULE_TARGET), step);
    }
    target(command).map_or(Ok(()), |target| ensure_target(target, step))
}

/// The WebAssembly target that a command line names.
fn target(command: &str) -> Option<&str> {
    let mut words = command.split_whitespace();
    let mut target = None;
    while let Some(word) = words.next() {
        match word.strip_prefix("--target") {
            Some("") => target = words.next(),
            Some(value) if value.starts_with('=') => target = value.strip_prefix('='),
            _ => {}
        }
    }
    target.filter(|target| target.starts_with("wasm32-"))
}

/// Building it takes minutes and it serves all handlers: that is the person's to decide.
fn ensure_cargo_component(step: &Step<'_>) -> Result<(), BuildError> {
    // Cargo looks for its subcommands where it installs them, too.
    let found = query("cargo", &["--list"], step.folder)?;
    if found.lines().any(|line| line.split_whitespace().next() == Some("component")) {
        return Ok(());
    }
    Err(BuildError::Tool(format!(
        "cargo component is not installed, which builds this handler; install it, which takes \
         minutes, with `cargo install cargo-component --locked --version {CARGO_COMPONENT}`"
    )))
}

/// Sees to it that cargo can build for a target in this folder, where a `rust-toolchain.toml`
/// may choose the toolchain.
fn ensure_target(target: &str, step: &Step<'_>) -> Result<(), BuildError> {
    if which::which("rustup").is_err() {
        return ensure_target_without_rustup(target, step);
    }
    let installed = query("rustup", &["target", "list", "--installed"], step.folder)?;
    if installed.lines().any(|line| line.trim() == target) {
        return Ok(());
    }
    (step.say)(&format!("installing the Rust target {target}"));
    query("rustup", &["target", "add", target], step.folder).map(drop)
}

/// A Rust that did not come from rustup, for example a distribution's.
fn ensure_target_without_rustup(target: &str, step: &Step<'_>) -> Result<(), BuildError> {
    let found = query("rustc", &["--print", "target-libdir", "--target", target], step.folder)?;
    if Path::new(found.trim()).is_dir() {
        return Ok(());
    }
    Err(BuildError::Tool(format!(
        "the Rust target {target} is not installed and rustup, which could install it, was not \
         found; install Rust from https://rustup.rs, or your distribution's package for {target}"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_target_is_the_one_that_the_command_names() {
        for command in [
            "cargo build --release --target wasm32-wasip2",
            "cargo build --target=wasm32-wasip2 --target-dir x",
        ] {
            assert_eq!(target(command), Some("wasm32-wasip2"), "{command}");
        }
        for command in ["cargo build", "cargo build --target", "cargo build --target-dir a"] {
            assert_eq!(target(command), None, "{command}");
        }
    }
}
