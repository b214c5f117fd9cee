//! The hosts of a run: processes of this program, each with a name of its own, and what they say.
//!
//! They end with this process, however it ends: a host of a run reads its stdin, and stops when
//! that is closed.

mod ear;

use std::collections::BTreeMap;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::recorder::Recorder;
use crate::stop::Stop;
pub(super) use ear::Ear;

/// What the hosts log: enough to hear of transactions that are given up.
const LEVEL: &str = "info,lockstep::worker=debug";
/// How long a start may take: a large component is compiled in it.
const START: Duration = Duration::from_secs(300);
/// Beyond the deadline that a host has for its stop.
const GRACE: Duration = Duration::from_secs(10);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(10);

/// How a host is started.
#[derive(Clone, Debug)]
pub struct HostConfig {
    /// Its configuration.
    pub file: PathBuf,
    /// What stands for the secrets in it.
    pub environment: Vec<(String, String)>,
    /// How long its stop may take.
    pub shutdown_deadline: Duration,
}

/// The hosts of a run.
pub(super) struct Hosts {
    program: PathBuf,
    running: BTreeMap<String, Running>,
    ear: Ear,
    stop: Stop,
}

struct Running {
    child: Child,
    config: HostConfig,
}

impl Hosts {
    /// None yet. What is waited for is waited for until `stop`.
    pub(super) fn new(recorder: Recorder, stop: Stop) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("failed to find this program")?;
        Ok(Self { program, running: BTreeMap::new(), ear: Ear::new(recorder), stop })
    }

    /// What they say.
    pub(super) fn ear(&self) -> &Ear {
        &self.ear
    }

    /// What all of them said last that is worth telling, to follow a problem.
    pub(super) fn last_words(&self) -> String {
        self.running.keys().map(|id| self.ear.last_words(id)).collect()
    }

    /// Starts a host.
    pub(super) fn start(&mut self, id: &str, config: HostConfig) -> anyhow::Result<()> {
        let mut command = Command::new(&self.program);
        command
            .args([Path::new("run"), Path::new("--stop-with-stdin"), Path::new("--config")])
            .arg(&config.file)
            .args(["--log-format", "json", "--log-level", LEVEL])
            .envs(config.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            // Ctrl-C is for this process to hear, which then ends its hosts.
            .process_group(0);
        let child = command.spawn();
        let mut child = child.with_context(|| format!("failed to start host {id:?}"))?;
        if let Some(stderr) = child.stderr.take() {
            self.ear.listen(id, stderr)?;
        }
        self.running.insert(id.to_owned(), Running { child, config });
        Ok(())
    }

    /// Waits until a host has said that it is ready.
    pub(super) fn await_ready(&mut self, id: &str) -> anyhow::Result<()> {
        let begun = Instant::now();
        while !self.ear.is_ready(id) {
            self.check()?;
            if begun.elapsed() > START {
                bail!("host {id:?} is not ready after {START:?}{}", self.ear.last_words(id));
            }
            if self.stop.sleep(GLANCE) {
                bail!("stopped before host {id:?} was ready");
            }
        }
        Ok(())
    }

    /// Whether all that were started still run: one that has ended by itself is an error.
    pub(super) fn check(&mut self) -> anyhow::Result<()> {
        for (id, running) in &mut self.running {
            let ended = running.child.try_wait();
            if let Some(status) = ended.with_context(|| format!("failed to look at host {id:?}"))? {
                let said = self.ear.last_words(id);
                bail!("host {id:?} ended by itself ({}){said}", words(status));
            }
        }
        Ok(())
    }

    /// Ends a host as `kill -9` does. Gives how it can be started again.
    pub(super) fn kill(&mut self, id: &str) -> anyhow::Result<HostConfig> {
        let mut running = self.take(id)?;
        running.child.kill().with_context(|| format!("failed to kill host {id:?}"))?;
        running.child.wait().with_context(|| format!("failed to wait for host {id:?}"))?;
        Ok(running.config)
    }

    /// Asks a host to stop, and waits until it has. `Err` when it does not keep its deadline. Gives
    /// how it can be started again.
    pub(super) fn terminate(&mut self, id: &str) -> anyhow::Result<HostConfig> {
        // One that is not ready yet does not listen to signals.
        self.await_ready(id)?;
        self.signal(id, Signal::SIGTERM)?;
        self.await_end(id)
    }

    fn await_end(&mut self, id: &str) -> anyhow::Result<HostConfig> {
        let mut running = self.take(id)?;
        let deadline = running.config.shutdown_deadline + GRACE;
        let begun = Instant::now();
        loop {
            let ended = running.child.try_wait();
            match ended.with_context(|| format!("failed to wait for host {id:?}"))? {
                Some(status) if status.success() => return Ok(running.config),
                Some(status) => {
                    let said = self.ear.last_words(id);
                    bail!("host {id:?} did not stop well ({}){said}", words(status));
                }
                None if begun.elapsed() > deadline => {
                    end(&mut running.child);
                    let said = self.ear.last_words(id);
                    bail!("host {id:?} was told to stop and has not after {deadline:?}{said}");
                }
                None => std::thread::sleep(GLANCE),
            }
        }
    }

    /// Stops the process where it is.
    pub(super) fn freeze(&self, id: &str) -> anyhow::Result<()> {
        self.signal(id, Signal::SIGSTOP)
    }

    /// Lets it go on.
    pub(super) fn thaw(&self, id: &str) -> anyhow::Result<()> {
        self.signal(id, Signal::SIGCONT)
    }

    /// Asks all of them to stop, and waits until they have.
    pub(super) fn terminate_all(&mut self) -> anyhow::Result<()> {
        let ids: Vec<_> = self.running.keys().cloned().collect();
        ids.iter().try_for_each(|id| self.await_ready(id))?;
        ids.iter().try_for_each(|id| self.signal(id, Signal::SIGTERM))?;
        ids.iter().try_for_each(|id| self.await_end(id).map(drop))
    }

    fn signal(&self, id: &str, signal: Signal) -> anyhow::Result<()> {
        let running = self.running.get(id).with_context(|| format!("host {id:?} does not run"))?;
        // Not waited for yet, so that its number is nobody else's.
        let pid = i32::try_from(running.child.id()).context("a process has a number too large")?;
        kill(Pid::from_raw(pid), signal).with_context(|| format!("failed to signal host {id:?}"))
    }

    fn take(&mut self, id: &str) -> anyhow::Result<Running> {
        self.running.remove(id).with_context(|| format!("host {id:?} does not run"))
    }
}

impl Drop for Hosts {
    /// Nothing is left behind, whatever went wrong.
    fn drop(&mut self) {
        self.running.values_mut().for_each(|running| end(&mut running.child));
    }
}

fn end(child: &mut Child) {
    // It may have ended by itself.
    drop(child.kill());
    drop(child.wait());
}

fn words(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => format!("signal {signal}"),
        (None, None) => "for no known reason".to_owned(),
    }
}
