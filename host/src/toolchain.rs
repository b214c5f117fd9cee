//! Building handlers: runs the build command of a manifest in the handler's folder, and sees to
//! it that the tools are there.
//!
//! The built component is where the manifest says. So that cargo agrees, a build does not see
//! `CARGO_TARGET_DIR`: it would move the output of every handler to a place that no manifest can
//! name. Whether something has to be built is cargo's to decide; it takes a fraction of a second
//! when nothing has changed. Knows nothing of terminals: progress goes to the caller.

mod output;

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::handler::Handler;
use crate::stop::Stop;

/// What cargo builds components for.
const TARGET: &str = "wasm32-wasip2";

/// Variables that make cargo write elsewhere than the manifest says.
const ELSEWHERE: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// Why a component could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is missing or does not work; the text says how to get it.
    #[error("{0}")]
    Tool(String),
    /// The command could not be run at all.
    #[error("failed to run `{command}` in {folder:?}")]
    NotRun {
        /// The command.
        command: String,
        /// Where it was to run.
        folder: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// The command failed.
    #[error("`{command}` failed in {folder:?} ({status})")]
    Failed {
        /// The command.
        command: String,
        /// Where it ran.
        folder: PathBuf,
        /// How it ended.
        status: ExitStatus,
        /// All that it wrote: what is wrong with the code.
        output: Vec<u8>,
    },
    /// The command succeeded, but the component is not where the manifest says.
    #[error(
        "`{command}` succeeded in {folder:?}, but there is no component at {component:?}; correct \
         `component` in the manifest (in a cargo workspace, the output lies in the target folder \
         of the workspace)"
    )]
    NoComponent {
        /// The command.
        command: String,
        /// Where it ran.
        folder: PathBuf,
        /// Where the component was expected.
        component: PathBuf,
    },
}

/// Builds handlers with the tools of this machine.
#[derive(Clone, Copy, Debug)]
pub struct Toolchain {
    /// Whether compilers may use colours in what [`BuildError::Failed`] keeps of them.
    pub colours: bool,
}

impl Toolchain {
    /// Builds the component of a handler. `progress` is told each line that the build writes.
    pub fn build(
        self,
        handler: &Handler,
        folder: &Path,
        progress: &dyn Fn(&str),
    ) -> Result<(), BuildError> {
        self.build_in_group(handler, folder, progress, None)
    }

    /// The same, until a stop is requested: then the command and all that it started are killed,
    /// and it has failed. They are a process group of their own, which a Ctrl-C in the terminal
    /// does not reach: whoever calls this answers to it.
    pub fn build_until(
        self,
        handler: &Handler,
        folder: &Path,
        progress: &dyn Fn(&str),
        stop: &Stop,
    ) -> Result<(), BuildError> {
        self.build_in_group(handler, folder, progress, Some(stop))
    }

    fn build_in_group(
        self,
        handler: &Handler,
        folder: &Path,
        progress: &dyn Fn(&str),
        stop: Option<&Stop>,
    ) -> Result<(), BuildError> {
        let command = handler.build_command.as_str();
        if needs_target(command) {
            ensure_target(folder, progress)?;
        }
        let (status, output) = self
            .run(command, folder, progress, stop)
            .map_err(|source| not_run(command, folder, source))?;
        let (command, folder) = (command.to_owned(), folder.to_owned());
        if !status.success() {
            return Err(BuildError::Failed { command, folder, status, output });
        }
        if !handler.component.is_file() {
            let component = handler.component.clone();
            return Err(BuildError::NoComponent { command, folder, component });
        }
        Ok(())
    }

    /// Runs a command line and keeps what it writes, in the order it writes it.
    fn run(
        self,
        command: &str,
        folder: &Path,
        progress: &dyn Fn(&str),
        stop: Option<&Stop>,
    ) -> io::Result<(ExitStatus, Vec<u8>)> {
        let (reader, writer) = io::pipe()?;
        let mut child = {
            let mut shell = Command::new("sh");
            shell.args(["-c", command]).current_dir(folder).stdin(Stdio::null());
            shell.stdout(writer.try_clone()?).stderr(writer);
            for name in ELSEWHERE {
                shell.env_remove(name);
            }
            if self.colours {
                shell.env("CARGO_TERM_COLOR", "always");
            }
            if stop.is_some() {
                shell.process_group(0);
            }
            // The ends of the pipe that the command owns close with this block, so that the
            // output ends when the child does.
            shell.spawn()?
        };
        let output = match stop {
            None => output::lines(reader, |line| progress(&String::from_utf8_lossy(line)))?,
            Some(stop) => output::lines_until(reader, progress, stop, &child)?,
        };
        Ok((child.wait()?, output))
    }
}

fn not_run(command: &str, folder: &Path, source: io::Error) -> BuildError {
    BuildError::NotRun { command: command.to_owned(), folder: folder.to_owned(), source }
}

/// Whether a command is cargo building for [`TARGET`], whose needs are known.
fn needs_target(command: &str) -> bool {
    command.split_whitespace().next() == Some("cargo") && command.contains(TARGET)
}

/// Sees to it that cargo can build for [`TARGET`] in this folder, where a `rust-toolchain.toml`
/// may choose the toolchain.
fn ensure_target(folder: &Path, progress: &dyn Fn(&str)) -> Result<(), BuildError> {
    if which::which("cargo").is_err() {
        return Err(BuildError::Tool(
            "cargo was not found, which builds handlers written in Rust; install Rust from \
             https://rustup.rs, or run with --no-build when the component is there already"
                .to_owned(),
        ));
    }
    if which::which("rustup").is_err() {
        return ensure_target_without_rustup(folder);
    }
    let installed = query("rustup", &["target", "list", "--installed"], folder)?;
    if installed.lines().any(|line| line.trim() == TARGET) {
        return Ok(());
    }
    progress(&format!("installing the Rust target {TARGET}"));
    tracing::info!(name = TARGET, "installing the Rust target");
    query("rustup", &["target", "add", TARGET], folder).map(drop)
}

/// A Rust that did not come from rustup, for example a distribution's.
fn ensure_target_without_rustup(folder: &Path) -> Result<(), BuildError> {
    let found = query("rustc", &["--print", "target-libdir", "--target", TARGET], folder)?;
    if Path::new(found.trim()).is_dir() {
        return Ok(());
    }
    Err(BuildError::Tool(format!(
        "the Rust target {TARGET} is not installed and rustup, which could install it, was not \
         found; install Rust from https://rustup.rs, or your distribution's package for {TARGET}"
    )))
}

/// What a tool answers on stdout.
fn query(tool: &str, arguments: &[&str], folder: &Path) -> Result<String, BuildError> {
    let command = format!("{tool} {}", arguments.join(" "));
    let output = Command::new(tool)
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .output()
        .map_err(|source| not_run(&command, folder, source))?;
    if !output.status.success() {
        let (folder, status) = (folder.to_owned(), output.status);
        return Err(BuildError::Failed { command, folder, status, output: output.stderr });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const PLAIN: Toolchain = Toolchain { colours: false };

    #[test]
    fn output_is_kept_in_order_and_told_line_by_line() -> io::Result<()> {
        let told = RefCell::new(Vec::new());
        let progress = |line: &str| told.borrow_mut().push(line.to_owned());
        let (status, output) =
            PLAIN.run("echo one; echo two >&2; exit 3", Path::new("."), &progress, None)?;
        assert_eq!(status.code(), Some(3));
        assert_eq!(output, b"one\ntwo\n");
        assert_eq!(told.into_inner(), ["one\n", "two\n"]);
        Ok(())
    }

    #[test]
    fn a_stop_ends_a_build_with_all_that_it_started() -> io::Result<()> {
        let stop = Stop::default();
        let progress = |_: &str| stop.request();
        // Neither listens when it is asked. That this returns says that both are gone: each keeps
        // the output open.
        let script = "trap '' TERM; sleep 1000 & echo started; wait";
        let (status, output) = PLAIN.run(script, Path::new("."), &progress, Some(&stop))?;
        assert_eq!((status.success(), &*output), (false, &b"started\n"[..]));
        Ok(())
    }

    #[test]
    fn a_build_does_not_see_where_other_builds_write() -> io::Result<()> {
        let script = "echo [$CARGO_TARGET_DIR$CARGO_BUILD_TARGET_DIR]";
        assert_eq!(PLAIN.run(script, Path::new("."), &|_| (), None)?.1, b"[]\n");
        Ok(())
    }

    #[test]
    fn only_cargo_for_the_component_target_is_looked_after() {
        assert!(needs_target("cargo build --release --target wasm32-wasip2"));
        assert!(!needs_target("cargo component build --release"));
        assert!(!needs_target("npm run build"));
        assert!(!needs_target("make wasm32-wasip2"));
    }
}
