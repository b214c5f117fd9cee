//! Building handlers: runs the build command of a manifest in the handler's folder, and sees to
//! it that the tools are there.
//!
//! What is cheap to install and stays in the handler's folder is installed when it is missing:
//! npm packages, a virtual environment of Python, a target of Rust. What is dear or touches the
//! rest of the machine is only named, with the command that installs it.
//!
//! The built component is where the manifest says. So that cargo agrees, a build does not see
//! `CARGO_TARGET_DIR`: it would move the output of every handler to a place that no manifest can
//! name. Knows nothing of terminals: progress goes to the caller.

mod node;
mod python;
mod recipe;
mod rust;

mod output;

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};

use crate::handler::Handler;
use crate::stop::Stop;

/// Variables that make cargo write elsewhere than the manifest says.
const ELSEWHERE: [&str; 2] = ["CARGO_TARGET_DIR", "CARGO_BUILD_TARGET_DIR"];

/// Why a component could not be built.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A tool is missing or does not work; the text says how to get it.
    #[error("{0}")]
    Tool(String),
    /// Neither the manifest nor the folder says how to build; the text says how to say it.
    #[error("{0}")]
    Unclear(String),
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
        let Some(command) = recipe::command(handler, folder)? else {
            tracing::info!(handler = %handler.name, "nothing to build: there is only a component");
            return Ok(());
        };
        let say = |what: &str| {
            progress(what);
            tracing::info!(handler = %handler.name, "{what}");
        };
        let step = Step { toolchain: self, folder, progress, say: &say, stop };
        rust::prepare(&command, &step)?;
        node::prepare(&step)?;
        python::prepare(&step)?;
        step.run(&command)?;
        if !handler.component.is_file() {
            let (folder, component) = (folder.to_owned(), handler.component.clone());
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

/// One build, for those who prepare it.
struct Step<'a> {
    toolchain: Toolchain,
    folder: &'a Path,
    progress: &'a dyn Fn(&str),
    /// Tells the person what is done besides building.
    say: &'a dyn Fn(&str),
    /// Ends the build when it is requested.
    stop: Option<&'a Stop>,
}

impl Step<'_> {
    /// Runs a command line in the folder of the handler.
    fn run(&self, command: &str) -> Result<(), BuildError> {
        let Self { toolchain, folder, progress, stop, .. } = *self;
        let (status, output) = toolchain
            .run(command, folder, progress, stop)
            .map_err(|source| not_run(command, folder, source))?;
        match status.code() {
            Some(0) => Ok(()),
            Some(NOT_FOUND) => Err(BuildError::Tool(not_found(command, folder, &output))),
            _ => {
                let (command, folder) = (command.to_owned(), folder.to_owned());
                Err(BuildError::Failed { command, folder, status, output })
            }
        }
    }

    /// Whether the folder holds this file.
    fn has(&self, file: &str) -> bool {
        self.folder.join(file).is_file()
    }
}

/// With this a shell ends when there is no such program.
const NOT_FOUND: i32 = 127;

/// The shell's last words say which program it did not find.
fn not_found(command: &str, folder: &Path, output: &[u8]) -> String {
    let output = String::from_utf8_lossy(output);
    let said = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let fix = if tool_of(command) == "make" {
        "install make, for example with `apt-get install make`"
    } else if ["node", "npm", "npx"].into_iter().any(|tool| tool_of(command) == tool)
        || said.contains("node\u{2019}:")
        || said.contains("'node'")
    {
        node::INSTALL
    } else {
        "install what is missing, or correct `command` under [build] in handler.toml"
    };
    format!("a program that `{command}` needs was not found in {folder:?} ({}); {fix}", said.trim())
}

/// The program that a command line runs first.
fn tool_of(command: &str) -> &str {
    command.split_whitespace().next().unwrap_or_default()
}

fn not_run(command: &str, folder: &Path, source: io::Error) -> BuildError {
    BuildError::NotRun { command: command.to_owned(), folder: folder.to_owned(), source }
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
    fn a_program_that_is_not_there_is_named() {
        let step = Step {
            toolchain: PLAIN,
            folder: Path::new("."),
            progress: &|_| (),
            say: &|_| (),
            stop: None,
        };
        for command in ["no-such-tool --fast", "true && no-such-tool"] {
            let said = step.run(command).map_or_else(|error| error.to_string(), |()| String::new());
            assert!(said.contains("no-such-tool") && said.contains("[build]"), "{said}");
        }
        assert!(matches!(step.run("exit 1"), Err(BuildError::Failed { .. })));
        assert!(step.run("true").is_ok());
    }
}
