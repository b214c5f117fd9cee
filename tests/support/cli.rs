//! The `lockstep` program as a command that ends.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{build, guardian, process};

/// Longer than any command takes.
const DEADLINE: Duration = Duration::from_secs(120);

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    /// The exit code, or minus the signal.
    pub code: i32,
    /// What it printed as its result.
    pub stdout: String,
    /// What it said besides.
    pub stderr: String,
}

/// A `lockstep` command without the settings of the person who runs the tests.
pub fn command<I: AsRef<OsStr>>(args: impl IntoIterator<Item = I>) -> Command {
    let mut command = Command::new(build::lockstep());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LOCKSTEP_") {
            command.env_remove(name);
        }
    }
    command.env_remove("RUST_LOG").args(args);
    command
}

/// Runs `lockstep` with these arguments in this directory.
#[track_caller]
pub fn run<I: AsRef<OsStr>>(directory: &Path, args: impl IntoIterator<Item = I>) -> Ran {
    finish(command(args).current_dir(directory), b"")
}

/// Runs a command to its end with this input.
#[track_caller]
pub fn finish(command: &mut Command, input: &[u8]) -> Ran {
    finish_within(DEADLINE, command, input)
}

/// Runs a command that may take this long, like a first build, to its end with this input.
#[track_caller]
pub fn finish_within(deadline: Duration, command: &mut Command, input: &[u8]) -> Ran {
    let file = || tempfile::tempfile().expect("a temporary file can be made");
    let (mut stdin, stdout, stderr) = (file(), file(), file());
    stdin.write_all(input).and_then(|()| stdin.rewind()).expect("a temporary file can be written");
    let share = |file: &File| Stdio::from(file.try_clone().expect("a file can be shared"));
    let mut child = command
        .stdin(stdin)
        .stdout(share(&stdout))
        .stderr(share(&stderr))
        .spawn()
        .unwrap_or_else(|error| panic!("failed to start {command:?}: {error}"));
    guardian::watch(child.id());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().expect("the child is ours") {
            break status;
        }
        if begun.elapsed() > deadline {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(2));
    };
    guardian::forget(child.id());
    let ran = Ran { code: process::code(status), stdout: content(stdout), stderr: content(stderr) };
    assert!(begun.elapsed() < deadline, "{command:?} did not end: {ran:?}");
    ran
}

impl Ran {
    /// Asserts that the command succeeded, and gives its result.
    #[track_caller]
    pub fn ok(self) -> String {
        assert_eq!(self.code, 0, "{self:?}");
        self.stdout
    }

    /// Asserts that the command succeeded, and gives its result as JSON.
    #[track_caller]
    pub fn json(self) -> Value {
        let text = self.ok();
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("not JSON: {error}: {text}"))
    }

    /// Asserts that the command succeeded, and gives its result as one JSON value per line.
    #[track_caller]
    pub fn json_lines(self) -> Vec<Value> {
        let text = self.ok();
        let parse =
            |line| serde_json::from_str(line).unwrap_or_else(|e| panic!("not JSON: {e}: {line}"));
        text.lines().map(parse).collect()
    }

    /// Asserts that the command failed with this code and a message that holds all of these.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code, code, "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "{part:?} is not said: {self:?}");
        }
    }
}

fn content(mut file: File) -> String {
    let mut bytes = Vec::new();
    file.rewind().and_then(|()| file.read_to_end(&mut bytes)).expect("a temporary file is read");
    String::from_utf8_lossy(&bytes).into_owned()
}
