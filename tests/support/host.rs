//! A running host: `lockstep run` as a process of its own.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::process::{Process, code};
use crate::wait::{DEADLINE, eventually_ok};
use crate::{build, cli, http};

/// What a start may take, with a build and the compilation of the largest component.
const START: Duration = Duration::from_secs(600);

/// A host that is killed when dropped.
pub struct Host {
    process: Process,
    /// `http://host:port` of the ingest listener.
    pub ingest: String,
    /// `http://host:port` of the admin listener.
    pub admin: String,
}

impl Host {
    /// Starts a host and waits until it is ready.
    #[track_caller]
    pub fn start(config: &Path) -> Self {
        let host = Self::launch(config, &[]);
        host.wait_until_ready();
        host
    }

    /// Starts a host with these environment variables and waits until it listens.
    #[track_caller]
    pub fn launch(config: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Self::command(config);
        command.envs(environment.iter().copied());
        Self::listening(Process::start("lockstep run", &mut command))
    }

    /// Starts a host through another command, as `sh -c …`, and waits until it listens.
    #[track_caller]
    pub fn launch_through(through: &[&str], config: &Path, environment: &[(&str, &str)]) -> Self {
        let (first, rest) = through.split_first().expect("there is a command");
        let inner = Self::command(config);
        let mut command = Command::new(first);
        command.args(rest).arg(inner.get_program()).args(inner.get_args());
        command.current_dir(config.parent().unwrap_or(Path::new(".")));
        command.envs(environment.iter().copied());
        Self::listening(Process::start("lockstep run", &mut command))
    }

    /// Starts a host that fails where these failpoints say, and waits until it listens or is gone.
    #[track_caller]
    pub fn launch_failing(config: &Path, failpoints: &str, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(build::lockstep_failpoints());
        command.args([Path::new("run"), Path::new("--config"), config]);
        command.current_dir(config.parent().unwrap_or(Path::new(".")));
        command.env("FAILPOINTS", failpoints).envs(environment.iter().copied());
        let mut process = Process::start("lockstep-failpoints run", &mut command);
        match process.find_line(START, addresses) {
            Some((ingest, admin)) => Self::at(process, &ingest, &admin),
            None => {
                // Its output ends some moments before it does.
                process.wait(DEADLINE);
                Self::at(process, "gone", "gone")
            }
        }
    }

    /// Starts `lockstep dev` in this directory and waits until it listens.
    #[track_caller]
    pub fn dev(directory: &Path, args: &[&str]) -> Self {
        Self::dev_with(directory, args, &[])
    }

    /// The same, with these variables in its environment.
    #[track_caller]
    pub fn dev_with(directory: &Path, args: &[&str], environment: &[(&str, OsString)]) -> Self {
        let mut command =
            cli::command(["dev", "--ingest", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.args(args).current_dir(directory).envs(environment.iter().cloned());
        Self::listening(Process::start("lockstep dev", &mut command))
    }

    /// The command that starts a host.
    pub fn command(config: &Path) -> Command {
        let config = PathBuf::from(config);
        let mut command = cli::command([Path::new("run"), Path::new("--config"), &config]);
        command.current_dir(config.parent().unwrap_or(Path::new(".")));
        command
    }

    #[track_caller]
    fn listening(process: Process) -> Self {
        let Some((ingest, admin)) = process.find_line(START, addresses) else {
            panic!("the host did not become ready\n{}", process.output());
        };
        Self::at(process, &ingest, &admin)
    }

    fn at(process: Process, ingest: &str, admin: &str) -> Self {
        Self { process, ingest: format!("http://{ingest}"), admin: format!("http://{admin}") }
    }

    /// Waits until `/readyz` says so.
    #[track_caller]
    pub fn wait_until_ready(&self) {
        let url = format!("{}/readyz", self.admin);
        eventually_ok("the host is ready", || match http::try_get(&url) {
            Ok(answer) if answer.status == 200 => Ok(()),
            other => Err(format!("{other:?}\n{}", self.output())),
        });
    }

    /// The process, for its pid and its output.
    pub fn process(&mut self) -> &mut Process {
        &mut self.process
    }

    /// Everything the host logged.
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Waits until the host has logged a line with all of these parts, and gives the line.
    #[track_caller]
    pub fn logged(&self, parts: &[&str]) -> String {
        self.logged_within(DEADLINE, parts)
    }

    /// The same, for what may take longer than anything in a test.
    #[track_caller]
    pub fn logged_within(&self, within: Duration, parts: &[&str]) -> String {
        let has_all =
            |line: &str| parts.iter().all(|part| line.contains(part)).then(|| line.to_owned());
        self.process
            .find_line(within, has_all)
            .unwrap_or_else(|| panic!("not logged: {parts:?}\n{}", self.output()))
    }

    /// The partitions that the group has given to this host and not taken away, as it logged.
    pub fn partitions(&self) -> BTreeSet<String> {
        let mut own = BTreeSet::new();
        for line in self.process.lines() {
            let Some((_, names)) = line.split_once(" partitions=") else { continue };
            let names = names.split_whitespace().map(str::to_owned);
            if line.contains("partitions assigned") {
                own.extend(names);
            } else if line.contains("partitions revoked") {
                own = &own - &names.collect();
            }
        }
        own
    }

    /// Waits until these hosts have all the partitions among them, and each some.
    #[track_caller]
    pub fn wait_until_shared(hosts: &[&Self], partitions: usize) {
        eventually_ok("the hosts share the partitions", || {
            let own: Vec<_> = hosts.iter().map(|host| host.partitions()).collect();
            let all: BTreeSet<_> = own.iter().flatten().collect();
            let sum: usize = own.iter().map(BTreeSet::len).sum();
            let each = own.iter().all(|own| !own.is_empty());
            if each && (all.len(), sum) == (partitions, partitions) {
                Ok(())
            } else {
                Err(format!("{own:?}"))
            }
        });
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Kills the host as `kill -9` does.
    pub fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Asks the host to stop, and gives its exit code and the time it took.
    #[track_caller]
    pub fn terminate(&mut self) -> (i32, Duration) {
        let begun = Instant::now();
        self.process.signal(Signal::TERM);
        let status = self.process.wait(DEADLINE);
        (code(status), begun.elapsed())
    }

    /// `POST /v1/topics/{topic}/events`.
    #[track_caller]
    pub fn post(&self, topic: &str, headers: &[(&str, &str)], body: &[u8]) -> http::Answer {
        http::post(&self.events_url(topic), headers, body)
    }

    /// Where events of a topic are posted to.
    pub fn events_url(&self, topic: &str) -> String {
        format!("{}/v1/topics/{topic}/events", self.ingest)
    }

    /// What `/v1/host` says about one handler; null when it does not name it.
    #[track_caller]
    pub fn handler(&self, name: &str) -> Value {
        let host = http::get(&format!("{}/v1/host", self.admin)).json();
        let named = host["handlers"].as_array().into_iter().flatten().find(|h| h["name"] == name);
        named.cloned().unwrap_or_default()
    }
}

impl Drop for Host {
    /// A test that fails shows what its hosts had to say.
    #[expect(clippy::print_stderr, reason = "the test runner shows it with the failure")]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{}", self.output());
        }
    }
}

/// The addresses in the line `… ready ingest=127.0.0.1:8080 admin=127.0.0.1:8081`.
fn addresses(line: &str) -> Option<(String, String)> {
    let (_, rest) = line.split_once("ready ")?;
    let field = |name: &str| {
        rest.split_whitespace().find_map(|word| word.strip_prefix(name)).map(str::to_owned)
    };
    Some((field("ingest=")?, field("admin=")?))
}
